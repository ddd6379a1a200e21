"""Scores of episodes in words: per task, per group of tasks, overall, with intervals; and which episodes there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wean.evaluation.statistics import Interval, bootstrap_mean
from wean.evaluation.text_episodes import Case
from wean.tasks.registration import short_name
from wean.tasks.scienceworld.variations import TASKS, find_task
from wean.tasks.splits import first_seed, fold_of

SCHEMA = "wean-text-eval/1"

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


def cases(task: str, split: str, variations: int, only: Sequence[str] = ()) -> list[Case]:
    """The episodes of an evaluation.

    Args:
        task: `ScienceWorld`: the first variations of each of its tasks; any other registered task in words: seeds.
        split: `train`, `dev` or `test`.
        variations: Of each task at most.
        only: Names of ScienceWorld's tasks; all by default.

    Raises:
        UsageError: There is no such split or task.
    """
    fold = fold_of(split)
    if short_name(task) != "ScienceWorld":
        first = first_seed(fold)
        return [Case(task, seed, seed) for seed in range(first, first + variations)]
    tasks = [find_task(name) for name in only] or list(TASKS)
    return [
        Case(one.name, variation, variation, {"task": one.name, "variation": variation})
        for one in tasks
        for variation in one.variations(fold)[:variations]
    ]


def summarize(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores and costs of played episodes.

    A spoilt task counts 0. `overall` and the groups are means over tasks of the means over their episodes; their 95 %
    intervals draw each task's episodes anew.

    Args:
        lines: What `play_all` gave, at least one.

    Returns:
        `overall`, `groups`, `tasks`, `episodes`, `solved` (share of episodes with 100), `moves`, `actions`, `matched`,
        `loops`, `ms_per_action`, `tokens_per_action`, `questions` and `failed` (an episode).
    """
    scores: dict[str, list[float]] = {}
    for line in sorted(lines, key=lambda line: (line["task"], line["score"])):  # drawn alike however they ended
        scores.setdefault(line["task"], []).append(max(0.0, float(line["score"])))
    grouped: dict[str, list[str]] = {}
    if any(task in GROUPS for task in scores):
        for task in scores:
            grouped.setdefault(GROUPS.get(task, "long"), []).append(task)
    actions = sum(line["actions"] for line in lines)
    return {
        "overall": stratified([scores[task] for task in scores]).as_dict(),
        "groups": {
            name: stratified([scores[task] for task in grouped[name]]).as_dict() | {"tasks": len(grouped[name])}
            for name in ("short", "medium", "long")
            if name in grouped
        },
        "tasks": {
            task: bootstrap_mean(found).as_dict() | {"episodes": len(found)} for task, found in sorted(scores.items())
        },
        "episodes": len(lines),
        "solved": sum(line["score"] >= 100 for line in lines) / len(lines),
        "moves": sum(line["moves"] for line in lines) / len(lines),
        "actions": actions / len(lines),
        "matched": sum(line["matched"] for line in lines) / max(1, actions),
        "loops": sum(line["loops"] for line in lines) / len(lines),
        "ms_per_action": 1000 * sum(line["seconds"] for line in lines) / max(1, actions),
        "questions": sum(line.get("questions", 0) for line in lines) / len(lines),
        "failed": sum(line.get("failed", 0) for line in lines) / len(lines),
        "tokens_per_action": sum(line["tokens"] for line in lines) / max(1, actions),
    }


def interval_text(value: Mapping[str, float]) -> str:
    """An interval in words; empty where it is a point: one episode of each task, or all alike, tells of no spread."""
    return f"{value['low']:.1f} to {value['high']:.1f}" if value["low"] != value["high"] else ""


def questions_text(result: Mapping[str, Any]) -> str:
    """What was asked of a language model, in words, from `summarize`."""
    if not result["questions"]:
        return "no question to a language model"
    tokens = result["tokens_per_action"] * result["actions"]
    return (
        f"{result['questions']:.1f} questions to a language model an episode ({result['failed']:.1f} answers named no "
        f"command), {tokens:,.0f} tokens"
    )


def stratified(groups: Sequence[Sequence[float]], resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of the groups' means, with a percentile bootstrap that draws anew within each group.

    Args:
        groups: Scores of each group, at least one of each.
        resamples: How many times they are drawn.
        seed: Of the drawing.
    """
    generator = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for group in groups:
        values = np.asarray(group, dtype=np.float64)
        means += values[generator.integers(0, len(values), size=(resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means / len(groups), [0.025, 0.975])
    return Interval(float(np.mean([np.mean(group) for group in groups])), float(low), float(high))
