"""What can be reached in a room: the shortest way with the whole map known, and scripted explorers without it.

References to judge a teacher or a student by, written by hand; none of them teaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from wean.errors import UsageError
from wean.tasks.grid.search import board, every_direction, facing, first_step, holds
from wean.tasks.grid.skills import FREE, PICK_UP, TOGGLE, UNSEEN, KnownMap
from wean.tasks.grid.vision import geometry

if TYPE_CHECKING:
    from wean.tasks.grid.room import Room

Look = Callable[[KnownMap], int | None]


def shortest_length(room: Room) -> int:
    """Steps of the shortest episode that opens a door, for one who sees the whole room from the start.

    Args:
        room: A room that was just reset, with one key on the floor (SimpleDoorKey, LavaDoorKey, TwoDoor).

    Raises:
        UsageError: If the room has no key on the floor, or several.
    """
    return min(_lengths(room, *_true_things(room)).values()) + 2  # picking up, and toggling


def best_action(room: Room) -> int:
    """The next action of a shortest way to an open door, for one who sees the whole room: an upper bound.

    Args:
        room: A room with one key, on the floor or in the hand (SimpleDoorKey, LavaDoorKey, TwoDoor).

    Raises:
        UsageError: If the room has no key, or several.
    """
    things, keys, doors = _true_things(room)
    table = board(room.width, room.height)
    start = _pose(room)
    if keys:
        lengths = _lengths(room, things, keys, doors)
        fewest = min(lengths.values())
        goals = sum(1 << pose for pose, length in lengths.items() if length == fewest)
    else:
        goals = facing(table, _cells(doors))
    if holds(goals, start):
        return PICK_UP if keys else TOGGLE
    walkable = every_direction(_cells(set(range(room.width * room.height)) - things))
    action = first_step(table, walkable, start, goals)
    assert action is not None
    return action


def fetch_and_open(known: KnownMap, look: Look) -> int | None:
    """The next action of a robot that fetches the key it has seen and opens the nearest door it has seen.

    Args:
        known: What it has observed.
        look: How it looks around while it knows of no key, or holds the key and knows of no door.

    Returns:
        MiniGrid's action number; None where there is nothing left to do.
    """
    kind = "key" if known.held is None else "door"
    cells = [cell for name, cell in known.named if name.startswith(kind)]
    if not cells:
        return look(known)
    goals = facing(board(known.width, known.height), _cells(cells))
    if holds(goals, known.pose):
        return PICK_UP if kind == "key" else TOGGLE
    return _towards(known, goals)


def middle_then_walls(known: KnownMap) -> int | None:
    """Looks for TwoDoor's key in the middle of the grid, and for a door along its walls.

    It knows what holds in every episode of TwoDoor, as a student can learn it: that the room fills the grid, the key
    lies in the middle and the doors stand in the walls. Cells that it has not seen it takes for floor.
    """
    width, height = known.width, known.height
    if known.held is None:
        wanted = [(x, y) for x in (width // 2 - 1, width // 2) for y in (height // 2 - 1, height // 2)]
    else:
        wanted = [(x, y) for x in range(1, width - 1) for y in (0, height - 1)]
        wanted += [(x, y) for x in (0, width - 1) for y in range(1, height - 1)]
    unseen = _cells(cell for x, y in wanted if known.cells[cell := x * height + y] == UNSEEN)
    shown = geometry(width, height, known.view_size).shown
    goals = sum(1 << pose for pose in range(4 * width * height) if shown[pose] & unseen)
    return _towards(known, goals & ~(1 << known.pose))


def _towards(known: KnownMap, goals: int) -> int | None:
    """The first action towards a set of poses, over floor and over what was never seen, but not into the walls."""
    width, height = known.width, known.height
    inside = (x * height + y for x in range(1, width - 1) for y in range(1, height - 1))
    walkable = every_direction(_cells(cell for cell in inside if known.cells[cell] in (FREE, UNSEEN)))
    return first_step(board(width, height), walkable, known.pose, goals)


def _cells(cells: Iterable[int]) -> int:
    """Cells as `wean.tasks.grid.search.marked` writes them."""
    return sum(1 << 4 * cell for cell in cells)


def _true_things(room: Room) -> tuple[frozenset[int], list[int], list[int]]:
    """The cells of all things in the room, of the key that lies there, and of the doors, seen or not.

    Raises:
        UsageError: If the room has no key, or several.
    """
    things = {
        x * room.height + y: thing.type
        for x in range(room.width)
        for y in range(room.height)
        if (thing := room.grid.get(x, y)) is not None
    }
    keys, doors = ([cell for cell, kind in things.items() if kind == wanted] for wanted in ("key", "door"))
    if len(keys) + (room.carrying is not None) != 1:
        raise UsageError(f"the shortest way is known for rooms with one key on the floor, not {room.kind.name}")
    return frozenset(things), keys, doors


def _pose(room: Room) -> int:
    x, y = (int(c) for c in room.agent_pos)
    return int((x * room.height + y) * 4 + int(room.agent_dir))


def _lengths(room: Room, things: frozenset[int], keys: list[int], doors: list[int]) -> dict[int, int]:
    """For every pose that faces the key: steps there, and on to the nearest pose that faces a door."""
    forward = geometry(room.width, room.height, room.agent_view_size).forward
    to_key = _distances(forward, things, _pose(room))
    onward = _onward(forward, things, keys[0], tuple(doors))
    return {pose: to_key[pose] + onward[pose] for pose in onward if pose in to_key}


@lru_cache(maxsize=256)
def _onward(forward: tuple[int, ...], things: frozenset[int], key: int, doors: tuple[int, ...]) -> dict[int, int]:
    """For every pose from which the key can be picked up: steps on to the nearest pose that faces a door."""
    found = {}
    for pose in (pose for pose, ahead in enumerate(forward) if ahead == key and pose >> 2 not in things):
        to_door = _distances(forward, things - {key}, pose)
        lengths = [steps for other, steps in to_door.items() if forward[other] in doors]
        if lengths:
            found[pose] = min(lengths)
    return found


def _distances(forward: tuple[int, ...], blocked: frozenset[int], start: int) -> dict[int, int]:
    """Steps from a pose to every pose that can be reached, each turn and each step counting one."""
    steps = {start: 0}
    for pose in (queue := [start]):
        ahead, direction = forward[pose], pose & 3
        following = [pose - direction | (direction - 1) & 3, pose - direction | (direction + 1) & 3]
        if ahead >= 0 and ahead not in blocked:
            following.append(ahead << 2 | direction)
        for other in following:
            if other not in steps:
                steps[other] = steps[pose] + 1
                queue.append(other)
    return steps
