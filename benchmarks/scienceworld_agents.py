"""Text students on ScienceWorld: with sub-goals, flat, and fed step by step; scores by length, and what training costs.

python benchmarks/scienceworld_agents.py --data demos.parquet --annotations subgoals.jsonl   the whole table
python benchmarks/scienceworld_agents.py --quick          the demonstrations that come with wean, two epochs
python benchmarks/scienceworld_agents.py --from-runs DIR  tabulates what is finished in DIR

Every score is over the first test variations of each task, 100 moves, a spoilt task counting 0. What follows
key=value words goes to every run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from finished_runs import Line, Runs
from reporting import finish, hardware
from training_runs import chosen_lines, options, runs_of
from wean.distilling import Distilling
from wean.evaluation.text_episodes import Setup, play_all
from wean.evaluation.text_scores import cases, summarize
from wean.methods.settings import resolve

NAME, TASK = "scienceworld_agents", "ScienceWorld"
LINES = (
    Line("subgoals", "subgoals", "sub-goals, one sequence a demonstration", (TASK,)),
    Line("subgoals-flat", "subgoals-flat", "flat imitation, same student and feeding", (TASK,)),
    Line("subgoals-step", "subgoals-step", "sub-goals, one prompt a step (the paper's feeding)", (TASK,)),
)
QUICK = ("epochs=2", "hidden=128", "layers=2", "measurements=2")


def main() -> None:
    """Parses, trains and plays what is missing, tabulates."""
    parser = options(__doc__, NAME)
    parser.add_argument("--data", default="scienceworld", help="demonstrations")
    parser.add_argument("--annotations", default="", help="their sub-goals")
    parser.add_argument("--variations", type=int, default=10, help="test variations of each task")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of every run")
    arguments = parser.parse_args()
    finished = runs_of(NAME, arguments)
    lines = chosen_lines(LINES, arguments)
    variations = arguments.variations
    overrides = [f"data={arguments.data}", f"annotations={arguments.annotations}", *arguments.overrides]
    if arguments.quick:
        lines, variations = [line._replace(seeds=1) for line in lines], 1
        overrides += QUICK
    if not arguments.from_runs:
        for seed in range(1, max(line.seeds for line in lines) + 1):
            for line in lines:
                if seed <= line.seeds:
                    out = finished.path(line, TASK, seed)
                    Distilling(resolve(line.method, TASK, seed=seed, overrides=overrides), out, resume=True).run()
                    played(out, variations, arguments.workers)
        played(None, variations, arguments.workers, finished.folder / "random")
    rows = [row for line in lines if (row := tabulated(line, finished, variations))]
    random = finished.folder / "random" / f"test-{variations}.jsonl"
    reference = summarize([json.loads(text) for text in random.read_text().splitlines()]) if random.exists() else None
    results = {"rows": rows, "random": reference, "variations": variations, "same_score": same_score(rows)}
    finish(NAME, hardware("torch", "transformers"), results, markdown(results), arguments.json, arguments.save)


def played(run: Path | None, variations: int, workers: int, out: Path | None = None) -> list[dict[str, Any]]:
    """The episodes of a run's student, or of random valid actions; those that are there are not played again."""
    setup = Setup(TASK, str(run / "student") if run else None)
    file = (out or run or Path()) / f"test-{variations}.jsonl"
    return play_all(setup, cases(TASK, "test", variations), file, workers)


def tabulated(line: Line, finished: Runs, variations: int) -> dict[str, Any] | None:
    """One line: scores of all seeds' episodes, and what training took; None without a finished run."""
    runs = finished.of(TASK, line)
    files = [finished.path(line, TASK, seed) / f"test-{variations}.jsonl" for seed in range(1, line.seeds + 1)]
    seeds = [[json.loads(text) for text in file.read_text().splitlines()] for file in files if file.exists()]
    if not runs or not seeds:
        return None
    return {
        "method": line.name,
        "what": line.what,
        "seeds": len(seeds),
        "scores": summarize([episode for episodes in seeds for episode in episodes]),
        "of_seeds": [summarize(episodes)["overall"]["mean"] for episodes in seeds],
        "parameters": runs[0]["student_parameters"],
        "demonstrations": runs[0]["demonstrations"],
        "tokens": float(np.median([run["tokens"] for run in runs])),
        "seconds": float(np.median([run["seconds"] for run in runs])),
        "flops": float(np.median([run["flops"] for run in runs])),
        "exact": float(np.median([run["best"]["exact"] for run in runs])),
        "curve": runs[0]["curve"],
    }


def same_score(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What both feedings took to the score on dev demonstrations that both reach; None without both."""
    curves = {row["method"]: row["curve"] for row in rows if row["method"] in ("subgoals", "subgoals-step")}
    if len(curves) < 2:
        return None
    level = min(max(point["exact"] for point in curve) for curve in curves.values())
    first = {name: next(point for point in curve if point["exact"] >= level) for name, curve in curves.items()}
    costs = ("tokens", "seconds", "flops")
    return {"exact": level} | {name: {cost: point[cost] for cost in costs} for name, point in first.items()}


def markdown(results: dict[str, Any]) -> str:
    """The table for people."""
    text = "| student | seeds | overall | short | medium | long | solved | ms/action | training |\n"
    text += "|---|---|---|---|---|---|---|---|---|\n"
    rows = [(row["what"], row["seeds"], row["scores"], f"{row['seconds']:,.0f} s, {row['flops']:.1e} FLOPs")
            for row in results["rows"]]  # fmt: skip
    if results["random"]:
        rows.append(("random valid actions", "", results["random"], ""))
    for what, seeds, scores, training in rows:
        groups = [
            cell(scores["groups"][name]) if name in scores["groups"] else "" for name in ("short", "medium", "long")
        ]
        text += f"| {what} | {seeds} | {cell(scores['overall'])} | {' | '.join(groups)} | "
        text += f"{100 * scores['solved']:.0f} % | {scores['ms_per_action']:.1f} | {training} |\n"
    if found := results["same_score"]:
        one, other = found["subgoals"], found["subgoals-step"]
        text += (
            f"\nTo {100 * found['exact']:.1f} % of the dev answers right: one sequence {one['flops']:.1e} FLOPs and "
            f"{one['seconds']:,.0f} s, one prompt a step {other['flops']:.1e} FLOPs and {other['seconds']:,.0f} s.\n"
        )
    return text


def cell(value: dict[str, float]) -> str:
    """A score with its interval."""
    return f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


if __name__ == "__main__":
    main()
