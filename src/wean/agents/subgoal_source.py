"""Sub-goals that somebody else gives to a student: an oracle's, or drawn ones as in ablations of 2405.02749."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from wean.students.text.normalize import phrase

Drawn = Literal["random", "random-first", "random-things"]
"""What is drawn: every sub-goal; the first one alone; of every sub-goal what it is about, its verb is the student's."""

Planner = Callable[[int, Callable[[], str]], str | None]
"""Names the sub-goal of a number (from 0), told how to ask what the student would; None leaves it to the student."""


def given(goals: Sequence[str]) -> Planner:
    """Names these one after the other."""
    return lambda number, own: goals[number] if number < len(goals) else None


def drawing(pool: Sequence[str], drawn: Drawn, seed: int) -> Planner:
    """Draws sub-goals uniformly.

    Args:
        pool: Sub-goals of demonstrations.
        drawn: Which, and what of them.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)

    def draw(goals: Sequence[str]) -> str:
        return goals[int(generator.integers(len(goals)))]

    def of_its_verb(own: str) -> str:
        alike = [goal for goal in pool if phrase(goal).partition(" ")[0] == own.partition(" ")[0]]
        return draw(alike) if alike else own

    if drawn == "random-first":
        return lambda number, own: None if number else draw(pool)
    if drawn == "random-things":
        return lambda number, own: of_its_verb(own())
    return lambda number, own: draw(pool)
