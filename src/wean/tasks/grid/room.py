"""A room on today's MiniGrid whose observation is the map that the agent remembers, and which speaks in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from gymnasium import spaces
from minigrid.core.constants import IDX_TO_COLOR, OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Door, WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.grid import references, skills
from wean.tasks.grid.kinds import KINDS, Cell
from wean.tasks.grid.vision import STEP, geometry, visible
from wean.tasks.situation import LazySituation, Situation

T = TypeVar("T")

_Key = tuple[tuple[str, ...], str | None]  # what has been seen, in the kind's order, and what is held

NO_AGENT = 4  # the fourth channel away from the agent, whose own cell holds its direction 0..3
_EMPTY = bytes((OBJECT_TO_IDX["empty"], 0, 0))
_OPEN = STATE_TO_IDX["open"]
_WALKED = {
    OBJECT_TO_IDX["empty"]: skills.FREE,
    OBJECT_TO_IDX["goal"]: skills.FREE,
    OBJECT_TO_IDX["lava"]: skills.LAVA,
}
_NAMED = {OBJECT_TO_IDX["key"], OBJECT_TO_IDX["door"], OBJECT_TO_IDX["box"], OBJECT_TO_IDX["ball"]}


def _mission() -> str:
    return "open the door"


class Room(MiniGridEnv):
    """A door-key room with LLM4Teach's "historical" observation.

    Observation: a dict with `image`, uint8 of shape (W, H, 4) indexed [x, y], and `mission`. Channels 0 to 2 are
    MiniGrid's (object, colour, state) as the cell is now, wherever the agent has ever seen it in this episode, and
    zeros elsewhere; the agent's own cell shows what it carries. Channel 3 is the agent's direction (0 east, 1 south,
    2 west, 3 north) at its cell and 4 everywhere else. Where a kind's colours are canonical, the colour of keys, doors
    and boxes is 0 for what was seen first, 1 for the next: what is true of one pair of colours is then true of all.

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
        self.observation_space: spaces.Dict = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (max_size, max_size, 4), np.uint8),
                "mission": MissionSpace(mission_func=_mission),
            }
        )
        self._table = geometry(max_size, max_size, view_size)

    # --- Gymnasium's contract ------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode in a new room; the same seed gives the same room."""
        cells = self.width * self.height
        # Three views of one memory, all flat and indexed by cell = x * height + y.
        self._image = bytearray(b"\0\0\0\4" * cells)  # what the student sees
        self._known = bytearray(cells)  # what a skill may walk on
        self._things: dict[int, str] = {}  # what can be named
        self._numbers: dict[str | int, int] = {}  # colours or doors, in the order of first sight
        self._codes: list[bytes] = []  # the grid as it is, encoded once
        self._at = 0
        self._held: str | None = None
        self._mapped: skills.KnownMap | None = None  # since the last step, once somebody has asked
        self._before: skills.KnownMap | None = None  # and the step before
        observation, info = super().reset(seed=seed, options=options)
        return observation, info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Acts once; see the class for rewards and ends."""
        self._before, self._mapped = self._mapped, None
        observation, reward, terminated, truncated, info = super().step(action)
        if action == skills.TOGGLE and any(door.is_open for door in self._targets):
            reward, terminated = self._reward(), True
        info["is_success"] = reward > 0
        return observation, float(reward), terminated, truncated and not terminated, info

    def gen_obs(self) -> dict[str, Any]:
        """Looks, remembers, and returns the remembered map (see the class)."""
        self._look()
        image = np.frombuffer(bytes(self._image), np.uint8).reshape(self.width, self.height, 4)
        return {"image": image.copy(), "mission": self.mission}

    # --- words and skills ----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """Says in words what the agent has seen and what it holds."""
        seen = set(self._things.values())
        key = (tuple(name for name in self.kind.things if name in seen), self._held)
        return LazySituation(key, self.kind.goal, partial(_write, key), partial(_choose, key))

    @property
    def skill_names(self) -> tuple[str, ...]:
        """Every skill that a situation of this kind of room can name, in a fixed order."""
        things = self.kind.things
        carried = [name for name in things if "door" not in name]
        return tuple(dict.fromkeys(skill for held in (None, *carried) for skill in _choose((things, held))))

    def known_map(self) -> skills.KnownMap:
        """What the agent has observed, in the form that skills read."""
        if self._mapped is None:
            self._mapped = skills.KnownMap(
                self.width,
                self.height,
                self.agent_view_size,
                bytes(self._known),
                self._at << 2 | int(self.agent_dir),  # MiniGrid draws it as a NumPy number
                tuple((name, cell) for cell, name in self._things.items()),
                self._held,
            )
        return self._mapped

    def first_action(self, plan: Sequence[str]) -> int | None:
        """Turns a plan (a list of skills) into the next primitive action; None where it can do nothing here."""
        return skills.first_action(self.known_map(), tuple(plan))

    def achieved(self) -> tuple[str, ...]:
        """The skills whose aim the last step achieved, e.g. "pick up key"; see `skills.achieved`.

        Nothing for the first step after which it is asked.
        """
        known = self.known_map()
        return () if self._before is None else skills.achieved(self._before, known)

    # --- references ----------------------------------------------------------------------------------------------

    def best_actions(self) -> list[int]:
        """An action of a shortest way for one who sees the whole room; see `references.best_action`."""
        return [references.best_action(self)]

    def scripted_action(self) -> int:
        """The action of a scripted explorer that knows how TwoDoor is built, but sees no more than the agent.

        Raises:
            UsageError: In another kind of room.
        """
        if self.kind.name != "TwoDoor":
            raise UsageError(f"there is a scripted explorer for TwoDoor, not for {self.kind.name}")
        action = references.fetch_and_open(self.known_map(), references.middle_then_walls)
        return skills.DONE if action is None else action

    # --- furnishing: called by the kinds -------------------------------------------------------------------------

    def pick(self, options: Sequence[T]) -> T:
        """Draws one of the options."""
        return options[int(self._rand_int(0, len(options)))]

    def place_door(self, color: str, wall: int | None = None) -> tuple[Door, Cell]:
        """Puts a locked door into a wall (drawn if None), not in a corner; returns it and the cell in front of it."""
        width, height = self._room
        dx, dy = STEP[self._rand_int(0, 4) if wall is None else wall]
        if dx:
            x, y = (width - 1 if dx > 0 else 0), self._rand_int(1, height - 1)
        else:
            x, y = self._rand_int(1, width - 1), (height - 1 if dy > 0 else 0)
        door = Door(color, is_locked=True)
        self.put_obj(door, x, y)
        return door, (x - dx, y - dy)

    def place_robot(self) -> None:
        """Puts the agent on a random free cell, facing a random direction."""
        self.place_agent(top=(1, 1), size=self._inside)

    def place_inside(self, thing: WorldObj, avoid: Cell | None = None) -> None:
        """Puts a thing on a random free cell of the room, but not on `avoid`."""
        reject = None if avoid is None else lambda _, cell: cell == avoid
        self.place_obj(thing, top=(1, 1), size=self._inside, reject_fn=reject)

    def place_in_the_middle(self, thing: WorldObj) -> None:
        """Puts a thing on a random free one of the four cells in the middle of the room."""
        width, height = self._room
        self.place_obj(thing, top=((width - 1) // 2, (height - 1) // 2), size=(2, 2))

    def _gen_grid(self, width: int, height: int) -> None:
        room = self._rand_int(self._min_size, width + 1), self._rand_int(self._min_size, height + 1)
        self._room = room
        self._inside = room[0] - 2, room[1] - 2
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, *room)
        self._targets = self.kind.furnish(self)

    # --- memory --------------------------------------------------------------------------------------------------

    def _encode(self, x: int, y: int) -> bytes:
        thing = self.grid.get(x, y)
        return _EMPTY if thing is None else bytes(thing.encode())

    def _look(self) -> None:
        """Brings the memory up to date after a step.

        Only the cell in front of the agent can have changed since the last look: turning and walking change
        nothing, and the other actions act on that cell and leave the pose alone.
        """
        height, image = self.height, self._image
        if not self._codes:
            self._codes = [self._encode(x, y) for x in range(self.width) for y in range(height)]
        codes = self._codes
        old = self._at
        image[4 * old : 4 * old + 4] = codes[old] + b"\4" if self._known[old] else b"\0\0\0\4"

        x, y = self.agent_pos
        self._at = at = int(x) * height + int(y)
        pose = at << 2 | self.agent_dir
        ahead = self._table.forward[pose]
        if ahead >= 0:
            codes[ahead] = self._encode(ahead // height, ahead % height)
            if self._known[ahead]:
                self._remember(ahead, codes[ahead])

        view = self._table.view[pose]
        opaque = 0
        for index, cell in enumerate(view):
            if cell < 0 or _blocks_sight(codes[cell]):
                opaque |= 1 << index
        known = self._known
        for index in visible(self.agent_view_size, opaque):
            cell = view[index]
            if cell >= 0 and not known[cell]:
                self._remember(cell, codes[cell])

        held = self.carrying
        self._held = None if held is None else self._name(held)
        own = _EMPTY if held is None else self._shown(bytes(held.encode()))
        image[4 * at : 4 * at + 4] = own + bytes((self.agent_dir,))

    def _remember(self, cell: int, code: bytes) -> None:
        self._image[4 * cell : 4 * cell + 3] = self._shown(code)
        self._things.pop(cell, None)
        kind = code[0]
        if kind in _NAMED:
            thing = self.grid.get(cell // self.height, cell % self.height)
            self._things[cell] = self._name(thing, cell)
        if _blocks_sight(code):
            self._known[cell] = skills.OPAQUE
        else:
            self._known[cell] = _WALKED.get(kind, skills.OBSTACLE)

    def _name(self, thing: WorldObj, cell: int = -1) -> str:
        """What a seen thing is called (doors need their cell); see `wean.tasks.grid.kinds.RoomKind`."""
        kind, naming = str(thing.type), self.kind.naming
        if naming == "coloured":
            return f"{thing.color} {kind}"
        if naming == "canonical":
            return f"color{self._number(thing.color)} {kind}"
        return f"{kind}{self._number(cell)}" if naming == "numbered" and kind == "door" else kind

    def _shown(self, code: bytes) -> bytes:
        """A thing's code as the map shows it: where colours are canonical in words, they are so on the map."""
        if self.kind.naming != "canonical" or code[0] not in _NAMED:
            return code
        return bytes((code[0], self._number(IDX_TO_COLOR[code[1]]) - 1, code[2]))

    def _number(self, seen: str | int) -> int:
        """1 for what was seen first in this episode, 2 for the next, and so on."""
        return self._numbers.setdefault(seen, len(self._numbers) + 1)


