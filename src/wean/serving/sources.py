"""What is exported: a student, with held-out tasks as it sees them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

from wean.agents.exported import load_exported
from wean.agents.policy import Policy, policy_of
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.scores import Scores
from wean.experiment.build import view_of
from wean.experiment.settings import RunConfig
from wean.lm.model import load_encoder
from wean.runtime.policy import ArrayPolicy, ValuesPolicy, load
from wean.serving.networks import write_encoder, write_student, write_values
from wean.serving.parity import (
    Moment,
    Parity,
    compare_student,
    compare_values,
    held_out_moments,
    held_out_situations,
)
from wean.students.action_values import ActionValues, TextValues
from wean.students.camera import CameraStudent
from wean.students.config import Acting
from wean.students.grid import GridStudent
from wean.students.student import Student
from wean.tasks.options import OptionTasks
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import SerialTasks, ShownTasks

_LOSS_EPISODES = 200
Say = Callable[[str], None]


class Loss(NamedTuple):
    """What 8 bits cost: means over held-out episodes with the original and with the exported student.

    Attributes:
        measure: `success`, `mean return` where the task knows no success, or `score` where it counts points.
        before: With the original.
        after: With 8 bits.
        episodes: How many each played.
    """

    measure: str
    before: float
    after: float
    episodes: int


class Source(Protocol):
    """A student that is exported, and held-out tasks.

    Attributes:
        kind: The kind of student.
        task: Name of its task.
        acting: How it acts.
        tasks: The held-out tasks.
    """

    kind: str
    task: str
    acting: Acting
    tasks: ShownTasks

    def write(self, folder: Path, observations: int, say: Say) -> Mapping[str, Any]:
        """Writes its networks and what belongs to them; returns its part of the config."""

    def compare(self, folder: Path, observations: int, say: Say) -> Parity:
        """Compares what was written with the original in held-out observations."""

    def loss(self, folder: Path) -> Loss:
        """What its success is in held-out episodes, before and after."""


@dataclass
class ArraySource:
    """A student that sees arrays."""

    student: Student
    task: str
    acting: Acting
    tasks: ShownTasks
    threshold: float | None
    actions: list[str]

    def __post_init__(self) -> None:
        self.kind = self.student.kind
        self._moments: list[Moment] = []

    def write(self, folder: Path, observations: int, say: Say) -> Mapping[str, Any]:
        """See `Source`."""
        say("playing held-out episodes")
        self._moments = held_out_moments(self.student, self.tasks, observations)
        seen = np.concatenate([one.observations for one in self._moments])
        say("writing the network")
        write_student(self.student, seen, folder / "model.onnx")
        np.save(folder / "example.npy", seen[:20])
        return {
            "observation": _observation(self.student, self.tasks.observation_space),
            "num_actions": self.student.num_actions,
            "actions": self.actions if len(self.actions) == self.student.num_actions else [],
            "chooses": "skills" if isinstance(self.tasks, OptionTasks) else "actions",
            "memory": self.student.memory_size,
        }

    def compare(self, folder: Path, observations: int, say: Say) -> Parity:
        """See `Source`."""
        policy = load(folder)
        assert isinstance(policy, ArrayPolicy)
        return compare_student(policy, self._moments)

    def loss(self, folder: Path) -> Loss:
        """See `Source`."""
        return _loss(policy_of(self.student, self.acting), folder, self.tasks, self.threshold)


@dataclass
class ValuesSource:
    """A student of action values."""

    student: ActionValues
    task: str
    acting: Acting
    tasks: ShownTasks
    threshold: float | None

    def __post_init__(self) -> None:
        self.kind = self.student.kind

    def write(self, folder: Path, observations: int, say: Say) -> Mapping[str, Any]:
        """See `Source`."""
        say("writing the values")
        return _write_values(self.student, folder, say)

    def compare(self, folder: Path, observations: int, say: Say) -> Parity:
        """See `Source`."""
        policy = load(folder)
        assert isinstance(policy, ValuesPolicy)
        say("comparing in held-out situations")
        return compare_values(policy, self.student, held_out_situations(self.student, self.tasks, observations))

    def loss(self, folder: Path) -> Loss:
        """See `Source`."""
        return _loss(policy_of(self.student, self.acting), folder, self.tasks, self.threshold)


def _loss(own: Policy, folder: Path, tasks: ShownTasks, threshold: float | None) -> Loss:
    found = []
    for policy in (own, load_exported(folder, None)):
        scores = Scores("", policy.name, play_seeds(policy, tasks, _LOSS_EPISODES, FINAL_SEED, threshold))
        found.append(scores)
    before, after = (one.returns.mean if one.success is None else one.success.mean for one in found)
    return Loss("mean return" if found[0].success is None else "success", before, after, _LOSS_EPISODES)


def shown_tasks(student: Student | ActionValues, config: RunConfig | None, tasks: SerialTasks) -> ShownTasks:
    """The tasks as the student sees them."""
    if isinstance(student, ActionValues):
        return tasks
    if student.config.get("goal", "none") != "none":
        raise UsageError(
            "this student sees sub-goals, which a language model makes while it acts; train one with student.goal=none"
        )
    if config is not None:
        return view_of(config, None, tasks)
    return OptionTasks(tasks) if student.config.get("masked") else tasks


def check_fit(student: Student | ActionValues, tasks: ShownTasks, folder: Path) -> None:
    """Checks that the tasks are the student's.

    Raises:
        UsageError: They are not.
    """
    if isinstance(student, ActionValues):
        return
    actions = tasks.action_space
    if not isinstance(actions, gym.spaces.Discrete) or int(actions.n) != student.num_actions:
        raise UsageError(
            f"the student of {folder} has {student.num_actions} actions, the task {actions}; name its own "
            "task with --task"
        )
    if actions.start:
        raise UsageError(
            f"the actions of {folder}'s task are numbered from {actions.start}; number them from 0 to export"
        )
    if isinstance(student, GridStudent) and tasks.observation_space.shape != student.maps().shape:
        raise UsageError(
            f"the student of {folder} sees maps {student.maps().shape}, the task shows "
            f"{tasks.observation_space.shape}; name its own task with --task"
        )


def _write_values(student: ActionValues, folder: Path, say: Say) -> Mapping[str, Any]:
    """Writes the networks of a student of action values and what it met; returns its part of the config."""
    met = student.situations
    if len(met):
        student(np.arange(len(met)))  # a text that was met last may have no vector yet
    written = json.loads(bytes(student.get_extra_state().numpy().tobytes()))
    (folder / "situations.json").write_text(json.dumps(written))
    write_values(student, folder / "model.onnx")
    encoder = None
    if isinstance(student, TextValues):
        np.save(folder / "vectors.npy", student.vectors.numpy())
        say("writing the sentence encoder")
        loaded = load_encoder(student.config["encoder"], device="cpu")
        write_encoder(loaded, folder / "encoder.onnx")
        (folder / "tokenizer.json").write_text(loaded.tokenizer.backend_tokenizer.to_str())
        scale = math.sqrt(student.config["size"])
        encoder = {"name": student.config["encoder"], "max_length": loaded.max_length, "scale": scale}
    return {
        "observation": {"words": True},
        "actions": [],
        "temperature": student.temperature,
        "encoder": encoder,
    }


def _observation(student: Student, space: gym.Space[Any]) -> Mapping[str, Any]:
    """What the runtime checks about an observation: shape, type and range."""
    if isinstance(space, gym.spaces.Discrete):
        first = int(space.start)
        return {"shape": [], "dtype": "int64", "low": first, "high": first + int(space.n) - 1}
    if isinstance(student, GridStudent):
        high = student.maps().high[0, 0].tolist()
        shape = list(student.maps().shape)
        # One cell of a map shows the agent: its direction, below 4.
        return {"shape": shape, "dtype": "uint8", "low": 0, "high": high, "agent_below": high[3]}
    assert isinstance(space, gym.spaces.Box)
    bounds: dict[str, Any] = {name: _bound(getattr(space, name)) for name in ("low", "high")}
    if isinstance(student, CameraStudent):
        bounds["with_state"] = True  # a task shows image and state apart
    return {"shape": list(space.shape), "dtype": str(space.dtype), **bounds}


def _bound(values: np.ndarray[Any, Any]) -> Any:
    """A bound as JSON: one number where it is the same everywhere; null for none."""
    found = np.unique(values)
    if len(found) == 1:
        return found[0].item() if np.isfinite(found[0]) else None
    return np.where(np.isfinite(values), values, np.array(None)).tolist()
