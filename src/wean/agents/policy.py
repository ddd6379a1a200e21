"""Who acts in an evaluation: a student, the teacher itself, random plans through its skills, or chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.students.action_values import ActionValues
from wean.students.no_repeat import Acting, NoRepeat
from wean.students.student import Student
from wean.tasks.vector import Tasks
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher


class Policy(Protocol):
    """Acts in many episodes side by side; every episode brings its own random numbers, so order does not matter."""

    name: str

    def begin(self, episodes: int) -> None:
        """Forgets everything; members 0 to episodes - 1 begin."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Gives the probabilities (len(which), A) from which the members' actions are drawn.

        `draws` (len(which),) are uniform numbers, one a member, for a policy that makes further random choices.
        """


def sample(probabilities: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draws an action a row by inverting the cumulative distribution: (N, A) and (N,) give (N,)."""
    below: NDArray[np.int64] = (probabilities.cumsum(1) < draws[:, None]).sum(1)
    drawn: NDArray[np.int64] = np.minimum(below, probabilities.shape[1] - 1)
    return drawn


class StudentPolicy:
    """A trained student, acting in one of its ways."""

    def __init__(self, student: Student, acting: Acting = "sampled") -> None:
        self.name = f"student ({acting})"
        self._student, self._acting = student, acting

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""
        self._state = self._student.first_state(episodes)
        self._fresh = np.ones(episodes, bool)
        self._unlooped = [NoRepeat() for _ in range(episodes)] if self._acting == "no_repeat" else []

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        rows = torch.as_tensor(which)
        fresh = self._fresh[which]
        probabilities, state = self._student.probabilities(observations, self._state[rows], fresh)
        self._state[rows] = state
        self._fresh[which] = False
        if self._acting == "sampled":
            return probabilities
        chosen = probabilities.argmax(1)
        if self._unlooped:
            seen = zip(which, observations, probabilities, strict=True)
            chosen = np.array([self._unlooped[index].choose(sight, row) for index, sight, row in seen])
        return _one_hot(chosen, probabilities.shape[1])


class ValuesPolicy:
    """A student of action values, on what its prior proposes or on all actions.

    Args:
        student: Who acts; the columns of its probabilities are the situation's choices.
        greedy: The best action instead of the posterior over them.
        use_prior: False leaves the prior out.
    """

    def __init__(self, student: ActionValues, greedy: bool = True, use_prior: bool = True) -> None:
        acting = "greedy" if greedy else "sampled"
        self.name = f"student ({acting})" if use_prior else f"student without its prior ({acting})"
        self._student, self._greedy, self._use_prior = student, greedy, use_prior

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        moments = self._student.meet(tasks.situations(which))
        return self._student.choose(moments, self._greedy, self._use_prior)


def policy_of(student: Student | ActionValues, acting: Acting) -> Policy:
    """A student at work.

    Raises:
        UsageError: A student of action values cannot act so.
    """
    if not isinstance(student, ActionValues):
        return StudentPolicy(student, acting)
    if acting == "no_repeat":
        raise UsageError("a student of action values acts greedy or sampled; leave acting=no_repeat out")
    return ValuesPolicy(student, acting == "greedy")


class PriorPolicy:
    """The prior alone: draws from what it proposes; without a proposal it acts at random.

    Args:
        prior: Who proposes.
        expert: Says what is best, to count where the prior rules it out; None counts nothing.

    Attributes:
        moments: Moments in which it acted, and
        silent: those in which it proposed nothing, and
        astray: those in which it proposed something, but no best action. Both count with an expert only.
    """

    def __init__(self, prior: Prior, expert: Policy | None = None) -> None:
        self.name = "prior"
        self.moments = self.silent = self.astray = 0
        self._prior, self._expert = prior, expert

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        rows = [proposals.weights for proposals in self._prior.propose(tasks.situations(which))]
        probabilities = np.zeros((len(rows), max(len(row) for row in rows)))
        for probability, row in zip(probabilities, rows, strict=True):
            probability[: len(row)] = row if row.any() else 1 / len(row)
        if self._expert is not None:
            best = self._expert.act(tasks, which, observations, draws)
            self.moments += len(rows)
            self.silent += sum(not row.any() for row in rows)
            self.astray += int((~((best > 0) & (probabilities > 0)).any(1)).sum())
        return probabilities


class TeacherPolicy:
    """The teacher alone, through its skills; without advice it acts at random."""

    def __init__(self, teacher: Teacher, num_actions: int) -> None:
        self.name = "teacher"
        self._teacher, self._num_actions = teacher, num_actions

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        guidance = self._teacher.guide(tasks, which, self._num_actions)
        uniform = np.full(self._num_actions, 1 / self._num_actions)
        return np.where(guidance.advised[:, None], guidance.probabilities, uniform)


class RandomSkillsPolicy:
    """Random skills from the situation's choices: how much do the skills alone do?

    A drawn skill is kept until it has nothing more to do or the situation changes, so that a walk arrives.
    """

    def __init__(self, num_actions: int) -> None:
        self.name = "random-skills"
        self._num_actions = num_actions

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""
        self._held: dict[int, tuple[object, str]] = {}

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        situations = tasks.situations(which)
        plans = []
        for member, situation, draw in zip(which, situations, draws, strict=True):
            # The held skill first, then the others in random order: whichever can act first does.
            order = np.random.default_rng(int(draw * 2**53)).permutation(len(situation.choices))
            names = [situation.choices[i] for i in order]
            key, skill = self._held.get(member, (None, ""))
            if key == situation.key:
                names = [skill, *(name for name in names if name != skill)]
            plans.append([(name,) for name in names])
        firsts = tasks.first_actions(which, plans)
        probabilities = np.full((len(which), self._num_actions), 1 / self._num_actions)
        for row, (member, situation, plan, found) in enumerate(zip(which, situations, plans, firsts, strict=True)):
            for name, action in zip(plan, found, strict=True):
                if action is not None:
                    self._held[member] = (situation.key, name[0])
                    probabilities[row] = _one_hot(np.array([action]), self._num_actions)[0]
                    break
        return probabilities


class RandomPolicy:
    """Uniform over the primitive actions."""

    def __init__(self, num_actions: int) -> None:
        self.name = "random"
        self._num_actions = num_actions

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        return np.full((len(which), self._num_actions), 1 / self._num_actions)


def _one_hot(actions: NDArray[np.int64], num_actions: int) -> NDArray[np.float64]:
    return np.eye(num_actions)[actions]
