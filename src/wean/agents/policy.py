"""The one contract for whatever acts, and trained students that keep it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wean.errors import UsageError
from wean.runtime.acting import NoRepeat, one_hot, sample
from wean.students.action_values import ActionValues
from wean.students.camera import CameraStudent
from wean.students.config import Acting
from wean.students.saving import load_student, shipped_acting
from wean.students.student import Student
from wean.tasks.member import student_observation
from wean.tasks.situation import Situation
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks, chosen

SILENT = 40
"""Actions and answers in a row that cost no move, after which an agent in words gives an episode up."""


class Policy:
    """Acts in many episodes side by side, or in one environment.

    A subclass implements `probabilities`, or `decide` where actions are not drawn from a distribution. Every episode
    brings its own random numbers, so that what happens in it does not depend on the others.

    Example:
        >>> class First(Policy):
        ...     name = "first"
        ...
        ...     def decide(self, tasks, which, observations, draws):
        ...         return [0 for _ in which]
        >>> wean.evaluate(First(), "FrozenLake4x4", episodes=5).policy
        'first'

    Attributes:
        name: What tables and JSON call it.
    """

    name = "policy"

    def begin(self, members: Sequence[Case]) -> None:
        """Forgets everything; each member begins its episode."""

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the probabilities (n, A) of the actions of n members.

        Args:
            tasks: Where they act.
            which: The members.
            observations: (n, ...) what they observe.
            draws: (n,) uniform numbers in [0, 1), for a policy that makes further random choices.

        Returns:
            The columns are the task's actions, or in a text task the choices of the situation, of which members with
            fewer than A leave the last ones at 0.
        """
        raise TypeError(f"{type(self).__name__} must implement probabilities() or decide()")

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """Returns an action for each of n members, as `tasks.step` takes it; None gives an episode up.

        Args:
            tasks: Where they act.
            which: The members.
            observations: (n, ...) what they observe.
            draws: (n, 2) uniform numbers in [0, 1): one for `probabilities`, one that draws the action.
        """
        numbers = sample(self.probabilities(tasks, which, observations, draws[:, 0]), draws[:, 1])
        return chosen(tasks, which, numbers)

    def observe(self, tasks: Tasks, which: Sequence[int], steps: Steps) -> None:
        """Called with what each step of n members gave, the last one of an episode included."""

    def episode_stats(self) -> list[dict[str, Any]]:
        """Returns what each member's episode took (questions, tokens, ...); empty for a policy without."""
        return []

    def reset(self, seed: int | None = None) -> None:
        """Begins an episode of the one environment that `act` acts in; a seed seeds its draws."""
        raise UsageError(f"{self.name} acts in wean's tasks only; play it with wean.evaluate or `wean eval`")

    def act(self, observation: Any) -> Any:
        """Returns the action for an observation of one environment, and remembers what it needs for the next."""
        raise UsageError(f"{self.name} acts in wean's tasks only; play it with wean.evaluate or `wean eval`")


class SeeingStudent(Protocol):
    """What `StudentPolicy` needs of a student; see `wean.students.student.Student`."""

    config: dict[str, Any]

    def first_state(self, members: int) -> Tensor:
        """See `Student.first_state`."""

    def probabilities(
        self, observations: NDArray[Any], state: Tensor, starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], Tensor]:
        """See `Student.probabilities`."""


