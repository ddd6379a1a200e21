"""Data augmentation of demonstrations in words: another variant of each in every pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from wean.data.annotations import Annotation
from wean.data.augmentation.entities import drop_distractors, find_entities, places_of, swap_entities
from wean.data.augmentation.mistakes import Mistakes, find_routes, inject_mistakes
from wean.data.trajectories import Key, Trajectory


class Variant(NamedTuple):
    """One variant of a demonstration.

    Attributes:
        trajectory: The demonstration, with more steps if mistakes were injected.
        annotation: Its sub-goals, if any.
        mistakes: Parts that are not learnt.
        dropped_subgoals: Numbers of actions at which a right sub-goal is left out.
        added: Number of injected actions.
    """

    trajectory: Trajectory
    annotation: Annotation | None
    mistakes: Mistakes
    dropped_subgoals: AbstractSet[int]
    added: int


class Augmentation:
    """Draws variants of demonstrations.

    Args:
        trajectories: All demonstrations: what varies between them is read off them.
        annotations: Their sub-goals.
        swapped: Share of the variants with other names.
        distractors: Greatest share of irrelevant things that is left out.
        mistakes: Chance of a mistake before each action.
        dropped: Chance of leaving a sub-goal out.
        destinations: The place to which a rendered sub-goal leads.
        unprompted: Words that demonstrations use without having read them.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        annotations: Mapping[Key, Annotation],
        *,
        swapped: float,
        distractors: float,
        mistakes: float,
        dropped: float,
        destinations: Mapping[str, str],
        unprompted: Collection[str],
    ) -> None:
        self._swapped, self._distractors, self._mistakes, self._dropped = swapped, distractors, mistakes, dropped
        self._annotations = annotations
        self._entities = find_entities(trajectories, annotations, unprompted)
        self._routes = find_routes(trajectories, annotations, destinations)
        self._places = places_of(trajectories)

    def draw(self, trajectory: Trajectory, generator: np.random.Generator) -> Variant:
        """Draws a variant of a demonstration."""
        annotation = self._annotations.get(trajectory.key)
        clear = drop_distractors(trajectory, annotation, self._places, self._distractors, generator)
        one, annotation, mistakes = inject_mistakes(clear, annotation, self._routes, self._mistakes, generator)
        if generator.random() < self._swapped:
            one, annotation = swap_entities(one, annotation, self._entities, generator)
        dropped = np.flatnonzero(generator.random(len(one.path)) < self._dropped)
        return Variant(one, annotation, mistakes, set(dropped.tolist()), len(one.path) - len(clear.path))
