"""Rewards that teach: sub-goals (Words as Beacons) and a judge (LMGT) beside plain PPO and LLM4Teach, over seeds.

python benchmarks/rewards.py                  the whole table (hours on two idle cores)
python benchmarks/rewards.py --quick          MultiRoomN2S4, two methods, two seeds
python benchmarks/rewards.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. Plain PPO on KeyCorridorS3R3 gets 5,000,000 steps, ten times as many as the others.
"""

from __future__ import annotations

from typing import Any

from harness import finish
from runs import Line, Runs, trained
from tables import curves, markdown, tables

NAME = "rewards"
STOCK = ("KeyCorridorS3R3", "MultiRoomN2S4", "ObstructedMaze1Dlh")
ROOM = "SimpleDoorKey"

LINES = (
    Line("beacons", "beacons", "a reward for every sub-goal reached", (*STOCK, ROOM), seeds=5),
    *(
        Line(
            f"beacons-{goal}",
            "beacons",
            f"the same, and the sub-goal is seen as {what}",
            STOCK[:1],
            seeds=2,
            overrides=(f"student.goal={goal}",),
        )
        for goal, what in (("position", "a place"), ("object", "an object"), ("language", "a sentence's vector"))
    ),
    Line("lmgt", "lmgt", "every action rated", (*STOCK, ROOM)),
    Line("llm4teach", "llm4teach", "soft advice, annealed", (*STOCK, ROOM)),
    Line("ppo", "ppo", "the environment's reward alone", (*STOCK, ROOM)),
)
QUICK = tuple(line._replace(seeds=2, tasks=("MultiRoomN2S4",)) for line in LINES if line.name in ("beacons", "ppo"))


def faster(rows: list[dict[str, Any]], line: Line) -> list[dict[str, Any]]:
    """How many times fewer steps a line takes to a success of 0.9 than PPO; at least, where PPO does not reach it.

    PPO's steps are its median where half of its runs reach 0.9, else all that it was given (censored).
    """
    found = []
    for task in line.tasks:
        of = {row["method"]: row for row in rows if row["task"] == task and row["seeds"]}
        if line.name not in of or "ppo" not in of or of[line.name]["steps_to_0.9"]["median"] is None:
            continue
        alone = of["ppo"]["steps_to_0.9"]["median"]
        ratio = (alone or of["ppo"]["env_steps"]) / of[line.name]["steps_to_0.9"]["median"]
        found.append({"task": task, "method": line.name, "times_fewer_steps": ratio, "censored": alone is None})
    return found


def shaped(lines: list[Line], finished: Runs) -> list[dict[str, Any]]:
    """What the reward terms did in each run, as its summary says."""
    return [
        {"task": task, "method": line.name, "seed": run["seed"], **run["rewards"]}
        for line in lines
        for task in line.tasks
        for run in finished.of(task, line)
        if run.get("rewards")
    ]


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    lines, finished, arguments = trained(NAME, __doc__, LINES, QUICK)
    rows = tables(lines, LINES[0], finished)
    ratios = [row for line in lines if line.name != "ppo" for row in faster(rows, line)]
    results = {
        "rows": rows,
        "faster_than_ppo": ratios,
        "terms": shaped(lines, finished),
        "curves": curves(lines, finished),
    }
    text = markdown(rows) + "".join(
        f"\n- {row['task']}: {row['method']} reaches 0.9 in {row['times_fewer_steps']:.1f} times fewer steps than ppo"
        f"{' (at least: ppo does not reach it)' if row['censored'] else ''}"
        for row in ratios
    )
    finish(NAME, finished.hardware("torch", "minigrid"), results, text, arguments)


if __name__ == "__main__":
    main()
