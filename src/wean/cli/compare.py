"""`wean compare`: runs beside each other, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[Path | None, typer.Option(help="Also draw the learning curves: a .png or .html file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-compare/1).")] = False,
) -> None:
    """Compare runs: pooled episodes and steps to success by method and task, 95 % intervals."""
    import json

    from wean.report.compare import compare as compare_runs
    from wean.report.compare import print_comparison
    from wean.report.curves import write_curves

    found = compare_runs(runs)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        print_comparison(found)
    if out is not None:
        write_curves(found, out)
