"""Settings of the methods of the kitchen, lake and room tables, chosen alike for baselines and methods by a small grid.

python benchmarks/baseline_grid.py                  the whole grid (hours on two idle cores)
python benchmarks/baseline_grid.py --quick          CQL and cloning from 300 episodes, two lengths, one seed
python benchmarks/baseline_grid.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. Training seeds from 101 and the episodes of the learning curve (seeds from 5000) decide; the
tables themselves use training seeds from 1 and held-out episodes from 10000, which are not played here. Each setting
has two seeds; on the lake, where luck decides most, three. From recorded episodes and in the rooms the highest success
at the end of training is chosen, the shortest run of those within 0.01 of it, or the preset. In kitchens and on the
lake the fewest steps to the table's threshold are; a run that never reaches it counts in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from frozenlake import optimum
from harness import finish
from kitchen import DEMOS, EPISODES, SIZES, make_demos
from prior_tables import chosen_part
from runs import Line, Runs, chosen_lines, runs_of, train_all, training_options
from wean.evaluation.statistics import iqm, steps_to

NAME = "baseline_grid"
KITCHEN, LAKE = "KitchenRandom", "FrozenLake"
ROOMS = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")
LENGTHS = (100, 300, 1000, 3000)
WITHIN = 0.01  # of the best success: a difference that so few seeds cannot tell
FIRST_SEED = 101
# The held-out episodes of the tables are not looked at.
_BRIEF = ("evaluation.episodes=1",)
_AT_THE_END = (*_BRIEF, "evaluation.curve_points=1", "evaluation.curve_episodes=200")
_VALUES = ("cql_coef=5", "cql_coef=1")
_RATES = ("learning_rate=0.001", "learning_rate=0.0003")
_SOONER = ("exploration.until=0.25", "exploration.until=0.1")


def offline(method: str, changes: Sequence[str]) -> list[Line]:
    """The lines of a method that learns from recorded episodes: every size, length and change."""
    return [
        Line(
            f"{method}-{size}-{steps}-{number}",
            method,
            f"gradient_steps={steps} {change}",
            (KITCHEN,),
            overrides=(*_AT_THE_END, f"data={DEMOS}", f"share={size / EPISODES}", f"gradient_steps={steps}", change),
            seeds=2,
            first_seed=FIRST_SEED,
        )
        for size in SIZES
        for steps in LENGTHS
        for number, change in enumerate(changes)
    ]


def online(
    method: str, task: str, changes: Sequence[str], judged: Sequence[str] = _BRIEF, seeds: int = 2
) -> list[Line]:
    """The lines of a method that plays: its preset, and the preset with something changed."""
    return [
        Line(
            f"{method}-{number}",
            method,
            change,
            (task,),
            overrides=(*judged, *change.split()),
            seeds=seeds,
            first_seed=FIRST_SEED,
        )
        for number, change in enumerate(("", *changes))
    ]


OFFLINE = {method: offline(method, _VALUES) for method in ("cql", "cql-prior")} | {
    "offline-bc": offline("offline-bc", _RATES)
}
DQN_KITCHEN = (
    *_SOONER,
    "learning_rate=0.0005",
    "exploration.until=0.1 learning_rate=0.0005",
    # The best lay at the edge of the above: beyond it, step by step.
    "exploration.until=0.05",
    "exploration.until=0.05 learning_rate=0.0005",
    "exploration.until=0.1 learning_rate=0.00025",
    "exploration.until=0.02 learning_rate=0.0005",
)
DQN_LAKE = (*_SOONER, "exploration.until=0.75", "learning_rate=0.00025", "learning_rate=0.001", "gamma=0.99")
PPO_KITCHEN = (
    "learning_rate=0.0005",
    "learning_rate=0.002",
    "update_epochs=4",
    "ent_coef=0.003",
    "learning_rate=0.00025",
    "learning_rate=0.004",
)
ONLINE = {
    (task, method): online(method, task, changes, seeds=3 if task == LAKE else 2)
    for task, methods, changes in (
        (LAKE, ("dqn", "dqn-prior"), DQN_LAKE),
        (KITCHEN, ("dqn", "dqn-prior"), DQN_KITCHEN),
        (KITCHEN, ("ppo", "ppo-prior"), PPO_KITCHEN),
    )
    for method in methods
}
PPO_ROOMS = ("ent_coef=0.001", "ent_coef=0.03", "learning_rate=0.0003", "gae_lambda=0.99")
BC_ROOMS = ("updates=2000", "updates=20000", "learning_rate=0.0003")
IN_ROOMS = {
    (task, method): online(method, task, changes, _AT_THE_END)
    for task in ROOMS
    for method, changes in (("ppo", PPO_ROOMS), ("bc", BC_ROOMS))
}
LINES = [line for grids in (OFFLINE, ONLINE, IN_ROOMS) for lines in grids.values() for line in lines]
QUICK = ("cql-300-100-0", "cql-300-300-0", "offline-bc-300-100-0", "offline-bc-300-300-0")


def summed_up(line: Line, finished: Runs, threshold: float) -> dict[str, Any] | None:
    """A line of the grid over its seeds; None without a finished run."""
    runs = finished.of(line.tasks[0], line)
    if not runs:
        return None
    unit = runs[0]["unit"]
    ends = [run["curve"][-1]["success"] for run in runs]
    found = [steps_to(run["curve"], threshold, hold=2, unit=unit) for run in runs]
    steps = [run[unit] if value is None else value for run, value in zip(runs, found, strict=True)]
    return {
        "method": line.method,
        "settings": line.what,
        "seeds": len(runs),
        "success": float(np.mean(ends)),
        "successes": ends,
        "steps": iqm(steps).mean,
        "reached": sum(value is not None for value in found),
        unit: runs[0][unit],
    }


def choose(rows: Sequence[dict[str, Any]], by_steps: bool) -> dict[str, Any]:
    """The row whose settings the tables use: the fewest steps, or the highest success and then the shortest run.

    Rows come with the preset first, so that it is kept where nothing tells it from others.
    """
    if by_steps:
        return min(rows, key=lambda row: (row["steps"], -row["success"]))
    best = max(row["success"] for row in rows)
    return min((row for row in rows if row["success"] >= best - WITHIN), key=lambda row: row.get("gradient_steps", 0))


def part(name: str, lines: Sequence[Line], finished: Runs, threshold: float, by_steps: bool) -> dict[str, Any] | None:
    """One table: the rows of the lines that were trained, and which of them is chosen."""
    rows = [row for line in lines if (row := summed_up(line, finished, threshold))]
    if not rows:
        return None
    return {"name": name, "rows": rows, "chosen": choose(rows, by_steps)["settings"], "by_steps": by_steps}


def parts(lines: Sequence[Line], finished: Runs) -> list[dict[str, Any]]:
    """All tables: of the methods that learn from recorded episodes one for each size."""
    wanted = {line.name + line.tasks[0] for line in lines}
    found = []
    for method, grid in OFFLINE.items():
        for size in SIZES:
            of_size = [line for line in grid if line.name.startswith(f"{method}-{size}-")]
            of_size = [line for line in of_size if line.name + KITCHEN in wanted]
            found.append(part(chosen_part(KITCHEN, method, size), of_size, finished, 0.9, False))
    for (task, method), grid in ONLINE.items():
        threshold = 0.9 * (optimum() if task == LAKE else 1.0)
        played = [line for line in grid if line.name + task in wanted]
        found.append(part(chosen_part(task, method), played, finished, threshold, True))
    for (task, method), grid in IN_ROOMS.items():
        played = [line for line in grid if line.name + task in wanted]
        found.append(part(chosen_part(task, method), played, finished, 0.9, False))
    return [one for one in found if one]


def markdown(tables: Sequence[dict[str, Any]]) -> str:
    """The tables for people."""
    lines = []
    for table in tables:
        head = "steps to the threshold, IQM | reached |" if table["by_steps"] else ""
        lines += [f"## {table['name']}", "", f"| settings | success at the end | {head} seeds | |"]
        lines.append("|" + "---|" * (lines[-1].count("|") - 1))
        for row in table["rows"]:
            cells = [row["settings"] or "as the preset", f"{row['success']:.3f}"]
            if table["by_steps"]:
                cells += [f"{row['steps']:,.0f}", f"{row['reached']} of {row['seeds']}"]
            cells += [str(row["seeds"]), "**chosen**" if row["settings"] == table["chosen"] else ""]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    arguments = training_options(__doc__, NAME).parse_args()
    lines = chosen_lines(LINES, arguments)
    if arguments.quick:
        lines = [line._replace(seeds=1) for line in lines if line.name in QUICK]
    finished = runs_of(NAME, arguments)
    if not arguments.from_runs:
        make_demos()
        train_all(lines, finished, arguments.workers)
    if arguments.save:
        finished.keep(lines)
    tables = parts(lines, finished)
    finish(NAME, finished.hardware("torch", "gymnasium"), {"parts": tables}, markdown(tables), arguments)


if __name__ == "__main__":
    main()
