"""Compares finished runs: one line for each method on each task, pooled over seeds, with 95 % intervals.

Runs are one group when method, task and every setting but the seed agree, so that two ablations of one method
are never averaged into one. Success is given twice. The pooled interval (Wilson, all episodes of all seeds)
says how good these students are; the interval over seeds (bootstrap over the seeds' means) says how good
another training would be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import (
    Interval,
    TimeToThreshold,
    bootstrap_mean,
    median_steps,
    steps_to,
    wilson,
)
from wean.report.format import percent
from wean.report.run_files import read_settings, read_summary
from wean.report.sections import as_interval

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "wean-compare/1"
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
    def final(self) -> Mapping[str, Any]:
        """Its final evaluation, an object of schema `wean-eval/2`."""
        final: Mapping[str, Any] = self.summary["final"]
        return final

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
    """What sets the group apart from others of the same method and task, e.g. "schedule=constant", or ""."""
    runs: tuple[Run, ...]
    episodes: int
    """Evaluation episodes of all seeds together."""
    success: Interval
    """Rate over all episodes of all seeds, Wilson."""
    over_seeds: Interval
    """Mean of the seeds' rates, bootstrap over seeds; one seed has no spread, and few seeds understate it."""
    length: Interval | None
    """Steps per episode: bootstrap over seeds, or over episodes where there is one seed."""
    returns: Interval | None
    """Return per episode, like `length`."""
    speed: TimeToThreshold
    """Environment steps until the curve first reaches the threshold."""

    @property
    def name(self) -> str:
        """Method and variant in one string."""
        return f"{self.method} ({self.variant})" if self.variant else self.method

    def as_dict(self) -> dict[str, Any]:
        """The group as `--json` prints it."""
        return {
            "method": self.method,
            "task": self.task,
            "variant": self.variant,
            "runs": [str(run.folder) for run in self.runs],
            "seeds": [run.seed for run in self.runs],
            "episodes": self.episodes,
            "success": self.success.as_dict(),
            "success_over_seeds": self.over_seeds.as_dict(),
            "return": self.returns.as_dict() if self.returns else None,
            "length": self.length.as_dict() if self.length else None,
            "steps_to_threshold": self.speed.as_dict(),
            "env_steps": [run.summary.get("env_steps") for run in self.runs],
            "wall_seconds": [run.summary.get("wall_seconds") for run in self.runs],
        }


