"""Students that read at work in text tasks, by the code with which they act where they are exported to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import SILENT, Policy
from wean.runtime.reading import Planner, Reader, Sight
from wean.students.text.decoder import decoder_for
from wean.students.text.student import TextStudent
from wean.tasks.contract import TextTask
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks


def reader_of(student: TextStudent, others: Sequence[TextStudent] = ()) -> Reader:
    """A student in PyTorch, or an ensemble with others (`load_ensemble`), as it acts where it is exported to."""
    return Reader(decoder_for(student, others), student.tokenizer, student.prompt)


def sight_in(task: TextTask, observation: str) -> Sight:
    """What a student is shown of a task, and of its answer to the last action."""
    return Sight(
        task.description,
        task.look(),
        task.situation().choices,
        observation,
        task.inventory(),
        float(task.score),
        bool(task.meanings),
        task.idle,
    )


class ReaderPolicy(Policy):
    """Plays text tasks with a student that reads; no rule of an agent stands between its network and its actions.

    Args:
        reader: The student.
        planner: Gives for an episode who names sub-goals in the student's place; None lets the student plan.
    """

    name = "student"

    def __init__(self, reader: Reader, planner: Callable[[Case], Planner | None] | None = None) -> None:
        self._readers, self._planner = [reader], planner
        self._episodes: list[_Episode] = []

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._readers += [self._readers[0].another() for _ in members[len(self._readers) :]]
        planners = [self._planner(case) if self._planner else None for case in members]
        self._episodes = [_Episode(*both) for both in zip(self._readers, planners, strict=False)]

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        return [self._episodes[index].decide(tasks.text_task(index)) for index in which]

    def observe(self, tasks: Tasks, which: Sequence[int], steps: Steps) -> None:
        """See `Policy.observe`."""
        for place, index in enumerate(which):
            score = float(tasks.text_task(index).score)
            self._episodes[index].observe(steps.feedback(place), score, steps.infos[place])

    def episode_stats(self) -> list[dict[str, Any]]:
        """See `Policy.episode_stats`."""
        return [episode.stats() for episode in self._episodes]


class _Episode:
    """One member's episode, and what the report shows of it."""

    def __init__(self, reader: Reader, planner: Planner | None) -> None:
        reader.reset(planner)
        self._reader, self._observation, self._action = reader, "", ""
        self._read_before = reader.decoder.tokens_read
        self._silent, self._moves, self._num_goals, self._seconds = 0, 0, 0, 0.0
        self._trace: list[dict[str, Any]] = []

    def decide(self, task: TextTask) -> str | None:
        """The next action; None after many that cost no move."""
        if self._silent >= SILENT:
            return None
        sight = sight_in(task, self._observation)
        started = time.perf_counter()
        self._action = self._reader.act(sight)
        self._seconds += time.perf_counter() - started
        self._trace += [{"goal": goal} for goal in self._reader.goals[self._num_goals :]]
        self._num_goals = len(self._reader.goals)
        return self._action

    def observe(self, observation: str, score: float, info: Mapping[str, Any]) -> None:
        """Notes what the task answered."""
        self._observation = observation
        moves = int(info.get("moves", self._moves + 1))
        self._silent = self._silent + 1 if moves == self._moves else 0
        self._moves = moves
        entry = {"action": self._action, "observation": observation[:300], "score": score, "moves": moves}
        self._trace.append(entry)

    def stats(self) -> dict[str, Any]:
        """What the episode took, for its line of JSON."""
        return {
            "seconds": self._seconds,
            "tokens": self._reader.decoder.tokens_read - self._read_before,
            "trace": self._trace,
        }
