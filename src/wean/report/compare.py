"""Compares finished runs: one line for each method on each task, pooled over seeds, with 95 % intervals.

Runs are one group when method, task and every setting but the seed agree, so that two ablations of one method
are never averaged into one; unequal budgets are told. Success is given twice.
The pooled interval (Wilson, all episodes of all seeds)
says how good these students are; the interval over seeds (bootstrap over the seeds' means) says how good
another training would be. Fine-tuned students, which no held-out episodes have judged, are compared by the share of
answers that they gave exactly in demonstrations kept apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import (
    Interval,
    TimeToThreshold,
    bootstrap_mean,
    median_steps,
    steps_to,
    wilson,
)
from wean.report.run_files import UNITS, as_interval, measure_of, read_settings, read_summary, warnings

SCHEMA = "wean-compare/2"
"""Schema of what `wean compare --json` prints."""
# Settings that name a run instead of describing it.
NAMING = frozenset({"seed", "out", "folder", "run", "resume"})


@dataclass(frozen=True)
class Run:
    """One finished run."""

    folder: Path
    """Where it lies."""
    summary: Mapping[str, Any]
    """Its `summary.json`."""
    settings: Mapping[str, str]
    """Its `config.yaml`, flat (`student.hidden`), without what only names the run."""

    @property
    def seed(self) -> object:
        """Training seed."""
        return self.summary.get("seed")

    @property
    def unit(self) -> str:
        """What its progress is counted in."""
        return str(self.summary["unit"])

    @property
    def final(self) -> Mapping[str, Any] | None:
        """Its final evaluation, an object of schema `wean-eval/2`; None of a fine-tuned student."""
        return self.summary.get("final")

    @property
    def exact(self) -> float | None:
        """Share of answers that a fine-tuned student gave exactly in demonstrations kept apart."""
        exact: float | None = (self.summary.get("best") or {}).get("exact")
        return exact

    @property
    def curve(self) -> Sequence[Mapping[str, Any]]:
        """Its learning curve."""
        curve: Sequence[Mapping[str, Any]] = self.summary.get("curve") or []
        return curve


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed."""

    task: str
    method: str
    variant: str
    """The settings that set it apart from others of the same method and task, e.g. "schedule=constant", or ""."""
    runs: tuple[Run, ...]
    unit: str
    """What the runs count their progress in."""
    episodes: int
    """Evaluation episodes of all seeds together."""
    success: Interval | None
    """Rate over all episodes of all seeds, Wilson; None where no episodes were played, or success is not known."""
    over_seeds: Interval | None
    """Mean of the seeds' rates, bootstrap over seeds; one seed has no spread, and few seeds understate it."""
    exact: Interval | None
    """Share of exact answers of fine-tuned students, bootstrap over seeds."""
    length: Interval | None
    """Steps per episode: bootstrap over seeds, or over episodes where there is one seed."""
    returns: Interval | None
    """Return per episode, like `length`."""
    speed: TimeToThreshold
    """Progress at which the learning curve first reaches the threshold."""

    @property
    def name(self) -> str:
        """Method and variant in one string."""
        return f"{self.method} ({self.variant})" if self.variant else self.method

    @property
    def unit_name(self) -> str:
        """What the runs count their progress in, in words."""
        return UNITS[self.unit]

    @property
    def measure(self) -> str:
        """What it is judged by: `success`, `exact` answers, or the `return` where success is not known."""
        return "success" if self.success else "exact" if self.exact else "return"

    @property
    def headline(self) -> Interval:
        """The number that it is judged by."""
        found = self.success or self.exact or self.returns
        assert found is not None, "a run that was not judged is not compared"
        return found

    @property
    def budgets(self) -> tuple[int, ...]:
        """How far its runs have come, in their unit; each amount once."""
        return tuple(sorted({int(run.summary[self.unit]) for run in self.runs}))

    @property
    def budget_text(self) -> str:
        """How far its runs have come, in words: "200,704 environment steps"."""
        return f"{' or '.join(f'{amount:,}' for amount in self.budgets)} {self.unit_name}"

    @property
    def speed_text(self) -> str:
        """Progress at the threshold: "61,000" or "never", and how many runs got there if not all."""
        words = "never" if self.speed.median is None else f"{self.speed.median:,}"
        return f"{words}\n{self.speed.reached} of {self.speed.runs}" if self.speed.censored else words

    def as_dict(self) -> dict[str, Any]:
        """The group as `--json` prints it."""
        intervals = {
            "success": self.success,
            "success_over_seeds": self.over_seeds,
            "return": self.returns,
            "length": self.length,
        }
        counted = [self.unit, "wall_seconds"]
        if self.exact is not None:
            intervals["exact"] = self.exact
            counted.append("tokens")
        return {
            "method": self.method,
            "task": self.task,
            "variant": self.variant,
            "runs": [str(run.folder) for run in self.runs],
            "seeds": [run.seed for run in self.runs],
            "episodes": self.episodes,
            **{name: None if found is None else found.as_dict() for name, found in intervals.items()},
            "unit": self.unit,
            "steps_to_threshold": self.speed.as_dict(),
            **{name: [run.summary.get(name) for run in self.runs] for name in counted},
        }


