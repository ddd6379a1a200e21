"""What benchmarks that train presets share: runs over seeds side by side, and the table and curves that come of them.

Every run is a run folder; finished ones are kept, so a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from finished_runs import Line, Runs
from reporting import finish, hardware
from wean.evaluation.statistics import bootstrap_mean, median_steps, steps_to, wilson
from wean.experiment.presets import METHODS
from wean.experiment.runner import Runner

More = Callable[[str], list[dict[str, Any]]]


def options(doc: str | None, name: str) -> argparse.ArgumentParser:
    """The command line of a benchmark that trains."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller real measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--runs", type=Path, default=Path("runs") / name, help="where the run folders go")
    parser.add_argument("--from-runs", type=Path, help="tabulate these runs and those kept, train nothing")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--only", action="append", help="only these lines of the table")
    parser.add_argument("--task", action="append", help="only these tasks")
    parser.add_argument("--seeds", type=int, help="at most so many seeds a line")
    return parser


def trained(
    name: str, doc: str | None, lines: Sequence[Line], quick: Sequence[Line]
) -> tuple[list[Line], Runs, argparse.Namespace]:
    """Parses the command line and trains what is missing.

    Args:
        name: The benchmark's.
        doc: Its help.
        lines: The benchmark's lines.
        quick: Its lines with --quick.

    Returns:
        The lines that are to be tabulated, their runs, and the parsed command line.
    """
    arguments = options(doc, name).parse_args()
    chosen = chosen_lines(quick if arguments.quick else lines, arguments)
    runs = runs_of(name, arguments)
    if not arguments.from_runs:
        train_all(chosen, runs, arguments.workers)
    if arguments.save:
        runs.keep(chosen)
    return chosen, runs, arguments


def runs_of(name: str, arguments: argparse.Namespace, episodes: str | None = None) -> Runs:
    """The runs that the command line names; `episodes` as in `Runs`."""
    folder, with_kept = arguments.from_runs or arguments.runs, arguments.from_runs is not None
    return Runs(name, folder, with_kept, episodes=episodes)


def chosen_lines(lines: Sequence[Line], arguments: argparse.Namespace) -> list[Line]:
    """The lines and tasks that the command line names, with as many seeds as it allows."""
    chosen = []
    for line in lines:
        tasks = tuple(task for task in line.tasks if not arguments.task or task in arguments.task)
        if tasks and (not arguments.only or line.name in arguments.only):
            chosen.append(line._replace(tasks=tasks, seeds=min(line.seeds, arguments.seeds or line.seeds)))
    if not chosen:
        raise SystemExit("no line of the table is left; see --help for --only and --task")
    return chosen


def train(task: str, line: Line, seed: int, out: Path) -> str:
    """Trains one run to its end, or finds it finished; runs in a worker process."""
    Runner(line.config(task, seed), out, resume=True).run()
    return out.name


def train_all(lines: Sequence[Line], runs: Runs, workers: int) -> None:
    """Trains what is missing, seed by seed: a benchmark that is stopped early has whole tables of fewer seeds."""
    most = max(line.seeds for line in lines)
    jobs = [
        (task, line, seed, runs.path(line, task, seed))
        for seed in range(1, most + 1)
        for line in lines
        for task in line.tasks
        if seed <= line.seeds
    ]
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(train, *job) for job in jobs]
        for done, future in enumerate(as_completed(waiting), 1):
            print(f"[{done}/{len(jobs)}] {future.result()}", file=sys.stderr, flush=True)


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
    return runs.with_saved(rows, "rows")


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
    finish(name, hardware("torch", "minigrid"), results, markdown(rows), arguments.json, arguments.save)


def curves(lines: Sequence[Line], finished: Runs) -> dict[str, Any]:
    """Success over environment steps by `task/line`: the mean of the seeds at each point."""
    found: dict[str, Any] = dict(finished.saved.get("curves", {}))
    for line in lines:
        for task in line.tasks:
            points: dict[int, list[float]] = defaultdict(list)
            for run in finished.of(task, line):
                for point in run["curve"]:
                    points[point["env_steps"]].append(point["success"])
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
                cells += [
                    tokens(row),
                    f"{row['seconds']:.0f}",
                    str(row["seeds"]),
                ]
            else:
                asking = row.get("asking", {})
                told = [f"{asking[part]['mean']:,.1f} an episode" if asking else "" for part in ("questions", "tokens")]
                cells += ["", "", *told, "", ""]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def tokens(row: dict[str, Any]) -> str:
    """Tokens asked live; answers that were replayed, e.g. recorded ones, cost none."""
    return f"{row['tokens']:,}" if row["asked_live"] or not row["distinct_questions"] else "replayed"


def interval(value: dict[str, float]) -> str:
    """Writes `0.950 (0.930 to 0.965)`."""
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def reached(speed: dict[str, Any]) -> str:
    """Writes the median steps to a threshold and how many runs reached it."""
    if speed["median"] is None:
        return f"not reached ({speed['reached']} of {speed['runs']})"
    return f"{speed['median']:,.0f} ({speed['reached']} of {speed['runs']})"
