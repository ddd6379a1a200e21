"""One contract for whatever acts: students in one environment, the prior alone, replayed actions, wrong use."""

from pathlib import Path

import numpy as np
import pytest

from small_tasks import Corridor
from wean.agents.policy import Policy, StudentPolicy, ValuesPolicy, load_policy
from wean.agents.references import EpsilonPolicy, ExpertPolicy, PriorPolicy, RandomPolicy, ReplayPolicy, reference
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.playing import play
from wean.students.action_values import TableValues
from wean.students.config import StudentConfig
from wean.students.saving import save_student
from wean.students.student import DenseStudent
from wean.tasks.situation import Situation
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Proposals
from wean.teachers.priors import Prior


class Solved(Corridor):
    def best_actions(self) -> list[int]:
        return [1]


def _prior(weights: dict[str, tuple[float, float]]) -> Prior:
    return Prior(lambda new: [Proposals(np.array(weights[situation.text[-2]])) for situation in new])


def test_the_prior_draws_from_its_proposals_and_acts_at_random_without() -> None:
    prior = _prior({"0": (0, 1), "1": (0, 0), "2": (0.25, 0.75), "3": (0, 1)})
    tasks = SerialTasks([Corridor] * 4)
    tasks.reset([0, 1, 2], [0, 1, 2])
    tasks.step([1, 2], [1, 1])
    tasks.step([2], [1])
    chances = PriorPolicy(prior).probabilities(tasks, [0, 1, 2], np.zeros(3), np.zeros(3))
    assert chances.tolist() == [[0, 1], [0.5, 0.5], [0.25, 0.75]]


def counts(policy: Policy, episodes: int, members: int = 1) -> tuple[int, int, int]:
    stats = [one.stats for one in play_seeds(policy, SerialTasks([Solved] * members), episodes, 0).played]
    moments, silent, unsupported = (sum(found[name] for found in stats) for name in stats[0])
    return moments, silent, unsupported


@pytest.mark.parametrize("members", [1, 2])
def test_decisions_whose_best_action_the_prior_leaves_out_are_counted(members: int) -> None:
    right = PriorPolicy(_prior(dict.fromkeys("0123", (0.0, 1.0))), ExpertPolicy())
    assert counts(right, 3, members) == (12, 0, 0)
    # Steps to cell 1, and then back and forth until ten steps are over.
    wrong = PriorPolicy(_prior({"0": (0, 1), "1": (1, 0)}), ExpertPolicy())
    assert counts(wrong, 1) == (10, 0, 5)
    moments, silent, unsupported = counts(PriorPolicy(_prior(dict.fromkeys("0123", (0.0, 0.0))), ExpertPolicy()), 1)
    assert moments == silent > 3
    assert unsupported == 0


def test_replayed_actions_end_where_they_end() -> None:
    replay = ReplayPolicy({("corridor", 0): [1, 0, 1, 1, 1, 1], ("corridor", 1): [0, 0]})
    cases = [Case("corridor", number, number) for number in range(2)]
    played = sorted(play(replay, SerialTasks([Corridor] * 2), cases), key=lambda one: one.case)
    assert [(one.length, one.total) for one in played] == [(6, 1.0), (2, 0.0)]
    with pytest.raises(UsageError, match="no demonstration of corridor 5; make one with `wean demos`"):
        list(play(replay, SerialTasks([Corridor]), [Case("corridor", 5, 5)]))


def test_with_epsilon_another_policy_is_mixed_with_chance() -> None:
    tasks = SerialTasks([Solved] * 2)
    tasks.reset([0, 1], [0, 1])
    mixed = EpsilonPolicy(ExpertPolicy(), 0.4)
    assert mixed.probabilities(tasks, [0, 1], np.zeros(2), np.zeros(2)).tolist() == [[0.2, 0.8]] * 2
    assert mixed.name == "expert, epsilon 0.4"


def test_a_student_acts_in_one_environment_as_it_does_in_many() -> None:
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=8))
    policy, random = StudentPolicy(student), np.random.default_rng(3)
    policy.reset(3)
    for cell in (0, 1, 0, 2, 4, 3):
        observation = np.array(cell)
        chances, _ = student.probabilities(observation[None], student.first_state(1), np.ones(1, bool))
        assert policy.act(observation) == int((chances[0].cumsum() < random.random()).sum())


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    save_student(TableValues(2), tmp_path / "values")
    save_student(DenseStudent(5, 2, discrete=True), tmp_path / "dense")
    situation = Situation("Walk.", "You are in cell 0.", ("left", "right"))
    values, dense = load_policy(tmp_path / "values"), load_policy(tmp_path / "dense")
    assert isinstance(values, ValuesPolicy)
    assert isinstance(dense, StudentPolicy)
    assert values.act(situation) in (0, 1)
    with pytest.raises(UsageError, match=r"reads situations, not observations; give it task.situation\(\)"):
        values.act(np.array(3))
    with pytest.raises(UsageError, match=r"sees observations, not situations; give it what env\.step returned"):
        dense.act(situation)
    with pytest.raises(UsageError, match=r"no policy 'experts'; did you mean 'expert'\?"):
        reference("experts")
    with pytest.raises(UsageError, match="random acts in wean's tasks only"):
        RandomPolicy().act(np.array(3))
