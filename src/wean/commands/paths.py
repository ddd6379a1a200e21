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

    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from wean.errors import UsageError
    from wean.evaluation.oracle import (
        ScienceWorldOracle,
        WalkthroughOracle,
        choose_seeds,
        choose_variations,
        version_of,
        write_oracle_paths,
    )
    from wean.tasks.scienceworld.server import check_installed
    from wean.tasks.scienceworld.variations import fold_of

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
    path = out or Path("demos") / f"{task}-{fold}.parquet"
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
