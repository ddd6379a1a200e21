"""The language model as the agent: one question a decision, failures counted, what it is told."""

from functools import partial

import numpy as np
import pytest
from wean.agents.skill_react import AgentPolicy
from wean.evaluation.query_stats import query_stats_report

from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.llm import open_model, scripted_model
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.teachers.plans import last_named


def _tasks(task: str = "SimpleDoorKey", count: int = 5) -> SerialTasks:
    return SerialTasks([partial(make_task, task)] * count)


def _able(asked: list[dict[str, str]]) -> list[str]:
    return asked[1]["content"].split("can do something now: ")[1].split(".")[0].split(", ")


def _sensible(asked: list[dict[str, str]]) -> str:
    order = ("open door", "pick up key", "go to key", "go to door", "explore")
    held = "It holds a key" in asked[1]["content"]
    return next(name for name in order if name in _able(asked) and (held or "door" not in name))


def test_the_last_skill_that_an_answer_names_counts() -> None:
    assert (
        last_named('First {"skill": "explore"}, or rather:\n```json\n{"skill": " go to key "}\n```', "skill")
        == "go to key"
    )
    assert last_named('{"skills": ["explore"]} {"skill": 3}', "skill") is None


def test_it_solves_the_room_with_one_question_a_decision() -> None:
    asked: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages[1]["content"])
        return f'Thinking.\n{{"skill": "{_sensible(messages)}"}}'

    policy = AgentPolicy(scripted_model(answer), 7)  # type: ignore[arg-type]
    played = play_seeds(policy, _tasks(), 10, 10_000)
    assert played.successes.all()
    questions = np.array([tally.questions for tally in policy.query_stats])
    assert len(questions) == 10
    assert (questions < played.lengths).all(), "a skill runs on without a question"
    assert questions.min() >= 4
    assert all(tally.failed == 0 and tally.tokens > 50 * tally.questions for tally in policy.query_stats)
    assert set(query_stats_report(policy.query_stats)) == {"questions", "failed", "tokens"}
    assert all("last decisions" not in text for text in asked)


@pytest.mark.parametrize("text", ["no idea", '{"skill": "fly to the moon"}', '{"skill": "open door"}'])
def test_an_answer_that_names_nothing_that_can_be_done_is_counted_and_chance_decides(text: str) -> None:
    policy = AgentPolicy(scripted_model(lambda asked: text), 7)
    played = play_seeds(policy, _tasks(), 5, 10_000)
    again = AgentPolicy(scripted_model(lambda asked: text), 7)
    assert (play_seeds(again, _tasks(count=2), 5, 10_000).lengths == played.lengths).all(), "the same chance every time"
    failed = sum(tally.failed for tally in policy.query_stats)
    assert failed >= sum(tally.questions for tally in policy.query_stats) * (0.5 if "open" in text else 1)


def test_a_history_tells_the_last_decisions_and_what_ended_them() -> None:
    asked: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages[1]["content"])
        return f'{{"skill": "{_sensible(messages)}"}}'

    play_seeds(AgentPolicy(scripted_model(answer), 7, history=2), _tasks(count=1), 1, 10_000)  # type: ignore[arg-type]
    assert asked[0].endswith("Its last decisions, the oldest first: none yet.")
    assert asked[1].endswith("Its last decisions, the oldest first: explore (the situation changed).")
    assert any("go to key (done)" in text for text in asked)
    assert max(text.count("(") for text in asked) == 2


def test_a_negative_history_is_refused() -> None:
    with pytest.raises(UsageError, match="a number of decisions from 0, not -1"):
        AgentPolicy(scripted_model(lambda asked: ""), 7, history=-1)


@pytest.mark.parametrize("task", ["SimpleDoorKey", "KeyInBox"])
def test_the_recorded_answers_know_what_they_are_asked(task: str) -> None:
    model = open_model("recorded:react")
    policy = AgentPolicy(model, 7)
    assert play_seeds(policy, _tasks(task), 20, 10_000).successes.mean() >= 0.9
    assert model.counts.unanswered == 0
