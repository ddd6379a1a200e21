"""`wean ask`: what a teacher answers in the situations of a task."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from wean.tasks.situation import Situation


def ask(
    task: Annotated[str, typer.Argument(help="Short name or registered id of the task.")],
    model: Annotated[str, typer.Option(help="The language model to ask.")] = "recorded:doorkey",
    elicitation: Annotated[
        str, typer.Option(help="How uncertainty is obtained: verbalized, samples, logprobs.")
    ] = "verbalized",
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature; the model's own by default.")] = None,
    episodes: Annotated[
        int, typer.Option(min=1, help="Episodes of random skills whose situations are asked about.")
    ] = 50,
    unanswered: Annotated[
        Path | None, typer.Option(help="Write the questions that a recorded model lacks to this JSONL file.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a question that recorded answers lack.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-ask/1).")] = False,
) -> None:
    """Ask a teacher about every situation that random skills meet in a task."""
    import json

    from wean.evaluation.scores import llm_counts
    from wean.experiment.settings import advice_settings
    from wean.llm import open_model
    from wean.teachers.teacher import Teacher

    advice = advice_settings(elicitation=elicitation, temperature=temperature)
    found = _situations(task, episodes)
    opened = open_model(model, strict=strict)
    teacher = Teacher(opened, advice)
    teacher.advise([situation for situation, count in found.values() for _ in range(count)])
    rows = teacher.table()
    result = {"schema": "wean-ask/1", "task": task, "rows": rows, "llm": llm_counts(opened)}
    if unanswered is not None:
        opened.save_unanswered(unanswered)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)


def _situations(task: str, episodes: int) -> dict[Hashable, tuple[Situation, int]]:
    """Meets situations by playing random skills; returns each with how often it was met."""
    from wean.agents.references import RandomSkillsPolicy
    from wean.evaluation.evaluate import seed_cases
    from wean.evaluation.playing import Observer, play
    from wean.tasks.registration import make_task
    from wean.tasks.vector import SerialTasks, Tasks

    met: dict[Hashable, tuple[Situation, int]] = {}

    class Noting(Observer):
        """Notes every situation on the way."""

        def before(self, tasks: Tasks, which: Sequence[int]) -> None:
            for situation in tasks.situations(which):
                met[situation.key] = situation, met.get(situation.key, (situation, 0))[1] + 1

    tasks = SerialTasks([partial(make_task, task)] * min(50, episodes))
    for _ in play(RandomSkillsPolicy(), tasks, seed_cases(task, episodes, 0), observers=[Noting()]):
        pass
    return met


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

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
    console.print(
        f"{llm['distinct']} distinct questions: {llm['asked']} asked live, {llm['replayed']} replayed, "
        f"{llm['unanswered']} unanswered.",
        highlight=False,
    )
