"""Bandits in words: arms with unknown means, and rows of a data set whose class is to be named.

In the manner of BanditBench (EVOLvE, 2410.06238), with arms and texts of our own. One episode is one bandit: its rounds
are the steps, and nothing but the rewards tells the arms apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.extras import require
from wean.tasks.situation import LazySituation, Situation, first_named

Floats = NDArray[np.float32]

_GOAL = {
    "bernoulli": """\
You run a small video app. In each of {horizon:,} rounds a new visitor comes, and you show one of {arms} videos. The \
visitor either watches it to the end (1) or leaves (0). Some videos are watched to the end more often than others, and \
that does not change. Choose so that over all rounds as many as possible are watched to the end.""",
    "gaussian": """\
You run a small shop for clothes. In each of {horizon:,} rounds a new customer comes, and you show one of {arms} \
shirts. The customer gives it points, more or fewer from customer to customer; some shirts get more points on average \
than others, and that does not change. Choose so that the sum of the points over all rounds is as large as possible.""",
}
_THING = {"bernoulli": "video", "gaussian": "shirt"}
_MOST_ARMS = 26
_FAR = 1e3  # beyond any mean of rewards or standardised column


def _check(horizon: int, render_mode: str | None) -> None:
    if horizon < 1:
        raise UsageError(f"horizon must be at least 1 round, not {horizon}")
    if render_mode is not None:
        raise UsageError("a bandit is not drawn; leave render_mode out")


def _checked(arm: int, arms: int) -> int:
    if not 0 <= arm < arms:
        raise UsageError(f"no arm {arm!r}; take 0 to {arms - 1}")
    return int(arm)


class Bandit(gym.Env[Floats, Any]):
    """Arms of which one is better: the best has mean 0.5 + gap / 2, all others 0.5 - gap / 2. A seed places the best.

    Observation: float32 (2 * arms,): for each arm the share of the rounds in which it was chosen, then for each arm the
    mean of its rewards so far, 0 before the first. `info["regret"]` is by how much the chosen arm's mean is below the
    best one's. Episodes are truncated after `horizon` rounds; the task names no success, so the return is its measure.

    Args:
        arms: How many, 2 to 26.
        reward: `bernoulli` (0 or 1) or `gaussian` (standard deviation 1).
        gap: By how much the best arm's mean is above the others', up to 1.
        summary: What the words tell of each arm: `counts`, how often it was chosen and the mean of its rewards; or
            `means`, the mean alone, rounded to tenths, so that few situations are distinct.
        horizon: Rounds of an episode.
        render_mode: None.

    Raises:
        UsageError: If a setting is wrong.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        *,
        arms: int = 5,
        reward: Literal["bernoulli", "gaussian"] = "bernoulli",
        gap: float = 0.5,
        summary: Literal["counts", "means"] = "counts",
        horizon: int = 1000,
        render_mode: str | None = None,
    ) -> None:
        if reward not in _GOAL:
            raise UsageError(f"no reward {reward!r}; there are {', '.join(_GOAL)}")
        if summary not in ("counts", "means"):
            raise UsageError(f"no summary {summary!r}; there are counts, means")
        if not 2 <= arms <= _MOST_ARMS:
            raise UsageError(f"a bandit has 2 to {_MOST_ARMS} arms, not {arms}")
        if not 0 < gap <= 1:
            raise UsageError(f"gap is above 0 and at most 1, not {gap}")
        _check(horizon, render_mode)
        self.render_mode, self.horizon, self.round = render_mode, horizon, 0
        self.action_space = spaces.Discrete(arms)
        self.observation_space = spaces.Box(-_FAR, _FAR, (2 * arms,), np.float32)
        self.reward, self.gap, self.summary = reward, gap, summary
        self.goal = _GOAL[reward].format(horizon=horizon, arms=arms)
        self.names = tuple(f"{_THING[reward]} {chr(ord('A') + arm)}" for arm in range(arms))
        self._means = np.full(arms, 0.5 - gap / 2)
        self._counts, self._sums = np.zeros(arms, np.int64), np.zeros(arms)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Starts a bandit; the seed decides which arm is best, and every reward."""
        super().reset(seed=seed)
        self._means[:] = 0.5 - self.gap / 2
        self._means[self.np_random.integers(len(self._means))] = 0.5 + self.gap / 2
        self._counts[:], self._sums[:] = 0, 0
        self.round = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Pulls an arm."""
        arm = _checked(action, len(self.names))
        mean = self._means[arm]
        drawn = self.np_random.random() < mean if self.reward == "bernoulli" else self.np_random.normal(mean)
        self._counts[arm] += 1
        self._sums[arm] += float(drawn)
        self.round += 1
        info = {"regret": float(self._means.max() - mean)}
        return self._observe(), float(drawn), False, self.round >= self.horizon, info

    def best_actions(self) -> list[int]:
        """The number of the arm with the greatest mean, which an agent does not see."""
        return [int(self._means.argmax())]

    def situation(self) -> Situation:
        """What is known of the arms, in words; the choices name them in order."""
        means = self._sums / np.maximum(self._counts, 1)
        key: tuple[Any, ...] = tuple(f"{mean:.1f}" if n else "" for mean, n in zip(means, self._counts, strict=True))
        if self.summary == "counts":
            key = (self.round, tuple(zip(self._counts.tolist(), means.round(2).tolist(), strict=True)))
        return LazySituation(key, self.goal, partial(self._write, key), lambda: self.names)

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The number of the arm that a plan's first item names; None if it names none."""
        return first_named(plan, self.names)

    def _write(self, key: tuple[Any, ...]) -> str:
        if self.summary == "means":
            told = [f"mean {mean}" if mean else "never chosen" for mean in key]
            head = "What each has brought so far:"
        else:
            done, arms = key
            told = [f"chosen {n} times, mean {mean:.2f}" if n else "never chosen" for n, mean in arms]
            head = f"{done:,} rounds are over. What each has brought so far:"
        return "\n".join([head, *(f"- {name}: {what}" for name, what in zip(self.names, told, strict=True))])

    def _observe(self) -> Floats:
        shares = self._counts / max(self.round, 1)
        return np.concatenate([shares, self._sums / np.maximum(self._counts, 1)]).astype(np.float32)


