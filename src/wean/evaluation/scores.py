"""Scores of played episodes: success, return, length, and of text tasks their points, with 95 % intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.evaluation.playing import Episode
from wean.evaluation.statistics import Interval, bootstrap_mean, paired_difference, wilson
from wean.llm.answers import Counts
from wean.llm.model import LanguageModel

SCHEMA = "wean-eval/2"

_SHORT = (
    *("power-component", "find-living-thing", "find-non-living-thing", "find-plant", "find-animal"),
    *("chemistry-mix-paint-secondary-color", "lifespan-longest-lived", "lifespan-shortest-lived"),
    *("lifespan-longest-lived-then-shortest-lived", "identify-life-stages-2"),
)
_MEDIUM = (
    *("use-thermometer", "measure-melting-point-known-substance", "test-conductivity"),
    *("power-component-renewable-vs-nonrenewable-energy", "test-conductivity-of-unknown-substances"),
    *("chemistry-mix", "chemistry-mix-paint-tertiary-color", "identify-life-stages-1"),
)
GROUPS: Mapping[str, str] = dict.fromkeys(_SHORT, "short") | dict.fromkeys(_MEDIUM, "medium")
"""By the oracle's length: below 20 actions short, below 50 medium; ScienceWorld's other tasks are long."""


class Episodes(NamedTuple):
    """E episodes as arrays.

    Attributes:
        returns: (E,) undiscounted sums of rewards.
        lengths: (E,) steps.
        successes: (E,) bool, see `succeeded`; none where it is not known what success is.
        success_known: Whether the task reports success, or declares the return of one.
        played: The E episodes themselves.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    successes: NDArray[np.bool_]
    success_known: bool
    played: Sequence[Episode]

    @classmethod
    def of(cls, played: Sequence[Episode], success_return: float | None) -> Episodes:
        """Gathers episodes, at least one; see `succeeded` for what counts as success."""
        returns = np.array([episode.total for episode in played])
        said = np.array([episode.success for episode in played])
        lengths = np.array([episode.length for episode in played], np.int64)
        known = success_return is not None or not np.isnan(said).any()
        return cls(returns, lengths, succeeded(returns, said, success_return), known, played)


def succeeded(
    returns: NDArray[np.float64], said: NDArray[np.float64], success_return: float | None
) -> NDArray[np.bool_]:
    """Returns which episodes are known to be successes: as the task reports, else by their return.

    Args:
        returns: (E,) undiscounted sums of rewards.
        said: (E,) 1 or 0 as the task reported in the last step, else NaN.
        success_return: Least return of a success; None where the task declares none.
    """
    return np.where(np.isnan(said), returns >= (math.inf if success_return is None else success_return), said == 1)


@dataclass(frozen=True)
class Scores:
    """What a policy reached in episodes of a task.

    Example:
        >>> scores = wean.evaluate("expert", "FrozenLakeDry", episodes=20)
        >>> scores.success.mean
        1.0
    """

    task: str
    """Name of the task."""
    policy: str
    """Name of the policy."""
    episodes: Episodes
    """What was played."""
    llm: Mapping[str, Any] = field(default_factory=lambda: llm_counts(None))
    """What was asked of a language model meanwhile."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the JSON object: seed, split, ..."""

    @cached_property
    def success(self) -> Interval | None:
        """Rate of success; None where the task neither reports it nor declares a return that counts as success."""
        successes = self.episodes.successes
        return wilson(int(successes.sum()), len(successes)) if self.episodes.success_known else None

    @cached_property
    def returns(self) -> Interval:
        """Mean undiscounted return."""
        return bootstrap_mean(self.episodes.returns)

    @cached_property
    def lengths(self) -> Interval:
        """Mean number of steps."""
        return bootstrap_mean(self.episodes.lengths)

    @cached_property
    def score(self) -> Interval | None:
        """Points of a text task from 0 to 100: the mean over its tasks of the means over their episodes; else None.

        A failed task counts 0; the interval draws each task's episodes anew.
        """
        points = self._points()
        return stratified(list(points.values())) if points else None

    def as_dict(self) -> dict[str, Any]:
        """The documented JSON object `wean-eval/2`."""
        played = self.episodes.played
        result = {
            "schema": SCHEMA,
            "task": self.task,
            "policy": self.policy,
            "episodes": len(played),
            **self.about,
            "success": None if self.success is None else self.success.as_dict(),
            "return": self.returns.as_dict(),
            "length": self.lengths.as_dict(),
            **self._speed(),
            "llm": dict(self.llm),
        }
        if self.score is not None:
            return result | self._in_words()
        stats = [episode.stats for episode in played]
        if all("questions" in found for found in stats):
            result["asking"] = query_stats_report(stats)
        if all("unsupported" in found for found in stats):
            result["support"] = {name: sum(found[name] for found in stats) for name in stats[0]}
        return result

    def _speed(self) -> dict[str, float | None]:
        """The time of one decision by itself, and how many a process makes in a second, side by side as they were."""
        played = self.episodes.played
        alone = [one.seconds_per_action for one in played if not math.isnan(one.seconds_per_action)]
        counted = [one for one in played if one.seconds]
        seconds = sum(one.seconds for one in counted)
        return {
            "ms_per_action": 1000 * float(np.median(alone)) if alone else None,
            "actions_per_second": sum(one.length for one in counted) / seconds if counted else None,
        }

    def _points(self) -> dict[str, list[float]]:
        """The points of each task's episodes; none for a task that has no points."""
        played = self.episodes.played
        if not all("score" in episode.stats for episode in played):
            return {}
        points: dict[str, list[float]] = {}
        # Sorted, so that an interval does not depend on the order in which episodes ended.
        for name, score in sorted((episode.case.task, float(episode.stats["score"])) for episode in played):
            points.setdefault(name, []).append(max(0.0, score))
        return points

    def _in_words(self) -> dict[str, Any]:
        """The fields of a text task: groups, tasks, costs."""
        assert self.score is not None
        points, played = self._points(), self.episodes.played
        count = len(played)
        grouped: dict[str, list[str]] = {}
        if any(task in GROUPS for task in points):
            for task in points:
                grouped.setdefault(GROUPS.get(task, "long"), []).append(task)
        sums = {
            name: sum(episode.stats.get(name, 0) for episode in played)
            for name in ("questions", "failed", "tokens", "actions")
        }
        actions = sums["actions"]
        # What an agent notes is its own time alone: asking a text task for its admissible actions takes much longer.
        own = [one.stats["seconds"] / max(1, one.stats["actions"]) for one in played if one.stats.get("seconds")]
        return {
            "score": self.score.as_dict(),
            "groups": {
                name: stratified([points[task] for task in grouped[name]]).as_dict() | {"tasks": len(grouped[name])}
                for name in ("short", "medium", "long")
                if name in grouped
            },
            "tasks": {
                task: bootstrap_mean(found).as_dict() | {"episodes": len(found)} for task, found in points.items()
            },
            "solved": sum(episode.stats["score"] >= 100 for episode in played) / count,
            "moves": sum(episode.moves for episode in played) / count,
            "actions": actions / count,
            **({"ms_per_action": 1000 * float(np.median(own))} if own else {}),
            "questions": sums["questions"] / count,
            "failed": sums["failed"] / count,
            "tokens_per_action": sums["tokens"] / max(1, actions),
        }


