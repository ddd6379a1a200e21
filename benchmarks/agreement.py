"""How far two annotations of the same demonstrations agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wean.data.annotations import Annotation


@dataclass
class Agreement:
    """Counts over demonstrations; symmetrical in the two annotations.

    Attributes:
        demonstrations: How many were compared.
        same_boundaries: Those with all boundaries alike.
        same: Those with all sub-goals alike.
        boundaries: Places, between two actions, where both begin a new sub-goal.
        boundaries_of_either: The number of such places in one and in the other, added.
        subgoals: Sub-goals alike in verb, arguments, first and last action.
        subgoals_of_either: The number of sub-goals in one and in the other, added.
    """

    demonstrations: int = 0
    same_boundaries: int = 0
    same: int = 0
    boundaries: int = 0
    boundaries_of_either: int = 0
    subgoals: int = 0
    subgoals_of_either: int = 0

    def add(self, one: Annotation, other: Annotation) -> None:
        """Counts one demonstration."""
        cuts = [set(annotation.ends[:-1]) for annotation in (one, other)]
        spans = [_spans(annotation) for annotation in (one, other)]
        self.demonstrations += 1
        self.same_boundaries += cuts[0] == cuts[1]
        self.same += spans[0] == spans[1]
        self.boundaries += len(cuts[0] & cuts[1])
        self.boundaries_of_either += len(cuts[0]) + len(cuts[1])
        self.subgoals += len(spans[0] & spans[1])
        self.subgoals_of_either += len(spans[0]) + len(spans[1])

    @property
    def boundary_f1(self) -> float:
        """F1 of boundaries; 1 where there are none."""
        return 2 * self.boundaries / self.boundaries_of_either if self.boundaries_of_either else 1.0

    @property
    def subgoal_f1(self) -> float:
        """F1 of exact sub-goals."""
        return 2 * self.subgoals / self.subgoals_of_either if self.subgoals_of_either else 1.0

    def as_row(self) -> dict[str, float]:
        """The four shares, and what they are shares of."""
        count = max(1, self.demonstrations)
        return {
            "demonstrations": self.demonstrations,
            "boundary_f1": self.boundary_f1,
            "boundaries_exact": self.same_boundaries / count,
            "subgoal_f1": self.subgoal_f1,
            "exact": self.same / count,
        }


def agreement(pairs: Iterable[tuple[Annotation, Annotation]]) -> Agreement:
    """Counts over pairs of annotations of the same demonstrations."""
    total = Agreement()
    for one, other in pairs:
        total.add(one, other)
    return total


def _spans(annotation: Annotation) -> set[tuple[int, int, str]]:
    starts = (0, *annotation.ends)
    return {
        (start, start + chunk.actions, str(chunk.subgoal))
        for start, chunk in zip(starts, annotation.chunks, strict=False)
    }
