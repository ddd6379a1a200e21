"""Choosing, round by round, between a language model and a learner: Corral, with a floor for the model that decays.

Corral: Agarwal et al. 2017 (1612.06246), by log-barrier online mirror descent over importance-weighted losses. Its use
to switch a language model off: Efficient Sequential Decision Making with Large Language Models (2406.12125).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wean.algorithms.bandits import Learner, Moment
from wean.errors import UsageError

Floats = NDArray[np.float64]


def mirror_step(probabilities: Floats, losses: Floats, rates: Floats) -> Floats:
    """One step of online mirror descent with the log barrier: new probabilities (M,).

    Solves 1 / q_i = 1 / p_i + eta_i (l_i - c) for the c, between the least and the greatest loss, at which q sums to 1
    (1612.06246, algorithm 2).

    Args:
        probabilities: p (M,), all above 0.
        losses: l (M,).
        rates: eta (M,).
    """
    low, high = losses.min(), losses.max()
    for _ in range(60):  # halvings: beyond what float64 can tell
        middle = (low + high) / 2
        inverse = 1 / probabilities + rates * (losses - middle)
        if (inverse <= 0).any() or (1 / inverse).sum() > 1:
            high = middle
        else:
            low = middle
    found = 1 / (1 / probabilities + rates * (losses - low))
    normalised: Floats = found / found.sum()
    return normalised


class Corral:
    """Plays one of several learners in each round, the better ones more and more often.

    Every learner learns from every round, since the reward of an arm does not depend on who chose it.

    Example:
        >>> from wean.algorithms.bandits import Advice, LinUCB
        >>> advice = Advice(wean.Prior({"It is red.": {"apple": 1.0}}))
        >>> both = Corral([advice, LinUCB(arms=2, features=1)], rounds=100, floor=0.1)
        >>> both.probabilities.round(2).tolist()
        [0.55, 0.45]

    Args:
        learners: The language model first.
        rounds: T, how many will be played.
        rate: eta of every learner at first.
        floor: Least probability of the first learner in the first round; it decays as 1 / sqrt(t).
        price: What a round of the first learner costs, in units of reward: the language model's time and money. It
            counts in the choice between the learners, not in the regret.
        low: The least reward; with `high` scales losses to [0, 1], and rewards beyond them are cut.
        high: The greatest reward.

    Attributes:
        shares: Rounds (M,) that each learner has played.

    Raises:
        UsageError: If a setting is wrong.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        rounds: int,
        rate: float = 0.1,
        floor: float = 0.1,
        price: float = 0.0,
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        if len(learners) < 2 or rounds < 2:
            raise UsageError("a choice is between two learners at least, over two rounds at least; name more")
        if not 0 <= floor < 1 or rate <= 0 or price < 0 or high <= low:
            raise UsageError("floor is from 0 to below 1, rate above 0, price at least 0, and high above low")
        self._learners, self._rounds, self._rate = list(learners), rounds, rate
        self._floor, self._price, self._low, self._high = floor, price, low, high
        many = len(learners)
        self._chosen_by_descent = np.full(many, 1 / many)
        self._rates = np.full(many, rate)
        self._least = np.full(many, 1 / (2 * many))  # 1 / rho: below it a learner's rate grows
        self._growth = float(np.exp(1 / np.log(max(rounds, 3))))
        self._round, self._played = 0, 0
        self.shares = np.zeros(many, np.int64)

    @property
    def probabilities(self) -> Floats:
        """Each learner's probability (M,) in the present round: the descent's, 1 / T spread evenly, and the floor."""
        mixed: Floats = (1 - 1 / self._rounds) * self._chosen_by_descent + 1 / self._rounds / len(self._learners)
        floor = self._floor / np.sqrt(self._round + 1)
        mixed = (1 - floor) * mixed
        mixed[0] += floor
        return mixed

    @property
    def bound(self) -> float:
        """By how much the expected loss over all rounds may exceed any one learner's, in units of reward.

        With the growth of rates left out, log-barrier descent has M ln T / eta + eta T (losses and price in [0, 1 +
        price]); the even share adds 1 and the floor at most 2 floor sqrt(T).
        """
        many, rounds = len(self._learners), self._rounds
        worst = 1 + self._price
        descent = many * np.log(rounds) / self._rate + self._rate * worst**2 * rounds
        return float((self._high - self._low) * (descent + worst * (1 + 2 * self._floor * np.sqrt(rounds))))

    def choose(self, moment: Moment, random: np.random.Generator) -> int:
        """Draws a learner, and lets it choose."""
        self._played = int(random.choice(len(self._learners), p=self.probabilities))
        self.shares[self._played] += 1
        return self._learners[self._played].choose(moment, random)

    def learn(self, moment: Moment, arm: int, reward: float) -> None:
        """Lets every learner learn, and moves probability away from the one that played, by what it lost."""
        for learner in self._learners:
            learner.learn(moment, arm, reward)
        loss = 1 - float(np.clip((reward - self._low) / (self._high - self._low), 0, 1))
        loss += self._price * (self._played == 0)
        losses = np.zeros(len(self._learners))
        losses[self._played] = loss / self.probabilities[self._played]
        self._chosen_by_descent = mirror_step(self._chosen_by_descent, losses, self._rates)
        self._round += 1
        small = self._chosen_by_descent < self._least
        self._least[small] = self._chosen_by_descent[small] / 2
        self._rates[small] *= self._growth
