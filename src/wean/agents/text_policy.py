"""Text students as a policy of text tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.agents.reading_agent import ReadingAgent
from wean.agents.text_agent import SubgoalSource, TextAgent
from wean.students.text.decoder import Decoder, decoder_for
from wean.students.text.student import TextStudent
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks


class TextStudentPolicy(Policy):
    """A text student that plays text tasks, alone or as an ensemble with others (`load_ensemble`).

    The planner gives for an episode a source of sub-goals in the student's place; None lets the student plan. A student
    with patterns of its demonstrations is held to them by rules, one without reads and decides.
    """

    name = "student"

    def __init__(
        self, students: Sequence[TextStudent], planner: Callable[[Case], SubgoalSource | None] | None = None
    ) -> None:
        self._students, self._planner = students, planner
        self._decoders: list[Decoder] = []
        self._agents: list[TextAgent | ReadingAgent] = []
        self._begun = False

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        first, *others = self._students
        planners = [self._planner(case) if self._planner else None for case in members]
        self._decoders += [decoder_for(first, others) for _ in members[len(self._decoders) :]]
        kind = ReadingAgent if first.patterns is None else TextAgent
        self._agents = [
            kind(first, planner, decoder) for planner, decoder in zip(planners, self._decoders, strict=False)
        ]
        self._begun = False

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        if not self._begun:
            for index, agent in enumerate(self._agents):
                agent.begin(tasks.text_task(index))
            self._begun = True
        agents = [self._agents[index] for index in which]
        return [None if agent.given_up else agent.next_action() for agent in agents]

    def observe(self, tasks: Tasks, which: Sequence[int], steps: Steps) -> None:
        """See `Policy.observe`."""
        over = steps.terminated | steps.truncated
        for place, index in enumerate(which):
            self._agents[index].observe(steps.feedback(place), steps.infos[place], bool(over[place]))

    def episode_stats(self) -> list[dict[str, Any]]:
        """See `Policy.episode_stats`."""
        return [asdict(agent.played) for agent in self._agents]
