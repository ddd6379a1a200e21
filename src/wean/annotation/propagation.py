"""Carries the sub-goals of a few annotated demonstrations over to all others of their task.

A demonstration is cut into chunks like those of the annotated ones (`segmentation`), and every chunk gets the
sub-goal of the chunk that it is like, with the arguments made anew from its own actions, description and
observations (`binding`). A confidence says which demonstrations are better asked about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wean.annotation.binding import Binder
from wean.annotation.segmentation import Example, Segmenter
from wean.annotation.setting import Setting, settings_of, verb_of
from wean.annotation.sketch import sketch
from wean.data.annotations import Annotation
from wean.data.subgoals import Chunk, SubGoal
from wean.data.trajectories import Trajectory
from wean.errors import UsageError

MOST_LEAD = 0.5  # a greater lead makes nothing more certain

# Logistic regression of "all sub-goals are as the model would have said" on lead and trust, fitted by
# benchmarks/confidence.py on the demonstrations that come with wean; its results say how well it holds on new tasks.
_INTERCEPT, _LEAD, _TRUST = -1.6, 7.45, 3.13
_FOREIGN_LEAD = 0.2  # at most, where a sub-goal had to be borrowed from another task


class Carried(NamedTuple):
    """A carried annotation before its confidence is known.

    Attributes:
        chunks: The sub-goals.
        lead: By how much, in shares of votes, the closest argument was ahead of another one, 0 to 2.
    """

    chunks: tuple[Chunk, ...]
    lead: float


class Propagator:
    """Propagates annotations within each task, with help from all others.

    Args:
        examples: Annotated demonstrations, of any number of tasks.
        trajectories: What is to be propagated to; it says which sub-goals of other tasks can be of use.
    """

    def __init__(self, examples: Sequence[Example], trajectories: Iterable[Trajectory] = ()) -> None:
        if not examples:
            raise UsageError("there is no annotated demonstration to learn from; ask about one of each task first")
        self._examples = list(examples)
        self._frames: dict[str, set[str]] = {}
        for trajectory in (*trajectories, *(trajectory for trajectory, _ in examples)):
            self._frames.setdefault(trajectory.task, set()).update(look.frame for look in sketch(trajectory).looks)
        self._carriers: dict[str, _Carrier] = {}
        self._trust: dict[str, float] = {}

    def propagate(self, trajectory: Trajectory) -> Annotation:
        """The sub-goals of a demonstration, with the confidence that they are right throughout."""
        task = trajectory.task
        carried = self.carry(trajectory)
        odds = _INTERCEPT + _LEAD * min(carried.lead, MOST_LEAD) + _TRUST * self.trust(task)
        confidence = 1 / (1 + math.exp(-odds))
        model = self._carriers[task].model
        return Annotation(
            task, trajectory.variation, carried.chunks, "propagated", model, "", confidence, trajectory.digest
        )

    def carry(self, trajectory: Trajectory) -> Carried:
        """The sub-goals of a demonstration, and how clear their arguments are."""
        task = trajectory.task
        if task not in self._carriers:
            self._carriers[task] = self._carrier(task)
        return self._carriers[task].carry(trajectory)

    def carry_without(self, example: Example) -> Carried:
        """What propagation says of an annotated demonstration that it may not look at."""
        return self._carrier(example[0].task, without=example[0]).carry(example[0])

    def trust(self, task: str) -> float:
        """Share of a task's annotated demonstrations that propagation gets right when each is left out.

        By Laplace's rule of succession, so that a task with one annotated demonstration has 0.5; one with none has 0.
        """
        if task not in self._trust:
            own = [example for example in self._examples if example[0].task == task]
            if len(own) < 2:
                self._trust[task] = 0.5 * len(own)
            else:
                right = sum(self.carry_without(example).chunks == example[1].chunks for example in own)
                self._trust[task] = (right + 1) / (len(own) + 2)
        return self._trust[task]

    def _carrier(self, task: str, without: Trajectory | None = None) -> _Carrier:
        examples = [example for example in self._examples if example[0] is not without]
        own = [example for example in examples if example[0].task == task]
        foreign = [example for example in examples if example[0].task != task]
        return _Carrier(own, foreign, frozenset(self._frames.get(task, ())))


class _Carrier:
    """Propagates within one task."""

    def __init__(self, own: Sequence[Example], foreign: Sequence[Example], frames: frozenset[str]) -> None:
        self._segmenter = Segmenter(own, foreign, frames)
        self._binder = Binder(own, foreign)
        self.model = next((annotation.model for _, annotation in (*own, *foreign) if annotation.model), "")

    def carry(self, trajectory: Trajectory) -> Carried:
        pieces = self._segmenter.cut(trajectory)
        references = [settings_of(*piece.example)[piece.chunk] for piece in pieces]
        subgoals = [SubGoal(verb_of(reference), ()) for reference in references]
        # Twice: a sub-goal may be named after the next one, which is not named yet in the first round.
        leads: list[float] = []
        for _ in range(2):
            leads = []
            for number, (piece, reference) in enumerate(zip(pieces, references, strict=True)):
                setting = Setting(trajectory, piece.first, piece.end, number, tuple(subgoals))
                bound = self._binder.bind(setting, reference)
                subgoals[number] = bound.subgoal
                leads.append(bound.lead if piece.own else min(bound.lead, _FOREIGN_LEAD))
        chunks = (Chunk(subgoal, piece.end - piece.first) for subgoal, piece in zip(subgoals, pieces, strict=True))
        return Carried(tuple(chunks), min(leads))
