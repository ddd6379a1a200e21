"""Tables of success in held-out episodes, over seeds, and learning curves; what most benchmarks that train share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness import finish
from runs import Line, Runs, trained
from wean.evaluation.statistics import bootstrap_mean, median_steps, steps_to, wilson
from wean.experiment.presets import METHODS

More = Callable[[str], list[dict[str, Any]]]


def tabulate(task: str, line: Line, finished: Runs) -> dict[str, Any] | None:
    """One line on one task: episodes of all seeds pooled, and the mean over seeds; None without a finished run."""
    runs = finished.of(task, line)
    if not runs:
        return None
    row: dict[str, Any] = {"task": task, "method": line.name, "what": line.what, "seeds": len(runs)}
    for acting in ("sampled", "greedy", "no_repeat"):
        evals = [found for run in runs if (found := acted(run, acting))]
        if not evals:
            continue
        episodes = sum(e["episodes"] for e in evals)
        row[acting] = {
            "success": wilson(round(sum(e["success"]["mean"] * e["episodes"] for e in evals)), episodes).as_dict(),
            "success_over_seeds": bootstrap_mean([e["success"]["mean"] for e in evals]).as_dict(),
            "length": bootstrap_mean([e["length"]["mean"] for e in evals]).as_dict(),
            "episodes": episodes,
        }
    row["acting"] = runs[0]["acting"]
    speed = median_steps([steps_to(run["curve"], 0.9) for run in runs])
    row["steps_to_0.9"] = {"median": speed.median, "reached": speed.reached, "runs": len(runs)}
    row["env_steps"] = runs[0]["env_steps"]
    row["seconds"] = float(np.median([run["env_steps"] / run["steps_per_second"] for run in runs]))
    row["steps_per_second"] = float(np.median([run["steps_per_second"] for run in runs]))
    row["distinct_questions"] = max(run["llm"]["distinct"] for run in runs)
    row["tokens"] = max(run["llm"]["tokens"] for run in runs)
    row["asked_live"] = sum(run["llm"]["asked"] for run in runs)
    row["expected"] = METHODS[line.method].expected.get(task) if line.name == line.method else None
    return row


def acted(run: dict[str, Any], acting: str) -> dict[str, Any] | None:
    """What a run's student reached acting so; None if that was not measured."""
    ways = (run.get(name) for name in ("final", "final_other", "final_no_repeat"))
    return next((way for way in ways if way and way["policy"] == f"student ({acting})"), None)


def references(task: str, line: Line, finished: Runs) -> list[dict[str, Any]]:
    """The teacher alone and random skills, which a taught run evaluates on the same episodes."""
    runs = finished.of(task, line)
    rows = []
    for name, found in (runs[0]["references"] if runs else {}).items():
        what = "the recorded answers through the skills" if name == "teacher" else "random plans through the skills"
        row: dict[str, Any] = {"task": task, "method": name, "what": what, "seeds": None, "acting": "sampled"}
        row["sampled"] = {"success": found["success"], "length": found["length"], "episodes": found["episodes"]}
        rows.append(row)
    return rows


def tables(chosen: Sequence[Line], first: Line, runs: Runs, more: More | None = None) -> list[dict[str, Any]]:
    """The rows of every task: its lines, then the references of the benchmark's `first` line, then `more`."""
    rows = []
    for task in dict.fromkeys(task for line in chosen for task in line.tasks):
        found = [tabulate(task, line, runs) for line in chosen if task in line.tasks]
        rows += [row for row in found if row] + references(task, first, runs) + (more(task) if more else [])
    every = runs.with_saved(rows, "rows")
    tasks = list(dict.fromkeys(row["task"] for row in every))
    place = {line.name: number for number, line in enumerate(chosen)}
    return sorted(
        every,
        key=lambda row: (tasks.index(row["task"]), row["seeds"] is None, place.get(row["method"], len(place))),
    )


def run(name: str, doc: str | None, lines: Sequence[Line], quick: Sequence[Line], more: More | None = None) -> None:
    """A whole benchmark: parses the command line, trains what is missing, tabulates task by task.

    Args:
        name: The benchmark's.
        doc: Its help.
        lines: Its lines; the references are those of the first.
        quick: Its lines with --quick.
        more: Gives further rows of a task, measured anew.
    """
    chosen, runs, arguments = trained(name, doc, lines, quick)
    rows = tables(chosen, lines[0], runs, more)
    results = {"rows": rows, "curves": curves(chosen, runs)}
    finish(name, runs.hardware("torch", "minigrid"), results, markdown(rows), arguments)


def curves(lines: Sequence[Line], finished: Runs) -> dict[str, Any]:
    """Success over progress, in the unit of its runs, by `task/line`: the mean of the seeds at each point."""
    found: dict[str, Any] = dict(finished.saved.get("curves", {}))
    for line in lines:
        for task in line.tasks:
            points: dict[int, list[float]] = defaultdict(list)
            for run in finished.of(task, line):
                for point in run["curve"]:
                    points[point[run["unit"]]].append(point["success"])
            if points:
                found[f"{task}/{line.name}"] = [[steps, float(np.mean(points[steps]))] for steps in sorted(points)]
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for people, one for each task."""
    columns = (
        "success, sampled | length | success, greedy | greedy, no circles | steps to 0.9 | steps | questions | tokens "
        "| seconds | seeds"
    )
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        lines += [f"### {task}", "", f"| who acts | {columns} |", "|" + "---|" * (columns.count("|") + 2)]
        for row in (row for row in rows if row["task"] == task):
            cells = [f"{row['method']}: {row['what']}", interval(row["sampled"]["success"])]
            cells.append(f"{row['sampled']['length']['mean']:.1f}")
            cells += [interval(row[way]["success"]) if way in row else "" for way in ("greedy", "no_repeat")]
            if row["seeds"]:
                cells += [reached(row["steps_to_0.9"]), f"{row['env_steps']:,}", f"{row['distinct_questions']:,}"]
                cells += [tokens(row), f"{row['seconds']:.0f}" if "seconds" in row else "", str(row["seeds"])]
            else:
                asking = row.get("asking", {})
                told = [f"{asking[part]['mean']:,.1f} an episode" if asking else "" for part in ("questions", "tokens")]
                cells += ["", "", *told, "", ""]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def tokens(row: dict[str, Any]) -> str:
    """Tokens asked live; answers that were replayed, e.g. recorded ones, cost none."""
    return f"{row.get('tokens', 0):,}" if row["asked_live"] or not row["distinct_questions"] else "replayed"


def interval(value: dict[str, float]) -> str:
    """Writes `0.950 (0.930 to 0.965)`."""
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def reached(speed: dict[str, Any]) -> str:
    """Writes the median steps to a threshold and how many runs reached it."""
    if speed["median"] is None:
        return f"not reached ({speed['reached']} of {speed['runs']})"
    return f"{speed['median']:,.0f} ({speed['reached']} of {speed['runs']})"
