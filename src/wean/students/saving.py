"""A student on disk: `config.json` (with a `type`), safetensors weights and a card; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wean.errors import UsageError, WeanError
from wean.students.action_values import ActionValues
from wean.students.dense import DenseStudent
from wean.students.grid import GridStudent
from wean.students.q_table import TableValues
from wean.students.q_text import TextValues
from wean.students.student import Student
from wean.students.subgoal_encoding import Goal

SCHEMA = "wean-student/1"


def make_student(
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    *,
    hidden: int = 128,
    recurrent: bool = False,
    reach: int | None = None,
    edges: bool = False,
    census: bool = False,
    mirror: bool = False,
    goal: Goal = "none",
    encoder: str = "minilm",
) -> Student:
    """Makes a new student that fits a task.

    Args:
        observation_space: What it sees: a remembered grid map (W, H, 4) of uint8, or (W, H, 5) with the actions that
            may be chosen or with a sub-goal; any other `Box`, or `Discrete`.
        action_space: `Discrete`.
        hidden: Width of its hidden layers.
        recurrent: Gives it a memory.
        reach: Cells that a student of a grid map sees to each side; see `GridStudent`.
        edges: Whether a student of a grid map is told how far off the map's edges are.
        census: Whether it is told what things there are on the map, wherever they are.
        mirror: Whether left and right are one to it; see `GridStudent`.
        goal: How it reads the sub-goal on a map (W, H, 5); see `GridStudent`.
        encoder: The sentence encoder of `goal="language"`.

    Raises:
        UsageError: If there is no student for these spaces.
    """
    if not isinstance(action_space, gym.spaces.Discrete):
        raise UsageError(f"no student acts in {action_space}; a Discrete action space is needed")
    actions = int(action_space.n)
    shape = observation_space.shape or ()
    shows_map = len(shape) == 3 and shape[2] in (4, 5) and observation_space.dtype == np.uint8
    if (reach is not None or edges or census or mirror) and not shows_map:
        raise UsageError("student.reach, .edges, .census, .mirror are for tasks that show a grid map; leave them out")
    if isinstance(observation_space, gym.spaces.Discrete):
        return DenseStudent(int(observation_space.n), actions, discrete=True, hidden=hidden, recurrent=recurrent)
    if not isinstance(observation_space, gym.spaces.Box):
        raise UsageError(f"no student sees {observation_space}; wrap the task in gymnasium's FlattenObservation")
    if shows_map:
        return GridStudent(
            shape[0],
            shape[1],
            actions,
            reach,
            edges,
            census,
            mirror,
            hidden=hidden,
            recurrent=recurrent,
            masked=shape[2] == 5 and goal == "none",
            goal=goal,
            encoder=encoder,
        )
    return DenseStudent(int(np.prod(shape)), actions, hidden=hidden, recurrent=recurrent)


def save_student(student: Student | ActionValues, folder: Path, card: str = "") -> None:
    """Writes a student's folder: weights, `config.json`, and its card as `README.md` if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in student.state_dict().items()},
        folder / "model.safetensors",
    )
    config = {"schema": SCHEMA, "type": student.kind, **student.config}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if card:
        (folder / "README.md").write_text(card)


def load_student(folder: Path) -> Student | ActionValues:
    """Reads a student's folder.

    Raises:
        WeanError: If it is no student's folder, is damaged, or was written by another version.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).exists():
            raise WeanError(f"{folder} holds no student ({name} is missing); train one first")
    try:
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, ValueError):
        raise WeanError(f"the student in {folder} is damaged; train it again or copy it anew") from None
    kind, schema = config.pop("type", None), config.pop("schema", None)
    types: dict[str, type[Student] | type[ActionValues]] = {
        known.kind: known for known in (GridStudent, DenseStudent, TableValues, TextValues)
    }
    if schema != SCHEMA or kind not in types:
        raise WeanError(f"{folder} holds a student of another kind ({kind}, {schema}); use the wean that wrote it")
    try:
        student = types[kind](**config)
        student.load_state_dict(weights)
    except (TypeError, RuntimeError):
        raise WeanError(f"weights and config.json in {folder} do not belong together; copy both anew") from None
    return student.eval()


def weight_bytes(folder: Path) -> int:
    """Size of the weights on disk, in bytes."""
    return (folder / "model.safetensors").stat().st_size
