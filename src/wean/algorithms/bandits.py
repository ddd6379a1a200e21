"""Learners for bandits: UCB, Thompson sampling, LinUCB, and a language model's choice beside or within them.

UCB1: Auer et al. 2002. Thompson sampling: Thompson 1933, as in Chapelle and Li 2011. LinUCB: 1003.0146. Exploring
around a planner that is followed otherwise: From Words to Actions (BAIL), 2405.19883.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.tasks.situation import Situation
from wean.teachers.priors import Prior

Floats = NDArray[np.float64]


class Moment(NamedTuple):
    """One round as a learner sees it: features (d,) and words."""

    features: Floats
    situation: Situation


class Learner(Protocol):
    """Chooses an arm in each round, and learns from the reward of the arm that was pulled, whoever chose it."""

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """The arm to pull."""

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """Takes in what a pulled arm brought."""


class UCB:
    """UCB1: the arm whose mean plus confidence bound is greatest; every arm is tried once first.

    Example:
        >>> learner, moment = UCB(2), Moment(np.zeros(0), wean.Situation("", "", ("a", "b")))
        >>> for arm, reward in ((0, 0.0), (1, 1.0)):
        ...     learner.learn(moment, arm, reward)
        >>> learner.choose(moment, np.random.default_rng(0))
        1

    Args:
        arms: How many.
        width: Of the confidence bound: mean + width * sqrt(2 ln t / n). 1 for rewards in [0, 1].
        prior: Believed means (arms,), counted as `strength` pulls of each arm; None for none.
        strength: Pulls that the prior counts for.
    """

    def __init__(self, arms: int, width: float = 1.0, prior: Floats | None = None, strength: float = 0.0) -> None:
        self._counts = np.full(arms, strength if prior is not None else 0.0)
        self._sums = self._counts * (0.0 if prior is None else prior)
        self._width = width

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """See `Learner`."""
        untried = np.flatnonzero(self._counts == 0)
        if len(untried):
            return int(untried[0])
        means = self._sums / self._counts
        bound = self._width * np.sqrt(2 * np.log(max(self._counts.sum(), 1.0)) / self._counts)
        return int((means + bound).argmax())

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """See `Learner`."""
        self._counts[arm] += 1
        self._sums[arm] += reward


class Thompson:
    """Thompson sampling: draws a mean for each arm from what is believed of it, and pulls the arm of the greatest.

    Rewards of 0 and 1 have Beta(1, 1) as the belief before the first pull; others a normal belief of mean 0 and
    variance 1, and are taken to vary by 1 themselves.

    Args:
        arms: How many.
        bernoulli: Whether rewards are 0 or 1.
    """

    def __init__(self, arms: int, bernoulli: bool = True) -> None:
        self._counts, self._sums = np.zeros(arms), np.zeros(arms)
        self._bernoulli = bernoulli

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """See `Learner`."""
        if self._bernoulli:
            drawn = random.beta(1 + self._sums, 1 + self._counts - self._sums)
        else:
            drawn = random.normal(self._sums / (1 + self._counts), 1 / np.sqrt(1 + self._counts))
        return int(drawn.argmax())

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """See `Learner`."""
        self._counts[arm] += 1
        self._sums[arm] += reward


class LinUCB:
    """LinUCB with a ridge regression of its own for each arm, over the features and a constant.

    Args:
        arms: How many.
        features: Their number, d.
        alpha: Width of the confidence bound: x . theta + alpha sqrt(x' A^-1 x).
        ridge: Weight of the penalty, so that A begins as ridge * I.
        prior: A language model's probability of an arm becomes one more feature of that arm; None for none.
    """

    def __init__(
        self, arms: int, features: int, alpha: float = 0.5, ridge: float = 1.0, prior: Prior | None = None
    ) -> None:
        size = features + 1 + (prior is not None)
        self._inverse = np.repeat(np.eye(size)[None] / ridge, arms, 0)  # (arms, size, size)
        self._rewarded = np.zeros((arms, size))  # sums of reward times features
        self._alpha, self._prior = alpha, prior

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """See `Learner`."""
        x = self._features(moment)
        spread = np.einsum("ai,aij->aj", x, self._inverse)
        scores = (spread * self._rewarded).sum(1) + self._alpha * np.sqrt((spread * x).sum(1))
        best = np.flatnonzero(scores >= scores.max() - 1e-12)
        return int(best[0] if len(best) == 1 else random.choice(best))

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """See `Learner`; A^-1 is updated by the Sherman-Morrison formula."""
        x = self._features(moment)[arm]
        leaning = self._inverse[arm] @ x
        self._inverse[arm] -= np.outer(leaning, leaning) / (1 + x @ leaning)
        self._rewarded[arm] += reward * x

    def _features(self, moment: Moment) -> Floats:
        """The features (arms, size) of each arm."""
        arms = len(self._inverse)
        x = np.repeat(np.append(moment.features, 1.0)[None], arms, 0)
        if self._prior is None:
            return x
        return np.column_stack([x, self._prior.weights([moment.situation])[0]])


class Advice:
    """A language model alone: the choice to which it gives the most probability, and chance where it gives none.

    Attributes:
        asked: Rounds in which it was asked; a situation that comes again is not asked about again, but counts.
    """

    def __init__(self, prior: Prior) -> None:
        self._prior, self.asked = prior, 0

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """See `Learner`."""
        self.asked += 1
        weights = self._prior.weights([moment.situation])[0]
        return int(weights.argmax() if weights.any() else random.integers(len(weights)))

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """Learns nothing."""


class Exploring:
    """Follows another learner, and in a share epsilon_t = min(1, start / t) of the rounds pulls an arm by chance."""

    def __init__(self, followed: Learner, arms: int, start: float) -> None:
        self._followed, self._arms, self._start, self._round = followed, arms, start, 0

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """See `Learner`."""
        self._round += 1
        if random.random() < self._start / self._round:
            return int(random.integers(self._arms))
        return self._followed.choose(moment, random)

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """See `Learner`."""
        self._followed.learn(moment, arm, reward)


def play(task: gym.Env[Any, Any], learner: Learner, seed: int) -> Floats:
    """Plays one episode of a bandit, in which the learner learns.

    Args:
        task: A bandit whose `info` has the `regret` of each round.
        learner: Changed in place.
        seed: Of the task, and of what the learner draws.

    Returns:
        The regret so far (rounds,) after each round.
    """
    random = np.random.default_rng([seed, 1])
    situation = task.get_wrapper_attr("situation")
    observation, _ = task.reset(seed=seed)
    regrets: list[float] = []
    ended = False
    while not ended:
        moment = Moment(np.asarray(observation, np.float64), situation())
        arm = learner.choose(moment, random)
        observation, reward, terminated, truncated, info = task.step(arm)
        learner.learn(moment, arm, float(reward))
        regrets.append(info["regret"])
        ended = terminated or truncated
    return np.cumsum(regrets)
