"""LLM4Teach on the door-key rooms: the method, its baselines and its ablations, over seeds.

python benchmarks/llm4teach.py                  the whole table (hours on two idle cores)
python benchmarks/llm4teach.py --quick          SimpleDoorKey, three methods, two seeds
python benchmarks/llm4teach.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. Settings of PPO and cloning are those that `baseline_grid.py` chose for the room.
"""

from __future__ import annotations

from prior_tables import tuned
from runs import Line
from tables import run

NAME = "llm4teach"
PAPER = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")

CONSTANT = ("teacher.kind=constant", "teacher.start=1.0")
LINES = (
    Line("llm4teach", "llm4teach", "soft advice, annealed", PAPER, seeds=5),
    *(tuned(room, "ppo", "teacher weight zero") for room in PAPER),
    *(tuned(room, "bc", "copies the teacher at work, as many labels") for room in PAPER),
    Line("dagger", "dagger", "the student acts, the teacher labels, as many labels", PAPER),
    Line("llm4teach-argmax", "llm4teach", "only the most probable action", PAPER, overrides=("advice.mode=argmax",)),
    Line("llm4teach-constant", "llm4teach", "weight 1 throughout: no annealing", PAPER, overrides=CONSTANT),
    Line("llm4teach-sampled", "llm4teach", "one drawn plan a step", PAPER[:1], overrides=("advice.mode=sampled",)),
    Line("kickstarting", "kickstarting", "one drawn plan a step, weight from 1", PAPER[:1]),
)
QUICK = tuple(
    line._replace(seeds=2, tasks=PAPER[:1])
    for line in LINES
    if line.name in ("llm4teach", "ppo", "dagger") and PAPER[0] in line.tasks
)


if __name__ == "__main__":
    run(NAME, __doc__, LINES, QUICK)
