"""LLM4Teach on the door-key rooms: the method, its baselines and its ablations, over seeds.

    python benchmarks/llm4teach.py                  the whole table (about an hour on two idle cores)
    python benchmarks/llm4teach.py --quick          SimpleDoorKey, three methods, two seeds
    python benchmarks/llm4teach.py --from-runs DIR  tabulates the finished runs of DIR

Every run is a run folder under --runs; finished ones are kept, so a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reporting import finish, hardware
from wean.evaluation.statistics import bootstrap_mean, median_steps, steps_to, wilson
from wean.methods.presets import METHODS
from wean.methods.settings import resolve
from wean.training import Training

NAME = "llm4teach"
TASKS = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")


class Variant(NamedTuple):
    """One line of the table: a preset, or a preset with one thing changed."""

    name: str
    method: str
    what: str
    seeds: int = 3
    overrides: tuple[str, ...] = ()
    tasks: tuple[str, ...] = TASKS


CONSTANT = ("teacher.kind=constant", "teacher.start=1.0")
VARIANTS = (
    Variant("llm4teach", "llm4teach", "soft advice, annealed", seeds=5),
    Variant("ppo", "ppo", "teacher weight zero"),
    Variant("bc", "bc", "copies the teacher at work, as many labels"),
    Variant("dagger", "dagger", "the student acts, the teacher labels, as many labels"),
    Variant("llm4teach-argmax", "llm4teach", "only the most probable action", overrides=("advice.mode=argmax",)),
    Variant("llm4teach-constant", "llm4teach", "weight 1 throughout: no annealing", overrides=CONSTANT),
    Variant(
        "llm4teach-sampled", "llm4teach", "one drawn plan a step", overrides=("advice.mode=sampled",), tasks=TASKS[:1]
    ),
    Variant("kickstarting", "kickstarting", "one drawn plan a step, weight from 1", tasks=TASKS[:1]),
)
QUICK = ("llm4teach", "ppo", "dagger")


def train(task: str, variant: Variant, seed: int, folder: Path) -> str:
    """Trains one run to its end, or finds it finished; runs in a worker process."""
    overrides = [*variant.overrides, "evaluation.recorded_episodes=0"]
    Training(resolve(variant.method, task, seed=seed, overrides=overrides), folder, resume=True).run()
    return folder.name


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller real measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--runs", type=Path, default=Path("runs/llm4teach"), help="where the run folders go")
    parser.add_argument("--from-runs", type=Path, help="tabulate these runs and train nothing")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--only", action="append", help="only these lines of the table")
    arguments = parser.parse_args()
    folder = arguments.from_runs or arguments.runs
    chosen = [variant for variant in VARIANTS if not arguments.only or variant.name in arguments.only]
    tasks: tuple[str, ...] = TASKS
    if arguments.quick:
        chosen, tasks = [variant._replace(seeds=2) for variant in chosen if variant.name in QUICK], TASKS[:1]
    # The method itself first, then seed by seed: a benchmark that is stopped early has whole tables of fewer seeds.
    jobs = [
        (task, variant, seed, folder / f"{variant.name}-{task}-{seed}")
        for first in (True, False)
        for seed in range(1, 6)
        for variant in chosen
        for task in tasks
        if (variant.name == NAME) is first and seed <= variant.seeds and task in variant.tasks
    ]
    if not arguments.from_runs:
        with ProcessPoolExecutor(arguments.workers) as pool:
            waiting = [pool.submit(train, *job) for job in jobs]
            for done, future in enumerate(as_completed(waiting), 1):
                print(f"[{done}/{len(jobs)}] {future.result()}", file=sys.stderr, flush=True)
    rows = [tabulate(task, variant, folder) for task in tasks for variant in chosen if task in variant.tasks]
    rows += references(tasks, folder)
    results = {"rows": [row for row in rows if row], "curves": curves(tasks, chosen, folder)}
    finish(NAME, hardware("torch", "minigrid"), results, markdown(results["rows"]), arguments.json, arguments.save)


def summaries(task: str, variant: Variant, folder: Path) -> list[dict[str, Any]]:
    """The summaries of a line's finished runs, by seed."""
    found = []
    for seed in range(1, variant.seeds + 1):
        path = folder / f"{variant.name}-{task}-{seed}" / "summary.json"
        if path.exists():
            found.append(json.loads(path.read_text()))
    return found


