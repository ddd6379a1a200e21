"""The kinds of door-key rooms: the things in each, and its goal in words.

Specification: the environments of the LLM4Teach release (2311.13373), and for the boxes and the random colours those
of When2Ask's (2306.03604). Placement follows their order (door, agent, keys, extras; in TwoDoor doors, key, agent), on
a grid of `max_size` squared whose top left corner holds a room of random width and height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from minigrid.core.constants import COLOR_NAMES
from minigrid.core.world_object import Box, Door, Key, Lava, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from wean.tasks.grid.geometry import STEP

Cell = tuple[int, int]
T = TypeVar("T")


class RoomBuilder:
    """Places things in a new, empty room of a size (walls included), with the environment's generator."""

    def __init__(self, env: MiniGridEnv, size: tuple[int, int]) -> None:
        self._env, self._size = env, size
        self._inside = size[0] - 2, size[1] - 2

    def pick(self, options: Sequence[T]) -> T:
        """Draws one of the options."""
        return options[self._integer(0, len(options))]

    def place_door(self, color: str, wall: int | None = None) -> tuple[Door, Cell]:
        """Puts a locked door into a wall (drawn if None), not in a corner; returns it and the cell in front of it."""
        width, height = self._size
        dx, dy = STEP[self._integer(0, 4) if wall is None else wall]
        if dx:
            x, y = (width - 1 if dx > 0 else 0), self._integer(1, height - 1)
        else:
            x, y = self._integer(1, width - 1), (height - 1 if dy > 0 else 0)
        door = Door(color, is_locked=True)
        self._env.put_obj(door, x, y)
        return door, (x - dx, y - dy)

    def place_robot(self) -> None:
        """Puts the agent on a random free cell, facing a random direction."""
        self._env.place_agent(top=(1, 1), size=self._inside)

    def place_inside(self, thing: WorldObj, avoid: Cell | None = None) -> None:
        """Puts a thing on a random free cell of the room, but not on `avoid`."""
        reject = None if avoid is None else lambda _, cell: cell == avoid
        self._env.place_obj(thing, top=(1, 1), size=self._inside, reject_fn=reject)

    def place_in_the_middle(self, thing: WorldObj) -> None:
        """Puts a thing on a random free one of the four cells in the middle of the room."""
        width, height = self._size
        self._env.place_obj(thing, top=((width - 1) // 2, (height - 1) // 2), size=(2, 2))

    def _integer(self, low: int, high: int) -> int:
        """Draws an integer from `low` to `high - 1`."""
        return int(self._env.np_random.integers(low, high))


def _goal(rules: str, task: str = "open the door", opens: str = "door") -> str:
    """The whole goal; the recorded answers belong to these words, to the letter."""
    return f"""\
You direct a small robot in a grid room. The robot sees only the few cells in front of it, and remembers which things \
it has seen so far. Its task is to {task}. {rules} The robot can hold one thing at a time.

The robot knows these skills:
- explore: walk to where it has not looked yet
- go to X: walk next to a thing it has seen, and face it
- pick up X: pick up the thing it faces
- drop X: put down what it holds
- open X: toggle the {opens} it faces

You are told what the robot has seen and what it holds."""


Naming = Literal["plain", "coloured", "canonical", "numbered"]


@dataclass(frozen=True)
class RoomKind:
    """One kind of room.

    Attributes:
        name: The task's short name, e.g. `SimpleDoorKey`.
        goal: The task, its rules and the skills in words.
        things: Every name that a situation can mention, in the order in which it mentions them.
        furnish: Places the things; returns the doors of which opening one is success.
        naming: How things are called: `plain` "key"; `coloured` "blue key"; `canonical` "color1 key", where colours
            count in the order of first sight, so that all pairs of colours are the same question; `numbered` "key"
            and "door1", where doors count so.
        max_steps: Default number of steps after which an episode is truncated.
        sizes: Default least and greatest width and height of the room, walls included.
    """

    name: str
    goal: str
    things: tuple[str, ...]
    furnish: Callable[[RoomBuilder], list[Door]]
    naming: Naming = "plain"
    max_steps: int = 150
    sizes: tuple[int, int] = (5, 10)


def _simple(room: RoomBuilder) -> list[Door]:
    door, _ = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Key(door.color))
    return [door]


def _coloured(room: RoomBuilder) -> list[Door]:
    door, threshold = room.place_door("blue")
    room.place_robot()
    for color in ("blue", "red"):
        room.place_inside(Key(color), avoid=threshold)
    return [door]


def _lava(room: RoomBuilder) -> list[Door]:
    door, threshold = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Key(door.color))
    room.place_inside(Lava(), avoid=threshold)
    return [door]


