"""Making students for tasks, and students on disk: `config.json` (with a `type`), safetensors weights and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from wean.errors import UsageError, WeanError, did_you_mean
from wean.extras import entry_points
from wean.files import is_whole, parse_json, write_sums, write_tensors
from wean.students.action_values import ActionValues, TableValues, TextValues
from wean.students.camera import CameraStudent
from wean.students.config import Acting, StudentConfig
from wean.students.grid import GridStudent
from wean.students.student import DenseStudent, Student
from wean.tasks.vector import num_actions

SCHEMA = "wean-student/1"
FILES = ("config.json", "model.safetensors")
"""The files of a student's folder that have checksums."""
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
    built_in = {one.kind: one for one in (GridStudent, DenseStudent, CameraStudent)}
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
            `map+actions` and `map+subgoal`, with a fifth channel; `camera`; or `array`. It decides where
            `config.kind` is `auto`.

    Raises:
        UsageError: If there is no student for these spaces.
    """
    config = config or StudentConfig()
    kind = config.kind
    if kind == "auto":
        kind = {"array": DenseStudent.kind, "camera": CameraStudent.kind}.get(observation, GridStudent.kind)
    known = networks()
    if kind not in known:
        hint = did_you_mean(kind, known, f"there are auto, {', '.join(known)}")
        raise UsageError(f"no student.kind={kind}; {hint}")
    student: Student = known[kind].for_task(observation_space, num_actions(action_space), config, observation)
    if isinstance(action_space, gym.spaces.Discrete) and action_space.start:
        student.config["first_action"] = int(action_space.start)
    return student


def save_student(
    student: Student | ActionValues, folder: Path, card: str = "", about: Mapping[str, Any] | None = None
) -> None:
    """Writes a student's folder: weights, `config.json`, their checksums, and its card as `README.md` if there is one.

    Args:
        student: The student.
        folder: Its folder.
        card: What people read about it.
        about: What it was trained for, JSON values: `task`, `actions` (their names), and `acting`, as it is loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", student.state_dict())
    config = {"schema": SCHEMA, "type": student.kind, **({"run": about} if about else {}), **student.config}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_sums(folder, FILES)
    if card:
        (folder / "README.md").write_text(card)


def load_student(folder: Path) -> Student | ActionValues:
    """Reads a student's folder.

    Raises:
        WeanError: If it is no student's folder, is damaged, or was written by another version.
    """
    for name in FILES:
        if not (folder / name).exists():
            raise WeanError(f"{folder} holds no student ({name} is missing); train one first")
    config = _read_config(folder)
    try:
        if not is_whole(folder, FILES):
            raise _damaged(folder)
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, OSError, ValueError):
        raise _damaged(folder) from None
    config.pop("run", None)
    kind, schema = config.pop("type", None), config.pop("schema", None)
    types = networks() | {TableValues.kind: TableValues, TextValues.kind: TextValues}
    if schema != SCHEMA or not isinstance(kind, str) or kind not in types:
        raise WeanError(f"{folder} holds a student of another kind ({kind}, {schema}); use the wean that wrote it")
    config = {_RENAMED.get(name, name): value for name, value in config.items()}
    first_action = config.pop("first_action", 0)
    weights = {_renamed_tensor(name): value for name, value in weights.items()}
    try:
        student: Student | ActionValues = types[kind].from_config(config)
        student.load_state_dict(weights)
        student.config |= {"first_action": int(first_action)} if first_action else {}
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ValidationError):
        raise WeanError(f"weights and config.json in {folder} do not belong together; copy both anew") from None
    return student.eval()


def shipped_acting(folder: Path) -> Acting | None:
    """How a student's folder says that it acts; None where it does not, as in those of earlier versions.

    Raises:
        WeanError: If it is damaged.
    """
    acting = trained_for(folder).get("acting")
    return acting if acting in get_args(Acting) else None


def trained_for(folder: Path) -> dict[str, Any]:
    """What a student's folder says that it was trained for, see `save_student`; empty where it does not say.

    Raises:
        WeanError: If it is damaged.
    """
    run = _read_config(folder).get("run")
    return run if isinstance(run, dict) else {}


def _read_config(folder: Path) -> dict[str, Any]:
    """The values in `config.json`; whether it has its checksum is for `load_student` to see."""
    try:
        config = parse_json((folder / "config.json").read_text())
    except FileNotFoundError:
        raise WeanError(f"{folder} holds no student (config.json is missing); train one first") from None
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise _damaged(folder)
    return config


def _damaged(folder: Path) -> WeanError:
    return WeanError(f"the student in {folder} is damaged; train it again or copy it anew")


def _renamed_tensor(name: str) -> str:
    first, dot, rest = name.partition(".")
    return _RENAMED.get(first, first) + dot + rest


def weight_bytes(folder: Path) -> int:
    """Size of the weights on disk, in bytes."""
    return (folder / "model.safetensors").stat().st_size