@dataclass(frozen=True)
class Reference:
    """A policy that stands beside the runs of a task: the teacher, random skills."""

    task: str
    name: str
    episodes: int | None
    success: Interval | None
    length: Interval | None
    returns: Interval | None

    @property
    def judged(self) -> Mapping[str, Interval | None]:
        """What it reached, by the measures of groups."""
        return {"success": self.success, "return": self.returns}

    def as_dict(self) -> dict[str, Any]:
        """The reference as `--json` prints it."""
        return {
            "policy": self.name,
            "task": self.task,
            "episodes": self.episodes,
            "success": self.success.as_dict() if self.success else None,
            "return": self.returns.as_dict() if self.returns else None,
            "length": self.length.as_dict() if self.length else None,
        }


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, best first within each task, and what stands beside them."""

    threshold: float
    """Success rate whose first crossing counts as having learned."""
    groups: tuple[Group, ...]
    references: tuple[Reference, ...]
    notes: tuple[str, ...] = field(default=())
    """Warnings about the numbers."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order in which they were named."""
        return tuple(dict.fromkeys(group.task for group in self.groups))

    def of(self, task: str) -> tuple[Group, ...]:
        """The groups of one task."""
        return tuple(group for group in self.groups if group.task == task)

    def beside(self, task: str) -> tuple[Reference, ...]:
        """The references of one task."""
        return tuple(reference for reference in self.references if reference.task == task)

    def to_json(self) -> dict[str, Any]:
        """One JSON object of schema `wean-compare/2`."""
        return {
            "schema": SCHEMA,
            "threshold": self.threshold,
            "groups": [group.as_dict() for group in self.groups],
            "references": [reference.as_dict() for reference in self.references],
            "notes": list(self.notes),
        }


def compare(run_folders: Iterable[str | Path], threshold: float = 0.9) -> Comparison:
    """Reads runs, groups them by method, task and settings, and summarises each group.

    Example:
        >>> few = {"episodes": 10, "curve_points": 2, "curve_episodes": 10}
        >>> settings = {"total_timesteps": 2_048, "evaluation": few}
        >>> runs = [wean.train("ppo", "FrozenLake4x4", seed=s, out=f"runs/{s}", **settings).folder for s in (1, 2)]
        >>> [(group.method, group.episodes) for group in compare(runs).groups]
        [('ppo', 20)]

    Args:
        run_folders: Folders that `wean train` wrote; duplicates count once.
        threshold: Success rate for "steps to".

    Raises:
        UsageError: No folder is given, or one is no run.
        WeanError: A run is not finished, or its files are damaged or foreign.
    """
    folders = {Path(folder).resolve(): Path(folder) for folder in reversed(list(run_folders))}
    if not folders:
        raise UsageError("there is nothing to compare; name at least one run folder")
    runs, notes = _read_all(list(reversed(folders.values())))
    groups: list[Group] = []
    kinds: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        kinds.setdefault((str(run.summary.get("task")), str(run.summary.get("method"))), []).append(run)
    for (task, method), members in kinds.items():
        for variant, same in _variants(members).items():
            group = _group(task, method, variant, same, threshold)
            groups.append(group)
            if len({str(run.seed) for run in same}) < len(same):
                notes.append(f"{group.name} on {task}: a seed occurs twice, its episodes count twice.")
    order = list(dict.fromkeys(group.task for group in groups))
    groups.sort(key=lambda group: (order.index(group.task), group.measure, -group.headline.mean))
    doubts = [f"{run.summary.get('task')}: {warning}" for run in runs for warning in warnings(run.summary)]
    notes += [*_unequal(groups), *dict.fromkeys(doubts)]
    return Comparison(threshold, tuple(groups), tuple(_references(runs)), tuple(notes))


