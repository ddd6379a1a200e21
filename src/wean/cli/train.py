"""`wean train`: one run from a preset's name to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wean.cli.players import MaxCalls, MaxDollars, MaxTokens, ModelOptions
from wean.cli.progress import showing

if TYPE_CHECKING:
    from rich.console import Console

    from wean.cli.progress import Progress as Shown
    from wean.experiment.runner import Progress


def train(
    method: Annotated[str, typer.Argument(help="A preset; `wean list methods` shows them.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings; `wean list settings METHOD` shows them."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Short name or registered id; the preset's own by default.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's language model, e.g. recorded:doorkey.")] = None,
    option: ModelOptions = None,
    seed: Annotated[int, typer.Option(help="Seed of the run, of at most 62 bits.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/METHOD-TASK-SEED by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out if there is one.")] = False,
    log: Annotated[
        str, typer.Option(help="Where metrics are shown, with commas: tensorboard, wandb, trackio; `none` for nowhere.")
    ] = "tensorboard",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a question that recorded answers lack, instead of no advice.")
    ] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_dollars: MaxDollars = None,
) -> None:
    """Train a student; writes a run folder with the student, its scores and a report.

    $WEAN_SETTINGS holds key=value settings for every run of a shell, as far as its method has them; those of the
    command come last.
    """
    from functools import partial

    from rich.console import Console

    from wean.errors import UsageError
    from wean.experiment.runner import Runner, default_folder
    from wean.experiment.settings import resolve
    from wean.llm import Budget
    from wean.llm.options import read_options
    from wean.tasks.registration import short_name

    options = read_options(option or ())
    chosen = {"options": options} if options else {}
    wanted = [*settings_of_shell(method), *(overrides or ())]
    config = resolve(method, short_name(task) if task else None, model, seed, wanted, **chosen)
    folder = out or default_folder(config)
    limits = {"--strict": strict, "--max-calls": max_calls, "--max-tokens": max_tokens, "--max-dollars": max_dollars}
    if (given := [name for name, value in limits.items() if value not in (None, False)]) and not config.method.teaches:
        raise UsageError(f"{', '.join(given)}: {method} asks no language model; leave that out")
    budget = Budget(calls=max_calls, tokens=max_tokens, dollars=max_dollars)
    with showing() as shown:
        summary = Runner(
            config,
            folder,
            resume=resume,
            log="" if log == "none" else log,
            progress=partial(show, shown),
            say=lambda note: shown.say(f"note: {note}"),
            strict=strict,
            budget=budget,
        ).run()
    _print_summary(Console(), summary, folder)


def settings_of_shell(method: str) -> list[str]:
    """The settings in $WEAN_SETTINGS that a method has."""
    import os
    import shlex

    from wean.experiment.settings import setting_keys

    wanted, known = shlex.split(os.environ.get("WEAN_SETTINGS", "")), setting_keys(method)
    return [item for item in wanted if item.partition("=")[0] in known]


def show(shown: Shown, progress: Progress) -> None:
    """Shows how far a run has come, in its own unit."""
    from wean.report.run_files import UNITS

    told = {
        "success": "success {:.3f}",
        "return": "return {:.3f}",
        "loss": "loss {:.3f}",
        "exact": "exact answers {:.3f}",
    }
    note = ", ".join(text.format(progress.metrics[name]) for name, text in told.items() if name in progress.metrics)
    shown.show(progress.doing, progress.done, progress.total, UNITS[progress.unit], note)


def _print_summary(console: Console, summary: dict[str, Any], folder: Path) -> None:
    if "coverage" in summary:
        lines = _distilled(summary)
    else:
        lines = _played(console, summary) if "final" in summary else _fine_tuned(summary)
    for name, file in (("report", "report.html"), ("student", "student")):
        lines.append(f"{name:8} {folder / file}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _played(console: Console, summary: dict[str, Any]) -> list[str]:
    """Prints the table of policies that played the held-out episodes; returns what is said below it."""
    from rich.table import Table

    from wean.report.report import asked_text, other_ways, trained_for
    from wean.report.run_files import warnings

    table = Table(title=f"{summary['method']} on {summary['task']}, seed {summary['seed']}", title_justify="left")
    table.add_column("policy")
    asks, judged = "asking" in summary["final"], summary["final"]["success"] is not None
    measures = [*([("success", 3)] if judged else []), ("return", 3), ("length", 1)]
    for name in (*dict(measures), *(("questions",) if asks else ()), "ms/action"):
        table.add_column(name, justify="right")
    rows = [(result["policy"], result) for result in (summary["final"], *other_ways(summary))]
    for name, result in [*rows, *summary["references"].items()]:
        cells = [_cell(result[key], digits) for key, digits in measures]
        if asks:
            cells.append(_cell(result["asking"]["questions"], 2))
        alone = result["ms_per_action"]
        table.add_row(name, *cells, "" if alone is None else f"{alone:.3f}")
    console.print(table)
    final, llm, advice = summary["final"], summary["llm"], summary["advice"]
    sparingly = ""
    if advice and advice["not_asked"]:
        sparingly = (
            f"{advice['questions']:,} questions by the rule, {advice['advised']:,} of {advice['moments']:,} moments "
            "advised; "
        )
    return [
        *([] if judged else ["The task does not say what success is."]),
        *warnings(summary),
        f"{final['episodes']} held-out episodes from seed {final['seed']}, 95 % intervals. "
        f"{trained_for(summary)} at {summary['steps_per_second']:,.0f} a second; "
        f"{llm['distinct']:,} distinct questions; {asked_text(llm)}; {sparingly}"
        f"{summary['student_bytes'] / 1e6:.2f} MB of weights.",
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
            f"{name} {best[key]:.3f}"
            for name, key in (("actions", "exact_action"), ("sub-goals", "exact_goal"), ("done", "exact_done"))
            if key in best
        )
        lines.append(
            f"best after {best['gradient_steps']:,} of {trained_for(summary)}: {best['exact']:.3f} of the "
            f"answers in {summary['dev_demonstrations']} dev demonstrations exactly right ({kinds})"
        )
    return lines


def _distilled(summary: dict[str, Any]) -> list[str]:
    coverage = summary["coverage"]
    lines = [
        f"{summary['decisions']:,} decisions learnt, {summary['calibration_decisions']:,} for the thresholds, "
        f"{summary['test_decisions']:,} for the test; {summary['student_parameters']:,} parameters"
    ]
    if coverage["agreement"] is not None:
        lines.append(
            f"agreement {coverage['agreement']:.3f}, expected calibration error {coverage['calibration_error']:.3f}"
        )
    for row in coverage["levels"]:
        agreed = row["agreement"]
        there = "" if agreed is None else f", where it agrees in {agreed['mean']:.3f} ({agreed['low']:.3f} and up)"
        lines.append(f"wanted agreement {row['wanted']:g}: takes {row['share']:.1%} alone{there}")
    lines += [
        f"kind {name} is not decided alone: {kind['why']}" for name, kind in coverage["kinds"].items() if kind["why"]
    ]
    return lines


def _cell(value: dict[str, float] | None, digits: int) -> str:
    if value is None:
        return "unknown"
    return f"{value['mean']:.{digits}f}\n[dim]{value['low']:.{digits}f} to {value['high']:.{digits}f}[/dim]"
