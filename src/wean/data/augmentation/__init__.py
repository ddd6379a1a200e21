"""Data augmentation of demonstrations in words: another variant of each in every pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wean.data.annotations import Annotation
from wean.data.augmentation.entities import drop_distractors, find_entities, places_of, swap_entities
from wean.data.augmentation.mistakes import Mistakes, find_routes, inject_mistakes
from wean.data.augmentation.usage import destinations, unprompted_words
from wean.data.trajectories import Key, Trajectory


class Variant(NamedTuple):
    """One variant of a demonstration.

    Attributes:
        trajectory: The demonstration, with more steps if mistakes were injected.
        annotation: Its sub-goals, if any.
        mistakes: Parts that are not learnt.
        added: Number of injected actions.
    """

    trajectory: Trajectory
    annotation: Annotation | None
    mistakes: Mistakes
    added: int


class Augmentation:
    """Draws variants of demonstrations.

    Args:
        trajectories: All demonstrations: what varies between them is read off them.
        annotations: Their sub-goals.
        swapped: Share of the variants with other names.
        distractors: Greatest share of irrelevant things that is left out.
        mistakes: Chance of a mistake before each action.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        annotations: Mapping[Key, Annotation],
        *,
        swapped: float,
        distractors: float,
        mistakes: float,
    ) -> None:
        self._swapped, self._distractors, self._mistakes = swapped, distractors, mistakes
        self._annotations = annotations
        self._entities = find_entities(trajectories, annotations, unprompted_words(trajectories, annotations))
        self._routes = find_routes(trajectories, annotations, destinations(trajectories, annotations))
        self._places = places_of(trajectories)

    def draw(self, trajectory: Trajectory, generator: np.random.Generator) -> Variant:
        """Draws a variant of a demonstration."""
        annotation = self._annotations.get(trajectory.key)
        clear = drop_distractors(trajectory, annotation, self._places, self._distractors, generator)
        one, annotation, mistakes = inject_mistakes(clear, annotation, self._routes, self._mistakes, generator)
        if generator.random() < self._swapped:
            one, annotation = swap_entities(one, annotation, self._entities, generator)
        return Variant(one, annotation, mistakes, len(one.path) - len(clear.path))
