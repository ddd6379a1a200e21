"""Text students as policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.agents.subgoal_source import SubgoalSource
from wean.agents.text_agent import TextAgent
from wean.students.text.seq2seq_decoder import decoder_for
from wean.students.text.student import TextStudent
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks


class TextStudentPolicy(Policy):
    """A text student that plays text tasks, alone or together with others.

    Args:
        students: The student, and those that act together with it (`wean.students.text.student.load_ensemble`).
        planner: Gives for an episode what names its sub-goals in the student's place; None lets the student plan.
    """

    name = "student"

    def __init__(
        self, students: Sequence[TextStudent], planner: Callable[[Case], SubgoalSource | None] | None = None
    ) -> None:
        self._students, self._planner = students, planner
        self._agents: list[TextAgent] = []
        self._begun = False

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        first, *others = self._students
        planners = [self._planner(case) if self._planner else None for case in members]
        self._agents = [TextAgent(first, planner, decoder=decoder_for(first, others)) for planner in planners]
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
