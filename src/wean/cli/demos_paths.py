"""`wean demos scienceworld` and `wean demos TASK --trajectories`: paths of oracles, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

SCHEMA = "wean-paths-written/1"


def write_paths(
    task: str,
    split: str,
    per_task: int | None,
    tasks: str | None,
    sample: str | None,
    out: Path | None,
    workers: int,
    resume: bool,
    as_json: bool,
) -> None:
    """Writes the paths of an oracle to a Parquet file (wean-trajectories/1), with a bar on a terminal."""
    from functools import partial

    from wean.errors import UsageError
    from wean.evaluation.oracle import (
        ScienceWorldOracle,
        WalkthroughOracle,
        choose_seeds,
        choose_variations,
        version_of,
    )
    from wean.tasks.scienceworld.server import check_installed
    from wean.tasks.splits import fold_of

    fold = fold_of(split)
    job: dict[str, Any] = {"task": task, "version": version_of(task), "split": fold}
    make: Any
    if task == "ScienceWorld":
        check_installed()
        wanted = choose_variations(fold, per_task, [t.strip() for t in tasks.split(",")] if tasks else [], sample)
        job["simplification"] = "easy"
        make = ScienceWorldOracle
    else:
        if tasks or sample:
            raise UsageError("--tasks and --sample are for ScienceWorld; leave them out")
        wanted = choose_seeds(task, fold, per_task or 20)
        make = partial(WalkthroughOracle, task)
        make().close()  # a task without walkthroughs is told here, and not in each process
    _write(out or Path("demos") / f"{task}-{fold}.parquet", make, wanted, job, workers, resume, as_json)


def write_shorter_paths(
    task: str, data: str, annotations: Path | None, out: Path | None, workers: int, resume: bool, as_json: bool
) -> None:
    """Makes demonstrations shorter; writes their paths, and their sub-goals beside them."""
    from functools import partial

    from wean.data.annotations import AnnotationWriter
    from wean.data.shipped import demonstrations
    from wean.data.trajectories import read_trajectories
    from wean.errors import UsageError
    from wean.evaluation.oracle import version_of
    from wean.evaluation.shortening import ShorterPaths, annotated
    from wean.tasks.scienceworld.server import check_installed

    if task != "ScienceWorld":
        raise UsageError("--shorten is for ScienceWorld, where an agent can teleport; leave it out")
    check_installed()
    examples = {one.key: (one, annotation) for one, annotation in demonstrations(data, annotations).examples}
    if not examples:
        raise UsageError(f"{data} has no sub-goals; name their file with --annotations")
    job = {"task": task, "version": version_of(task), "simplification": "easy", "shortened": data}
    path = out or Path("demos") / f"{Path(data).stem}-short.parquet"
    make = partial(ShorterPaths, list(examples.values()))
    _write(path, make, list(examples), job, workers, resume, as_json)
    subgoals = AnnotationWriter(path.with_suffix(".subgoals.jsonl"))
    subgoals.replace(annotated(one, examples[one.key]) for one in read_trajectories(path).found)


def _write(
    path: Path, make: Any, wanted: list[tuple[str, int]], job: dict[str, Any], workers: int, resume: bool, as_json: bool
) -> None:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from wean.evaluation.oracle import write_oracle_paths

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("playing", total=len(wanted), note="")

        def show(kept: int, tried: int) -> None:
            progress.update(bar, completed=tried, note=f"{kept:,} kept")

        report = write_oracle_paths(path, make, wanted, job, workers=workers, resume=resume, progress=show)
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "file": str(path), **job, **report}))
    else:
        counted = f"{report['kept']:,} of {report['tried']:,} paths, {report['long']:,} of more than 100 moves"
        typer.echo(f"{path}: {counted}, {report['steps']:,} steps, {path.stat().st_size / 1e6:.2f} MB")
