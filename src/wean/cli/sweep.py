"""`wean sweep`: methods by tasks by settings by seeds, in one folder, compared in the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wean.cli.players import ExecutorOption, ModelOptions
from wean.cli.progress import showing

if TYPE_CHECKING:
    from wean.experiment.sweep import SweepProgress


def sweep(
    methods: Annotated[str, typer.Argument(help="Presets, with commas between; `wean list methods` shows them.")],
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, with commas between; each method's own one by default.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, as in 1-10 or 1,2,5-7.")] = "1-3",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=A,B", help="A setting and its values; every one with every one of others."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The teacher's language model, of the methods that have one.")
    ] = None,
    option: ModelOptions = None,
    out: Annotated[Path, typer.Option(help="The folder of all runs.")] = Path("runs/sweep"),
    workers: Annotated[
        int | None, typer.Option(min=1, max=4_096, help="Runs at a time; as many as there are cores by default.")
    ] = None,
    executor: ExecutorOption = "processes",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-compare/2).")] = False,
) -> None:
    """Train many runs side by side and compare them; the same command goes on where it was stopped.

    Settings in $WEAN_SETTINGS hold for every run, as for `wean train`.
    """
    import json

    from rich.console import Console

    from wean.cli.compare import print_comparison
    from wean.cli.train import settings_of_shell
    from wean.experiment.sweep import plan_members
    from wean.experiment.sweep import sweep as train_all
    from wean.llm.options import read_options
    from wean.processes import check_kind, cores

    kind = check_kind(executor)
    arguments: dict[str, Any] = {
        "methods": _names(methods),
        "tasks": _names(tasks or ""),
        "seeds": _seeds(seeds),
        "settings": dict(map(_values, settings or ())),
        "model": model,
    }
    members = plan_members(**arguments, options=read_options(option or ()), common=settings_of_shell)
    with showing() as shown:

        def show(now: SweepProgress) -> None:
            shown.show("training", now.done, now.total, "runs", now.latest)

        found = train_all(members, out, workers or cores(), kind, arguments=arguments, progress=show)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        console = Console()
        print_comparison(found, console)
        console.print(f"page     {out / 'compare.html'}", highlight=False, soft_wrap=True)


def _names(text: str) -> list[str]:
    """The names in a list with commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _seeds(text: str) -> list[int]:
    """The seeds in a list of numbers and ranges.

    Raises:
        UsageError: It is none.
    """
    from wean.errors import UsageError, shown

    seeds: list[int] = []
    for part in _names(text):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise UsageError(f"--seeds is {shown(text)}; write numbers and ranges with commas between, as in 1-10,20")
        begin, end = int(first[:20]), int((last or first)[:20])
        if not begin <= end < begin + 100_000:
            raise UsageError(f"--seeds has the range {shown(part)}; let it end later than it begins, within 100,000")
        seeds += range(begin, end + 1)
    return list(dict.fromkeys(seeds))


def _values(item: str) -> tuple[str, list[Any]]:
    """A setting and its values, which are read as YAML.

    Raises:
        UsageError: It is no key=a,b.
    """
    from wean.errors import UsageError, shown
    from wean.files import parse_yaml

    key, sign, text = item.partition("=")
    if not (key and sign and text):
        raise UsageError(f"--set {shown(item)} is not key=a,b; write e.g. --set learning_rate=0.001,0.0003")
    try:
        values = parse_yaml(f"[{text}]")
    except ValueError as error:
        raise UsageError(f"the values of --set {key[:80]} cannot be read ({error}): {shown(text)}") from None
    return key, list(values)
