"""Acting greedily without going in circles."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Acting = Literal["sampled", "greedy", "no_repeat"]
"""How a student acts: draws from its policy; takes the most probable action; or that, but see `NoRepeat`."""


class NoRepeat:
    """Takes the most probable action, except those that were taken in the same sight before in this episode.

    Where an observation holds all that an episode has shown so far, as a remembered map does, and nothing is left to
    chance, a greedy student that comes back to a sight comes back for ever. Then the next probable action is due. When
    all have been taken it begins again. Where chance decides what follows, coming back means nothing: act greedily.
    """

    def __init__(self) -> None:
        self._taken: dict[bytes, set[int]] = {}

    def choose(self, sight: NDArray[np.generic], probabilities: NDArray[np.floating]) -> int:
        """Chooses, and remembers.

        Args:
            sight: The observation.
            probabilities: (A,) of the student.
        """
        taken = self._taken.setdefault(sight.tobytes(), set())
        possible = int((probabilities > 0).sum())
        if len(taken) >= possible:
            taken.clear()
        order = np.argsort(-probabilities, kind="stable")
        action = next(int(choice) for choice in order if int(choice) not in taken)
        taken.add(action)
        return action
