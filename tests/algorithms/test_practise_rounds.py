"""What is played next, by hand, and what is left of a solution without its detours."""

import numpy as np
import pytest

from wean.algorithms.practise import counted, draw, weights, without_detours
from wean.tasks.splits import Case


def test_tasks_are_weighed_by_how_open_they_are() -> None:
    """By hand: shares (1 + 1) / (2 + 2), (8 + 1) / (8 + 2), and one half for a task that was not played."""
    found = weights(["half", "nearly", "new"], {"half": (1, 2), "nearly": (8, 8)})
    spread = {"half": 0.5, "nearly": 0.3, "new": 0.5}  # sqrt(p (1 - p))
    assert found == pytest.approx({task: value / 1.3 for task, value in spread.items()})


def test_rounds_are_counted_together() -> None:
    first = counted([("boil", 1), ("boil", 2), ("melt", 1)], [("boil", 2)], {})
    assert first == {"boil": (1, 2), "melt": (0, 1)}
    assert counted([("melt", 3)], [("melt", 3)], first) == {"boil": (1, 2), "melt": (1, 2)}


def test_episodes_are_drawn_once_and_alike_with_the_same_seed() -> None:
    cases = [Case(task, number, number) for task in ("boil", "melt") for number in range(5)]
    drawn = draw(cases, 7, {}, np.random.default_rng(3))
    assert len(set(drawn)) == 7
    assert drawn == draw(cases, 7, {}, np.random.default_rng(3))
    assert sorted(draw(cases, 99, {}, np.random.default_rng(3))) == sorted(cases)


def test_what_is_open_is_drawn_more_often() -> None:
    cases = [Case(task, number, number) for task in ("open", "closed") for number in range(500)]
    drawn = draw(cases, 200, {"open": (50, 100), "closed": (0, 98)}, np.random.default_rng(0))
    share = sum(case.task == "open" for case in drawn) / 200
    assert share == pytest.approx(0.5 / (0.5 + np.sqrt(0.01 * 0.99)), abs=0.06)


@pytest.mark.parametrize(
    ("states", "kept"),
    [("abcd", [0, 1, 2, 3]), ("abac", [2, 3]), ("aab", [1, 2]), ("abcbd", [0, 3, 4]), ("abab", [2, 3]), ("", [])],
)
def test_between_two_visits_of_a_state_nothing_is_kept(states: str, kept: list[int]) -> None:
    assert without_detours(states) == kept
