"""The runs of a benchmark: trained side by side, or kept from earlier as summaries in `benchmarks/results/runs`.

A table over many seeds is seldom made in one go, or on one machine. With `--save` the summaries of the tabulated runs
are kept, curves included; with `--from-runs` they stand in for run folders that are not here. A kept run counts only
as long as it has the settings that its line asks for now.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness import RESULTS, cpu, hardware, options
from wean.errors import UsageError
from wean.experiment.settings import RunConfig, from_yaml, resolve
from wean.experiment.sweep import Member, SweepProgress, train_members
from wean.report.run_files import upgrade


class Line(NamedTuple):
    """One line of a table on each of its tasks: a preset, or a preset with something changed."""

    name: str
    method: str
    what: str
    tasks: tuple[str, ...]
    seeds: int = 3
    overrides: tuple[str, ...] = ()
    model: str | None = None
    first_seed: int = 1

    @property
    def training_seeds(self) -> range:
        """The seeds of its runs."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def config(self, task: str, seed: int) -> RunConfig:
        """The settings of one of its runs."""
        found = resolve(self.method, task, model=self.model, seed=seed, overrides=self.overrides)
        unrecorded = found.evaluation.model_copy(update={"recorded_episodes": 0})
        return found.model_copy(update={"evaluation": unrecorded})


class Runs:
    """The finished runs of a benchmark.

    Args:
        name: The benchmark's.
        folder: Of its run folders.
        with_kept: Whether kept summaries and saved rows stand in for run folders that are not there.
        results: Where tables lie.
        episodes: A file of lines in each run folder that is kept with its summary, as `episodes`, traces left out.

    Attributes:
        saved: The results of the saved table.
    """

    def __init__(
        self, name: str, folder: Path, with_kept: bool, results: Path = RESULTS, episodes: str | None = None
    ) -> None:
        self.folder, self._episodes = folder, episodes
        table = results / f"{name}.json"
        document = json.loads(table.read_text()) if table.exists() else {}
        self.saved: dict[str, Any] = upgrade(document.get("results", {}))
        self._measured_on = document.get("hardware") if with_kept else None
        self._file = results / "runs" / f"{name}.jsonl.gz"
        self._kept: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            with gzip.open(self._file, "rt") as lines:
                kept = map(json.loads, lines)
                self._kept = {found["run"]: found | {"summary": upgrade(found["summary"])} for found in kept}
        self._with_kept = with_kept

    def hardware(self, *packages: str) -> dict[str, Any]:
        """What the runs were measured on: this machine, or for kept ones theirs, all processors named."""
        if self._measured_on is None:
            return hardware(*packages)
        processors = [self._measured_on["cpu"], *(found["cpu"] for found in self._kept.values() if "cpu" in found)]
        return {**self._measured_on, "cpu": " and ".join(dict.fromkeys(" and ".join(processors).split(" and ")))}

    def path(self, line: Line, task: str, seed: int) -> Path:
        """Where one run lies."""
        return self.folder / _name(line, task, seed)

    def of(self, task: str, line: Line) -> list[dict[str, Any]]:
        """The summaries of a line's finished runs, by seed."""
        found = [self._one(task, line, seed) for seed in line.training_seeds]
        return [summary for summary in found if summary]

    def keep(self, lines: Iterable[Line]) -> None:
        """Keeps the summaries of these lines' runs, beside those of other lines that were kept before."""
        for line in lines:
            for task in line.tasks:
                for seed in line.training_seeds:
                    path = self.path(line, task, seed)
                    if (path / "summary.json").exists():
                        settings = _placeless(yaml.safe_load((path / "config.yaml").read_text()))
                        summary = self._summary(path)
                        del summary["command"]  # says where the run lay
                        self._kept[path.name] = {
                            "run": path.name,
                            "cpu": cpu(),
                            "settings": settings,
                            "summary": summary,
                        }
        if self._kept:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(self._kept[name]) + "\n" for name in sorted(self._kept))
            self._file.write_bytes(gzip.compress(text.encode(), mtime=0))

    def with_saved(self, rows: Sequence[dict[str, Any]], part: str) -> list[dict[str, Any]]:
        """Rows of a part of the saved table in place of new ones that rest on fewer seeds, or are not there.

        So a table that is made again from some of its runs loses no line of those that are gone. References, which
        have no seeds, come last.
        """
        found = {(row["task"], row["method"]): row for row in rows}
        if self._with_kept:
            for row in self.saved.get(part, []):
                key = row["task"], row["method"]
                if key not in found or (row["seeds"] or 0) > (found[key]["seeds"] or 0):
                    found[key] = row
        return sorted(found.values(), key=lambda row: row["seeds"] is None)

    def _one(self, task: str, line: Line, seed: int) -> dict[str, Any] | None:
        path = self.path(line, task, seed)
        if (path / "summary.json").exists():
            return self._summary(path)
        kept = self._kept.get(path.name) if self._with_kept else None
        if kept is None or _filled(kept["settings"]) != _placeless(line.config(task, seed).model_dump()):
            return None
        found: dict[str, Any] = kept["summary"]
        return found

    def _summary(self, path: Path) -> dict[str, Any]:
        summary: dict[str, Any] = upgrade(json.loads((path / "summary.json").read_text()))
        if self._episodes and (path / self._episodes).exists():
            played = [json.loads(line) for line in (path / self._episodes).read_text().splitlines()]
            summary["episodes"] = [{key: value for key, value in one.items() if key != "trace"} for one in played]
        return summary


