"""When2Ask learns when a question pays, on an errand where one question at the right moment is best."""

import pytest
import torch
from pydantic import ValidationError

from asking_tasks import errands
from wean.agents.policy import Policy, StudentPolicy
from wean.agents.references import always, at_plan_end, at_random, at_skill_end, never, on_change
from wean.algorithms.when2ask import When2Ask, When2AskConfig
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.scores import query_stats_report
from wean.students.config import StudentConfig
from wean.students.saving import make_student
from wean.teachers.ask_or_act import AskingCost, QueryStats


def _judge(policy: Policy) -> tuple[float, float, float]:
    view = errands(10)
    played = play_seeds(policy, view, 20, 10_000)
    query_stats = [view.query_stats[seed] for seed in range(10_000, 10_020)]
    return played.successes.mean(), played.lengths.mean(), sum(t.questions for t in query_stats) / 20


def test_it_asks_when_something_new_is_heard_and_not_before() -> None:
    torch.manual_seed(0)
    cost = AskingCost(first=0.05, change=0.05, repeat=0.05)
    config = When2AskConfig(total_timesteps=6000, num_envs=16, num_steps=16, learning_rate=3e-3, cost=cost)
    view = errands(16, cost)
    student = make_student(view.observation_space, view.action_space, StudentConfig(hidden=16))
    shares: list[float] = []
    When2Ask(student, view, config).learn(lambda update: shares.append(update.metrics["rollout/asking_share"]))
    assert _judge(StudentPolicy(student, "greedy")) == (1.0, 3.0, 2.0)
    assert shares[-1] < shares[0]


def test_the_rules_ask_when_they_say() -> None:
    assert _judge(always()) == (1.0, 3.0, 3.0)
    assert _judge(on_change()) == (1.0, 3.0, 2.0)
    assert _judge(at_plan_end()) == (1.0, 9.0, 2.0)
    assert _judge(at_skill_end()) == (1.0, 9.0, 2.0)
    assert _judge(never())[2] == 1.0
    success, length, questions = _judge(at_random(0.3))
    assert success == 1.0
    assert 3.0 < length < 9.0
    assert 2.0 < questions < 4.0


def test_tallies_become_means_with_intervals() -> None:
    told = query_stats_report([QueryStats(2, 1, 0, 100)._asdict(), QueryStats(4, 1, 0, 300)._asdict()])
    assert told["questions"]["mean"] == 3.0
    assert told["tokens"] == {"mean": 200.0, "low": 100.0, "high": 300.0}


def test_there_is_no_loss_of_a_teacher() -> None:
    with pytest.raises(ValidationError, match=r"when2ask has no teacher's loss; leave teacher.\* alone"):
        When2AskConfig(teacher={"start": 3.0})  # type: ignore[arg-type]
