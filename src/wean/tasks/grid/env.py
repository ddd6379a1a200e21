"""MiniGrid environments as tasks: door-key rooms, and any stock MiniGrid or BabyAI environment.

The student's observation is the map that the agent remembers; both kinds have words and skills.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, ClassVar

import gymnasium as gym
from gymnasium import spaces
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.minigrid_env import MiniGridEnv

from wean.errors import UsageError
from wean.tasks.grid import references, skills
from wean.tasks.grid.kinds import KINDS, RoomBuilder
from wean.tasks.grid.memory import AgentMemory
from wean.tasks.grid.words import RoomNames, StockNames, room_situation, room_skills, stock_situation
from wean.tasks.situation import Situation


def _mission() -> str:
    return "open the door"


class Room(MiniGridEnv):
    """A door-key room with LLM4Teach's "historical" observation.

    Observation: a dict with `mission` and `image`, the map of `AgentMemory.look`. Where a kind's colours are canonical,
    the colour of keys, doors and boxes is 0 for what was seen first, 1 for the next: what is true of one pair of
    colours is then true of all.

    Actions are MiniGrid's seven. Opening a target door gives 1 - 0.9 * steps / max_steps and terminates; lava
    terminates with 0; `max_steps` truncates.

    Args:
        kind: Name of one of the `wean.tasks.grid.kinds`.
        min_size: Least room width and height, walls included; the kind's by default.
        max_size: Greatest room width and height, and the grid's size; the kind's by default.
        view_size: Side of the square view in front of the agent (odd).
        max_steps: Steps after which an episode is truncated; the kind's by default.
        render_mode: None, `human` or `rgb_array`.
        **kwargs: Passed on to MiniGrid (e.g. `tile_size`).

    Raises:
        UsageError: If there is no such kind.

    Attributes:
        room_size: Width and height of this episode's room, walls included.
    """

    metadata: ClassVar[dict[str, Any]] = {**MiniGridEnv.metadata, "observation": "map"}

    def __init__(
        self,
        kind: str = "SimpleDoorKey",
        *,
        min_size: int | None = None,
        max_size: int | None = None,
        view_size: int = 3,
        max_steps: int | None = None,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kind not in KINDS:
            raise UsageError(f"no room of kind {kind!r}; there are {', '.join(sorted(KINDS))}")
        self.kind = KINDS[kind]
        least, greatest = self.kind.sizes
        self._min_size = least if min_size is None else min_size
        max_size = greatest if max_size is None else max_size
        super().__init__(
            mission_space=MissionSpace(mission_func=_mission),
            grid_size=max_size,
            max_steps=self.kind.max_steps if max_steps is None else max_steps,
            see_through_walls=False,
            agent_view_size=view_size,
            render_mode=render_mode,
            **kwargs,
        )
        self._memory = AgentMemory(self, lava=skills.LAVA)
        self.observation_space: spaces.Dict = spaces.Dict(
            {"image": self._memory.space(), "mission": MissionSpace(mission_func=_mission)}
        )

    # --- Gymnasium's contract ------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode in a new room; the same seed gives the same room."""
        self._memory.begin(RoomNames(self.kind.naming))
        observation, info = super().reset(seed=seed, options=options)
        return observation, info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Acts once; see the class for rewards and ends."""
        observation, reward, terminated, truncated, info = super().step(action)
        if action == skills.TOGGLE and any(door.is_open for door in self._targets):
            reward, terminated = self._reward(), True
        info["is_success"] = reward > 0
        return observation, float(reward), terminated, truncated and not terminated, info

    def gen_obs(self) -> dict[str, Any]:
        """The remembered map, with what the agent sees now; see the class."""
        return {"image": self._memory.look(), "mission": self.mission}

    # --- words and skills ----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """What the agent has seen and holds, in words."""
        return room_situation(self.kind, self._memory.seen(), self._memory.held)

    @property
    def skill_names(self) -> tuple[str, ...]:
        """Every skill that a situation of this kind of room can name, in a fixed order."""
        things = self.kind.things
        carried = [name for name in things if "door" not in name]
        return tuple(dict.fromkeys(skill for held in (None, *carried) for skill in room_skills((things, held))))

    def known_map(self) -> skills.KnownMap:
        """What the agent has observed, in the form that skills read."""
        return self._memory.known_map()

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The next primitive action of a plan (a list of skills); None where it can do nothing here."""
        return skills.first_action(self.known_map(), tuple(plan))

    def achieved(self) -> tuple[str, ...]:
        """The skills whose aim the last step achieved, e.g. "pick up key"; see `AgentMemory.achieved`."""
        return self._memory.achieved()

    # --- references ----------------------------------------------------------------------------------------------

    def best_actions(self) -> list[int]:
        """An action of a shortest way, from the full state; see `references.best_action`."""
        try:
            return [references.best_action(self)]
        except UsageError as error:
            raise UsageError(f"{error}, not {self.kind.name}") from None

    def scripted_action(self) -> int:
        """The action of a scripted explorer that knows how TwoDoor is built, but sees no more than the agent.

        Raises:
            UsageError: In another kind of room.
        """
        if self.kind.name != "TwoDoor":
            raise UsageError(f"there is a scripted explorer for TwoDoor, not for {self.kind.name}")
        action = references.fetch_and_open(self.known_map(), references.middle_then_walls)
        return skills.DONE if action is None else action

    def _gen_grid(self, width: int, height: int) -> None:
        self.room_size = self._rand_int(self._min_size, width + 1), self._rand_int(self._min_size, height + 1)
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, *self.room_size)
        self._targets = self.kind.furnish(RoomBuilder(self, self.room_size))


class StockGrid(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A MiniGrid or BabyAI environment whose agent remembers what it has seen, with words and skills.

    Observation: a dict with `mission` and `image`, the map of `AgentMemory.look`. Actions, rewards and ends are the
    environment's own.

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
        self.observation_space = spaces.Dict({"image": self._memory.space(), "mission": space["mission"]})
        # MiniGrid's step and reset get their observation here, and Gymnasium's checker, between it and this, its space.
        grid.gen_obs, grid.observation_space = self._look, self.observation_space
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
        """The task, and what the agent has seen and holds, in words."""
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
    """Makes a registered MiniGrid or BabyAI environment as a task."""
    env = gym.make(id, disable_env_checker=True, **kwargs)
    return StockGrid(env.env if isinstance(env, gym.wrappers.OrderEnforcing) else env)
