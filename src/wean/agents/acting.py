"""Using a trained student: one observation in, one action out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wean.errors import UsageError
from wean.students.action_values import ActionValues
from wean.students.no_repeat import Acting, NoRepeat
from wean.students.saving import load_student
from wean.students.student import Student
from wean.tasks.situation import Situation
from wean.tasks.vector import student_observation


class Actor:
    """A student at work in one environment.

    ```python
    actor = Actor.load("runs/simple/student")
    action = actor.act(observation)
    ```

    Args:
        student: The trained student.
        acting: Draws actions (`sampled`), takes the most probable one (`greedy`), or that without going in circles
            (`no_repeat`).
        seed: Seeds the draws.
    """

    def __init__(self, student: Student, acting: Acting = "sampled", seed: int | None = None) -> None:
        self.student, self.acting = student, acting
        self._random = np.random.default_rng(seed)
        self.reset()

    @classmethod
    def load(cls, folder: str | Path, acting: Acting = "sampled", seed: int | None = None) -> Actor:
        """Loads the student of a folder, e.g. `runs/simple/student`.

        Raises:
            WeanError: If it is no student's folder, or damaged.
        """
        student = load_student(Path(folder))
        if isinstance(student, ActionValues):
            raise UsageError(f"the student in {folder} reads situations; load it with TextActor")
        return cls(student, acting, seed)

    def reset(self) -> None:
        """Begins an episode: what it remembers of the one before is forgotten."""
        self._state = self.student.first_state(1)
        self._fresh = np.ones(1, bool)
        self._unlooped = NoRepeat()

    def act(self, observation: Any) -> int:
        """Chooses the action for an observation as the environment gives it."""
        seen = student_observation(observation)[None]
        if self.student.config.get("goal", "none") != "none" and seen.shape[-1] != 5:
            raise UsageError(
                "this student sees sub-goals; show it the task through wean.experiment.build.seen_by_run(RUN)"
            )
        probabilities, self._state = self.student.probabilities(seen, self._state, self._fresh)
        self._fresh = np.zeros(1, bool)
        if self.acting == "no_repeat":
            return self._unlooped.choose(seen, probabilities[0])
        if self.acting == "greedy":
            return int(probabilities[0].argmax())
        return int(min((probabilities[0].cumsum() < self._random.random()).sum(), self.student.num_actions - 1))


class TextActor:
    """A student of action values at work: a situation in, one of its choices out.

    ```python
    actor = TextActor.load("runs/kitchen/student")
    number = actor.act(task.situation())
    ```

    Args:
        student: The trained student.
        use_prior: Keeps to what its prior proposed where it carries such proposals; False chooses by its values alone.
    """

    def __init__(self, student: ActionValues, use_prior: bool = True) -> None:
        self.student, self.use_prior = student, use_prior

    @classmethod
    def load(cls, folder: str | Path, use_prior: bool = True) -> TextActor:
        """Loads the student of a folder.

        Raises:
            WeanError: If it is no student's folder, or damaged.
            UsageError: If the student sees observations instead of situations.
        """
        student = load_student(Path(folder))
        if not isinstance(student, ActionValues):
            raise UsageError(f"the student in {folder} sees observations; load it with Actor")
        return cls(student, use_prior)

    def act(self, situation: Situation) -> int:
        """Chooses: the place of the best action among the situation's choices."""
        return int(self.student.choose(self.student.meet([situation]), True, self.use_prior)[0].argmax())