class _Rows(NamedTuple):
    """A data set: its rows as told and as numbers, and their classes."""

    goal: str
    names: tuple[str, ...]
    texts: tuple[str, ...]
    features: Floats
    classes: NDArray[np.int64]


_SETS = {
    "iris": (
        "load_iris",
        "You are shown the measures of an iris flower. Name its species.",
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": (
        "load_wine",
        "You are shown the chemical analysis of an Italian wine from Piedmont. Name the grape variety that it is "
        "made of.",
        ("Nebbiolo (Barolo)", "Grignolino", "Barbera"),
    ),
    "cancer": (
        "load_breast_cancer",
        "You are shown measures of the cell nuclei in a fine needle aspirate of a breast mass, each the mean over all "
        "nuclei of the image (Wisconsin diagnostic data). Say whether the mass is malignant or benign.",
        ("malignant", "benign"),
    ),
}
_TOLD = 13  # columns: all of iris and wine, of cancer the ten means (columns 10 and later are errors and extremes)


@cache
def rows_of(name: str) -> _Rows:
    """A data set that scikit-learn ships, in words and in standardised numbers.

    Raises:
        UsageError: If there is none of that name, or scikit-learn is not installed.
    """
    if name not in _SETS:
        raise UsageError(f"no data set {name!r}; there are {', '.join(_SETS)}")
    load, goal, names = _SETS[name]
    found = vars(require("sklearn.datasets", extra="bandits"))[load]()
    columns = 10 if name == "cancer" else _TOLD
    values = found.data[:, :columns]
    words = [str(word).replace("_", " ") for word in found.feature_names[:columns]]
    texts = tuple(", ".join(f"{word}: {value:g}" for word, value in zip(words, row, strict=True)) for row in values)
    features = ((values - values.mean(0)) / values.std(0)).astype(np.float32)
    return _Rows(goal, names, texts, features, found.target.astype(np.int64))


class ContextualBandit(gym.Env[Floats, Any]):
    """Each round shows a row of a data set, and the right class brings 1: classification under bandit feedback.

    Observation: float32 (columns,), the row with every column standardised over the data set. A wrong class brings 0
    and does not tell the right one. `info["regret"]` is 1 minus the reward. All seeds draw from all rows, with
    replacement: a bandit is judged by what it loses while it learns, so there is nothing to hold out.

    Args:
        data: `iris`, `wine` or `cancer`, as scikit-learn ships them.
        horizon: Rounds of an episode.
        render_mode: None.

    Raises:
        UsageError: If a setting is wrong, or scikit-learn is not installed.
    """

    metadata = {"render_modes": []}

    def __init__(self, *, data: str = "iris", horizon: int = 1000, render_mode: str | None = None) -> None:
        _check(horizon, render_mode)
        self._rows, self._row = rows_of(data), 0
        self.goal = self._rows.goal
        self.render_mode, self.horizon, self.round = render_mode, horizon, 0
        self.action_space = spaces.Discrete(len(self._rows.names))
        self.observation_space = spaces.Box(-_FAR, _FAR, self._rows.features.shape[1:], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Starts an episode; the seed decides which rows are shown."""
        super().reset(seed=seed)
        self.round = 0
        return self._draw(), {}

    def step(self, action: int) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Names a class, and draws the next row."""
        reward = float(_checked(action, len(self._rows.names)) == self._rows.classes[self._row])
        self.round += 1
        return self._draw(), reward, False, self.round >= self.horizon, {"regret": 1 - reward}

    def best_actions(self) -> list[int]:
        """The number of the right class."""
        return [int(self._rows.classes[self._row])]

    def situation(self) -> Situation:
        """The row in words; the choices name the classes in order."""
        row = self._row
        return LazySituation(row, self.goal, lambda: self._rows.texts[row], lambda: self._rows.names)

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The number of the class that a plan's first item names; None if it names none."""
        return first_named(plan, self._rows.names)

    def _draw(self) -> Floats:
        self._row = int(self.np_random.integers(len(self._rows.classes)))
        shown: Floats = self._rows.features[self._row].copy()
        return shown
