"""The door-key rooms: what lies in each, and how it is told in words.

Specification: section 4 of the LLM4Teach release (2311.13373). Placement follows its order (door, agent, keys,
extras), on a grid of `max_size` squared whose top left corner holds a room of random width and height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from minigrid.core.constants import COLOR_NAMES
from minigrid.core.world_object import Door, Key, Lava, WorldObj

Cell = tuple[int, int]
T = TypeVar("T")


class EmptyRoom(Protocol):
    """A room that is being furnished; see `wean.tasks.grid.room.Room`."""

    def pick(self, options: Sequence[T]) -> T:
        """Draws one of the options."""

    def place_door(self, color: str) -> tuple[Door, Cell]:
        """Puts a locked door into a wall; returns it and the cell in front of it."""

    def place_robot(self) -> None:
        """Puts the agent on a free cell."""

    def place_inside(self, thing: WorldObj, avoid: Cell | None = None) -> None:
        """Puts a thing on a free cell, but not on `avoid`."""


_SKILLS = """\
The robot knows these skills:
- explore: walk to where it has not looked yet
- go to X: walk next to a thing it has seen, and face it
- pick up X: pick up the thing it faces
- drop X: put down what it holds
- open X: toggle the door it faces

You are told what the robot has seen and what it holds."""

_ROBOT = (
    "You direct a small robot in a grid room. The robot sees only the few cells in front of it, and remembers which "
    "things it has seen so far. Its task is to open the door. "
)
_ONE_HAND = "The robot can hold one thing at a time."


@dataclass(frozen=True)
class RoomKind:
    """One kind of room.

    Attributes:
        name: The task's short name, e.g. `SimpleDoorKey`.
        goal: The task, its rules and the skills in words.
        things: Every name that a situation can mention, in the order in which it mentions them.
        coloured: True where names carry the colour ("blue key").
        furnish: Places the things; returns the doors of which opening one is success.
    """

    name: str
    goal: str
    things: tuple[str, ...]
    coloured: bool
    furnish: Callable[[EmptyRoom], list[Door]]


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


_ONE_KEY = f"{_ROBOT}The door is locked and opens only while the robot holds the key. {_ONE_HAND}\n\n{_SKILLS}"

KINDS = {
    kind.name: kind
    for kind in (
        RoomKind("SimpleDoorKey", _ONE_KEY, ("key", "door"), False, _simple),
        RoomKind(
            "ColoredDoorKey",
            f"{_ROBOT}The door is locked and opens only while the robot holds the key of the door's colour. There are "
            f"two keys of different colours in the room. {_ONE_HAND}\n\n{_SKILLS}",
            ("red key", "blue key", "blue door"),
            True,
            _coloured,
        ),
        # The same words as SimpleDoorKey: nobody tells the teacher that there is lava.
        RoomKind("LavaDoorKey", _ONE_KEY, ("key", "door"), False, _lava),
    )
}
