"""LLM4Teach on the door-key rooms: the method, its baselines and its ablations, over seeds.

python benchmarks/llm4teach.py                  the whole table (hours on two idle cores)
python benchmarks/llm4teach.py --quick          SimpleDoorKey, three methods, two seeds
python benchmarks/llm4teach.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs.
"""

from __future__ import annotations

from reporting import finish, hardware
from training_runs import Line, chosen_lines, curves, markdown, options, references, tabulate, train_all

NAME = "llm4teach"
PAPER = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")

CONSTANT = ("teacher.kind=constant", "teacher.start=1.0")
LINES = (
    Line("llm4teach", "llm4teach", "soft advice, annealed", PAPER, seeds=5),
    Line("ppo", "ppo", "teacher weight zero", PAPER),
    Line("bc", "bc", "copies the teacher at work, as many labels", PAPER),
    Line("dagger", "dagger", "the student acts, the teacher labels, as many labels", PAPER),
    Line("llm4teach-argmax", "llm4teach", "only the most probable action", PAPER, overrides=("advice.mode=argmax",)),
    Line("llm4teach-constant", "llm4teach", "weight 1 throughout: no annealing", PAPER, overrides=CONSTANT),
    Line("llm4teach-sampled", "llm4teach", "one drawn plan a step", PAPER[:1], overrides=("advice.mode=sampled",)),
    Line("kickstarting", "kickstarting", "one drawn plan a step, weight from 1", PAPER[:1]),
)
QUICK = ("llm4teach", "ppo", "dagger")


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    arguments = options(__doc__, f"runs/{NAME}").parse_args()
    folder = arguments.from_runs or arguments.runs
    lines = chosen_lines(LINES, arguments)
    if arguments.quick:
        lines = [line._replace(seeds=2, tasks=PAPER[:1]) for line in lines if line.name in QUICK]
    if not arguments.from_runs:
        train_all(lines, folder, arguments.workers)
    rows = []
    for task in PAPER:
        found = [tabulate(task, line, folder) for line in lines if task in line.tasks]
        rows += [row for row in found if row] + references(task, LINES[0], folder)
    results = {"rows": rows, "curves": curves(lines, folder)}
    finish(NAME, hardware("torch", "minigrid"), results, markdown(rows), arguments.json, arguments.save)


if __name__ == "__main__":
    main()
