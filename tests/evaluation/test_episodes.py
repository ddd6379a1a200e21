"""Playing episodes: what counts as success, and that numbers do not depend on how many play together."""

import numpy as np
import pytest
from wean.evaluation.episodes import play, succeeded, summarize

from small_tasks import Corridor, Farm
from wean.agents.references import RandomPolicy
from wean.tasks.vector import SerialTasks


class Walker:
    """Walks right with a fixed probability."""

    name = "walker"

    def __init__(self, right: float) -> None:
        self._right = right

    def begin(self, episodes: int) -> None:
        """Forgets nothing: there is nothing to forget."""

    def act(self, tasks: object, which: list[int], observations: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return np.tile([1 - self._right, self._right], (len(which), 1))


def test_success_is_what_the_task_says_and_not_what_was_farmed() -> None:
    farmed = play(Walker(0.0), SerialTasks([Farm] * 4), 8, 0)
    assert (farmed.returns > 0.9).all()
    assert not farmed.successes.any()
    assert play(Walker(1.0), SerialTasks([Farm] * 4), 8, 0).successes.all()


def test_where_the_task_says_nothing_the_return_decides() -> None:
    assert play(Walker(1.0), SerialTasks([Corridor] * 4), 8, 0).successes.all()
    assert not play(Walker(0.0), SerialTasks([Corridor] * 4), 8, 0).successes.any()
    returns, unsaid = np.array([0.0, 0.5, 2.0]), np.full(3, np.nan)
    assert succeeded(returns, unsaid, None).tolist() == [False, True, True]
    assert succeeded(returns, unsaid, 1.0).tolist() == [False, False, True]
    assert succeeded(returns, np.array([1.0, 0.0, np.nan]), 1.0).tolist() == [True, False, True]


@pytest.mark.parametrize("together", [1, 3, 20])
def test_the_numbers_do_not_depend_on_how_many_play_together(together: int) -> None:
    alone = play(RandomPolicy(), SerialTasks([Corridor]), 20, 7)
    many = play(RandomPolicy(), SerialTasks([Corridor] * together), 20, 7)
    assert (alone.returns == many.returns).all()
    assert (alone.lengths == many.lengths).all()
    assert len(set(alone.lengths.tolist())) > 2, "episodes differ from each other"


def test_progress_counts_to_the_end_and_the_object_is_complete() -> None:
    done: list[int] = []
    episodes = play(Walker(1.0), SerialTasks([Corridor] * 4), 10, 0, progress=done.append)
    assert done == sorted(done)
    assert done[-1] == 10
    result = summarize(episodes, "Corridor", "walker", 0, {"asked": 0})
    assert result["length"]["mean"] == 4.0
    assert result["success"]["mean"] == 1.0
    assert result["success"]["low"] == pytest.approx(0.722, abs=0.001)  # Wilson, 10 of 10
