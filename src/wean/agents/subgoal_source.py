"""Sub-goals that somebody else gives a student in its place: of a demonstration, or drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from wean.runtime.normalize import render_subgoal
from wean.runtime.reading import Planner

Drawn = Literal["random", "random-first", "random-things"]
"""What is drawn: every sub-goal; the first one alone; the things of every sub-goal, whose verb is the student's."""


def given(goals: Sequence[str]) -> Planner:
    """Gives some sub-goals one after the other, then the student's."""
    return lambda number, own: goals[number] if number < len(goals) else None


def drawing(pool: Sequence[str], drawn: Drawn, seed: int) -> Planner:
    """Draws sub-goals of a pool uniformly."""
    generator = np.random.default_rng(seed)

    def draw(goals: Sequence[str]) -> str:
        return goals[int(generator.integers(len(goals)))]

    def of_its_verb(own: Callable[[], str]) -> str:
        named = own()
        alike = [goal for goal in pool if render_subgoal(goal).partition(" ")[0] == named.partition(" ")[0]]
        return draw(alike) if alike else named

    if drawn == "random-first":
        return lambda number, own: None if number else draw(pool)
    if drawn == "random-things":
        return lambda number, own: of_its_verb(own)
    return lambda number, own: draw(pool)
