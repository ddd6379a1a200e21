"""Tasks whose actions are skills: options, chosen by a student without a language model.

The options framework (Sutton, Precup and Singh 1999): an option runs until it ends, and what follows an option of k
steps is discounted by gamma^k. Here every step is one primitive step, and while a skill runs it is the only choice
allowed. A forced choice has probability 1 and so no gradient: the semi-Markov problem, solved by an algorithm for
ordinary tasks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.vector import Options, Plan, SerialTasks, Steps, TaskView, num_actions


@dataclass
class _Member:
    """The state of one task within an episode."""

    seed: int
    running: int | None = None
    """The skill that was chosen last."""
    chosen_in: Hashable = None
    """Key of the situation in which it was chosen."""
    actions: dict[int, int] = field(default_factory=dict)
    """The skills that can be chosen now, with the primitive action of each."""
    history: list[tuple[int, int]] = field(default_factory=list)


class OptionTasks(TaskView):
    """A view of grid tasks whose actions are the skills that the task lists.

    A chosen skill runs until it has nothing more to do or the situation changes. Then every skill can be chosen that
    the situation names and that can do something; if there is none, all can, and any choice is a random primitive
    action.

    Observation: the remembered map with a fifth channel, uint8 (W, H, 5), whose cells, read in order (x, then y), are 1
    for the skills that can be chosen and 0 for the others.

    Raises:
        UsageError: If the tasks list no skills, or show no remembered map with room for them.
    """

    no_expert = "nobody knows the best skills"

    def __init__(self, tasks: SerialTasks) -> None:
        super().__init__(tasks)
        self._skills = tasks.skill_names()
        self._index = {name: number for number, name in enumerate(self._skills)}
        self._members: dict[int, _Member] = {}
        space = tasks.observation_space
        shape = space.shape or ()
        if tasks.observation != "map":
            raise UsageError(f"who chooses skills sees a remembered map (W, H, 4), not {space}")
        self.observation = "map+actions"
        if shape[0] * shape[1] < len(self._skills):
            raise UsageError(f"a map of {shape[0]} x {shape[1]} cells has no room for {len(self._skills)} skills")
        self.observation_space: gym.Space[Any] = gym.spaces.Box(0, 255, (*shape[:2], 5), np.uint8)
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(len(self._skills))
        self._primitives = num_actions(tasks.action_space)

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """See `Tasks.reset`."""
        observations = self._tasks.reset(which, seeds, options)
        self._members |= {index: _Member(int(seed)) for index, seed in zip(which, seeds, strict=True)}
        return self._observe(which, observations)

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`; takes one primitive step of the chosen skills."""
        situations = self._tasks.situations(which)
        primitives = []
        for index, skill, situation in zip(which, actions, situations, strict=True):
            member = self._members[index]
            primitive = member.actions.get(int(skill))
            if primitive is None or not 0 <= primitive < self._primitives:
                draw = np.random.default_rng([member.seed, len(member.history)]).integers(self._primitives)
                primitive = int(draw)
            member.running, member.chosen_in = int(skill), situation.key
            member.history.append((primitive, int(skill)))
            primitives.append(primitive)
        stepped = self._tasks.step(which, primitives)
        return stepped._replace(observations=self._observe(which, stepped.observations))

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """See `Tasks.first_actions`; the number of the first skill of each plan that can do something."""
        found: list[list[int | None]] = []
        for index, of_member in zip(which, plans, strict=True):
            actions = self._members[index].actions
            numbers = [[self._index.get(skill, -1) for skill in plan] for plan in of_member]
            found.append([next((n for n in plan if n in actions), None) for plan in numbers])
        return found

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`; an entry is a primitive action and the skill that took it."""
        return [(m.seed, list(m.history)) for m in (self._members[index] for index in range(self.num))]

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`."""
        observations = []
        for index, (seed, entries) in enumerate(histories):
            seen = self._tasks.reset([index], [seed])
            member = self._members[index] = _Member(int(seed), history=[(int(p), int(s)) for p, s in entries])
            for primitive, skill in member.history:
                member.running, member.chosen_in = skill, self._tasks.situations([index])[0].key
                seen = self._tasks.step([index], [primitive]).observations
            observations.append(self._observe([index], seen)[0])
        return np.stack(observations)

    def action_names(self) -> list[str]:
        """The skills."""
        return list(self._skills)

    def _observe(self, which: Sequence[int], observations: NDArray[Any]) -> NDArray[Any]:
        """Finds the skills that can be chosen, and adds them to the maps."""
        situations = self._tasks.situations(which)
        for index, situation in zip(which, situations, strict=True):
            member = self._members[index]
            running = None if situation.key != member.chosen_in else member.running
            names = () if running is None else (self._skills[running],)
            member.actions = self._able(index, names) or self._able(index, situation.choices)
        channel = np.zeros((len(which), *observations.shape[1:3]), np.uint8)
        for flat, index in zip(channel.reshape(len(which), -1), which, strict=True):
            allowed = list(self._members[index].actions) or range(len(self._skills))
            flat[allowed] = 1
        return np.concatenate([observations, channel[..., None]], -1)

    def _able(self, index: int, names: Sequence[str]) -> dict[int, int]:
        """The named skills that can do something, with the primitive action of each."""
        found = self._tasks.first_actions([index], [[(name,) for name in names]])[0]
        return {
            self._index[name]: action
            for name, action in zip(names, found, strict=True)
            if action is not None and name in self._index
        }
