"""A task in words of one or two steps, with demonstrations of it, for the tests of practising."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym

from wean.tasks.situation import Situation

THINGS = {"lamp": "gives light", "book": "can be read", "cup": "holds tea", "key": "opens doors"}
SHOWN = ("lamp", "book")
"""What demonstrations fetch; the other things are found by trying alone."""
TASK = "fetching:Fetching"


class Fetching(gym.Env[str, str]):
    """Take the thing that the task describes; looking around changes nothing, another thing ends the episode."""

    observation_space = gym.spaces.Text(1000)
    action_space = gym.spaces.Text(100)
    max_moves = None
    irrevocable: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.meanings: dict[str, str] = {}
        self.description, self.score, self._wanted, self._moves = "", 0.0, "", 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._wanted = list(THINGS)[int(self.np_random.integers(len(THINGS)))]
        self.description, self.score, self._moves = f"Fetch what {THINGS[self._wanted]}.", 0.0, 0
        return self.look(), {}

    def look(self) -> str:
        return "A hall. A lamp, a book, a cup and a key are here."

    def inventory(self) -> str:
        return ""

    def situation(self) -> Situation:
        return Situation(self.description, self.look(), ("look around twice", *(f"take {one}" for one in THINGS)))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._moves += 1
        if action == f"take {self._wanted}":
            self.score = 100.0
        took = action.startswith("take")
        return "Taken." if took else self.look(), self.score, took, self._moves > 8, {"moves": self._moves}


def wanted(description: str) -> str:
    """The thing that a task describes."""
    return next(thing for thing, use in THINGS.items() if use in description)


def write_demonstrations(folder: Path, seeds: range) -> Path:
    """Demonstrations of some seeds, and their sub-goals beside them."""
    paths, subgoals = folder / "demos.jsonl", folder / "demos.subgoals.jsonl"
    rows, planned, task = [], [], Fetching()
    for seed in seeds:
        look, _ = task.reset(seed=seed)
        if (thing := wanted(task.description)) not in SHOWN:
            continue
        step = {"action": f"take {thing}", "observation": "Taken.", "look": look, "inventory": "", "score": 100}
        rows.append({"task": TASK, "variation": seed, "description": task.description, "path": [step]})
        planned.append(
            {"schema": "wean-annotation/1", "task": TASK, "variation": seed, "subgoals": [[f"fetch({thing})", 1]]}
        )
    for file, lines in ((paths, rows), (subgoals, planned)):
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return paths
