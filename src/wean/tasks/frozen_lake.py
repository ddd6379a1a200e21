"""Frozen Lake in words, on the dynamics of Gymnasium's own environment."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.toy_text.frozen_lake import MAPS, FrozenLakeEnv, generate_random_map
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.situation import LazySituation, Situation, first_named
from wean.tasks.splits import Split, draw_in_split, split_of_seed

HORIZONS = {"4x4": 100, "8x8": 200}

_Key = tuple[tuple[str, ...], int]  # the map's rows, and the player's cell

_EQUAL = 1e-9  # probabilities and steps that differ by less are equal

_CELL = {"S": "ice", "F": "ice", "H": "a hole", "G": "the goal"}


class Moves(IntEnum):
    """The actions, numbered as Gymnasium does."""

    left = 0
    down = 1
    right = 2
    up = 3


# Rows and columns that a move goes, in the order of the numbers.
_WAYS = ((0, -1), (1, 0), (0, 1), (-1, 0))

_GOAL = """\
You cross a frozen lake on foot, from the top left corner to the goal in the bottom right corner. The lake is a square \
of cells. S is where you began and F is frozen, both are safe ice; H is a hole; G is the goal. Who steps into a hole \
has lost. At the edge of the lake a move leads nowhere and you stay where you are.

{ice}

Row 0 is the top row, column 0 is the left column. Choose the direction of your next move."""
_SLIPPERY = (
    "The ice is slippery: you move in the direction that you choose only one time in three. One time in three each you "
    "slide to one of the two sides of it instead (who chooses left may slide up or down), and never in the opposite "
    "direction."
)
_DRY = "The ice is not slippery: you always move in the direction that you choose."


class FrozenLake(gym.Env[Any, Any]):
    """Gymnasium's Frozen Lake with words, a horizon, and seeded random lakes.

    Observation: the cell's number, row * columns + column (`Discrete`, as in Gymnasium). With random lakes a float32
    vector of 2 * rows * columns zeros and ones instead: the player's cell, then the holes.

    Actions: 0 left, 1 down, 2 right, 3 up. Reaching the goal gives 1 and terminates, a hole terminates with 0, and
    `horizon` steps truncate. Success is reaching the goal, `info["is_success"]`.

    On a lake that is not random the same seed gives the same episode as in Gymnasium's `FrozenLake-v1`.

    Args:
        size: `4x4` or `8x8`.
        slippery: Whether the player slides to either side in two of three moves.
        random: Draws a new lake with a path to the goal at every reset, of the split of the last reset seed (see
            `wean.tasks.splits`). Otherwise Gymnasium's standard lake of this size.
        frozen: For random lakes: the probability that a cell is ice.
        horizon: Steps after which an episode is truncated; by default 100 for 4x4 and 200 for 8x8.
        render_mode: As in Gymnasium: None, `human`, `ansi` or `rgb_array`.

    Raises:
        UsageError: If a setting is wrong.
    """

    metadata = FrozenLakeEnv.metadata
    actions = Moves

    def __init__(
        self,
        size: str = "8x8",
        *,
        slippery: bool = True,
        random: bool = False,
        frozen: float = 0.8,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if size not in HORIZONS:
            raise UsageError(f"no lake of size {size!r}; there are {', '.join(HORIZONS)}")
        if not 0.4 <= frozen <= 0.95:  # fewer paths take ages to find, and without holes there is one lake only
            raise UsageError(f"frozen is a probability from 0.4 to 0.95, not {frozen}")
        if horizon is not None and horizon < 1:
            raise UsageError(f"horizon must be at least 1 step, not {horizon}")
        self.slippery, self.horizon = slippery, horizon or HORIZONS[size]
        self.render_mode = render_mode
        self._random, self._frozen = random, frozen
        self._split: Split = "training"
        self._best: NDArray[np.bool_] | None = None  # of the present lake, once computed
        self.goal = _GOAL.format(ice=_SLIPPERY if slippery else _DRY)
        self._show(MAPS[size])
        cells = self.lake.nrow * self.lake.ncol
        self.observation_space: spaces.Space[Any] = (
            spaces.Box(0, 1, (2 * cells,), np.float32) if random else spaces.Discrete(cells)
        )
        self.action_space = spaces.Discrete(4)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; with random lakes, the same seed gives the same one."""
        super().reset(seed=seed)
        if seed is not None:
            self._split = split_of_seed(seed)
        if self._random:
            self.lake.close()
            self._show(draw_in_split(self._split, self._draw_map, map_number))
        self.lake.np_random = self.np_random  # one generator, so that a seed decides lake and slides
        state, _ = self.lake.reset()
        self._steps = 0
        return self._observe(int(state)), {"is_success": False}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Moves once; see the class for rewards and ends."""
        state, reward, terminated, _, _ = self.lake.step(int(action))
        self._steps += 1
        truncated = self._steps >= self.horizon and not terminated
        return self._observe(int(state)), float(reward), bool(terminated), truncated, {"is_success": reward > 0}

    def situation(self) -> Situation:
        """The lake, the player's cell and its neighbours in words."""
        key = (self.rows, int(self.lake.s))
        return LazySituation(key, self.goal, partial(_write, key), partial(_choose, key))

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The action number of a plan's first item, a direction; None if it names none."""
        return first_named(plan, tuple(Moves.__members__))

    def best_actions(self) -> list[int]:
        """The numbers of the best moves with the steps that are left; see `solve`."""
        if self._best is None:
            self._best = solve(self.lake, self.horizon).moves
        return [int(move) for move in np.flatnonzero(self._best[self.horizon - self._steps, int(self.lake.s)])]

    def render(self) -> Any:
        """Gymnasium's picture of the lake."""
        return self.lake.render()

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.lake.close()

    def _show(self, rows: Sequence[str]) -> None:
        """Lays out a lake."""
        self.rows = tuple(rows)
        self.lake: Any = FrozenLakeEnv(  # Any: Gymnasium leaves its methods untyped
            self.render_mode, list(rows), is_slippery=self.slippery
        )
        self._best = None
        self._holes = np.array([cell == "H" for row in rows for cell in row], np.float32)

    def _draw_map(self) -> list[str]:
        seed = int(self.np_random.integers(2**31))
        drawn: list[str] = generate_random_map(len(self.rows), self._frozen, seed)
        return drawn

    def _observe(self, state: int) -> Any:
        if not self._random:
            return state
        here = np.zeros_like(self._holes)
        here[state] = 1
        return np.concatenate([here, self._holes])