def llm_counts(model: LanguageModel | None) -> dict[str, Any]:
    """What was asked of a model so far, as summaries and evaluations write it."""
    counts = Counts() if model is None else model.counts
    return {"model": None if model is None else model.name, **dataclasses.asdict(counts)}


def add_counts(counts: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what was asked before; an unknown price stays unknown."""
    added = dict(counts)
    for name, value in before.items():
        if name != "model":
            added[name] = None if value is None or counts[name] is None else counts[name] + value
    return added


def query_stats_report(stats: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means per episode of what was asked, with 95 % bootstrap intervals, as summaries and `wean-eval/2` carry them."""
    return {name: bootstrap_mean([found[name] for found in stats]).as_dict() for name in stats[0]}


def chosen_share(student: Episodes) -> float:
    """The share of steps at which an asking student chose to ask, forced questions left out."""
    chosen = sum(episode.stats["questions"] - episode.stats["forced"] for episode in student.played)
    return float(chosen / int(student.lengths.sum()))


def paired(student: Episodes, other: Episodes) -> dict[str, dict[str, float]]:
    """What a student has more of than another policy on the same episodes, with 95 % bootstrap intervals of the pairs.

    Returns:
        The mean differences of `success`, `length` and `questions`.
    """
    questions, other_questions = ([one.stats["questions"] for one in found.played] for found in (student, other))
    differences = {
        "success": paired_difference(student.successes.astype(float), other.successes.astype(float)),
        "length": paired_difference(student.lengths, other.lengths),
        "questions": paired_difference(questions, other_questions),
    }
    return {name: difference.as_dict() for name, difference in differences.items()}


def interval_text(value: Mapping[str, float]) -> str:
    """An interval in words; empty where it is a point (one episode of each task, or all alike)."""
    return f"{value['low']:.1f} to {value['high']:.1f}" if value["low"] != value["high"] else ""


def questions_text(result: Mapping[str, Any]) -> str:
    """What was asked of a language model in a text task, in words, from `Scores.as_dict`."""
    if not result["questions"]:
        return "no question to a language model"
    tokens = result["tokens_per_action"] * result["actions"]
    return (
        f"{result['questions']:.1f} questions to a language model an episode ({result['failed']:.1f} answers named no "
        f"command), {tokens:,.0f} tokens"
    )


def stratified(groups: Sequence[Sequence[float]], resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of the groups' means, with a percentile bootstrap that draws anew within each group."""
    generator = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for group in groups:
        values = np.asarray(group, dtype=np.float64)
        means += values[generator.integers(0, len(values), size=(resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means / len(groups), [0.025, 0.975])
    return Interval(float(np.mean([np.mean(group) for group in groups])), float(low), float(high))
