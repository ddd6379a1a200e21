"""How many decisions a student can take alone at which agreement with its language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.evaluation.statistics import wilson

_BINS = 10
_TEMPERATURES = np.geomspace(0.1, 10.0, 201)


class Judged(NamedTuple):
    """Decisions that a student would take: (N,) each.

    Attributes:
        confidence: Its probability of its choice.
        right: Whether the language model chose the same.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]

    def at(self, rows: NDArray[Any]) -> Judged:
        """Some of the decisions."""
        return Judged(self.confidence[rows], self.right[rows])


def fit_temperature(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """The temperature by which logits (N, A) are divided that is most likely given weights (N, A) (1706.04599)."""
    if not len(logits):
        return 1.0
    losses = []
    for temperature in _TEMPERATURES:
        scaled = logits / temperature
        top = scaled.max(1, keepdims=True)
        told = scaled - top - np.log(np.exp(scaled - top).sum(1, keepdims=True))
        losses.append(-float(np.where(targets > 0, targets * np.where(targets > 0, told, 0.0), 0.0).sum(1).mean()))
    return float(_TEMPERATURES[int(np.argmin(losses))])


def expected_calibration_error(judged: Judged) -> float | None:
    """Mean distance between confidence and agreement over ten bins of confidence; None without decisions."""
    if not len(judged.right):
        return None
    bins = np.minimum((judged.confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(judged.confidence[bins == number].mean() - judged.right[bins == number].mean()) * (bins == number).mean()
        for number in set(bins.tolist())
    ]
    return float(sum(gaps))


def threshold_for(judged: Judged, agreement: float) -> float | None:
    """The least confidence from which on the student agrees often enough; None where that cannot be said.

    Often enough: the lower end of the 95 % interval (Wilson) of the agreement of all decisions at least so certain is
    not below `agreement`. For 0.98 that takes 189 decisions without a single difference.
    """
    found = None
    order = np.argsort(-judged.confidence, kind="stable")
    confidence, right = judged.confidence[order], judged.right[order].cumsum()
    for place in range(len(order)):
        # Decisions of one confidence stand or fall together.
        ends = place + 1 == len(order) or confidence[place + 1] < confidence[place]
        if ends and wilson(int(right[place]), place + 1).low >= agreement:
            found = float(confidence[place])
    return found


def coverage_curve(judged: Judged, most: int = 100) -> list[dict[str, float]]:
    """Points of growing `share` of decisions taken alone, the most certain first, with their `agreement`."""
    count = len(judged.right)
    if not count:
        return []
    order = np.argsort(-judged.confidence, kind="stable")
    right = judged.right[order].cumsum()
    places = sorted({max(1, round(count * point / most)) for point in range(1, most + 1)})
    return [
        {
            "share": place / count,
            "agreement": float(right[place - 1] / place),
            "threshold": float(judged.confidence[order][place - 1]),
        }
        for place in places
    ]


def coverage_at(
    calibration: Judged, test: Judged, levels: Sequence[float], seconds: float | None, dollars: float | None
) -> list[dict[str, Any]]:
    """For each wanted agreement the threshold that calibration decisions give, and what comes of it on the test ones.

    Args:
        calibration: Decisions that choose the threshold.
        test: Decisions of other sessions.
        levels: Wanted agreements.
        seconds: The mean time that the language model takes, if known.
        dollars: Its mean price, if known.
    """
    rows = []
    for level in levels:
        threshold = threshold_for(calibration, level)
        alone = np.zeros(len(test.right), bool) if threshold is None else test.confidence >= threshold
        share = float(alone.mean()) if len(alone) else 0.0
        agreed = wilson(int(test.right[alone].sum()), int(alone.sum())) if alone.any() else None
        rows.append(
            {
                "wanted": level,
                "threshold": threshold,
                "share": share,
                "decisions": int(alone.sum()),
                "agreement": None if agreed is None else {"mean": agreed.mean, "low": agreed.low, "high": agreed.high},
                "dollars_saved": None if dollars is None else 1000 * share * dollars,
                "seconds_saved": None if seconds is None else 1000 * share * seconds,
            }
        )
    return rows
