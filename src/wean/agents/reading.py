"""Students that read at work in text tasks, by the code with which they act where they are exported to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wean.agents.policy import SILENT, Policy
from wean.runtime.reading import Reader, Sight
from wean.students.text.incremental import incremental
from wean.students.text.student import TextStudent
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks


class TorchNetwork:
    """A student's language model in PyTorch, as `Reader` takes one; `ReadingNetwork` is the exported one."""

    def __init__(self, student: TextStudent) -> None:
        self._student = student
        self._model = incremental(student.model.eval(), student.prompt.context)

    def another(self) -> TorchNetwork:
        """The same model with a cache of its own."""
        return TorchNetwork(self._student)

    @torch.inference_mode()
    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        """Log-probabilities (last, vocabulary) of the next token after each of the last tokens."""
        found: NDArray[np.float32] = self._model.run(ids, past, last).log_softmax(-1).numpy()
        return found


def reader_of(student: TextStudent, no_repeat: bool = True) -> Reader:
    """A student in PyTorch that acts as it does where it is exported to."""
    return Reader(TorchNetwork(student), student.tokenizer, student.prompt, no_repeat)


class ReaderPolicy(Policy):
    """Plays text tasks with a student that reads; no rule of an agent stands between its network and its actions."""

    name = "student"

    def __init__(self, reader: Reader) -> None:
        self._first = reader
        self._episodes: list[_Episode] = []

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        readers = [self._first, *(self._first.another() for _ in members[1:])]
        self._episodes = [_Episode(reader) for reader in readers]

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        return [self._episodes[index].decide(tasks, index) for index in which]

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

    def __init__(self, reader: Reader) -> None:
        reader.reset()
        self._reader, self._observation, self._action = reader, "", ""
        self._read_before = reader.decoder.tokens_read
        self._silent, self._moves, self._num_goals, self._seconds = 0, 0, 0, 0.0
        self._trace: list[dict[str, Any]] = []

    def decide(self, tasks: Tasks, index: int) -> str | None:
        """The next action; None after many that cost no move."""
        if self._silent >= SILENT:
            return None
        task = tasks.text_task(index)
        choices = task.situation().choices
        sight = Sight(
            task.description,
            task.look(),
            choices,
            self._observation,
            task.inventory(),
            float(task.score),
            bool(task.meanings),
            task.idle,
        )
        started = time.perf_counter()
        self._action = choices[self._reader.act(sight)]
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
