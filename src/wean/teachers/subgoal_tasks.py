"""A view of tasks that shows the current sub-goal, as in Words as Beacons (2410.08632).

The sub-goal is the first skill that has something to do now, of the most probable plan that has one. It depends on the
current situation alone, so the language model is needed wherever such a student acts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.grid.words import PARTS, numbers_of, thing_of
from wean.tasks.situation import Situation
from wean.tasks.vector import Options, SerialTasks, Steps, TaskView
from wean.teachers.ask_or_act import QueryStats
from wean.teachers.elicitation import Advice

Advise = Callable[[Sequence[Situation]], list[Advice]]


@dataclass
class _Member:
    """One task on its way through an episode."""

    seed: int
    asked: dict[Hashable, int] = field(default_factory=dict)
    """Tokens of the plan for each situation of this episode."""


class SubgoalTasks(TaskView):
    """A view of grid tasks that shows the current sub-goal; actions and rewards are the tasks' own.

    Observation: the remembered map with a fifth channel, uint8 (W, H, 5). Shown by `position`, the channel is 1 where
    the agent has seen things of the sub-goal's name and 0 elsewhere (everywhere for "explore", and for a thing that it
    holds). Shown by `words`, its first four cells in order (x, then y) hold the numbers of the sub-goal's words, see
    `wean.tasks.grid.words.numbers_of`. All zeros: there is no sub-goal.

    Args:
        tasks: The tasks.
        advise: Gives the plans for situations, e.g. `Teacher.advise`.
        shown: How a sub-goal is shown.

    Raises:
        UsageError: If the tasks do not show a remembered map, or one too small for the numbers.
    """

    def __init__(self, tasks: SerialTasks, advise: Advise, shown: Literal["position", "words"]) -> None:
        super().__init__(tasks)
        self._advise, self._shown = advise, shown
        self._members: dict[int, _Member] = {}
        space = tasks.observation_space
        shape = space.shape or ()
        if tasks.observation != "map" or shape[0] * shape[1] < PARTS:
            raise UsageError(f"sub-goals are shown on a remembered map (W, H, 4), not {space}; set student.goal=none")
        self.observation = "map+subgoal"
        self.observation_space: gym.Space[Any] = gym.spaces.Box(0, 255, (*shape[:2], 5), np.uint8)
        self.action_space: gym.Space[Any] = tasks.action_space
        self.query_stats: dict[int, QueryStats] = {}
        """What was asked in each finished episode, by its reset seed: a question for each of its situations."""

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """See `Tasks.reset`."""
        observations = self._tasks.reset(which, seeds, options)
        self._members |= {index: _Member(int(seed)) for index, seed in zip(which, seeds, strict=True)}
        return self._observe(which, observations)

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`; the teacher is not asked about the situation after the end."""
        stepped = self._tasks.step(which, actions)
        seen = self._observe(which, stepped.observations, stepped.terminated)
        for index, over in zip(which, stepped.terminated | stepped.truncated, strict=True):
            if over:
                member = self._members[index]
                questions = len(member.asked)
                self.query_stats[member.seed] = QueryStats(questions, questions, 0, sum(member.asked.values()))
        return stepped._replace(observations=seen)

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`; the teacher is not asked again about the situations on the way."""
        self._members = {index: _Member(int(seed)) for index, (seed, _) in enumerate(histories)}
        return self._observe(range(self.num), self._tasks.replay(histories))

    def sub_goals(self, which: Sequence[int]) -> list[str | None]:
        """The current sub-goal of each named member; None where no plan has anything to do."""
        situations = self._tasks.situations(which)
        named: list[list[str]] = []
        for index, situation, advice in zip(which, situations, self._advise(situations), strict=True):
            self._members[index].asked[situation.key] = advice.tokens
            plans = sorted(advice.plans, key=lambda weighed: -weighed[1])
            named.append([skill for plan, _ in plans for skill in plan])
        actions = self._tasks.first_actions(which, [[(skill,) for skill in skills] for skills in named])
        return [
            next((skill for skill, action in zip(*pair, strict=True) if action is not None), None)
            for pair in zip(named, actions, strict=True)
        ]

    def _observe(
        self, which: Sequence[int], observations: NDArray[Any], over: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Writes the sub-goals of those whose episode goes on beside their maps."""
        channel = np.zeros((len(which), *observations.shape[1:3]), np.uint8)
        flat = channel.reshape(len(which), -1)
        going = [place for place in range(len(which)) if over is None or not over[place]]
        for place, goal in zip(going, self.sub_goals([which[place] for place in going]), strict=True):
            if goal is None:
                continue
            if self._shown == "words":
                flat[place, :PARTS] = numbers_of(goal)
            elif name := thing_of(goal):
                named = self._tasks.named_cells([which[place]])[0]
                flat[place, [cell for other, cell in named if other == name]] = 1
        return np.concatenate([observations, channel[..., None]], -1)
