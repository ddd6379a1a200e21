"""The kitchen as a task: macro-actions by number or in words, situations, rewards, and an exact solver."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks import kitchen_view as view
from wean.tasks.kitchen_world import (
    HAND,
    IN_BOWL,
    RECIPES,
    Cell,
    Layout,
    Recipe,
    World,
    access,
    fixed_layout,
    macros_of,
    perform,
    random_layout,
)
from wean.tasks.situation import LazySituation, Situation, first_named
from wean.tasks.splits import Split, split_of_seed


class Kitchen(gym.Env[NDArray[np.float32], Any]):
    """A cook makes a salad: fetch, chop, fill the bowl, serve. The Overcooked task of 2401.14151 and 2410.07927.

    Observation: a float32 vector in [0, 1], see `wean.tasks.kitchen_view.observe`.

    Actions are macro-actions: each walks to a thing and uses it, in 1 to 10 primitive steps. Their numbers are fixed:
    get each food, get the bowl, go to each board, deliver, chop. `step` takes a number, or one of the situation's
    `choices`, which name the macro-actions in the order of the numbers.

    Reward of a macro-action: the sum of its primitive rewards, the i-th weighted with 0.99^i. A primitive step gives
    -0.001, an ingredient becoming chopped +0.2, the right dish +1, which terminates; serving anything else -0.1, and it
    comes back unchopped. `horizon` primitive steps truncate, within a macro-action if need be.

    Success is the right dish served, `info["is_success"]`. The return is no measure of it: food that is chopped and
    served by mistake can be chopped again for 0.1 each time. `info["primitive_steps"]` counts the steps of this
    macro-action.

    Args:
        recipe: `tomato` (one board), `tomato-lettuce` (two boards, and an onion that only distracts), or
            `tomato-lettuce-onion`.
        random: Draws a new kitchen at every reset, of the split of the last reset seed (see `wean.tasks.splits`);
            otherwise every episode begins as in the paper.
        sight: How many cells far words and observation reach; None for the whole kitchen.
        horizon: Primitive steps after which an episode is truncated.
        render_mode: None or `rgb_array`.

    Raises:
        UsageError: If a setting is wrong.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(
        self,
        recipe: str = "tomato-lettuce",
        *,
        random: bool = False,
        sight: int | None = 2,
        horizon: int = 200,
        render_mode: str | None = None,
    ) -> None:
        if recipe not in RECIPES:
            raise UsageError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}")
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1 primitive step, not {horizon}")
        if sight is not None and sight < 1:
            raise UsageError(f"sight must be at least 1 cell, or None for the whole kitchen, not {sight}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"the kitchen renders 'rgb_array', not {render_mode!r}")
        self.recipe, self.sight, self.horizon = RECIPES[recipe], sight, horizon
        self.render_mode = render_mode
        self.actions = macros_of(self.recipe)
        self.action_space = spaces.Discrete(len(self.actions))
        self.world = World(self.recipe, fixed_layout(self.recipe))
        self.observation_space = spaces.Box(0, 1, view.observe(self.world, sight).shape, np.float32)
        self._random = random
        self._split: Split = "training"
        self.goal = view.goal_of(self.recipe, sight)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode; with random kitchens, the same seed gives the same one."""
        super().reset(seed=seed)
        if seed is not None:
            self._split = split_of_seed(seed)
        layout = random_layout(self.recipe, self._split, self.np_random) if self._random else fixed_layout(self.recipe)
        self.world = World(self.recipe, layout)
        self.primitive_steps = 0
        return view.observe(self.world, self.sight), {"is_success": False, "primitive_steps": 0}

    def step(self, action: int | str) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Performs one macro-action.

        Raises:
            UsageError: If there is no such action here.
        """
        number = self._number(action)
        done = perform(self.world, self.actions[number], self.sight, self.horizon - self.primitive_steps)
        self.primitive_steps += done.steps
        truncated = self.primitive_steps >= self.horizon and not done.served
        info = {"is_success": done.served, "primitive_steps": done.steps}
        return view.observe(self.world, self.sight), done.reward, done.served, truncated, info

    def situation(self) -> Situation:
        """The situation as the cook sees it; equal keys are equal words, also between kitchens."""
        key = view.look(self.world, self.sight)
        return LazySituation(key, self.goal, partial(self._write, key), partial(self._choose, key))

    def first_action(self, plan: Sequence[str]) -> int | None:
        """Turns the first item of a plan into the macro-action's number; None if it is not among the choices."""
        return first_named(plan, self.situation().choices)

    def best_actions(self) -> list[int]:
        """Numbers of the macro-actions that begin a shortest solution, whatever the cook sees."""
        return solver_of(self.world, self.sight).best(self.world)

    def render(self) -> NDArray[np.uint8] | None:
        """A picture (224, 224, 3) of the whole kitchen, if made with `render_mode="rgb_array"`."""
        return None if self.render_mode is None else view.draw(self.world)

    def _number(self, action: int | str) -> int:
        number = self.first_action([action]) if isinstance(action, str) else int(action)
        if number is None or not 0 <= number < len(self.actions):
            raise UsageError(
                f"no action {action!r} here; take 0 to {len(self.actions) - 1}, or one of: "
                + ", ".join(self.situation().choices)
            )
        return number

    def _write(self, key: Hashable) -> str:
        return view.write(self.recipe, cast(view.Sighting, key))

    def _choose(self, key: Hashable) -> tuple[str, ...]:
        return view.choose(self.recipe, self.actions, cast(view.Sighting, key))


_UNLIMITED = 1_000  # primitive steps: no macro-action takes so many
_START = -1  # instead of a cell: where a thing lay when the episode began
_SERVED = "served"


class Solver:
    """The number of macro-actions left from every state, by one backward search from the served dish.

    Where the whole kitchen is in sight, distances do not change how many macro-actions are needed, only which places
    are reached from the same cell; so the many random kitchens share a few searches.
    """

    def __init__(self, recipe: Recipe, sight: int | None) -> None:
        self._macros, self._sight = macros_of(recipe), sight
        self._onward: dict[Hashable, tuple[Hashable, ...]] = {}
        self._left: dict[Hashable, int] = {_SERVED: 0}

    def left(self, world: World) -> int:
        """The fewest macro-actions from a state to the served dish, whatever time is left."""
        state = self._state(world)
        if state not in self._left:
            self._search(world)
        return self._left[state]

    def best(self, world: World) -> list[int]:
        """The numbers of the macro-actions that begin a shortest solution, ascending, whatever the cook sees.

        None after the dish was served.
        """
        wanted = self.left(world) - 1
        onward = self._onward[self._state(world)]
        return [number for number, state in enumerate(onward) if self._left[state] == wanted]

    def _state(self, world: World) -> Hashable:
        """All that decides the outcome of macro-actions, equal in kitchens that are alike."""
        layout = world.layout
        places = tuple(
            place if place in (HAND, IN_BOWL) else layout.boards.index(place) if place in layout.boards else _START
            for place in world.place
        )
        where = _boards_at(layout, world.cook) if self._sight is None else world.cook
        return where, places, tuple(world.chops)

    def _search(self, start: World) -> None:
        """Enumerates the states that can be reached from one, then counts back from the served dish."""
        ahead = deque([start])
        while ahead:
            world = ahead.popleft()
            state = self._state(world)
            if state in self._onward:
                continue
            reached = []
            for macro in self._macros:
                after = world.copy()
                done = perform(after, macro, self._sight, _UNLIMITED)
                then = _SERVED if done.served else self._state(after)
                reached.append(then)
                if not done.served and then not in self._onward:
                    ahead.append(after)
            self._onward[state] = tuple(reached)
        before: dict[Hashable, list[Hashable]] = {}
        for state, outcomes in self._onward.items():
            for then in outcomes:
                before.setdefault(then, []).append(state)
        left = self._left = {_SERVED: 0}
        ring: deque[Hashable] = deque([_SERVED])
        while ring:
            then = ring.popleft()
            for state in before.get(then, ()):
                if state not in left:
                    left[state] = left[then] + 1
                    ring.append(state)


class _Neighbours(NamedTuple):
    """The numbers of the boards that are reached from the same cell as each thing, board and the delivery."""

    things: tuple[tuple[int, ...], ...]
    boards: tuple[tuple[int, ...], ...]
    delivery: tuple[int, ...]


def _neighbours(layout: Layout) -> _Neighbours:
    def at(cell: Cell) -> tuple[int, ...]:
        return _boards_at(layout, access(cell))

    things = (*layout.foods, layout.bowl)
    return _Neighbours(tuple(map(at, things)), tuple(map(at, layout.boards)), at(layout.delivery))


def _boards_at(layout: Layout, cook: Cell) -> tuple[int, ...]:
    return tuple(number for number, board in enumerate(layout.boards) if access(board) == cook)


def solver_of(world: World, sight: int | None) -> Solver:
    """The solver of a kitchen, shared by all kitchens whose solutions are the same."""
    return shared_solver(world.recipe, sight, world.layout if sight is not None else _neighbours(world.layout))


@lru_cache(maxsize=256)
def shared_solver(recipe: Recipe, sight: int | None, alike: Layout | _Neighbours) -> Solver:
    """One solver for all kitchens that are `alike`."""
    return Solver(recipe, sight)