def _random_colours(room: RoomBuilder) -> list[Door]:
    color = room.pick(COLOR_NAMES)
    door, threshold = room.place_door(color)
    room.place_robot()
    for key in (color, room.pick([other for other in COLOR_NAMES if other != color])):
        room.place_inside(Key(key), avoid=threshold)
    return [door]


def _boxed(room: RoomBuilder) -> list[Door]:
    door, _ = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Box(door.color, contains=Key(door.color)))
    return [door]


def _perhaps_boxed(room: RoomBuilder) -> list[Door]:
    door, threshold = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    key = Key(door.color)
    inside = room.pick([True, False])
    if not inside:
        room.place_inside(key)
    room.place_inside(Box(door.color, contains=key if inside else None), avoid=threshold)
    return [door]


def _two_doors(room: RoomBuilder) -> list[Door]:
    color, first = room.pick(COLOR_NAMES), room.pick([0, 1])
    doors = [room.place_door(color, wall)[0] for wall in (first, first + 2)]
    room.place_in_the_middle(Key(color))
    room.place_robot()
    return doors


_ONE_KEY = _goal("The door is locked and opens only while the robot holds the key.")
_COLOURED = (
    "The door is locked and opens only while the robot holds the key of the door's colour. There are two keys of "
    "different colours in the room."
)
_WHEN2ASK_STEPS = 100

KINDS = {
    kind.name: kind
    for kind in (
        RoomKind("SimpleDoorKey", _ONE_KEY, ("key", "door"), _simple),
        RoomKind("ColoredDoorKey", _goal(_COLOURED), ("red key", "blue key", "blue door"), _coloured, "coloured"),
        # The same words as SimpleDoorKey: the teacher does not know of the lava.
        RoomKind("LavaDoorKey", _ONE_KEY, ("key", "door"), _lava),
        RoomKind(
            "ColoredDoorKeyRandom",
            _goal(
                f"{_COLOURED} One of them is the key of the door's colour. Colours are called color1 and color2, in "
                "the order in which the robot first saw them."
            ),
            ("color1 key", "color2 key", "color1 door", "color2 door"),
            _random_colours,
            "canonical",
            _WHEN2ASK_STEPS,
        ),
        RoomKind(
            "KeyInBox",
            _goal(
                "The door is locked and opens only while the robot holds the key. The key lies inside a box; opening "
                "the box leaves the key in its place.",
                opens="box or door",
            ),
            ("box", "key", "door"),
            _boxed,
            max_steps=_WHEN2ASK_STEPS,
        ),
        RoomKind(
            "RandomBoxKey",
            _goal(
                "The door is locked and opens only while the robot holds the key. There is a box in the room: the key "
                "lies either inside the box or somewhere on the floor. Opening a box leaves what is inside it, if "
                "anything, in its place.",
                opens="box or door",
            ),
            ("box", "key", "door"),
            _perhaps_boxed,
            max_steps=_WHEN2ASK_STEPS,
        ),
        RoomKind(
            "TwoDoor",
            _goal(
                "There are two locked doors in the room, and opening either one is enough. A door opens only while the "
                "robot holds the key.",
                task="open a door",
            ),
            ("key", "door1", "door2"),
            _two_doors,
            "numbered",
            sizes=(20, 20),
        ),
    )
}
