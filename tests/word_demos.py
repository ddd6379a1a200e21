"""Small demonstrations in words, for tests: a corridor of rooms with a lamp, and a task that replays them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym

from wean.data.annotations import Annotation, parse_annotation
from wean.data.trajectories import PathStep, Trajectory
from wean.tasks.situation import Situation

KITCHEN = (
    "This room is called the kitchen. In it, you see: \n\tthe agent\n\ta lamp\nYou also see:\n\tA door to the hall"
)
EMPTY = "This room is called the kitchen. In it, you see: \n\tthe agent\nYou also see:\n\tA door to the hall"
HALL = "This room is called the hall. In it, you see: \n\tthe agent\n\ta box\nYou also see:\n\tA door to the kitchen"
NOTHING, LAMP = "In your inventory, you see:\n", "In your inventory, you see:\n\ta lamp\n"


def demonstration(variation: int = 0, back: int = 1, task: str = "carry") -> tuple[Trajectory, Annotation]:
    """Takes a lamp to another room, and walks there and back some times before."""
    path = [PathStep("look around", KITCHEN, KITCHEN, NOTHING, 0)]
    chunks: list[list[Any]] = [["find(lamp)", 1]]
    for _ in range(back):
        path += [
            PathStep("go to hall", "You move to the hall.", KITCHEN, NOTHING, 0),
            PathStep("go to kitchen", "You move to the kitchen.", HALL, NOTHING, 0),
        ]
        chunks.append(["walk(hall, kitchen)", 2])
    path += [
        PathStep("pick up lamp", "You move the lamp to the inventory.", KITCHEN, NOTHING, 50),
        PathStep("go to hall", "You move to the hall.", EMPTY, LAMP, 50),
        PathStep(f"move lamp to box {variation}", "You move the lamp to the box.", HALL, LAMP, 100),
    ]
    chunks += [["take(lamp)", 1], [f"put(lamp, box {variation})", 2]]
    row = {"task": task, "variation": variation, "subgoals": chunks}
    words = f"Your task is to carry the lamp to box {variation}."
    return Trajectory(task, variation, words, tuple(path)), parse_annotation(row)


def write(folder: Path, count: int = 4, annotated: int | None = None) -> tuple[Path, Path]:
    """Writes demonstrations and the sub-goals of the first few; returns both files."""
    demos, subgoals = folder / "demos.jsonl", folder / "subgoals.jsonl"
    made = [demonstration(number) for number in range(count)]
    with demos.open("w") as stream:
        for trajectory, _ in made:
            row = {"task": trajectory.task, "variation": trajectory.variation, "description": trajectory.description}
            stream.write(json.dumps(row | {"path": [moment._asdict() for moment in trajectory.path]}) + "\n")
    with subgoals.open("w") as stream:
        for _, annotation in made[:annotated]:
            listed = [[str(subgoal), actions] for subgoal, actions in annotation.chunks]
            row = {"task": annotation.task, "variation": annotation.variation, "subgoals": listed}
            stream.write(json.dumps(row) + "\n")
    return demos, subgoals


class Replayed(gym.Env[str, str]):
    """A text task that goes through a demonstration, whatever is done; what only looks around is left out."""

    observation_space = gym.spaces.Text(1000)
    action_space = gym.spaces.Text(100)
    max_moves = None
    irrevocable: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    def __init__(self, trajectory: Trajectory, choices: tuple[str, ...] = ()) -> None:
        self._path = [moment for moment in trajectory.path if moment.action != "look around"]
        self._after = [*self._path[1:], self._path[-1]]
        self.description, self.score, self._at = trajectory.description, 0.0, -1
        self._choices = choices
        self.done: list[str] = []
        self.irrevocable: tuple[str, ...] = ()
        self.idle: tuple[str, ...] = ()
        self.meanings: dict[str, str] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.score, self._at = 0.0, -1
        return self.look(), {}

    def look(self) -> str:
        return self._path[0].look if self._at < 0 else self._after[self._at].look

    def inventory(self) -> str:
        return self._path[0].inventory if self._at < 0 else self._after[self._at].inventory

    def situation(self) -> Situation:
        choices = self._choices or tuple(moment.action for moment in self._path)
        return Situation(self.description, self.look(), choices)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.done.append(action)
        self._at += 1
        moment = self._path[self._at]
        self.score = float(moment.score or 0)
        return moment.observation, 0.0, self._at + 1 == len(self._path), False, {"moves": self._at + 1}