def tabulate(task: str, variant: Variant, folder: Path) -> dict[str, Any] | None:
    """One line of the table: episodes of all seeds pooled, and the mean over seeds."""
    runs = summaries(task, variant, folder)
    if not runs:
        return None
    row: dict[str, Any] = {"task": task, "method": variant.name, "what": variant.what, "seeds": len(runs)}
    for acting in ("sampled", "greedy"):
        evals = [run["final"] if run["acting"] == acting else run["final_other"] for run in runs]
        episodes = sum(e["episodes"] for e in evals)
        row[acting] = {
            "success": wilson(round(sum(e["success"]["mean"] * e["episodes"] for e in evals)), episodes).as_dict(),
            "success_over_seeds": bootstrap_mean([e["success"]["mean"] for e in evals]).as_dict(),
            "length": bootstrap_mean([e["length"]["mean"] for e in evals]).as_dict(),
            "episodes": episodes,
        }
    speed = median_steps([steps_to(run["curve"], 0.9) for run in runs])
    row["steps_to_0.9"] = {"median": speed.median, "reached": speed.reached, "runs": len(runs)}
    row["env_steps"] = runs[0]["env_steps"]
    row["steps_per_second"] = float(np.median([run["steps_per_second"] for run in runs]))
    row["distinct_questions"] = max(run["llm"]["distinct"] for run in runs)
    row["asked_live"] = sum(run["llm"]["asked"] for run in runs)
    row["expected"] = METHODS[variant.method].expected.get(task) if variant.name in METHODS else None
    return row


def references(tasks: tuple[str, ...], folder: Path) -> list[dict[str, Any] | None]:
    """The teacher alone and random skills, which every taught run evaluates on the same episodes."""
    rows: list[dict[str, Any] | None] = []
    for task in tasks:
        runs = summaries(task, VARIANTS[0], folder)
        for name, found in (runs[0]["references"] if runs else {}).items():
            what = "the recorded answers through the skills" if name == "teacher" else "random plans through the skills"
            row = {"task": task, "method": name, "what": what, "seeds": None, "sampled": {}}
            row["sampled"] = {"success": found["success"], "length": found["length"], "episodes": found["episodes"]}
            rows.append(row)
    return rows


def curves(tasks: tuple[str, ...], variants: list[Variant], folder: Path) -> dict[str, Any]:
    """Success over environment steps: the mean of the seeds at each point."""
    found: dict[str, Any] = {}
    for task in tasks:
        for variant in variants:
            points: dict[int, list[float]] = defaultdict(list)
            for run in summaries(task, variant, folder):
                for point in run["curve"]:
                    points[point["env_steps"]].append(point["success"])
            if points:
                found[f"{task}/{variant.name}"] = [[steps, float(np.mean(points[steps]))] for steps in sorted(points)]
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for people."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        lines += [
            f"### {task}",
            "",
            "| who acts | success, sampled | length | success, greedy | steps to 0.9 | steps | seeds |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in (row for row in rows if row["task"] == task):
            greedy = _interval(row["greedy"]["success"]) if "greedy" in row else ""
            speed = row.get("steps_to_0.9")
            reached = "" if not speed else _steps(speed)
            steps = f"{row['env_steps']:,}" if "env_steps" in row else ""
            lines.append(
                f"| {row['method']}: {row['what']} | {_interval(row['sampled']['success'])} "
                f"| {row['sampled']['length']['mean']:.1f} | {greedy} | {reached} | {steps} | {row['seeds'] or ''} |"
            )
        lines.append("")
    return "\n".join(lines)


def _interval(value: dict[str, float]) -> str:
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _steps(speed: dict[str, Any]) -> str:
    if speed["median"] is None:
        return f"not reached ({speed['reached']} of {speed['runs']})"
    return f"{speed['median']:,.0f} ({speed['reached']} of {speed['runs']})"


if __name__ == "__main__":
    main()
