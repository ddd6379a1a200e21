"""The agent's memory in a grid task: the map that a student sees, and the one that skills read.

MiniGrid finds out slowly what its agent sees (98 % of a step); here the same cells are found by table, and the tests
compare both at every step.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from gymnasium import spaces
from minigrid.core.constants import OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.world_object import Wall
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from wean.tasks.grid import skills
from wean.tasks.grid.geometry import geometry, visible
from wean.tasks.grid.words import NOWHERE, Names

NO_AGENT = 4  # the fourth channel away from the agent, whose own cell holds its direction 0..3
_EMPTY = bytes((OBJECT_TO_IDX["empty"], 0, 0))
_WALL = bytes(Wall().encode())
_DOOR = OBJECT_TO_IDX["door"]
# What a remembered cell means to a walker: by object, and for doors by state. All else is an obstacle.
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


class AgentMemory:
    """Every cell that the agent has seen in this episode, as it last saw it; `held` is the name of what it holds.

    `lava` is the meaning of seen lava to a walker: `skills.LAVA` (as floor) or `skills.OBSTACLE`.
    """

    def __init__(self, grid: MiniGridEnv, lava: int) -> None:
        self._grid, self._size = grid, int(grid.agent_view_size)
        self._width, self._height = int(grid.width), int(grid.height)
        self._table = geometry(self._width, self._height, self._size)
        self._slots = _slots(self._width, self._height, self._size)
        self._walked_of = {**_WALKED, OBJECT_TO_IDX["lava"]: lava}

    def space(self) -> spaces.Box:
        """The space of the remembered map."""
        return spaces.Box(0, 255, (self._width, self._height, 4), np.uint8)

    def begin(self, names: Names) -> None:
        """Forgets everything for a new episode."""
        cells = self._width * self._height
        # All indexed by cell = x * height + y.
        self._codes = [b""] * cells  # as seen
        self._image = bytearray(bytes((0, 0, 0, NO_AGENT)) * cells)  # as a student sees them, without the agent
        self._walked = bytearray(cells)  # as skills read them
        self._things: dict[int, str] = {}  # those with names
        self._names = names
        self.held: str | None = None
        self._known: skills.KnownMap | None = None  # since the last look, once it was read
        self._before: skills.KnownMap | None = None  # and the look before

    def look(self) -> NDArray[np.uint8]:
        """Adds what the agent sees now; returns the remembered map, uint8 (W, H, 4) indexed [x, y].

        Channels 0 to 2 are MiniGrid's (object, colour, state) of every cell seen in this episode, as it was last seen,
        zeros elsewhere, and the held thing at the agent's own cell; channel 3 is the agent's direction (0 east, 1
        south, 2 west, 3 north) at its cell, and `NO_AGENT` elsewhere.
        """
        grid = self._grid
        x, y = int(grid.agent_pos[0]), int(grid.agent_pos[1])
        at = x * self._height + y
        self._pose = pose = at << 2 | int(grid.agent_dir)
        view, slots, things, codes = self._table.view[pose], self._slots[pose], grid.grid.grid, self._codes
        for index in visible(self._size, self._opaque(slots)):
            cell = view[index]
            if cell < 0 or cell == at:
                continue
            thing = things[slots[index]]
            code = _EMPTY if thing is None else _WALL if type(thing) is Wall else bytes(thing.encode())
            if codes[cell] != code:
                self._remember(cell, code)
        if not codes[at]:
            self._remember(at, _EMPTY)  # an agent starts on free floor
        code = _EMPTY if grid.carrying is None else bytes(grid.carrying.encode())
        self.held = None if grid.carrying is None else self._names.name(code, NOWHERE)
        self._before, self._known = self._known, None
        image = np.frombuffer(bytes(self._image), np.uint8).reshape(self._width, self._height, 4).copy()
        image[x, y] = *self._names.shown(code), pose & 3
        return image

    def _opaque(self, slots: tuple[int, ...]) -> int:
        """The view's cells that block sight, as bits; never the agent's own."""
        if self._grid.see_through_walls:
            return 0
        things, own = self._grid.grid.grid, len(slots) - 1 - self._size // 2
        opaque = 0
        for index, slot in enumerate(slots):
            thing = things[slot] if slot >= 0 else None
            if slot < 0 or (thing is not None and index != own and not thing.see_behind()):
                opaque |= 1 << index
        return opaque

    def _remember(self, cell: int, code: bytes) -> None:
        self._codes[cell] = code
        self._image[4 * cell : 4 * cell + 3] = self._names.shown(code)
        kind = code[0]
        self._walked[cell] = _DOORS[code[2]] if kind == _DOOR else self._walked_of.get(kind, skills.OBSTACLE)
        self._things.pop(cell, None)
        name = self._names.name(code, cell)
        if name is not None:
            self._things[cell] = name

    def seen(self) -> set[str]:
        """Names of the things that the agent remembers."""
        return set(self._things.values())

    def known_map(self) -> skills.KnownMap:
        """The agent's observations in the form that skills read."""
        if self._known is None:
            self._known = skills.KnownMap(
                self._width,
                self._height,
                self._size,
                bytes(self._walked),
                self._pose,
                tuple((name, cell) for cell, name in self._things.items()),
                self.held,
            )
        return self._known

    def achieved(self) -> tuple[str, ...]:
        """The skills whose aim the last step achieved, see `skills.achieved`; none after the first step it is read."""
        known = self.known_map()
        return () if self._before is None else skills.achieved(self._before, known)
