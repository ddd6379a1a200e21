"""Exported students at work in wean's tasks: the code of the runtime behind the contract of a student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wean.agents.policy import Policy, StudentPolicy, ValuesPolicy
from wean.agents.reading import ReaderPolicy
from wean.errors import UsageError, WeanError
from wean.extras import require
from wean.files import about_exported
from wean.runtime.folder import ExportError, PolicyError
from wean.runtime.policy import ArrayPolicy, ReadingPolicy, load
from wean.runtime.policy import ValuesPolicy as RuntimeValues
from wean.students.config import Acting
from wean.tasks.options import OptionTasks
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks, ShownTasks, has_numbered_actions, num_actions


class ExportedStudent:
    """An exported student that sees arrays, as `StudentPolicy` takes one."""

    def __init__(self, policy: ArrayPolicy) -> None:
        self._policy = policy
        self.config: dict[str, Any] = {}
        self.num_actions, self.memory_size = policy.num_actions, policy.memory_size

    def first_state(self, members: int) -> Tensor:
        """See `Student.first_state`."""
        return torch.from_numpy(self._policy.first_memory(members))

    def probabilities(
        self, observations: NDArray[Any], state: Tensor, starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], Tensor]:
        """See `Student.probabilities`.

        Raises:
            UsageError: The observations are none that the student sees.
        """
        try:
            found, after = self._policy.probabilities(observations, state.numpy(), starts)
        except PolicyError as error:
            raise UsageError(str(error)) from None
        return found, torch.from_numpy(after)


class ExportedValues:
    """An exported student of action values, as `ValuesPolicy` takes one."""

    def __init__(self, policy: RuntimeValues) -> None:
        self._policy = policy
        self._met: Sequence[Situation] = ()

    def meet(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """Numbers (N,) of the situations, until the next are met."""
        self._met = situations
        return np.arange(len(situations))

    def choose(self, states: NDArray[np.int64], greedy: bool, use_prior: bool = True) -> NDArray[np.float64]:
        """See `ActionValues.choose`; the prior's proposals were exported with the student.

        Raises:
            UsageError: One is no situation that the student reads.
        """
        if not use_prior:
            raise UsageError("an exported student acts on what its prior proposed; ask its run to act without")
        try:
            return self._policy.probabilities([self._met[state] for state in states], greedy)
        except PolicyError as error:
            raise UsageError(str(error)) from None


def view_of_exported(folder: Path, tasks: SerialTasks) -> ShownTasks:
    """The tasks as the exported student sees them.

    Raises:
        UsageError: They are not its own.
    """
    about = about_exported(folder)
    shown: ShownTasks = OptionTasks(tasks) if about.get("chooses") == "skills" else tasks
    actions = about.get("num_actions")
    if actions is not None and (not has_numbered_actions(tasks) or num_actions(shown.action_space) != actions):
        raise UsageError(
            f"the student of {folder} has {actions} actions, the task {shown.action_space}; name its own task"
        )
    return shown


def load_exported(folder: Path, acting: Acting | None = None) -> Policy:
    """Loads an exported student; by default it acts as its folder says.

    Raises:
        UsageError: It cannot act so, or onnxruntime is not installed.
        WeanError: The folder is damaged.
    """
    require("onnxruntime", extra="export")
    try:
        found = load(folder, acting)
    except ExportError as error:
        raise WeanError(str(error)) from None
    except PolicyError as error:
        raise UsageError(str(error)) from None
    if isinstance(found, ArrayPolicy):
        declared = "camera" if found.observations.with_state else "array"
        return StudentPolicy(ExportedStudent(found), cast(Acting, found.acting), declared)
    if isinstance(found, ReadingPolicy):
        return ReaderPolicy(found.another())
    return ValuesPolicy(ExportedValues(found), found.acting == "greedy")
