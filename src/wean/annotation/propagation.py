"""Carries the sub-goals of a few annotated demonstrations over to all others of their task.

A demonstration is segmented into chunks like those of the annotated ones (`segmentation`), and every chunk gets the
sub-goal of the chunk that it is like, with the arguments bound anew to its own actions, description and observations
(`binding`). A confidence tells which demonstrations are better asked about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wean.annotation.action_features import features_of
from wean.annotation.binding import Binder
from wean.annotation.chunk_context import ChunkContext, contexts_of
from wean.annotation.segmentation import Segmenter
from wean.data.annotations import AnnotatedTrajectory, Annotation, Chunk, SubGoal
from wean.data.trajectories import Trajectory
from wean.errors import UsageError

MOST_LEAD = 0.5  # a greater lead makes nothing more certain

# Logistic regression of "all sub-goals are as the model would have said" on lead and trust, fitted by
# benchmarks/confidence.py on the demonstrations that come with wean; its results say how well it holds on new tasks.
COEFFICIENTS = {"intercept": -1.6, "lead": 7.45, "trust": 3.13}
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
        trajectories: Demonstrations that will be propagated to; of other tasks only sub-goals made of their actions
            are used.
    """

    def __init__(self, examples: Sequence[AnnotatedTrajectory], trajectories: Iterable[Trajectory] = ()) -> None:
        if not examples:
            raise UsageError("there is no annotated demonstration to learn from; ask about one of each task first")
        self._examples = list(examples)
        self._frames: dict[str, set[str]] = {}
        for trajectory in (*trajectories, *(trajectory for trajectory, _ in examples)):
            frames = self._frames.setdefault(trajectory.task, set())
            frames.update(action.frame for action in features_of(trajectory).features)
        self._carriers: dict[str, _Carrier] = {}
        self._trust: dict[str, float] = {}

    def propagate(self, trajectory: Trajectory) -> Annotation:
        """The sub-goals of a demonstration, with the confidence that they are right throughout."""
        task = trajectory.task
        carried = self.carry(trajectory)
        lead, trust = min(carried.lead, MOST_LEAD), self.trust(task)
        odds = COEFFICIENTS["intercept"] + COEFFICIENTS["lead"] * lead + COEFFICIENTS["trust"] * trust
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

    def carry_without(self, example: AnnotatedTrajectory) -> Carried:
        """The carried sub-goals of an annotated demonstration when its own annotation is left out."""
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

    def __init__(
        self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory], frames: frozenset[str]
    ) -> None:
        self._segmenter = Segmenter(own, foreign, frames)
        self._binder = Binder(own, foreign)
        self.model = next((annotation.model for _, annotation in (*own, *foreign) if annotation.model), "")

    def carry(self, trajectory: Trajectory) -> Carried:
        segments = self._segmenter.segment(trajectory)
        references = [contexts_of(segment.example)[segment.chunk] for segment in segments]
        subgoals = [SubGoal(reference.verb, ()) for reference in references]
        # Twice: an argument may come from the next sub-goal, which is not bound yet in the first round.
        leads: list[float] = []
        for _ in range(2):
            leads = []
            for number, (segment, reference) in enumerate(zip(segments, references, strict=True)):
                context = ChunkContext(trajectory, segment.first, segment.end, number, tuple(subgoals))
                bound = self._binder.bind(context, reference)
                subgoals[number] = bound.subgoal
                leads.append(bound.lead if segment.own else min(bound.lead, _FOREIGN_LEAD))
        chunks = [Chunk(subgoal, one.end - one.first) for subgoal, one in zip(subgoals, segments, strict=True)]
        return Carried(tuple(chunks), min(leads))
