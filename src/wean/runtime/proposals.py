"""What a prior proposed in training, for situations that differ from those of training in their choices alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Row = tuple[str, Sequence[str], Sequence[float]]
"""A situation's text, its choices, and what was proposed for each of them."""


class KeptProposals:
    """Recalls what was proposed with a text: of each choice its mean weight where it could be chosen.

    Example:
        >>> kept = KeptProposals([("A mug is wanted.", ("go to desk", "go to bed"), (0.9, 0.1))])
        >>> kept.recall("A mug is wanted.", ("go to bed", "go to shelf")).tolist()
        [1.0, 0.0]

    Args:
        rows: What was proposed in each situation in which something was.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._weights: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for text, choices, proposed in rows:
            for choice, weight in zip(choices, proposed, strict=True):
                self._weights[text][choice].append(float(weight))

    def recall(self, text: str, choices: Sequence[str]) -> NDArray[np.float32] | None:
        """Weights of the choices, with sum 1; None where none of them was ever proposed with this text."""
        if text not in self._weights:
            return None
        known = self._weights[text]
        weights = np.array([np.mean(known[choice]) if choice in known else 0.0 for choice in choices])
        total = weights.sum()
        return (weights / total).astype(np.float32) if total > 0 else None
