"""Any stock MiniGrid or BabyAI environment as a task: a remembered map for the student, words and skills for a teacher.

What is remembered is exactly what the environment's own observations show, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from minigrid.minigrid_env import MiniGridEnv

from wean.errors import UsageError
from wean.tasks.grid import skills
from wean.tasks.grid.memory import AgentMemory
from wean.tasks.grid.words import StockNames, stock_situation
from wean.tasks.situation import Situation


class StockGrid(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A MiniGrid or BabyAI environment whose agent remembers what it has seen, with words and skills.

    Observation: a dict with `image`, uint8 of shape (W, H, 4) indexed [x, y], and `mission`. Channels 0 to 2 are
    MiniGrid's (object, colour, state) of every cell that the agent has seen in this episode, as it last saw it, and
    zeros elsewhere; the agent's own cell shows what it carries. Channel 3 is the agent's direction (0 east, 1 south,
    2 west, 3 north) at its cell and 4 everywhere else. Actions, rewards and ends are the environment's own.

    Args:
        env: The environment, giving MiniGrid's dict observations.

    Raises:
        UsageError: If it is no MiniGrid environment, or a wrapper has changed its observations.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        grid = env.unwrapped
        if not isinstance(grid, MiniGridEnv):
            raise UsageError(f"{env} is no MiniGrid environment; wrap it in wean.tasks.DescribedTask")
        size = grid.agent_view_size
        space = env.observation_space
        if not isinstance(space, spaces.Dict) or space["image"].shape != (size, size, 3):
            raise UsageError(f"{env} does not give MiniGrid's own observations; wrap it before they are changed")
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=True)
        gym.Wrapper.__init__(self, env)
        self._grid, self._memory = grid, AgentMemory(grid, lava=skills.OBSTACLE)
        grid.gen_obs = self._look  # MiniGrid's step and reset get their observation here
        self.observation_space = spaces.Dict({"image": self._memory.space(), "mission": space["mission"]})
        self.metadata = {**env.metadata, "observation": "map"}

    # --- Gymnasium's contract ------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode; nothing is remembered of the one before."""
        with redirect_stdout(None):  # BabyAI prints every layout that it rejects
            return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Acts once; reward and ends are the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["is_success"] = float(reward) > 0  # these environments pay for nothing else
        return observation, float(reward), terminated, truncated, info

    def _look(self) -> dict[str, Any]:
        """The remembered map, with what the agent sees now."""
        if self._grid.step_count == 0:
            self._names = StockNames(self._grid.mission)
            self._memory.begin(self._names)
        return {"image": self._memory.look(), "mission": self._grid.mission}

    # --- words and skills ----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """The task, what the agent has seen and what it holds, in words."""
        return stock_situation(self._names.mission, self._memory.seen(), self._memory.held)

    def known_map(self) -> skills.KnownMap:
        """What the agent has observed, in the form that skills read. Seen lava is an obstacle."""
        return self._memory.known_map()

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The next primitive action of a plan (a list of skills); None where it can do nothing here."""
        action = skills.first_action(self.known_map(), tuple(plan))
        return skills.DONE if action is None and "done" in plan else action

    def achieved(self) -> tuple[str, ...]:
        """The skills whose aim the last step achieved, e.g. "pick up red key"; see `AgentMemory.achieved`."""
        return self._memory.achieved()


def make_stock(id: str, **kwargs: Any) -> StockGrid:
    """Makes a registered MiniGrid or BabyAI environment as a task.

    Args:
        id: Its registered id.
        **kwargs: Passed to it, e.g. `render_mode="rgb_array"`.
    """
    env = gym.make(id, disable_env_checker=True, **kwargs)
    return StockGrid(env.env if isinstance(env, gym.wrappers.OrderEnforcing) else env)
