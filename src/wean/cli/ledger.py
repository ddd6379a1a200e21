"""`wean ledger`: statistics of the ledger, and answers in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wean.llm.ledger import Ledger

app = typer.Typer(
    name="ledger", help="Questions to language models, their answers and cost: statistics, export, import."
)

LedgerOption = Annotated[
    Path | None,
    typer.Option("--ledger", help="The ledger's file; default $WEAN_LEDGER, else in the user's data folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def stats(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Questions, answers, tokens, time and dollars, by model."""
    import json

    from wean.llm.transfer import ledger_stats

    with _open(ledger) as opened:
        result = ledger_stats(opened)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_stats(result)


@app.command()
def export(
    file: Annotated[str, typer.Argument(help="A JSONL file, or - for standard output.")] = "-",
    unanswered: Annotated[
        bool, typer.Option("--unanswered", help="The questions without an answer instead of the answers.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Only this model's (its identity, as stats shows it).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write answers (or unanswered questions) as JSONL.

    A file of answers can be imported elsewhere, or used as a model: recorded:FILE. In a file of unanswered
    questions, fill in "answer" and import it.
    """
    import json

    from wean.errors import UsageError
    from wean.llm.records import SCHEMA
    from wean.llm.transfer import export_lines, open_output

    if as_json and file == "-":
        raise UsageError("--json needs a file to export to: standard output cannot hold both")
    with _open(ledger) as opened, open_output(file, force=force) as out:
        written = export_lines(opened, out, model, unanswered=unanswered)
    what = "unanswered questions" if unanswered else "answers"
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "file": file, "what": what, "written": written}))
    else:
        typer.echo(f"{written} {what} written" + ("" if file == "-" else f" to {file}"), err=file == "-")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A JSONL file of answers.")],
    model: Annotated[str | None, typer.Option(help="Take the answers as this model's.")] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take answers in: an export, filled-in unanswered questions, or lines of messages and answer.

    All lines or none; an answer that the ledger has already stays as it is.
    """
    import json
    from dataclasses import asdict

    from wean.llm.ledger import Ledger
    from wean.llm.records import SCHEMA
    from wean.llm.transfer import import_answers

    with Ledger(ledger) as opened:
        result = import_answers(opened, file, model)
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "file": str(file), **asdict(result)}))
        return
    typer.echo(f"{result.added} answers added, {result.kept} were there already")
    if result.open:
        typer.echo(f"{result.open} lines have no answer yet")
    if result.unmatched:
        typer.echo(
            f"{result.unmatched} lines answer no question that was noted as unanswered; to use them as they "
            f"are, name the model recorded:{file}"
        )


def _open(path: Path | None) -> Ledger:
    from wean.errors import UsageError
    from wean.llm.ledger import Ledger, default_ledger_path

    file = path or default_ledger_path()
    if not file.exists():
        raise UsageError(f"there is no ledger {file} yet; ask a model first, or name another with --ledger")
    return Ledger(file)


def _print_stats(stats: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # in files and pipes nothing needs to be folded
    console.print(f"{stats['path']}  ({stats['bytes'] / 1e6:.1f} MB)", soft_wrap=True, highlight=False)
    if stats["models"]:
        columns = ("model", "kind", "questions", "answers", "read", "written", "seconds", "cost")
        table = Table()
        for column in columns:
            # Names are never shortened: `export --model` needs them whole.
            table.add_column(column, justify="left" if column in columns[:2] else "right", no_wrap=True)
        for entry in stats["models"]:
            counts = [entry[name] for name in ("questions", "answers", "prompt_tokens", "completion_tokens")]
            cost = _cost(entry["known_cost_usd"], entry["unpriced"])
            numbers = [*(f"{count:,}" for count in counts), f"{entry['seconds']:,.1f}", cost]
            table.add_row(entry["model"], entry["kind"], *numbers)
        console.print(table)
    for entry in stats["models"]:
        if len(entry["served"]) > 1:
            names = ", ".join(entry["served"])
            console.print(f"{entry['model']} was served as {names}: the model may have moved", highlight=False)
    console.print(f"{stats['unanswered']} unanswered, {stats['being_asked']} being asked", highlight=False)


def _cost(known: float, unpriced: int) -> str:
    if not unpriced:
        return f"${known:.4f}"
    return f"${known:.4f} + {unpriced} unknown" if known else "unknown"
