"""`wean eval` of text students: many variations of tasks in words, kept one by one, and a page to step through."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

import typer

from wean.agents.subgoal_source import Drawn

WHO = ("random", "oracle", "llm-agent")
GOALS = ("student", "oracle", *get_args(Drawn))


def evaluate_text(
    who: str,
    task: str,
    *,
    split: str,
    variations: int,
    only: str | None,
    goals: str,
    others: list[str],
    data: str | None,
    annotations: Path | None,
    max_moves: int,
    model: str | None,
    history: int,
    temperature: float | None,
    strict: bool,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Plays the variations and prints scores; goes on where a stopped evaluation was."""
    import json
    import re
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import Progress

    from wean.errors import UsageError
    from wean.evaluation.text_episodes import Setup, play_all
    from wean.evaluation.text_scores import SCHEMA, cases, summarize
    from wean.lm.identity import identity_of
    from wean.report.pages import write_timeline
    from wean.students.text.ensemble import load_together

    if goals not in GOALS:
        raise UsageError(f"--goals is one of {', '.join(GOALS)}, not {goals!r}")
    if others and who in WHO:
        raise UsageError(f"--with is for a student's run; {who} is none")
    students = [] if who in WHO else [Path(run) / "student" for run in (who, *others)]
    habits = load_together(students)[0].habits if students else None
    if goals != "student" and (habits is None or not habits.subgoals):
        raise UsageError(f"--goals={goals} is for a student that learnt sub-goals; {who} did not")
    wanted = cases(task, split, variations, [name.strip() for name in only.split(",")] if only else [])
    setup = Setup(task, tuple(map(str, students)), max_moves)
    if who == "llm-agent":
        if model is None:
            raise UsageError("name the language model with --model, e.g. openai:NAME or recorded:FILE")
        setup = replace(setup, model=model, history=history or 10, temperature=temperature, strict=strict)
    if who == "oracle" or goals != "student":
        setup = _with_demonstrations(setup, wanted, who, goals, data, annotations)
    name = f"{task}-{split}-{variations}-{max_moves}" + (f"-{goals}-goals" if goals != "student" else "")
    name += f"-{re.sub(r'[^A-Za-z0-9.]+', '-', model)}" if who == "llm-agent" and model else ""
    # A student that was trained anew plays anew.
    name += "".join(f"-{identity_of(student).rpartition(':')[2][:8]}" for student in students)
    folder = out or (Path(who) if students else Path("runs") / who) / "evaluations" / name
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("playing", total=len(wanted))
        lines = play_all(
            setup,
            wanted,
            folder / "episodes.jsonl",
            workers,
            lambda done: progress.update(bar, completed=done),
        )
    result = {
        "schema": SCHEMA,
        "who": who,
        "goals": goals,
        **({"with": others} if others else {}),
        **({"subgoals": habits.subgoals} if habits else {}),
        "task": task,
        "split": split,
        "variations": variations,
        "max_moves": max_moves,
        **({"model": model} if who == "llm-agent" else {}),
        **summarize(lines),
    }
    (folder / "scores.json").write_text(json.dumps(result, indent=1) + "\n")
    page = write_timeline(folder / "timeline.html", result, lines)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result, page)


def _with_demonstrations(
    setup: Any, wanted: Any, who: str, goals: str, data: str | None, annotations: Path | None
) -> Any:
    """Gives the oracle its actions, or a student the sub-goals of demonstrations."""
    from dataclasses import replace

    from wean.data.shipped import demonstrations
    from wean.errors import UsageError

    if data is None:
        raise UsageError("name demonstrations of these variations with --data FILE (and --annotations for sub-goals)")
    trajectories, known = demonstrations(data, None if who == "oracle" else annotations)
    if who == "oracle":
        return replace(setup, actions={one.key: one.actions for one in trajectories})
    if not known:
        raise UsageError(f"{data} has no sub-goals; name their file with --annotations")
    named = {key: tuple(str(chunk.subgoal) for chunk in one.chunks) for key, one in known.items()}
    if goals != "oracle" and who != "oracle":
        pool = tuple(sorted({goal for of_one in named.values() for goal in of_one}))
        return replace(setup, pool=pool, drawn=cast(Drawn, goals))
    lacking = sum((case.task, case.variation) not in named for case in wanted)
    if lacking:
        raise UsageError(f"{lacking} of {len(wanted)} variations have no sub-goals in {data}; annotate those too")
    return replace(setup, goals=named)


def _print(result: dict[str, Any], page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from wean.evaluation.text_scores import interval_text, questions_text

    table = Table(title=f"{result['who']} on {result['task']} ({result['split']})", title_justify="left")
    for column in ("", "score", "95 % interval", "n"):
        table.add_column(column, justify="left" if not column else "right")
    rows = [("overall", result["overall"], f"{len(result['tasks'])} tasks")]
    rows += [(name, group, f"{group['tasks']} tasks") for name, group in result["groups"].items()]
    rows += [(name, task, str(task["episodes"])) for name, task in result["tasks"].items()]
    for name, value, count in rows:
        table.add_row(name, f"{value['mean']:.1f}", interval_text(value), count)
    console = Console()
    console.print(table)
    console.print(
        f"{result['episodes']} episodes, {100 * result['solved']:.1f} % solved, {result['actions']:.1f} actions and "
        f"{result['moves']:.1f} moves each; {result['ms_per_action']:.1f} ms an action, {questions_text(result)}; "
        f"{100 * result['matched']:.1f} % of the actions matched to the admissible ones, "
        f"{result['loops']:.2f} loops an episode.",
        highlight=False,
    )
    console.print(f"timeline  {page}", highlight=False, soft_wrap=True)