def _name(line: Line, task: str, seed: int) -> str:
    return f"{line.name}-{task}-{seed}"


def _filled(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Settings with today's defaults where they lack one that is newer; None if one of theirs is gone."""
    try:
        values: dict[str, Any] = _placeless(from_yaml(yaml.safe_dump(settings)).model_dump())
    except UsageError:
        return None
    return values


def _placeless(settings: Any) -> Any:
    """Settings without where files lie on a machine."""
    if isinstance(settings, dict):
        return {key: _placeless(value) for key, value in settings.items()}
    if isinstance(settings, str) and Path(settings).is_absolute():
        return Path(settings).name
    return settings


# --- training ---------------------------------------------------------------------------------------------------------


def training_options(doc: str | None, name: str) -> argparse.ArgumentParser:
    """The command line of a benchmark that trains."""
    parser = options(doc)
    parser.add_argument("--runs", type=Path, default=Path("runs") / name, help="where the run folders go")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--only", action="append", help="only these lines of the table")
    parser.add_argument("--task", action="append", help="only these tasks")
    parser.add_argument("--seeds", type=int, help="at most so many seeds a line")
    return parser


def trained(
    name: str, doc: str | None, lines: Sequence[Line], quick: Sequence[Line]
) -> tuple[list[Line], Runs, argparse.Namespace]:
    """Parses the command line and trains what is missing.

    Args:
        name: The benchmark's.
        doc: Its help.
        lines: The benchmark's lines.
        quick: Its lines with --quick.

    Returns:
        The lines that are to be tabulated, their runs, and the parsed command line.
    """
    arguments = training_options(doc, name).parse_args()
    chosen = chosen_lines(quick if arguments.quick else lines, arguments)
    runs = runs_of(name, arguments)
    if not arguments.from_runs:
        train_all(chosen, runs, arguments.workers)
    if arguments.save:
        runs.keep(chosen)
    return chosen, runs, arguments


def runs_of(name: str, arguments: argparse.Namespace, episodes: str | None = None) -> Runs:
    """The runs that the command line names; `episodes` as in `Runs`."""
    folder, with_kept = arguments.from_runs or arguments.runs, arguments.from_runs is not None
    return Runs(name, folder, with_kept, episodes=episodes)


def chosen_lines(lines: Sequence[Line], arguments: argparse.Namespace) -> list[Line]:
    """The lines and tasks that the command line names, with as many seeds as it allows."""
    chosen = []
    for line in lines:
        tasks = tuple(task for task in line.tasks if not arguments.task or task in arguments.task)
        if tasks and (not arguments.only or line.name in arguments.only):
            chosen.append(line._replace(tasks=tasks, seeds=min(line.seeds, arguments.seeds or line.seeds)))
    if not chosen:
        raise SystemExit("no line of the table is left; see --help for --only and --task")
    return chosen


def train_all(lines: Sequence[Line], runs: Runs, workers: int) -> None:
    """Trains what is missing, seed by seed: a benchmark that is stopped early has whole tables of fewer seeds."""
    members = [
        Member(_name(line, task, seed), line.config(task, seed))
        for number in range(max(line.seeds for line in lines))
        for line in lines
        for task in line.tasks
        for seed in line.training_seeds[number : number + 1]
    ]
    told = -1

    def tell(now: SweepProgress) -> None:
        nonlocal told
        if now.done > told:
            told = now.done
            print(f"[{now.done}/{now.total}] {now.latest}", file=sys.stderr, flush=True)

    if failed := train_members(members, runs.folder, workers, progress=tell):
        raise SystemExit("\n".join(f"{name}: {error}" for name, error in failed.items()))
