"""From probabilities to actions: drawing, the best one, and the best one that was not taken before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sample(probabilities: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draws an action for each row by inverting the cumulative distribution: (N, A) and (N,) give (N,)."""
    below: NDArray[np.int64] = (probabilities.cumsum(1) < draws[:, None]).sum(1)
    drawn: NDArray[np.int64] = np.minimum(below, probabilities.shape[1] - 1)
    return drawn


def sample_one(probabilities: Sequence[float], draw: float) -> int:
    """Draws as `sample` does for one row, in a tenth of the time: calls of numpy cost more than such a short loop."""
    below = 0.0
    for action, probability in enumerate(probabilities):
        below += probability
        if below >= draw:
            return action
    return len(probabilities) - 1


def one_hot(actions: NDArray[np.int64], num_actions: int) -> NDArray[np.float64]:
    """Returns all the probability of each row at its action: (N,) gives (N, A)."""
    return np.eye(num_actions)[actions]


class NoRepeat:
    """Takes the most probable action that was not taken at the same observation before in this episode.

    Where an observation holds all that an episode has shown so far, as a remembered map does, and the task is
    deterministic, a greedy student that comes back to an observation comes back for ever; so the next most probable
    action is taken then. When all have been taken it begins again. Where the task is stochastic, act greedily.
    """

    def __init__(self) -> None:
        self._taken: dict[bytes, set[int]] = {}

    def choose(self, observation: NDArray[np.generic], probabilities: NDArray[np.floating[Any]]) -> int:
        """Chooses an action from its probabilities (A,), and remembers it."""
        taken = self._taken.setdefault(observation.tobytes(), set())
        row = probabilities.tolist()
        if len(taken) >= sum(probability > 0 for probability in row):
            taken.clear()
        # Of equal ones the first.
        action = max((choice for choice in range(len(row)) if choice not in taken), key=row.__getitem__)
        taken.add(action)
        return action


def posterior(values: NDArray[np.float32], prior: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """p(a) exp(Q(a) / T), normalised; at T = 0 all of it at the best action that the prior proposes.

    Args:
        values: (B, A) of Q; values at places without an action do not count.
        prior: (B, A) p, each row with sum 1; 0 where there is no action or it is not proposed.
        temperature: T, at least 0.
    """
    proposed = prior > 0
    if temperature == 0:
        return one_hot(np.where(proposed, values, -np.inf).argmax(1), values.shape[1])
    logits = np.where(proposed, values / np.float32(temperature) + np.log(np.where(proposed, prior, 1)), -np.inf)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    found: NDArray[np.float64] = (weights / weights.sum(1, keepdims=True)).astype(np.float64)
    return found
