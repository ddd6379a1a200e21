"""Sources of sub-goals other than the student itself: an oracle's, or random ones as in the ablations of 2405.02749."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from wean.data.normalize import render_subgoal

Drawn = Literal["random", "random-first", "random-things"]
"""What is drawn: every sub-goal; the first one alone; the things of every sub-goal, whose verb is the student's."""

SubgoalSource = Callable[[int, Callable[[], str]], str | None]
"""Gives the sub-goal with a number (from 0), given a function that returns the student's; None takes the student's."""


def given(goals: Sequence[str]) -> SubgoalSource:
    """Gives some sub-goals one after the other, then the student's."""
    return lambda number, own: goals[number] if number < len(goals) else None


def drawing(pool: Sequence[str], drawn: Drawn, seed: int) -> SubgoalSource:
    """Draws sub-goals uniformly.

    Args:
        pool: Sub-goals of demonstrations.
        drawn: What is drawn.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng(seed)

    def draw(goals: Sequence[str]) -> str:
        return goals[int(generator.integers(len(goals)))]

    def of_its_verb(own: str) -> str:
        alike = [goal for goal in pool if render_subgoal(goal).partition(" ")[0] == own.partition(" ")[0]]
        return draw(alike) if alike else own

    if drawn == "random-first":
        return lambda number, own: None if number else draw(pool)
    if drawn == "random-things":
        return lambda number, own: of_its_verb(own())
    return lambda number, own: draw(pool)
