"""`wean train`: one run from a preset's name to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def train(
    method: Annotated[str, typer.Argument(help="A preset; `wean list methods` shows them.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings; `wean list settings` shows them."),
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
    from rich.console import Console

    from wean.algorithms.finetune import FinetuneConfig
    from wean.algorithms.offline import OfflineConfig
    from wean.experiment.runner import Training
    from wean.experiment.settings import resolve
    from wean.llm import Budget
    from wean.tasks.registration import short_name

    config = resolve(method, short_name(task) if task else None, model, seed, overrides or ())
    folder = out or Path("runs") / f"{config.method}-{config.task.split('/')[-1].removesuffix('-v0')}-{seed}"
    budget = Budget(calls=max_calls, tokens=max_tokens, dollars=max_dollars)
    console = Console(stderr=True)
    if isinstance(config.algorithm, FinetuneConfig):
        from wean.cli.train_text import distill

        distill(config, folder, resume, console)
        return
    algorithm = config.algorithm
    total = algorithm.gradient_steps if isinstance(algorithm, OfflineConfig) else algorithm.total_timesteps
    with _Progress(console, total) as progress:
        training = Training(
            config,
            folder,
            resume=resume,
            strict=strict,
            budget=budget,
            progress=progress.update,
            say=lambda note: console.print(f"note: {note}", highlight=False, soft_wrap=True),
        )
        summary = training.run()
    _print_summary(Console(), summary, folder)


class _Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=total, note="")

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, env_steps: int, metrics: dict[str, float]) -> None:
        """Moves the bar."""
        note = f"success {metrics['success']:.2f}" if "success" in metrics else ""
        self._bar.update(self._task, completed=env_steps, note=note)


def _print_summary(console: Console, summary: dict[str, Any], folder: Path) -> None:
    from rich.table import Table

    from wean.report.card import other_ways

    table = Table(title=f"{summary['method']} on {summary['task']}, seed {summary['seed']}", title_justify="left")
    table.add_column("who acts")
    asks = "asking" in summary["final"]
    for name in ("success", "return", "length", *(("questions",) if asks else ()), "ms/action"):
        table.add_column(name, justify="right")
    rows = [(result["policy"], result) for result in (summary["final"], *other_ways(summary))]
    for name, result in [*rows, *summary["references"].items()]:
        cells = [_cell(result[key], digits) for key, digits in (("success", 3), ("return", 3), ("length", 1))]
        if asks:
            cells.append(_cell(result["asking"]["questions"], 2))
        table.add_row(name, *cells, f"{result['ms_per_action']:.3f}")
    llm = summary["llm"]
    console.print(table)
    final = summary["final"]
    console.print(
        f"{final['episodes']} held-out episodes from seed {final['seed']}, 95 % intervals. "
        f"{summary['env_steps']:,} steps at {summary['steps_per_second']:,.0f} a second; "
        f"{llm['distinct']} distinct questions, {llm['asked']} asked live; "
        f"{_advice(summary['advice'])}"
        f"{summary['student_bytes'] / 1e6:.2f} MB of weights.",
        highlight=False,
    )
    console.print(f"report   {folder / 'report.html'}", highlight=False, soft_wrap=True)
    console.print(f"student  {folder / 'student'}", highlight=False, soft_wrap=True)


def _advice(counts: dict[str, Any]) -> str:
    """How sparingly the teacher was asked, where it was not asked at every moment."""
    if not counts or not counts["not_asked"]:
        return ""
    return (
        f"{counts['questions']:,} questions by the rule, {counts['advised']:,} of {counts['moments']:,} moments "
        "advised; "
    )


def _cell(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f}\n[dim]{value['low']:.{digits}f} to {value['high']:.{digits}f}[/dim]"
