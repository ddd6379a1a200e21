"""Every way to be taught by a language model, side by side on the door-key rooms beyond the paper's first three.

python benchmarks/rooms.py                  the whole table (hours on two idle cores)
python benchmarks/rooms.py --quick          KeyInBox, two methods, two seeds
python benchmarks/rooms.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from runs import Line
from tables import run

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
QUICK = tuple(line._replace(seeds=2, tasks=("KeyInBox",)) for line in LINES if line.name in ("llm4teach", "ppo"))


def language_model(task: str) -> list[dict[str, Any]]:
    """The language model as the agent, with recorded answers: calls and tokens of an episode."""
    command = [sys.executable, "-m", "wean", "eval", "llm-agent", "--task", task, "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row = {"task": task, "method": "llm-agent", "what": "the language model chooses every skill", "seeds": None}
    said = {part: found[part] for part in ("success", "length", "episodes")}
    return [{**row, "acting": "sampled", "sampled": said, "asking": found["asking"]}]


if __name__ == "__main__":
    run(NAME, __doc__, LINES, QUICK, language_model)