def map_number(rows: Sequence[str]) -> int:
    """A number of a lake's holes; it decides the split of a random lake."""
    holes = [place for place, cell in enumerate("".join(rows)) if cell == "H"]
    return sum(holes) + len(holes)


class Solution(NamedTuple):
    """The best moves on a lake, by value iteration on Gymnasium's transitions.

    Attributes:
        success: (T + 1, S), the greatest probability of reaching the goal from state s with t steps left; [T, 0] is the
            task's optimum.
        moves: (T + 1, S, 4) bool, the best moves in state s with t steps left: greatest probability first, then fewest
            expected steps; none with t = 0.
    """

    success: NDArray[np.float64]
    moves: NDArray[np.bool_]


def solve(lake: FrozenLakeEnv, horizon: int) -> Solution:
    """Solves a lake, e.g. that of a `FrozenLake`, for `horizon` steps, T."""
    onward, goal = transitions(lake)
    success, steps = np.zeros((horizon + 1, len(onward))), np.zeros(len(onward))
    moves = np.zeros((horizon + 1, len(onward), 4), bool)
    for left in range(1, horizon + 1):
        chances, lengths = goal + onward @ success[left - 1], 1 + onward @ steps
        success[left] = chances.max(1)
        safest = chances > success[left][:, None] - _EQUAL
        steps = np.where(safest, lengths, np.inf).min(1)
        moves[left] = safest & (lengths < steps[:, None] + _EQUAL)
    return Solution(success, moves)


def success_of(lake: FrozenLakeEnv, moves: NDArray[np.int64], horizon: int) -> float:
    """The probability that fixed moves (S,), one for each state, reach the goal within `horizon` steps."""
    onward, goal = transitions(lake)
    states = np.arange(len(moves))
    values = np.zeros(len(moves))
    for _ in range(horizon):
        values = goal[states, moves] + onward[states, moves] @ values
    return float(values[0])


def transitions(lake: FrozenLakeEnv) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The probabilities (S, 4, S) to go on in each state, and apart from them those of the goal (S, 4)."""
    states = len(lake.P)
    onward, goal = np.zeros((states, 4, states)), np.zeros((states, 4))
    for state, moves in lake.P.items():
        for move, outcomes in moves.items():
            for probability, to, reward, ended in outcomes:
                goal[state, move] += probability * reward
                if not ended:
                    onward[state, move, to] += probability
    return onward, goal


def _write(key: Hashable) -> str:
    rows, state = cast(_Key, key)
    size = len(rows)
    row, column = divmod(state, size)
    around = []
    for move, (down, across) in zip(Moves, _WAYS, strict=True):
        to_row, to_column = row + down, column + across
        inside = 0 <= to_row < size and 0 <= to_column < size
        what = _CELL[rows[to_row][to_column]] if inside else "the edge"
        around.append(f"{move.name}: {what}")
    lake = "\n".join(rows)
    return f"The lake:\n{lake}\nYou are in row {row}, column {column}. Next to you are {', '.join(around)}."


def _choose(key: Hashable) -> tuple[str, ...]:
    return tuple(move.name for move in Moves)
