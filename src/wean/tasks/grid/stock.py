"""Any stock MiniGrid or BabyAI environment as a task: a remembered map for the student, words and skills for a teacher.

What is remembered is exactly what the environment's own observations show, step by step; MiniGrid makes them slowly
(98 % of a step), so the same cells are found here by table instead, and the tests compare both at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.world_object import Wall
from minigrid.minigrid_env import MiniGridEnv

from wean.errors import UsageError
from wean.tasks.grid import skills
from wean.tasks.grid.naming import Naming, nameable, situation
from wean.tasks.grid.vision import geometry, visible
from wean.tasks.situation import Situation

NO_AGENT = 4  # the fourth channel away from the agent, whose own cell holds its direction 0..3
_EMPTY = bytes((OBJECT_TO_IDX["empty"], 0, 0))
_WALL = bytes(Wall().encode())
_DOOR = OBJECT_TO_IDX["door"]
# What a remembered cell means to a walker: by object, and for doors by (object, state).
_WALKED = {
    OBJECT_TO_IDX["empty"]: skills.FREE,
    OBJECT_TO_IDX["wall"]: skills.OPAQUE,
    OBJECT_TO_IDX["floor"]: skills.WAY,
    OBJECT_TO_IDX["goal"]: skills.WAY,
}
_DOORS = {
    STATE_TO_IDX["open"]: skills.WAY,
    STATE_TO_IDX["closed"]: skills.DOOR,
    STATE_TO_IDX["locked"]: skills.OPAQUE,
}


@lru_cache(maxsize=16)
def _slots(width: int, height: int, size: int) -> tuple[tuple[int, ...], ...]:
    """For each pose, where the cells of its view lie in MiniGrid's list (`y * width + x`); -1 outside the grid."""
    return tuple(
        tuple(-1 if cell < 0 else cell % height * width + cell // height for cell in view)
        for view in geometry(width, height, size).view
    )


class StockGrid(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A MiniGrid or BabyAI environment whose agent remembers, speaks in words and has skills.

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
        self._grid, self._size = grid, size
        self.width, self.height = int(grid.width), int(grid.height)
        self._table = geometry(self.width, self.height, size)
        self._slots = _slots(self.width, self.height, size)
        self._known: skills.KnownMap | None = None  # since the last step, once somebody has asked
        self._before: skills.KnownMap | None = None  # and the step before
        grid.gen_obs = self._look  # MiniGrid's step and reset get their observation here
        image = spaces.Box(0, 255, (self.width, self.height, 4), np.uint8)
        self.observation_space = spaces.Dict({"image": image, "mission": space["mission"]})
        self.metadata = {**env.metadata, "observation": "map"}

    # --- Gymnasium's contract ------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode; nothing is remembered of the one before."""
        with redirect_stdout(None):  # BabyAI's makers tell of every layout that they reject
            return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Acts once; reward and ends are the environment's."""
        self._before = self._known
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["is_success"] = float(reward) > 0  # these environments pay for nothing else
        return observation, float(reward), terminated, truncated, info

    def _forget(self) -> None:
        """Empties the memory, where an episode begins."""
        cells = self.width * self.height
        # Three views of one memory, all indexed by cell = x * height + y.
        self._image = bytearray(b"\0\0\0\4" * cells)  # what the student sees; the agent's own cell is added later
        self._walked = bytearray(cells)  # what a skill may walk on
        self._things: dict[int, str] = {}  # what can be named
        self._was_locked: set[int] = set()
        self._naming = Naming(self._grid.mission)
        self._known = self._before = None

    def _look(self) -> dict[str, Any]:
        """Takes what the agent sees now into its memory; returns the remembered map."""
        grid, height = self._grid, self.height
        if grid.step_count == 0:
            self._forget()
        x, y = grid.agent_pos
        at = int(x) * height + int(y)
        self._pose = pose = at << 2 | int(grid.agent_dir)
        view, slots, things = self._table.view[pose], self._slots[pose], grid.grid.grid
        opaque = 0
        if not grid.see_through_walls:
            own = len(view) - 1 - self._size // 2
            for index, slot in enumerate(slots):
                thing = things[slot] if slot >= 0 else None
                if slot < 0 or (thing is not None and index != own and not thing.see_behind()):
                    opaque |= 1 << index
        image = self._image
        for index in visible(self._size, opaque):
            cell = view[index]
            if cell < 0 or cell == at:
                continue
            thing = things[slots[index]]
            code = _EMPTY if thing is None else _WALL if type(thing) is Wall else bytes(thing.encode())
            if image[4 * cell : 4 * cell + 3] != code:
                self._remember(cell, code)
        if not image[4 * at]:
            self._remember(at, _EMPTY)  # an agent starts on free floor
        held = grid.carrying
        code = _EMPTY if held is None else bytes(held.encode())
        self._held = None if held is None else self._naming.name(code)
        self._known = None
        shown = np.frombuffer(bytes(image), np.uint8).reshape(self.width, height, 4).copy()
        shown[int(x), int(y)] = *code, pose & 3
        return {"image": shown, "mission": grid.mission}

    def _remember(self, cell: int, code: bytes) -> None:
        """Keeps what is seen on a cell, and gives it its name in the order of first sight."""
        self._image[4 * cell : 4 * cell + 3] = code
        kind, state = code[0], code[2]
        self._walked[cell] = _DOORS[state] if kind == _DOOR else _WALKED.get(kind, skills.OBSTACLE)
        self._things.pop(cell, None)
        if nameable(kind):
            if kind == _DOOR and _DOORS[state] == skills.OPAQUE:
                self._was_locked.add(cell)
            name = self._naming.name(code, cell in self._was_locked)
            if name is not None:
                self._things[cell] = name

    # --- words and skills ----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """Says in words what the task is, what the agent has seen and what it holds."""
        return situation(self._naming.mission, set(self._things.values()), self._held)

    def known_map(self) -> skills.KnownMap:
        """What the agent has observed, in the form that skills read. Seen lava is an obstacle."""
        if self._known is None:
            self._known = skills.KnownMap(
                self.width,
                self.height,
                self._size,
                bytes(self._walked),
                self._pose,
                tuple((name, cell) for cell, name in self._things.items()),
                self._held,
            )
        return self._known

    def first_action(self, plan: Sequence[str]) -> int | None:
        """Turns a plan (a list of skills) into the next primitive action; None where it can do nothing here."""
        action = skills.first_action(self.known_map(), tuple(plan))
        return skills.DONE if action is None and "done" in plan else action

    def achieved(self) -> tuple[str, ...]:
        """The skills whose aim the last step achieved, e.g. "pick up red key"; see `skills.achieved`.

        Nothing for the first step after which it is asked.
        """
        known = self.known_map()
        return () if self._before is None else skills.achieved(self._before, known)


def make_stock(id: str, **kwargs: Any) -> StockGrid:
    """Makes a registered MiniGrid or BabyAI environment as a task.

    Args:
        id: Its registered id.
        **kwargs: Passed to it, e.g. `render_mode="rgb_array"`.
    """
    env = gym.make(id, disable_env_checker=True, **kwargs)
    return StockGrid(env.env if isinstance(env, gym.wrappers.OrderEnforcing) else env)
