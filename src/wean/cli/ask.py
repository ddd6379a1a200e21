"""`wean ask` and `wean ledger`: a teacher's answers in a task, and all answers that language models gave."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wean.cli.players import MaxCalls, MaxDollars, MaxTokens, ModelOptions, asking

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from wean.agents.policy import Policy
    from wean.llm.ledger import Ledger
    from wean.tasks.situation import Situation


def ask(
    task: Annotated[str, typer.Argument(help="Short name or registered id of the task.")],
    model: Annotated[str, typer.Option(help="The language model to ask.")] = "recorded:doorkey",
    option: ModelOptions = None,
    elicitation: Annotated[
        str, typer.Option(help="How uncertainty is obtained: verbalized, samples, logprobs.")
    ] = "verbalized",
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature; the model's own by default.")] = None,
    episodes: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Episodes of random skills whose situations are asked about.")
    ] = 50,
    unanswered: Annotated[
        Path | None, typer.Option(help="Write the questions that a recorded model lacks to this JSONL file.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a question that recorded answers lack.")] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_dollars: MaxDollars = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-ask/1).")] = False,
) -> None:
    """Ask a teacher about every situation that random skills meet in a task."""
    import json

    from wean.evaluation.scores import llm_counts
    from wean.experiment.settings import advice_settings
    from wean.teachers.teacher import Teacher

    advice = advice_settings(elicitation=elicitation, temperature=temperature)
    with asking(model, option, strict, (max_calls, max_tokens, max_dollars)).open(model) as opened:
        found = _situations(task, episodes)
        teacher = Teacher(opened, advice)
        teacher.advise([situation for situation, count in found.values() for _ in range(count)])
        if unanswered is not None:
            opened.save_unanswered(unanswered)
    result: dict[str, Any] = {"schema": "wean-ask/1", "task": task, "rows": teacher.table(), "llm": llm_counts(opened)}
    result["ledger"] = None if opened.ledger is None else opened.ledger.path
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)


def _situations(task: str, episodes: int) -> dict[Hashable, tuple[Situation, int]]:
    """Meets situations by playing random skills, or random commands; returns each with how often it was met."""
    from wean.agents.references import RandomSkillsPolicy, RandomTextPolicy
    from wean.evaluation.evaluate import seed_cases
    from wean.evaluation.playing import Observer, play
    from wean.tasks.registration import make_task
    from wean.tasks.vector import SerialTasks, Tasks, has_numbered_actions

    met: dict[Hashable, tuple[Situation, int]] = {}

    class Noting(Observer):
        """Notes every situation on the way."""

        def before(self, tasks: Tasks, which: Sequence[int]) -> None:
            for situation in tasks.situations(which):
                met[situation.key] = situation, met.get(situation.key, (situation, 0))[1] + 1

    tasks = SerialTasks([partial(make_task, task)])
    policy: Policy = RandomTextPolicy()
    if has_numbered_actions(tasks):
        tasks.close()
        tasks, policy = SerialTasks([partial(make_task, task)] * min(50, episodes)), RandomSkillsPolicy()
    for _ in play(policy, tasks, seed_cases(task, episodes, 0), observers=[Noting()]):
        pass
    return met


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from wean.report.report import asked_text

    title = f"Advice of {result['llm']['model']} in {result['task']}"
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("situation", ratio=2)
    table.add_column("plans", ratio=3)
    table.add_column("met", justify="right")
    for row in result["rows"]:
        plans = "\n".join(f"{plan['probability']:.2f}  {', '.join(plan['skills'])}" for plan in row["plans"])
        table.add_row(row["text"], plans or "(no advice)", f"{row['met']:,}")
    console = Console()
    console.print(table)
    llm = result["llm"]
    told = f"{llm['distinct']} distinct questions: {asked_text(llm)}, {llm['unanswered']:,} unanswered."
    console.print(told, highlight=False)
    if result["ledger"]:
        console.print(f"ledger: {result['ledger']}", highlight=False, soft_wrap=True)


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

    from wean.llm.ledger import Ledger, default_ledger_path
    from wean.llm.transfer import ledger_stats

    file = ledger or default_ledger_path()
    if ledger is not None and not file.exists():
        _open(ledger)  # says that the named file is not there
    with Ledger(file) as opened:
        result = ledger_stats(opened)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_stats(result)
        if not result["models"]:
            typer.echo("no answers yet: those that are asked live are kept here, recorded ones stay in their own file")


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
        typer.echo(json.dumps({"schema": SCHEMA, "file": file, "what": what, **written._asdict()}))
        return
    to = "" if file == "-" else f" to {file}"
    left = f"; {written.damaged} damaged rows are left out" if written.damaged else ""
    typer.echo(f"{written.written} {what} written{to}{left}", err=file == "-")


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
        raise UsageError(
            f"there is no ledger {file} yet: only answers that are asked live are kept, and recorded ones stay in "
            "their own file; ask a live model, or name another with --ledger"
        )
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
        if entry["adapted"]:
            console.print(f"{entry['model']} was asked otherwise: {'; '.join(entry['adapted'])}", highlight=False)
    if stats["damaged"]:
        console.print(f"{stats['damaged']} damaged rows are left out; they will be asked again", highlight=False)
    console.print(f"{stats['unanswered']} unanswered, {stats['being_asked']} being asked", highlight=False)


def _cost(known: float, unpriced: int) -> str:
    if not unpriced:
        return f"${known:.4f}"
    return f"${known:.4f} + {unpriced} unknown" if known else "unknown"