_WALL, _DOOR = OBJECT_TO_IDX["wall"], OBJECT_TO_IDX["door"]


def _blocks_sight(code: bytes) -> bool:
    return bool(code[0] == _WALL or (code[0] == _DOOR and code[2] != _OPEN))


def _listed(names: Sequence[str]) -> str:
    """Writes "a key and a door", "a key and door1", "nothing"."""
    words = [name if name[-1].isdigit() else f"a {name}" for name in names]
    if len(words) > 1:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return words[0] if words else "nothing"


def _write(key: Hashable) -> str:
    seen, held = cast(_Key, key)
    return f"The robot has seen {_listed(seen)}. It holds {_listed([held] if held else [])}."


def _choose(key: Hashable) -> tuple[str, ...]:
    """Lists the skills that name what has been seen or is held."""
    seen, held = cast(_Key, key)
    choices = ["explore"]
    for name in seen:
        choices.append(f"go to {name}")
        if name.rstrip("0123456789").endswith(("door", "box")):
            choices.append(f"open {name}")
        elif held is None:
            choices.append(f"pick up {name}")
    if held is not None:
        choices.append(f"drop {held}")
    return tuple(choices)


def full_view(room: Room) -> NDArray[np.uint8]:
    """The whole true grid as MiniGrid encodes it, shape (W, H, 3): for tests and pictures, never for a policy."""
    encoded: NDArray[np.uint8] = room.grid.encode()
    return encoded
