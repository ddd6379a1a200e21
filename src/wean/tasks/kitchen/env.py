"""The kitchen as a task: macro-actions by number or in words, situations, rewards."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.kitchen import view
from wean.tasks.kitchen.macros import macros_of, perform
from wean.tasks.kitchen.solver import solver_of
from wean.tasks.kitchen.world import RECIPES, World, fixed_layout, random_layout
from wean.tasks.situation import LazySituation, Situation
from wean.tasks.splits import Split, split_of_seed


class Kitchen(gym.Env[NDArray[np.float32], Any]):
    """A cook makes a salad: fetch, chop, fill the bowl, serve. The Overcooked task of 2401.14151 and 2410.07927.

    Observation: a float32 vector in [0, 1], see `wean.tasks.kitchen.view.observe`.

    Actions are macro-actions: each walks to a thing and uses it, which takes 1 to 10 primitive steps. A number means
    the same macro-action throughout, so that a student of numbers can learn: get each food, get the bowl, go to each
    board, deliver, chop. `step` takes a number or, as other text tasks do, the action's text: one of the situation's
    `choices`, which name what each macro-action would mean here, in the order of the numbers.

    Reward of a macro-action: the sum of its primitive rewards, the i-th weighted with 0.99^i. A primitive step gives
    -0.001, an ingredient becoming chopped +0.2, the right dish +1, which terminates; serving anything else -0.1, and
    it comes back unchopped. `horizon` primitive steps truncate, in the midst of a macro-action if need be.

    Success is the right dish served: `info["is_success"]`, and the only way to terminate. The return is no measure
    of it: food that is chopped and served by mistake can be chopped again, over and over, for 0.1 each time.
    `info["primitive_steps"]` are those of this macro-action.

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

        Args:
            action: Its number, or its text as among the situation's choices.

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
        """What the cook sees, in words; equal keys are equal words, also between kitchens."""
        key = view.look(self.world, self.sight)
        return LazySituation(key, self.goal, partial(self._write, key), partial(self._choose, key))

    def first_action(self, plan: Sequence[str]) -> int | None:
        """Turns the first item of a plan into the macro-action's number; None if it is not among the choices."""
        wanted = plan[0].strip().lower() if plan else ""
        choices = self.situation().choices
        return choices.index(wanted) if wanted in choices else None

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
