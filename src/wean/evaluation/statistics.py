"""Intervals and summaries for scores of agents: pure numpy, seeded, nothing about environments.

Success rates get Wilson intervals, means percentile bootstrap intervals, several runs on several tasks the
interquartile mean with a stratified bootstrap. Speed of learning is the progress at which a curve reaches a threshold;
a run that never does is counted as censored instead of being left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Resampled values held in memory at once; 4 million doubles are 32 MB, whatever the number of resamples.
CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it."""

    mean: float
    """The point estimate: a rate, a mean, an interquartile mean or a difference."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""

    def as_dict(self) -> dict[str, float]:
        """The interval as it is written in `summary.json` and by `--json`."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a rate; it does not collapse at 0 of n and n of n as the textbook one does.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927).

    Returns:
        The observed rate (not the interval's centre) with the interval's ends, all in [0, 1].
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a rate needs 0 <= successes <= n and n >= 1, got {successes} of {n}")
    z = NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)
    rate = successes / n
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # The interval contains the rate; min and max only take away the last bit of rounding at 0 and 1.
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def bootstrap_mean(values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of the mean of finite numbers (n,); one value has no spread.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Equal input gives equal intervals: the resampling is seeded.
    """
    sample = _sample(values)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, CHUNK_VALUES // sample.size)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        picks = generator.integers(0, sample.size, size=(stop - start, sample.size))
        means[start:stop] = sample[picks].mean(axis=1)
    return _percentiles(float(sample.mean()), means, confidence)


def paired_difference(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Bootstrap interval of the mean of `first - second` over pairs: two policies on the same episode seeds, (n,) each.

    Pairing takes the episodes' difficulty out of the comparison: the interval is narrower than that of two
    independent means. An interval that excludes 0 speaks for a difference.
    """
    left, right = _sample(first), _sample(second)
    if left.size != right.size:
        raise ValueError(f"pairs need equal lengths, got {left.size} and {right.size}")
    return bootstrap_mean(left - right, confidence, resamples, seed)


def interquartile_mean(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half of the last axis, (..., n) to (...): a quarter (rounded down) is cut at either end."""
    ordered = np.sort(scores, axis=-1)
    cut = int(ordered.shape[-1] * 0.25)
    middle: NDArray[np.float64] = ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)
    return middle


def iqm(scores: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean over runs and tasks, with a stratified bootstrap over the runs of each task.

    Source: R. Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
    NeurIPS 2021 (arXiv 2108.13264), sections 4.1 and 4.3.

    Args:
        scores: Shape (runs, tasks), one comparable score per run (seed) and task; (runs,) is one task.
        confidence: Two-sided coverage, between 0 and 1.
        resamples: How many times the runs are drawn anew.
        seed: Seed of the resampling.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"scores must be finite and of shape (runs, tasks), got shape {table.shape}")
    runs, tasks = table.shape
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    step = max(1, CHUNK_VALUES // table.size)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        # Every task draws its own runs, so that each task keeps its weight: that is the stratification.
        picks = generator.integers(0, runs, size=(stop - start, runs, tasks))
        drawn = table[picks, np.arange(tasks)]
        values[start:stop] = interquartile_mean(drawn.reshape(stop - start, -1))
    return _percentiles(float(interquartile_mean(table.reshape(-1))), values, confidence)


def steps_to(
    curve: Sequence[Mapping[str, Any]], threshold: float, key: str = "success", hold: int = 1, unit: str = "env_steps"
) -> int | None:
    """Progress at the first point of a curve that reaches a threshold, in the run's unit; None if the run ended before.

    Args:
        curve: Points with `unit` and `key` in the order of training; one whose value is missing or None is passed over.
        threshold: What must be reached, in the unit of `key`.
        key: Which quantity of the points is compared.
        hold: How many points in a row must reach it; 1 is optimistic, as it takes the first of many noisy points.
        unit: What progress is counted in.
    """
    if hold < 1:
        raise ValueError(f"hold must be at least 1, got {hold}")
    since: list[int] = []
    for point in curve:
        value = point.get(key)
        if value is None:
            continue
        if value < threshold:
            since = []
            continue
        since.append(int(point[unit]))
        if len(since) == hold:
            return since[0]
    return None


@dataclass(frozen=True)
class TimeToThreshold:
    """How fast several runs learn, runs that never got there included."""

    median: int | None
    """Median progress, in the runs' unit; a censored run counts as later than all others; None if the median is one."""
    reached: int
    """How many runs got there."""
    runs: int
    """How many runs there are."""

    @property
    def censored(self) -> int:
        """How many runs ended before they got there."""
        return self.runs - self.reached

    def as_dict(self) -> dict[str, int | None]:
        """The median and the counts as `--json` writes them."""
        return {"median": self.median, "reached": self.reached, "runs": self.runs}


def median_steps(steps: Sequence[int | None]) -> TimeToThreshold:
    """Median of the runs' `steps_to`; leaving censored runs out would make bad methods look fast."""
    if not steps:
        raise ValueError("a median needs at least one run")
    ordered = sorted(math.inf if one is None else float(one) for one in steps)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    reached = sum(one is not None for one in steps)
    return TimeToThreshold(None if math.isinf(middle) else round(middle), reached, len(steps))


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"a mean needs finite values of shape (n,) with n >= 1, got shape {sample.shape}")
    return sample


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    return confidence


def _percentiles(estimate: float, resampled: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - _checked(confidence)) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))
