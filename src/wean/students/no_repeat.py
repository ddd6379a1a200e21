"""Acting greedily without repeating an action at the same observation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Acting = Literal["sampled", "greedy", "no_repeat"]
"""How a student acts: draws from its policy, takes the most probable action, or see `NoRepeat`."""


class NoRepeat:
    """Takes the most probable action that was not taken at the same observation before in this episode.

    Where an observation holds all that an episode has shown so far, as a remembered map does, and the task is
    deterministic, a greedy student that comes back to an observation comes back for ever; so the next most probable
    action is taken then. When all have been taken it begins again. Where the task is stochastic, act greedily.
    """

    def __init__(self) -> None:
        self._taken: dict[bytes, set[int]] = {}

    def choose(self, observation: NDArray[np.generic], probabilities: NDArray[np.floating]) -> int:
        """Chooses an action, and remembers it.

        Args:
            observation: What the student sees.
            probabilities: (A,) of the student.
        """
        taken = self._taken.setdefault(observation.tobytes(), set())
        possible = int((probabilities > 0).sum())
        if len(taken) >= possible:
            taken.clear()
        order = np.argsort(-probabilities, kind="stable")
        action = next(int(choice) for choice in order if int(choice) not in taken)
        taken.add(action)
        return action