def _read_all(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """The runs in some folders, and notes on folders without one; `wean compare runs/*` meets those, too.

    Raises:
        UsageError: A folder does not exist, or none holds a run.
        WeanError: The only one holds no finished run.
    """
    runs: list[Run] = []
    notes: list[str] = []
    for folder in folders:
        try:
            runs.append(_read(folder))
        except WeanError as error:
            if len(folders) == 1 or not folder.is_dir():
                raise
            notes.append(f"Left out: {error}.")
    if not runs:
        raise UsageError(f"none of these {len(folders)} folders holds a finished run; {notes[0]}")
    return runs, notes


def _unequal(groups: Sequence[Group]) -> Iterator[str]:
    """Warnings where groups of one task had unequal budgets: of training in one unit, or of episodes."""
    for task in dict.fromkeys(group.task for group in groups):
        of_task = [group for group in groups if group.task == task]
        for unit in dict.fromkeys(group.unit for group in of_task):
            alike = [group for group in of_task if group.unit == unit]
            if len({amount for group in alike for amount in group.budgets}) > 1:
                told = ", ".join(f"{group.name} {group.budget_text.removesuffix(f' {UNITS[unit]}')}" for group in alike)
                yield f"{task}: the runs were trained for unequal numbers of {UNITS[unit]}: {told}."
        judged = {int(run.final["episodes"]) for group in of_task for run in group.runs if run.final}
        if len(judged) > 1:
            counts = ", ".join(f"{count:,}" for count in sorted(judged))
            yield f"{task}: the runs were judged in unequal numbers of episodes: {counts}."


def _read(folder: Path) -> Run:
    settings = read_settings(folder)
    run = Run(folder, read_summary(folder), {key: value for key, value in settings.items() if key not in NAMING})
    final = run.final
    judged = isinstance(final, Mapping) and final.get("episodes") and as_interval(final.get(measure_of(final)))
    if not judged and run.exact is None:
        raise WeanError(f"the run in {folder} has no final evaluation; continue it with `wean train ... --resume`")
    return run


def _variants(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of one method and task by the settings in which they differ, written as "name=value"."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    differing = [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]
    last = Counter(key.rpartition(".")[2] for key in differing)
    short = {key: tail if last[tail := key.rpartition(".")[2]] == 1 else key for key in differing}
    groups: dict[str, list[Run]] = {}
    for run in runs:
        label = ", ".join(f"{short[key]}={run.settings.get(key, 'unset')}" for key in differing)
        groups.setdefault(label, []).append(run)
    return groups


def _group(task: str, method: str, variant: str, runs: Sequence[Run], threshold: float) -> Group:
    finals = [run.final for run in runs if run.final]
    counts = [int(final["episodes"]) for final in finals]
    found = [as_interval(final.get("success")) for final in finals]
    rates = [one.mean for one in found if one is not None]
    known = bool(rates) and len(rates) == len(finals)
    # Evaluation stores the rate; the count behind it is a whole number again after rounding.
    successes = sum(round(rate * count) for rate, count in zip(rates, counts, strict=known))
    exact = [run.exact for run in runs if run.exact is not None]
    key, unit = "exact" if exact and not finals else "success", runs[0].unit
    return Group(
        task=task,
        method=method,
        variant=variant,
        runs=tuple(runs),
        unit=unit,
        episodes=sum(counts),
        success=wilson(successes, sum(counts)) if known else None,
        over_seeds=bootstrap_mean(rates) if known else None,
        exact=bootstrap_mean(exact) if exact else None,
        length=_over_seeds(finals, "length"),
        returns=_over_seeds(finals, "return"),
        speed=median_steps([steps_to(run.curve, threshold, key, unit=unit) for run in runs]),
    )


def _over_seeds(finals: Sequence[Mapping[str, Any]], key: str) -> Interval | None:
    found = [as_interval(final.get(key)) for final in finals]
    kept = [one for one in found if one is not None]
    if not kept or len(kept) < len(found):
        return None
    return kept[0] if len(kept) == 1 else bootstrap_mean([one.mean for one in kept])


def _references(runs: Sequence[Run]) -> list[Reference]:
    """The references of each task, from the first run that has them: the training seed does not matter."""
    found: dict[tuple[str, str], Reference] = {}
    for run in runs:
        task = str(run.summary.get("task"))
        for name, result in (run.summary.get("references") or {}).items():
            told = [as_interval((result or {}).get(key)) for key in ("success", "length", "return")]
            if any(told) and (task, name) not in found:
                found[task, name] = Reference(task, name, result.get("episodes"), *told)
    return list(found.values())
