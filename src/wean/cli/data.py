"""`wean data import` and `wean data export`: demonstrations from the formats of others, and to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wean.cli.progress import showing

_MINARI = "minari:"
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-data/1).")]


def import_(
    source: Annotated[
        str, typer.Argument(help="A log of messages (JSON, JSONL, .gz, Parquet), or minari:NAME, a Minari data set.")
    ],
    out: Annotated[Path, typer.Option(help="The Parquet file.")],
    task: Annotated[
        str | None, typer.Option(help="Name of the task; of a log what its rows say, else the file's name.")
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL=TEXT", help="How a tool's call is said as an action: 'go=go to {location}'."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read message logs, the agent-data-protocol or Minari as demonstrations."""
    from wean.errors import UsageError

    if source.startswith(_MINARI):
        if words or task is None:
            raise UsageError("--words is for logs of messages; leave it out" if words else "name the --task it is of")
        _from_minari(source.removeprefix(_MINARI), task, out, as_json)
    else:
        _from_messages(Path(source), task, dict(map(_pair, words or ())), out, as_json)


def export(
    demos: Annotated[Path, typer.Argument(help="A file of demonstrations, as wean demos writes it.")],
    to: Annotated[str, typer.Option(metavar="minari:NAME", help="The new data set, e.g. minari:lake/expert-v0.")],
    task: Annotated[str | None, typer.Option(help="Name of the task; the file's by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write demonstrations of a numeric task as a Minari data set."""
    from functools import partial

    from wean.data.demonstrations import read_demonstrations
    from wean.errors import UsageError
    from wean.evaluation.minari_data import to_minari
    from wean.tasks.registration import make_task, short_name

    name = to.removeprefix(_MINARI)
    if name == to or not name:
        raise UsageError(f"--to is minari:NAME, not {to[:80]!r}")
    read = read_demonstrations(demos)
    found = to_minari(read, partial(make_task, short_name(task or read.task)), name)
    _tell(as_json, to, found)


def _from_minari(name: str, task: str, out: Path, as_json: bool) -> None:
    from functools import partial

    from wean.evaluation.minari_data import from_minari
    from wean.tasks.registration import make_task, short_name

    known = short_name(task)
    with showing() as shown:
        found = from_minari(
            name,
            known,
            partial(make_task, known),
            out,
            lambda done, total: shown.show("reading", done, total, "episodes"),
        )
    _tell(as_json, str(out), found)


def _from_messages(source: Path, task: str | None, words: dict[str, str], out: Path, as_json: bool) -> None:
    from wean.data.message_paths import paths_of
    from wean.data.messages import read_conversations
    from wean.data.trajectories import write_paths

    read = read_conversations(source)
    made = paths_of(read.found, task or source.name.partition(".")[0], words)
    write_paths(out, made.rows, {"job": json.dumps({"source": source.name})})
    for problem in (*read.problems, *made.problems):
        typer.echo(f"note: {problem}", err=True)
    _tell(as_json, str(out), {"episodes": len(made.rows), "steps": sum(len(row["path"]) for row in made.rows)})


def _pair(item: str) -> tuple[str, str]:
    from wean.errors import UsageError

    name, sign, text = item.partition("=")
    if not sign or not name or not text:
        raise UsageError(f"{item[:80]!r} is not TOOL=TEXT; write e.g. 'go=go to {{location}}'")
    return name, text


def _tell(as_json: bool, where: str, found: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps({"schema": "wean-data/1", "out": where, **found}))
    else:
        typer.echo(f"{where}: {found['episodes']:,} episodes, {found['steps']:,} steps")
