"""What a prior saves in random kitchens (tomato-lettuce salad), online and from recorded episodes.

python benchmarks/kitchen.py                  the whole tables (hours on two idle cores)
python benchmarks/kitchen.py --quick          DQN with and without the prior, two seeds
python benchmarks/kitchen.py --demos          makes the recorded episodes, and nothing else
python benchmarks/kitchen.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs, recorded episodes to runs/kitchen-demos. Success is the right dish served, greedily, in 500
held-out kitchens; steps are macro-actions. Every method has the settings that baseline_grid.py chose for it on
other seeds and kitchens, and for each number of recorded episodes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import finish
from prior_tables import chosen_settings, collect, markdown, ratio, row, told, tuned
from runs import Line, chosen_lines, runs_of, train_all, training_options
from tables import curves

NAME = "kitchen"
TASK = "KitchenRandom"
THRESHOLD = 0.9
DEMOS = Path(__file__).resolve().parents[1] / "runs" / "kitchen-demos" / "mixed.parquet"
EPISODES = 1000
SIZES = (3, 10, 30, 100, 300)
OFFLINE_METHODS = ("cql", "cql-prior", "offline-bc")

ONLINE = (
    tuned(TASK, "dqn", "double DQN", seeds=10),
    tuned(TASK, "dqn-prior", "DQN among the proposals", seeds=10),
    tuned(TASK, "ppo", "PPO", seeds=10),
    tuned(TASK, "ppo-prior", "PPO with KL to the prior, which plays along at first", seeds=10),
    tuned(TASK, "ppo-prior", "the KL term alone", name="ppo-prior-kl", seeds=5, overrides=("teacher_share.start=0",)),
)


OFFLINE = tuple(
    Line(
        f"{method}-{size}",
        method,
        f"{size} episodes, {' '.join(chosen_settings(TASK, method, size)) or 'as the preset'}",
        (TASK,),
        seeds=10,
        overrides=(f"data={DEMOS}", f"share={size / EPISODES}", *chosen_settings(TASK, method, size)),
    )
    for method in OFFLINE_METHODS
    for size in SIZES
)
LINES = ONLINE + OFFLINE
QUICK = ("dqn", "dqn-prior")


def make_demos() -> None:
    """Records the episodes through `wean demos`, three of four successful, unless they are there."""
    if not DEMOS.exists():
        command = f"demos {TASK} --policy expert --epsilon 0.7 --episodes {EPISODES} --successful 0.75 --out {DEMOS}"
        subprocess.run([sys.executable, "-m", "wean", *command.split(), "--resume"], check=True, stdout=sys.stderr)


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    parser = training_options(__doc__, NAME)
    parser.add_argument("--demos", action="store_true", help="make the recorded episodes, and nothing else")
    arguments = parser.parse_args()
    finished = runs_of(NAME, arguments)
    lines = chosen_lines(LINES, arguments)
    if arguments.quick:
        lines = [line._replace(seeds=min(line.seeds, 2)) for line in lines if line.name in QUICK]
    if arguments.demos or (not arguments.from_runs and any(line in OFFLINE for line in lines)):
        make_demos()
    if arguments.demos:
        return
    if not arguments.from_runs:
        train_all(lines, finished, arguments.workers)
    if arguments.save:
        finished.keep(lines)
    online = [line for line in lines if line.name in {one.name for one in ONLINE}]
    offline = [line for line in lines if line not in online]
    rows = finished.with_saved(collect(TASK, online, finished, THRESHOLD), "online")
    found = [one for line in offline if (one := row(TASK, line, finished, THRESHOLD))]
    recorded = finished.with_saved(found, "offline")
    pairs = (("dqn-prior", "dqn", 10), ("ppo-prior", "ppo", 5))
    ratios = [ratio(rows, *pair) for pair in pairs]
    results = {"online": rows, "offline": recorded, "ratios": ratios, "curves": curves(lines, finished)}
    text = f"## Online\n\n{markdown(rows, 'macro-actions')}\n{told(ratios)}"
    if recorded:
        text += f"\n## From recorded episodes\n\n{markdown(recorded, 'gradient steps')}"
    finish(NAME, finished.hardware("torch", "gymnasium"), results, text, arguments)


if __name__ == "__main__":
    main()