@dataclass(frozen=True)
class Reference:
    """A policy that stands beside the runs of a task: the teacher, random skills."""

    task: str
    name: str
    episodes: int | None
    success: Interval
    length: Interval | None
    returns: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """The reference as `--json` prints it."""
        return {
            "policy": self.name,
            "task": self.task,
            "episodes": self.episodes,
            "success": self.success.as_dict(),
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
    """What a reader must know before trusting the numbers."""

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
        """One JSON object of schema `wean-compare/1`."""
        return {
            "schema": SCHEMA,
            "threshold": self.threshold,
            "groups": [group.as_dict() for group in self.groups],
            "references": [reference.as_dict() for reference in self.references],
            "notes": list(self.notes),
        }


def compare(run_folders: Iterable[Path], threshold: float = 0.9) -> Comparison:
    """Read runs, group them by method, task and settings, and summarise each group.

    Args:
        run_folders: Folders that `wean train` wrote; one that is named twice counts once.
        threshold: Success rate for "steps to".

    Raises:
        UsageError: No folder is given, or one is no run.
        WeanError: A run is not finished, or its files are torn or foreign.
    """
    folders = {folder.resolve(): folder for folder in reversed(list(run_folders))}
    if not folders:
        raise UsageError("there is nothing to compare; name at least one run folder")
    runs = [_read(folder) for folder in reversed(folders.values())]
    notes: list[str] = []
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
    groups.sort(key=lambda group: (order.index(group.task), -group.success.mean))
    return Comparison(threshold, tuple(groups), tuple(_references(runs)), tuple(notes))


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print one table for each task; made to be read in 80 columns.

    Args:
        comparison: What `compare` found.
        console: Where to; by default standard output.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    wide = console.width >= 96
    for task in comparison.tasks:
        table = Table(
            title=task,
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        table.add_column("method", min_width=19)
        for name in ("success", "over seeds", "length", *(["return"] if wide else [])):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(f"steps to {comparison.threshold:g}", justify="right", no_wrap=True)
        groups = comparison.of(task)
        for group in groups:
            told = f"{_plural(len(group.runs), 'seed')}, {group.episodes:,} eps."
            spread = _rate(group.over_seeds) if len(group.runs) > 1 else ""
            cells = [_rate(group.success), spread, _mean(group.length, 1)]
            cells += [_mean(group.returns, 3)] if wide else []
            table.add_row(_lines(group.name, told), *cells, speed_text(group.speed), end_section=group is groups[-1])
        for reference in comparison.beside(task):
            told = f"{reference.episodes:,} eps." if reference.episodes else ""
            cells = [_rate(reference.success), "", _mean(reference.length, 1)]
            cells += [_mean(reference.returns, 3)] if wide else []
            table.add_row(_lines(reference.name, told), *cells, "", style="dim")
        console.print(table)
    console.print(
        "Intervals are 95 %. success: all episodes pooled (Wilson). over seeds, length, return: bootstrap "
        "over seeds. steps: median over seeds; a seed that never got there counts as later than all others.",
        style="dim",
    )
    for note in comparison.notes:
        console.print(note, style="yellow")


def speed_text(speed: TimeToThreshold) -> str:
    """Steps to the threshold in words: "61,000" or "never", and how many runs got there if not all."""
    told = "never" if speed.median is None else f"{speed.median:,}"
    return f"{told}\n{speed.reached} of {speed.runs}" if speed.censored else told


def _read(folder: Path) -> Run:
    summary = read_summary(folder)
    final = summary.get("final")
    if not isinstance(final, Mapping) or not final.get("episodes") or as_interval(final.get("success")) is None:
        raise WeanError(f"the run in {folder} has no final evaluation; continue it with `wean train ... --resume`")
    settings = read_settings(folder)
    return Run(folder, summary, {key: value for key, value in settings.items() if key not in NAMING})


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
    counts = [int(run.final["episodes"]) for run in runs]
    rates = [float(run.final["success"]["mean"]) for run in runs]
    # Evaluation stores the rate; the count behind it is a whole number again after rounding.
    successes = sum(round(rate * count) for rate, count in zip(rates, counts, strict=True))
    return Group(
        task=task,
        method=method,
        variant=variant,
        runs=tuple(runs),
        episodes=sum(counts),
        success=wilson(successes, sum(counts)),
        over_seeds=bootstrap_mean(rates),
        length=_over_seeds(runs, "length"),
        returns=_over_seeds(runs, "return"),
        speed=median_steps([steps_to(run.curve, threshold) for run in runs]),
    )


def _over_seeds(runs: Sequence[Run], key: str) -> Interval | None:
    found = [as_interval(run.final.get(key)) for run in runs]
    kept = [one for one in found if one is not None]
    if len(kept) < len(found):
        return None
    return kept[0] if len(kept) == 1 else bootstrap_mean([one.mean for one in kept])


def _references(runs: Sequence[Run]) -> list[Reference]:
    """The references of each task, from the first run that has them: the training seed does not matter."""
    found: dict[tuple[str, str], Reference] = {}
    for run in runs:
        task = str(run.summary.get("task"))
        for name, result in (run.summary.get("references") or {}).items():
            success = as_interval((result or {}).get("success"))
            if success is not None and (task, name) not in found:
                length, returns = as_interval(result.get("length")), as_interval(result.get("return"))
                found[task, name] = Reference(task, name, result.get("episodes"), success, length, returns)
    return list(found.values())


def _rate(interval: Interval) -> str:
    return _lines(percent(interval.mean), f"{100 * interval.low:.1f} to {100 * interval.high:.1f}")


def _mean(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return ""
    return _lines(f"{interval.mean:.{digits}f}", f"{interval.low:.{digits}f} to {interval.high:.{digits}f}")


def _lines(first: str, second: str) -> str:
    from rich.markup import escape

    return f"{escape(first)}\n[dim]{escape(second)}[/dim]"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
