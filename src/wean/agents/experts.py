"""Policies written by hand: a best action in every moment, from all there is to know, and a scripted explorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.tasks.vector import Tasks


class ExpertPolicy:
    """Uniform over the best actions, see `Tasks.best_actions`; over all of them where none is any good."""

    name = "expert"

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`; in a text task the columns are the situation's choices, (len(which), most choices)."""
        best = tasks.best_actions(which)
        if isinstance(tasks.action_space, gym.spaces.Discrete):
            counts = [int(tasks.action_space.n)] * len(which)
        else:
            lists = [situation.choices for situation in tasks.situations(which)]
            counts = [len(choices) for choices in lists]
            best = [[choices.index(text) for text in texts] for choices, texts in zip(lists, best, strict=True)]
        probabilities = np.zeros((len(which), max(counts)))
        for row, numbers, count in zip(probabilities, best, counts, strict=True):
            among = numbers or range(count)
            row[list(among)] = 1 / len(among)
        return probabilities


class ExplorerPolicy:
    """The task's scripted explorer, which knows no more than what the agent has observed: a fair reference."""

    def __init__(self, num_actions: int) -> None:
        self.name = "explorer"
        self._num_actions = num_actions

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        return np.eye(self._num_actions)[tasks.scripted_actions(which)]
