"""Making students for tasks, and students on disk: `config.json` (with a `type`), safetensors weights and a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wean.errors import UsageError, WeanError, did_you_mean
from wean.extras import entry_points
from wean.students.action_values import ActionValues, TableValues, TextValues
from wean.students.config import StudentConfig
from wean.students.grid import GridStudent
from wean.students.student import DenseStudent, Student
from wean.tasks.vector import num_actions

SCHEMA = "wean-student/1"
_RENAMED = {
    "reach": "view_radius",
    "edges": "border_distances",
    "census": "object_set",
    "mirror": "reflection",
}
"""Names in folders of earlier versions, of settings and of tensors."""


def networks() -> dict[str, Any]:
    """The classes of students that `student.kind` can name: the built-in ones, and those of installed packages.

    A package adds one by an entry point of the group `wean.students`, named like the class's `kind`: a `Student` with
    the class method `for_task(observation_space, num_actions, config, observation)`, see `make_student`.
    """
    built_in = {GridStudent.kind: GridStudent, DenseStudent.kind: DenseStudent}
    return {name: load() for name, load in entry_points("wean.students").items()} | built_in


def make_student(
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    config: StudentConfig | None = None,
    observation: str = "array",
) -> Student:
    """Makes a new student that fits a task.

    Example:
        >>> env = wean.make("FrozenLake4x4")
        >>> make_student(env.observation_space, env.action_space).num_actions
        4

    Args:
        observation_space: What it sees: a remembered grid map, any other `Box`, or `Discrete`.
        action_space: `Discrete`.
        config: What kind of network, and how large.
        observation: What the task declares its observations to be (`Tasks.observation`): `map`, uint8 (W, H, 4);
            `map+actions` and `map+subgoal`, with a fifth channel; or `array`. It decides where `config.kind` is
            `auto`.

    Raises:
        UsageError: If there is no student for these spaces.
    """
    config = config or StudentConfig()
    kind = config.kind
    if kind == "auto":
        kind = "dense" if observation == "array" else "grid"
    known = networks()
    if kind not in known:
        hint = did_you_mean(kind, known, f"there are auto, {', '.join(known)}")
        raise UsageError(f"no student.kind={kind}; {hint}")
    student: Student = known[kind].for_task(observation_space, num_actions(action_space), config, observation)
    return student


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
    types = networks() | {TableValues.kind: TableValues, TextValues.kind: TextValues}
    if schema != SCHEMA or kind not in types:
        raise WeanError(f"{folder} holds a student of another kind ({kind}, {schema}); use the wean that wrote it")
    config = {_RENAMED.get(name, name): value for name, value in config.items()}
    weights = {_renamed_tensor(name): value for name, value in weights.items()}
    try:
        student: Student | ActionValues = types[kind].from_config(config)
        student.load_state_dict(weights)
    except (TypeError, RuntimeError, ValidationError):
        raise WeanError(f"weights and config.json in {folder} do not belong together; copy both anew") from None
    return student.eval()


def _renamed_tensor(name: str) -> str:
    first, dot, rest = name.partition(".")
    return _RENAMED.get(first, first) + dot + rest


def weight_bytes(folder: Path) -> int:
    """Size of the weights on disk, in bytes."""
    return (folder / "model.safetensors").stat().st_size
