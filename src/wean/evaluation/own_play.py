"""A text student plays for itself: episodes with sampled sub-goals and actions that reach the full score."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from wean.agents.reading import ReaderPolicy
from wean.agents.references import ReplayPolicy
from wean.algorithms.practise import without_detours
from wean.evaluation.oracle import Wanted, play_path
from wean.evaluation.playing import Episode
from wean.runtime.reading import Reader
from wean.students.text.decoder import SamplingDecoder, decoder_for
from wean.students.text.student import load_text_student
from wean.tasks.registration import make_task
from wean.tasks.scienceworld_server import ServerLost
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks

FULL = 100
"""The full score of a task in words."""


@dataclass(frozen=True)
class Play:
    """How a student plays for itself.

    Attributes:
        task: Name of the task.
        student: Folder of the student.
        cases: The episodes, by task and variation.
        tries: How often each is played until it is solved.
        temperature: Of the sampled sub-goals and actions.
        max_moves: Moves after which an episode is over.
        seed: Seed of the draws.
    """

    task: str
    student: Path
    cases: Mapping[Wanted, Case]
    tries: int = 3
    temperature: float = 0.5
    max_moves: int = 100
    seed: int = 0


class StudentOracle:
    """A student's own solutions of episodes, without detours; an `Oracle`."""

    def __init__(self, plan: Play) -> None:
        self._plan = plan
        self._student = load_text_student(plan.student)
        self._tasks = SerialTasks([partial(make_task, plan.task)])

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """See `Oracle`; the row has `subgoals` too, of a student that plans: texts with their numbers of actions."""
        plan, case = self._plan, self._plan.cases[task, variation]
        generator = np.random.default_rng([plan.seed, zlib.crc32(task.encode()), variation])
        decoder = SamplingDecoder(decoder_for(self._student), plan.temperature, generator)
        policy = ReaderPolicy(Reader(decoder, self._student.tokenizer, self._student.prompt))
        for tried in range(1, plan.tries + 1):
            try:
                row, episode = play_path(self._tasks, policy, case, plan.max_moves)
                if _score(row, episode) >= FULL or tried == plan.tries:
                    break
            except ServerLost:
                if tried == plan.tries:
                    raise
        row = {**row, "score": _score(row, episode), "policy": str(plan.student)}
        if row["score"] < FULL or not row["path"]:
            return {**row, "score": min(row["score"], FULL - 1)}
        goals = _goals(episode.stats["trace"]) if self._student.prompt.subgoals else []
        return self._shorter(row, goals, case)

    def close(self) -> None:
        """Closes the task."""
        self._tasks.close()

    def _shorter(self, row: dict[str, Any], goals: Sequence[str], case: Case) -> dict[str, Any]:
        """The episode without its detours if that reaches the full score, too; else as it was played."""
        path, every = row["path"], list(range(len(row["path"])))
        kept = without_detours(_states(path))
        if kept != every:
            actions = [path[number]["action"] for number in kept]
            again, episode = play_path(self._tasks, ReplayPolicy({(case.task, case.variation): actions}), case)
            if _score(again, episode) >= FULL:
                row = {**row, **again, "score": FULL}
                every = kept[: len(again["path"])]
        return {**row, "subgoals": _chunks([goals[number] for number in every])} if goals else row


def _states(path: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """What the student knows before each step: what can be seen and is carried, the points, and how much was read."""
    score, read = 0.0, set[str]()
    states: list[tuple[Any, ...]] = []
    for step in path:
        read.add(step["look"])
        states.append((step["look"], step["inventory"], score, len(read)))
        read.add(step["observation"])
        score = step["score"]
    return states


def _score(row: Mapping[str, Any], episode: Episode) -> float:
    """Points of an episode; a task that counts none has the full score where it reports success."""
    return FULL if episode.success == 1 else float(row["score"])


def _goals(trace: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sub-goal of each action in a trace."""
    goals: list[str] = []
    current = ""
    for entry in trace:
        current = entry.get("goal", current)
        if "action" in entry:
            goals.append(current)
    return goals


def _chunks(goals: Sequence[str]) -> list[tuple[str, int]]:
    """Sub-goals with their numbers of actions."""
    return [(goal, len(list(actions))) for goal, actions in groupby(goals)]
