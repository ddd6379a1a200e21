"""The kinds of door-key rooms: the things in each, and its goal in words.

Specification: the environments of the LLM4Teach release (2311.13373), and for the boxes and the random colours those
of When2Ask's (2306.03604). Placement follows their order (door, agent, keys, extras; in TwoDoor doors, key, agent), on
a grid of `max_size` squared whose top left corner holds a room of random width and height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from minigrid.core.constants import COLOR_NAMES
from minigrid.core.world_object import Box, Door, Key, Lava, WorldObj

Cell = tuple[int, int]
T = TypeVar("T")


class EmptyRoom(Protocol):
    """A room that is being furnished, see `wean.tasks.grid.room.Room`."""

    def pick(self, options: Sequence[T]) -> T:
        """Draws one of the options."""

    def place_door(self, color: str, wall: int | None = None) -> tuple[Door, Cell]:
        """Puts a locked door into a wall (numbered as directions, None draws); returns it and the cell before it."""

    def place_robot(self) -> None:
        """Puts the agent on a free cell."""

    def place_inside(self, thing: WorldObj, avoid: Cell | None = None) -> None:
        """Puts a thing on a free cell, but not on `avoid`."""

    def place_in_the_middle(self, thing: WorldObj) -> None:
        """Puts a thing on a free one of the four cells in the middle of the room."""


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
        max_steps: Steps after which an episode is truncated, unless the user says otherwise.
        sizes: Least and greatest width and height of the room, walls included, unless the user says otherwise.
    """

    name: str
    goal: str
    things: tuple[str, ...]
    furnish: Callable[[EmptyRoom], list[Door]]
    naming: Naming = "plain"
    max_steps: int = 150
    sizes: tuple[int, int] = (5, 10)


def _simple(room: EmptyRoom) -> list[Door]:
    door, _ = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Key(door.color))
    return [door]


def _coloured(room: EmptyRoom) -> list[Door]:
    door, threshold = room.place_door("blue")
    room.place_robot()
    for color in ("blue", "red"):
        room.place_inside(Key(color), avoid=threshold)
    return [door]


def _lava(room: EmptyRoom) -> list[Door]:
    door, threshold = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Key(door.color))
    room.place_inside(Lava(), avoid=threshold)
    return [door]


def _random_colours(room: EmptyRoom) -> list[Door]:
    color = room.pick(COLOR_NAMES)
    door, threshold = room.place_door(color)
    room.place_robot()
    for key in (color, room.pick([other for other in COLOR_NAMES if other != color])):
        room.place_inside(Key(key), avoid=threshold)
    return [door]


def _boxed(room: EmptyRoom) -> list[Door]:
    door, _ = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    room.place_inside(Box(door.color, contains=Key(door.color)))
    return [door]


def _perhaps_boxed(room: EmptyRoom) -> list[Door]:
    door, threshold = room.place_door(room.pick(COLOR_NAMES))
    room.place_robot()
    key = Key(door.color)
    inside = room.pick([True, False])
    if not inside:
        room.place_inside(key)
    room.place_inside(Box(door.color, contains=key if inside else None), avoid=threshold)
    return [door]


def _two_doors(room: EmptyRoom) -> list[Door]:
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
        # The same words as SimpleDoorKey: nobody tells the teacher that there is lava.
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
