"""Replay of transitions between numbered situations, drawn uniformly or by priority."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Transitions(NamedTuple):
    """B transitions of n steps or fewer.

    Attributes:
        moments: (B,) int64, numbers of the moments acted in.
        actions: (B,) int64, places of the actions among the moments' choices.
        rewards: (B,) float32, discounted sums over the steps.
        discounts: (B,) float32, what the value of the next moment counts: gamma^n, 0 where the task ended.
        following: (B,) int64, numbers of the moments n steps later.
    """

    moments: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    discounts: NDArray[np.float32]
    following: NDArray[np.int64]

    def at(self, places: NDArray[np.int64]) -> Transitions:
        """The transitions at some places, in that order."""
        return Transitions(
            self.moments[places],
            self.actions[places],
            self.rewards[places],
            self.discounts[places],
            self.following[places],
        )


class Replay:
    """The newest transitions.

    Args:
        capacity: How many are kept.
        random: Draws the batches.
        alpha: How much priorities count (1511.05952, eq. 1); 0 draws uniformly.
    """

    def __init__(self, capacity: int, random: np.random.Generator, alpha: float = 0.0) -> None:
        self._random, self._alpha = random, alpha
        self._data = Transitions(
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.float32),
            np.zeros(capacity, np.float32),
            np.zeros(capacity, np.int64),
        )
        self._priorities = np.zeros(capacity)
        self._highest = 1.0
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._priorities))

    def add(self, moment: int, action: int, reward: float, discount: float, following: int) -> None:
        """Adds one transition in the place of the oldest; it has the highest priority so far."""
        place = self._added % len(self._priorities)
        data = self._data
        data.moments[place], data.actions[place], data.following[place] = moment, action, following
        data.rewards[place], data.discounts[place] = reward, discount
        self._priorities[place] = self._highest
        self._added += 1

    def draw(self, count: int, beta: float = 1.0) -> tuple[NDArray[np.int64], Transitions, NDArray[np.float32]]:
        """Draws with replacement.

        Args:
            count: B.
            beta: How far unequal chances are made up for by weights (1511.05952, section 3.4).

        Returns:
            Places (B,) for `set_priorities`, the transitions, and their weights (B,), the largest being 1.
        """
        if self._alpha == 0:
            places = self._random.integers(len(self), size=count)
            return places, self._data.at(places), np.ones(count, np.float32)
        chances = self._priorities[: len(self)] ** self._alpha
        edges = chances.cumsum()
        places = np.searchsorted(edges, self._random.random(count) * edges[-1], side="right")
        places = np.minimum(places, len(self) - 1)
        weights = (chances[places] / edges[-1] * len(self)) ** -beta
        scaled = (weights / weights.max()).astype(np.float32)
        return places, self._data.at(places), scaled

    def set_priorities(self, places: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Sets priorities to |error|, a little above 0."""
        self._priorities[places] = np.abs(errors) + 1e-3
        self._highest = max(self._highest, float(self._priorities[places].max()))

    def state(self) -> dict[str, Tensor]:
        """What it holds, for a checkpoint."""
        kept = {name: torch.from_numpy(column[: len(self)].copy()) for name, column in self._data._asdict().items()}
        priorities = torch.from_numpy(self._priorities[: len(self)].copy())
        counts = {"added": torch.tensor([self._added]), "highest": torch.tensor([self._highest], dtype=torch.float64)}
        return {**kept, **counts, "priorities": priorities}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continues from `state`."""
        self._added, self._highest = int(state["added"][0]), float(state["highest"][0])
        for name, column in self._data._asdict().items():
            column[: len(self)] = state[name].numpy()
        self._priorities[: len(self)] = state["priorities"].numpy()


class NStep:
    """Sums the rewards of n steps before a transition goes into replay.

    Args:
        replay: Where the transitions go.
        members: Episodes that run side by side.
        n: Steps in a transition; fewer where an episode ends.
        gamma: Discount per step.
    """

    def __init__(self, replay: Replay, members: int, n: int, gamma: float) -> None:
        self._replay, self._n, self._gamma = replay, n, gamma
        self._waiting: list[deque[tuple[int, int, float]]] = [deque() for _ in range(members)]

    def add(
        self, member: int, moment: int, action: int, reward: float, following: int, terminated: bool, ended: bool
    ) -> None:
        """Adds one step of one member's episode.

        Args:
            member: The member.
            moment: Number of the situation acted in.
            action: Index of the action among its choices.
            reward: The reward.
            following: Number of the next situation.
            terminated: The task ended: nothing follows. A truncated episode keeps its last situation's value.
            ended: The episode ended, either way.
        """
        waiting = self._waiting[member]
        waiting.append((moment, action, reward))
        while waiting and (ended or len(waiting) == self._n):
            total = sum(self._gamma**i * step[2] for i, step in enumerate(waiting))
            discount = 0.0 if terminated else self._gamma ** len(waiting)
            self._replay.add(*waiting[0][:2], total, discount, following)
            waiting.popleft()

    def state(self) -> list[list[list[Any]]]:
        """The steps that wait, for a checkpoint."""
        return [[list(step) for step in waiting] for waiting in self._waiting]

    def restore(self, state: Sequence[Sequence[Sequence[Any]]]) -> None:
        """Continues from `state`."""
        self._waiting = [deque((int(m), int(a), float(r)) for m, a, r in waiting) for waiting in state]
