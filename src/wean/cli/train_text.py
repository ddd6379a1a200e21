"""`wean train subgoals`: progress and what is printed of a run of sub-goal distillation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from wean.experiment.settings import RunConfig


def distill(config: RunConfig, folder: Path, resume: bool, console: Console) -> None:
    """Trains a text student with a bar on a terminal, and prints what came of it."""
    from rich.console import Console as Printed
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from wean.algorithms.finetune import FinetuneConfig
    from wean.experiment.finetuning import Distilling

    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total} epochs"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    assert isinstance(config.algorithm, FinetuneConfig)
    shown = bar.add_task("training", total=config.algorithm.epochs, note="")

    def update(done: float, metrics: dict[str, float]) -> None:
        right = f", {100 * metrics['exact']:.1f} % of dev answers right" if "exact" in metrics else ""
        bar.update(shown, completed=done, note=f"loss {metrics['loss']:.3f}{right}")

    def say(note: str) -> None:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)

    with bar:
        summary = Distilling(config, folder, resume=resume, progress=update, say=say).run()
    _print_summary(Printed(), summary, folder)


def _print_summary(console: Console, summary: dict[str, Any], folder: Path) -> None:
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
            f"best after {best['updates']:,} of {summary['updates']:,} steps: {100 * best['exact']:.1f} % of the "
            f"answers in {summary['dev_demonstrations']} dev demonstrations exactly right ({kinds})"
        )
    lines.append(f"student  {folder / 'student'}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
