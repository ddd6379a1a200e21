"""The prior alone, and where it leaves out what is best."""

import numpy as np

from small_tasks import Corridor
from wean.agents.experts import ExpertPolicy
from wean.agents.policy import PriorPolicy
from wean.evaluation.episodes import play
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
    chances = PriorPolicy(prior).act(tasks, [0, 1, 2], np.zeros(3), np.zeros(3))
    assert chances.tolist() == [[0, 1], [0.5, 0.5], [0.25, 0.75]]


def test_moments_whose_best_action_the_prior_leaves_out_are_counted() -> None:
    right = PriorPolicy(_prior(dict.fromkeys("0123", (0.0, 1.0))), ExpertPolicy())
    play(right, SerialTasks([Solved]), 3, 0)
    assert (right.moments, right.silent, right.astray) == (12, 0, 0)
    # Steps to cell 1, and then back and forth until ten steps are over.
    astray = PriorPolicy(_prior({"0": (0, 1), "1": (1, 0)}), ExpertPolicy())
    play(astray, SerialTasks([Solved]), 1, 0)
    assert (astray.moments, astray.silent, astray.astray) == (10, 0, 5)
    silent = PriorPolicy(_prior(dict.fromkeys("0123", (0.0, 0.0))), ExpertPolicy())
    play(silent, SerialTasks([Solved]), 1, 0)
    assert silent.moments == silent.silent > 3
    assert silent.astray == 0
