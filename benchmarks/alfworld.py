"""What a prior saves in ALFWorld by skills: Pick and Examine, trained on its training games, judged in unseen rooms.

python benchmarks/alfworld.py                  the whole tables (hours on two idle cores)
python benchmarks/alfworld.py --quick          Pick, one seed, fewer steps
python benchmarks/alfworld.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs, recorded episodes to runs/alfworld-demos. Each student plays every game of valid_unseen once,
greedily, in at most 50 moves, and so do the prior alone and random skills. Differences are paired by game: of each game
the mean over seeds, with a bootstrap over games.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import wean
from harness import finish
from prior_tables import markdown, row
from runs import Line, Runs, chosen_lines, runs_of, train_all, training_options
from tables import curves, interval
from wean.agents.policy import Policy
from wean.agents.references import PriorPolicy
from wean.errors import UsageError
from wean.evaluation.statistics import bootstrap_mean, paired_difference
from wean.experiment.settings import resolve
from wean.tasks.registration import recording_of
from wean.tasks.splits import FINAL_SEED
from wean.teachers.priors import Prior

NAME = "alfworld"
GAMES = {"ALFWorldPickSkills": 24, "ALFWorldExamineSkills": 18}
TASKS = tuple(GAMES)
DEMOS = Path(__file__).resolve().parents[1] / "runs" / "alfworld-demos"
EPISODES = 300
SIZES = (3, 10, 30, 100)
OFFLINE_METHODS = ("cql", "cql-prior", "offline-bc")
THRESHOLD = 0.9

ONLINE = tuple(
    Line(name, name, what, TASKS, seeds=5)
    for name, what in (("dqn", "double DQN"), ("dqn-prior", "DQN among the proposals"))
)
OFFLINE = tuple(
    Line(f"{method}-{size}", method, f"{size} episodes", (task,), 5, (f"data={DEMOS}/{task}.parquet", share))
    for task in TASKS
    for method in OFFLINE_METHODS
    for size in SIZES
    for share in (f"share={size / EPISODES}",)
)
QUICK = tuple(
    line._replace(tasks=TASKS[:1], seeds=1, overrides=(*line.overrides, *more))
    for line, more in (*((line, ("total_timesteps=5000",)) for line in ONLINE), *((line, ()) for line in OFFLINE))
    if line in ONLINE or (line.name.endswith("-10") and line.tasks == TASKS[:1])
)
PAIRS = (
    ("dqn-prior", "dqn"),
    ("dqn-prior", "prior"),
    *((f"cql-prior-{size}", f"{other}-{size}") for other in ("cql", "offline-bc") for size in SIZES),
    *((f"cql-prior-{size}", "prior") for size in SIZES),
)
WHAT = ("success", "length")
COLUMNS = "who acts | success | moves | seeds"

Won = dict[str, list[float]]
"""Of each game, in the order of their seeds, the means over seeds: `success` and `length`."""


def make_demos(task: str) -> None:
    """Records episodes of training games through `wean demos`, three of four successful, unless they are there."""
    file = DEMOS / f"{task}.parquet"
    if not file.exists():
        command = f"demos {task} --policy expert --epsilon 0.7 --episodes {EPISODES} --successful 0.75 --out {file}"
        subprocess.run([sys.executable, "-m", "wean", *command.split(), "--resume"], check=True, stdout=sys.stderr)


def played(task: str, policies: Sequence[Policy | str | Callable[[], Policy]]) -> Won:
    """Plays every unseen game once with each of some policies."""
    found = [wean.evaluate(policy, task, GAMES[task], FINAL_SEED).episodes for policy in policies]
    return {
        "success": np.mean([one.successes for one in found], 0).tolist(),
        "length": np.mean([one.lengths for one in found], 0).tolist(),
    }


def prior_of(task: str, model: str) -> PriorPolicy:
    """The prior alone, asked as `dqn-prior` asks it."""
    return PriorPolicy(Prior(model, resolve("dqn-prior", task, model).prior))


def games_of(task: str, lines: Sequence[Line], finished: Runs, model: str) -> dict[str, Won]:
    """Who won which game: the students of each line, the prior alone, random skills; saved ones where runs are gone."""
    found: dict[str, Won] = dict(finished.saved.get("games", {}).get(task, {}))
    for line in lines:
        folders = [finished.path(line, task, seed) for seed in line.training_seeds]
        there = [folder for folder in folders if (folder / "summary.json").exists()]
        if there and task in line.tasks:
            found[line.name] = {
                **played(task, [wean.load(folder) for folder in there]),
                "seeds": [len(there)],
            }
    found.setdefault("prior", played(task, [prior_of(task, model)]))
    found.setdefault("random", played(task, ["random"]))
    return found


def differences(games: dict[str, Won]) -> list[dict[str, Any]]:
    """The pairs of a task, first minus second, by game."""
    return [
        {
            "first": first,
            "second": second,
            **{what: paired_difference(games[first][what], games[second][what]).as_dict() for what in WHAT},
        }
        for first, second in PAIRS
        if first in games and second in games
    ]


def cells_of(found: dict[str, Any]) -> list[str]:
    """Success and moves with their intervals."""
    moves = found["length"]
    return [interval(found["success"]), f"{moves['mean']:.1f} ({moves['low']:.1f} to {moves['high']:.1f})"]


def told(games: dict[str, Won], pairs: Sequence[dict[str, Any]]) -> str:
    """The tables of a task for people."""
    lines = [f"| {COLUMNS} |", "|" + "---|" * (COLUMNS.count("|") + 1)]
    for name, won in games.items():
        cells = cells_of({what: bootstrap_mean(won[what]).as_dict() for what in WHAT})
        lines.append(f"| {name} | {' | '.join(cells)} | {int(won['seeds'][0]) if 'seeds' in won else ''} |")
    lines += ["", "| paired by game | success | moves |", "|---|---|---|"]
    for pair in pairs:
        lines.append(f"| {pair['first']} minus {pair['second']} | {' | '.join(cells_of(pair))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parses, trains what is missing, plays the unseen games, tabulates."""
    parser = training_options(__doc__, NAME)
    parser.add_argument("--model", help="the prior's language model; recorded answers unless named")
    arguments = parser.parse_args()
    try:
        model = arguments.model or recording_of(TASKS[0])
    except UsageError as error:
        parser.exit(2, f"{error}\n")
    chosen = chosen_lines(QUICK if arguments.quick else (*ONLINE, *OFFLINE), arguments)
    lines = [line._replace(model=model) if line.method.endswith("-prior") else line for line in chosen]
    finished = runs_of(NAME, arguments)
    tasks = list(dict.fromkeys(task for line in lines for task in line.tasks))
    if not arguments.from_runs:
        for task in dict.fromkeys(task for line in lines if line.method in OFFLINE_METHODS for task in line.tasks):
            make_demos(task)
        train_all(lines, finished, arguments.workers)
    if arguments.save:
        finished.keep(lines)
    results: dict[str, Any] = {"rows": [], "games": {}, "paired": {}, "curves": curves(lines, finished)}
    text = ""
    for task in tasks:
        online = [line for line in lines if line.method in ("dqn", "dqn-prior") and task in line.tasks]
        rows = [one for line in online if (one := row(task, line, finished, THRESHOLD))]
        games = games_of(task, lines, finished, model)
        pairs = differences(games)
        results["rows"] += rows
        results["games"][task], results["paired"][task] = games, pairs
        text += f"## {task}\n\n{markdown(rows, 'moves')}\n{told(games, pairs)}\n"
    finish(NAME, finished.hardware("torch", "gymnasium"), results, text, arguments)


if __name__ == "__main__":
    main()
