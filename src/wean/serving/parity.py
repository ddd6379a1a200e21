"""Held-out moments of a student at work, and how far an exported student is from it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wean.agents.policy import StudentPolicy, ValuesPolicy
from wean.evaluation.evaluate import play_seeds
from wean.runtime.policy import ArrayPolicy
from wean.runtime.policy import ValuesPolicy as RuntimeValues
from wean.students.action_values import ActionValues
from wean.students.student import Student
from wean.tasks.situation import Situation
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import ShownTasks

_MOST_ROUNDS = 500  # of twenty episodes each


class Parity(NamedTuple):
    """How far two ways to compute the same are from each other.

    Attributes:
        observations: Number of held-out observations, or situations.
        difference: Largest difference of two numbers: probabilities and memories, or values of actions.
        agreement: Share of the observations in which both have the same best action.
    """

    observations: int
    difference: float
    agreement: float


class Moment(NamedTuple):
    """What a batch of members saw, and what the student in PyTorch made of it."""

    observations: NDArray[Any]
    memory: NDArray[np.float32]
    starts: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    after: NDArray[np.float32]


class _WatchedStudent:
    """A student that acts as before, and keeps what it saw."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self.config, self.num_actions, self.memory_size = student.config, student.num_actions, student.memory_size
        self.moments: list[Moment] = []

    def first_state(self, members: int) -> Tensor:
        """See `Student.first_state`."""
        return self._student.first_state(members)

    def probabilities(
        self, observations: NDArray[Any], state: Tensor, starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], Tensor]:
        """See `Student.probabilities`."""
        before = state.numpy().copy()
        found, after = self._student.probabilities(observations, state, starts)
        self.moments.append(Moment(observations, before, starts.copy(), found, after.numpy().copy()))
        return found, after


class _WatchedValues:
    """A student of action values that acts as before, and keeps the situations."""

    def __init__(self, student: ActionValues) -> None:
        self._student = student
        self.situations: list[Situation] = []

    def meet(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """See `ActionValues.meet`."""
        self.situations += situations
        return self._student.meet(situations)

    def choose(self, states: NDArray[np.int64], greedy: bool, use_prior: bool = True) -> NDArray[np.float64]:
        """See `ActionValues.choose`."""
        return self._student.choose(states, greedy, use_prior)


def held_out_moments(student: Student, tasks: ShownTasks, count: int) -> list[Moment]:
    """Plays held-out episodes with drawn actions until `count` observations were met."""
    watched = _WatchedStudent(student)
    policy = StudentPolicy(watched, "sampled")
    for number in range(_MOST_ROUNDS):
        play_seeds(policy, tasks, tasks.num, FINAL_SEED + number * tasks.num)
        if sum(len(one.observations) for one in watched.moments) >= count:
            break
    return watched.moments


def held_out_situations(student: ActionValues, tasks: ShownTasks, count: int) -> list[Situation]:
    """Plays held-out episodes until `count` situations were met."""
    watched = _WatchedValues(student)
    policy = ValuesPolicy(watched, greedy=False)
    for number in range(_MOST_ROUNDS):
        play_seeds(policy, tasks, tasks.num, FINAL_SEED + number * tasks.num)
        if len(watched.situations) >= count:
            break
    return watched.situations


def compare_student(policy: ArrayPolicy, moments: Sequence[Moment]) -> Parity:
    """Compares an exported student that sees arrays with what the original made of held-out observations."""
    difference, same, count = 0.0, 0, 0
    for one in moments:
        found, after = policy.probabilities(one.observations, one.memory, one.starts)
        difference = max(difference, float(np.abs(found - one.probabilities).max()))
        if after.size:
            difference = max(difference, float(np.abs(after - one.after).max()))
        same += int((found.argmax(1) == one.probabilities.argmax(1)).sum())
        count += len(found)
    return Parity(count, difference, same / count)


def compare_values(policy: RuntimeValues, student: ActionValues, situations: Sequence[Situation]) -> Parity:
    """Compares the values of an exported student with the original's in held-out situations."""
    difference, same = 0.0, 0
    numbers = student.meet(situations)
    for number, situation in zip(numbers, situations, strict=True):
        state = np.array([number])
        own = student(state).detach().numpy()
        found = policy.values.of([situation])
        difference = max(difference, float(np.abs(found - own).max()))
        chosen = policy.probabilities([situation], True).argmax(1)
        same += int((chosen == student.choose(state, True).argmax(1)).sum())
    return Parity(len(situations), difference, same / len(situations))
