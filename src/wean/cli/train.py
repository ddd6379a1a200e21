"""`wean train`: one run from a preset's name to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as ProgressBar

    from wean.experiment.runner import Progress


def train(
    method: Annotated[str, typer.Argument(help="A preset; `wean list methods` shows them.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings; `wean list settings METHOD` shows them."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Short name or registered id; the preset's own by default.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's language model, e.g. recorded:doorkey.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/METHOD-TASK-SEED by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out if there is one.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a question that recorded answers lack, instead of no advice.")
    ] = False,
    max_calls: Annotated[int | None, typer.Option(help="Budget: answers asked live; 0 asks nothing.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Budget: tokens read and written by live answers.")] = None,
    max_dollars: Annotated[float | None, typer.Option(help="Budget: dollars for live answers.")] = None,
) -> None:
    """Train a student; writes a run folder with the student, its scores and a report."""
    from functools import partial

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    from wean.experiment.runner import Runner, default_folder
    from wean.experiment.settings import resolve
    from wean.llm import Budget
    from wean.tasks.registration import short_name

    config = resolve(method, short_name(task) if task else None, model, seed, overrides or ())
    folder = out or default_folder(config)
    budget = Budget(calls=max_calls, tokens=max_tokens, dollars=max_dollars)
    console = Console(stderr=True)
    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[unit]}"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task("training", total=1, unit="", note="")
        summary = Runner(
            config,
            folder,
            resume=resume,
            progress=partial(_show, bar),
            say=lambda note: console.print(f"note: {note}", highlight=False, soft_wrap=True),
            strict=strict,
            budget=budget,
        ).run()
    _print_summary(Console(), summary, folder)


def _show(bar: ProgressBar, progress: Progress) -> None:
    """Moves the bar, in the run's own unit."""
    from wean.report.run_files import UNITS

    shown = {"success": "success {:.2f}", "loss": "loss {:.3f}", "exact": "{:.1%} of dev answers right"}
    note = ", ".join(text.format(progress.metrics[name]) for name, text in shown.items() if name in progress.metrics)
    unit = UNITS[progress.unit]
    bar.update(bar.task_ids[0], completed=progress.done, total=progress.total, unit=unit, note=note)


def _print_summary(console: Console, summary: dict[str, Any], folder: Path) -> None:
    lines = _played(console, summary) if "final" in summary else _fine_tuned(summary)
    for name, file in (("report", "report.html"), ("student", "student")):
        lines.append(f"{name:8} {folder / file}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _played(console: Console, summary: dict[str, Any]) -> list[str]:
    """Prints the table of policies that played the held-out episodes; returns what is said below it."""
    from rich.table import Table

    from wean.report.report import other_ways, trained_for

    table = Table(title=f"{summary['method']} on {summary['task']}, seed {summary['seed']}", title_justify="left")
    table.add_column("policy")
    asks = "asking" in summary["final"]
    for name in ("success", "return", "length", *(("questions",) if asks else ()), "ms/action"):
        table.add_column(name, justify="right")
    rows = [(result["policy"], result) for result in (summary["final"], *other_ways(summary))]
    for name, result in [*rows, *summary["references"].items()]:
        cells = [_cell(result[key], digits) for key, digits in (("success", 3), ("return", 3), ("length", 1))]
        if asks:
            cells.append(_cell(result["asking"]["questions"], 2))
        table.add_row(name, *cells, f"{result['ms_per_action']:.3f}")
    console.print(table)
    final, llm, advice = summary["final"], summary["llm"], summary["advice"]
    sparingly = ""
    if advice and advice["not_asked"]:
        sparingly = (
            f"{advice['questions']:,} questions by the rule, {advice['advised']:,} of {advice['moments']:,} moments "
            "advised; "
        )
    return [
        f"{final['episodes']} held-out episodes from seed {final['seed']}, 95 % intervals. "
        f"{trained_for(summary)} at {summary['steps_per_second']:,.0f} a second; "
        f"{llm['distinct']} distinct questions, {llm['asked']} asked live; {sparingly}"
        f"{summary['student_bytes'] / 1e6:.2f} MB of weights."
    ]


def _fine_tuned(summary: dict[str, Any]) -> list[str]:
    from wean.report.report import trained_for

    best = summary["best"]
    lines = [
        f"{summary['method']}, seed {summary['seed']}: {summary['student_parameters']:,} parameters, "
        f"{summary['demonstrations']} demonstrations of {len(summary['tasks'])} tasks",
        f"{summary['tokens']:,} tokens ({summary['tokens_per_demonstration']:,.0f} a demonstration) in "
        f"{summary['seconds']:,.0f} s: {summary['tokens_per_second']:,.0f} a second, {summary['flops']:.2e} FLOPs",
    ]
    if "exact" in best:
        kinds = ", ".join(
            f"{name} {100 * best[key]:.1f} %"
            for name, key in (("actions", "exact_action"), ("sub-goals", "exact_goal"), ("done", "exact_done"))
            if key in best
        )
        lines.append(
            f"best after {best['gradient_steps']:,} of {trained_for(summary)}: {100 * best['exact']:.1f} % of the "
            f"answers in {summary['dev_demonstrations']} dev demonstrations exactly right ({kinds})"
        )
    return lines


def _cell(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f}\n[dim]{value['low']:.{digits}f} to {value['high']:.{digits}f}[/dim]"