class ReadingStudent(Protocol):
    """What `ValuesPolicy` needs of a student; see `wean.students.action_values.ActionValues`."""

    def meet(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """See `ActionValues.meet`."""

    def choose(self, states: NDArray[np.int64], greedy: bool, use_prior: bool = True) -> NDArray[np.float64]:
        """See `ActionValues.choose`."""


class StudentPolicy(Policy):
    """A trained student that sees observations.

    ```python
    policy = load_policy("runs/simple/student")
    action = policy.act(observation)  # policy.reset() where an episode begins
    ```

    Args:
        student: The student.
        acting: How it acts.
        declared: What its task declares its observations as, see `student_observation`.
    """

    def __init__(self, student: SeeingStudent, acting: Acting = "sampled", declared: str = "array") -> None:
        self.name = f"student ({acting})"
        self.student, self.acting, self._declared = student, acting, declared
        self._random = np.random.default_rng()
        self.begin([Case()])

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._state = self.student.first_state(len(members))
        self._fresh = np.ones(len(members), bool)
        self._no_repeat = [NoRepeat() for _ in members] if self.acting == "no_repeat" else []

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`; all of it is at one action unless actions are drawn."""
        return self._probabilities(which, observations)

    def reset(self, seed: int | None = None) -> None:
        """See `Policy.reset`."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.begin([Case()])

    def act(self, observation: Any) -> int:
        """Returns the number of the action for an observation as the environment gives it.

        Raises:
            UsageError: The observation is none that this student sees.
        """
        if isinstance(observation, Situation):
            raise UsageError("this student sees observations, not situations; give it what env.step returned")
        try:
            seen = student_observation(observation, self._declared)[None]
        except (KeyError, ValueError):
            raise UsageError(
                f"this student sees arrays of numbers, not {type(observation).__name__}s like this"
            ) from None
        if self.student.config.get("goal", "none") != "none" and seen.shape[-1] != 5:
            raise UsageError(
                "this student sees sub-goals; show it the task through wean.experiment.build.seen_by_run(RUN)"
            )
        probabilities = self._of_one(seen)
        place = int(sample(probabilities, np.array([self._draw()]))[0])
        return place + int(self.student.config.get("first_action", 0))

    def _of_one(self, seen: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities for an observation (1, ...) that comes from outside.

        Raises:
            UsageError: It is not made of finite numbers, or has another shape than the student sees.
        """
        what = f"an observation of shape {seen.shape[1:]} and type {seen.dtype}"
        if seen.dtype.kind not in "biuf" or not np.isfinite(seen).all():
            raise UsageError(f"{what} is not made of finite numbers; mend the environment, or fill in what is missing")
        try:
            return self._probabilities([0], seen)
        except (RuntimeError, IndexError, TypeError, ValueError):
            raise UsageError(
                f"{what} is none that this student sees; give it what its own task's reset() and step() return"
            ) from None

    def _draw(self) -> float:
        """A uniform number where one is needed."""
        return self._random.random() if self.acting == "sampled" else 0.5

    def _probabilities(self, which: Sequence[int], observations: NDArray[Any]) -> NDArray[np.float64]:
        rows = torch.as_tensor(which)
        probabilities, state = self.student.probabilities(observations, self._state[rows], self._fresh[which])
        self._state[rows] = state
        self._fresh[which] = False
        if self.acting == "sampled":
            return probabilities
        best = probabilities.argmax(1)
        if self._no_repeat:
            rows_seen = zip(which, observations, probabilities, strict=True)
            best = np.array([self._no_repeat[index].choose(sight, row) for index, sight, row in rows_seen])
        return one_hot(best, probabilities.shape[1])


class ValuesPolicy(Policy):
    """A trained student of action values, on the actions that its prior proposes, or without it on all of them."""

    def __init__(self, student: ReadingStudent, greedy: bool = True, use_prior: bool = True) -> None:
        acting = "greedy" if greedy else "sampled"
        self.name = f"student ({acting})" if use_prior else f"student without its prior ({acting})"
        self.student, self.greedy, self.use_prior = student, greedy, use_prior
        self._random = np.random.default_rng()

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`; the columns are the situation's choices."""
        return self._probabilities(tasks.situations(which))

    def reset(self, seed: int | None = None) -> None:
        """See `Policy.reset`; there is no memory."""
        if seed is not None:
            self._random = np.random.default_rng(seed)

    def act(self, observation: Any) -> int:
        """Returns the place of an action among the choices of a situation, e.g. `task.situation()`.

        Raises:
            UsageError: It is no situation.
        """
        if not isinstance(observation, Situation):
            raise UsageError("this student reads situations, not observations; give it task.situation()")
        probabilities = self._probabilities([observation])
        draw = 0.5 if self.greedy else self._random.random()
        return int(sample(probabilities, np.array([draw]))[0])

    def _probabilities(self, situations: Sequence[Situation]) -> NDArray[np.float64]:
        return self.student.choose(self.student.meet(situations), self.greedy, self.use_prior)


def policy_of(student: Student | ActionValues, acting: Acting) -> Policy:
    """Returns a student's policy.

    Raises:
        UsageError: A student of action values cannot act so.
    """
    if not isinstance(student, ActionValues):
        return StudentPolicy(student, acting, "camera" if isinstance(student, CameraStudent) else "array")
    if acting == "no_repeat":
        raise UsageError("a student of action values acts greedy or sampled; leave acting=no_repeat out")
    return ValuesPolicy(student, acting == "greedy")


def load_policy(folder: str | Path, acting: Acting | None = None) -> Policy:
    """Loads the student of a folder, e.g. `runs/simple/student`.

    By default it acts as its folder says, else `sampled`, and `greedy` if it is a student of action values.

    Raises:
        WeanError: It is no student's folder, or damaged.
        UsageError: The student cannot act so.
    """
    student = load_student(Path(folder))
    acting = acting or shipped_acting(Path(folder))
    return policy_of(student, acting or ("greedy" if isinstance(student, ActionValues) else "sampled"))
