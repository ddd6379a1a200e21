"""Every way to be taught by a language model, side by side on the door-key rooms beyond the paper's first three.

python benchmarks/rooms.py                  the whole table (hours on two idle cores)
python benchmarks/rooms.py --quick          KeyInBox, two methods, two seeds
python benchmarks/rooms.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs.
"""

from __future__ import annotations

from reporting import finish, hardware
from training_runs import Line, chosen_lines, curves, markdown, options, references, tabulate, train_all

NAME = "rooms"
BOXES = ("KeyInBox", "RandomBoxKey")
TASKS = ("ColoredDoorKey", *BOXES, "ColoredDoorKeyRandom", "TwoDoor")

LINES = (
    Line("llm4teach", "llm4teach", "soft advice, annealed", TASKS, seeds=5),
    Line("beacons", "beacons", "a reward for every sub-goal reached", ("ColoredDoorKey", *BOXES)),
    Line("lmgt", "lmgt", "every action rated", ("ColoredDoorKey",)),
    Line("ppo", "ppo", "the environment's reward alone", TASKS),
    Line("option-ppo", "option-ppo", "chooses among the skills, no teacher", ("ColoredDoorKey", *BOXES)),
    Line("when2ask", "when2ask", "learns when to ask; asks at work, too", ("ColoredDoorKey", *BOXES)),
)
QUICK = ("llm4teach", "ppo")


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    arguments = options(__doc__, f"runs/{NAME}").parse_args()
    folder = arguments.from_runs or arguments.runs
    lines = chosen_lines(LINES, arguments)
    if arguments.quick:
        lines = [line._replace(seeds=2, tasks=("KeyInBox",)) for line in lines if line.name in QUICK]
    if not arguments.from_runs:
        train_all(lines, folder, arguments.workers)
    rows = []
    for task in TASKS:
        found = [tabulate(task, line, folder) for line in lines if task in line.tasks]
        rows += [row for row in found if row] + references(task, LINES[0], folder)
    results = {"rows": rows, "curves": curves(lines, folder)}
    finish(NAME, hardware("torch", "minigrid"), results, markdown(rows), arguments.json, arguments.save)


if __name__ == "__main__":
    main()
