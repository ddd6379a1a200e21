"""Hand-written references: shortest ways with the whole room known, and scripted explorers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from minigrid.minigrid_env import MiniGridEnv

from wean.errors import UsageError
from wean.tasks.grid.geometry import (
    Board,
    Poses,
    board,
    cell_set,
    every_direction,
    facing,
    first_step,
    geometry,
    holds,
    steps_to,
)
from wean.tasks.grid.skills import FREE, PICK_UP, TOGGLE, UNSEEN, KnownMap

Look = Callable[[KnownMap], int | None]


def shortest_length(room: MiniGridEnv) -> int:
    """Steps of the shortest episode that opens a door, from the full state of a room that was just reset.

    Raises:
        UsageError: If the room has no key on the floor, or several.
    """
    return min(_lengths(room, *_true_things(room)).values()) + 2  # picking up, and toggling


def best_action(room: MiniGridEnv) -> int:
    """The next action of a shortest way to an open door, from the full state: an upper bound.

    Raises:
        UsageError: If the room has no key, on the floor or in the hand, or several.
    """
    things, keys, doors = _true_things(room)
    table, start = board(room.width, room.height), _pose(room)
    if keys:
        lengths = _lengths(room, things, keys, doors)
        fewest = min(lengths.values())
        goals = sum(1 << pose for pose, length in lengths.items() if length == fewest)
    else:
        goals = facing(table, cell_set(doors))
    if holds(goals, start):
        return PICK_UP if keys else TOGGLE
    action = first_step(table, _free(room, things), start, goals)
    assert action is not None
    return action


def fetch_and_open(known: KnownMap, look: Look) -> int | None:
    """The next action of fetching the key that was seen and opening the nearest door that was seen; None at the end.

    `look` explores while no key is known, or the key is held and no door known.
    """
    kind = "key" if known.held is None else "door"
    cells = [cell for name, cell in known.named if name.startswith(kind)]
    if not cells:
        return look(known)
    goals = facing(board(known.width, known.height), cell_set(cells))
    if holds(goals, known.pose):
        return PICK_UP if kind == "key" else TOGGLE
    return _towards(known, goals)


def middle_then_walls(known: KnownMap) -> int | None:
    """Looks for TwoDoor's key in the middle of the grid, and for a door along its walls.

    It knows what holds in every episode of TwoDoor: the room fills the grid, the key lies in the middle and the doors
    stand in the walls. Cells that were not seen count as floor.
    """
    width, height = known.width, known.height
    if known.held is None:
        wanted = [(x, y) for x in (width // 2 - 1, width // 2) for y in (height // 2 - 1, height // 2)]
    else:
        wanted = [(x, y) for x in range(1, width - 1) for y in (0, height - 1)]
        wanted += [(x, y) for x in (0, width - 1) for y in range(1, height - 1)]
    unseen = cell_set(cell for x, y in wanted if known.cells[cell := x * height + y] == UNSEEN)
    shown = geometry(width, height, known.view_size).shown
    goals = sum(1 << pose for pose in range(4 * width * height) if shown[pose] & unseen)
    return _towards(known, goals & ~(1 << known.pose))


def _towards(known: KnownMap, goals: int) -> int | None:
    """The first action towards a set of poses, over floor and over what was never seen, but not into the walls."""
    width, height = known.width, known.height
    inside = (x * height + y for x in range(1, width - 1) for y in range(1, height - 1))
    walkable = every_direction(cell_set(cell for cell in inside if known.cells[cell] in (FREE, UNSEEN)))
    return first_step(board(width, height), walkable, known.pose, goals)


def _true_things(room: MiniGridEnv) -> tuple[frozenset[int], list[int], list[int]]:
    """(cells of all things, cells of keys, cells of doors) in the room, seen or not.

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
        raise UsageError("the shortest way is known for rooms with one key on the floor")
    return frozenset(things), keys, doors


def _pose(room: MiniGridEnv) -> int:
    x, y = (int(c) for c in room.agent_pos)
    return int((x * room.height + y) * 4 + int(room.agent_dir))


def _free(room: MiniGridEnv, things: frozenset[int]) -> Poses:
    """All poses on cells without things."""
    return every_direction(cell_set(set(range(room.width * room.height)) - things))


def _lengths(room: MiniGridEnv, things: frozenset[int], keys: list[int], doors: list[int]) -> dict[int, int]:
    """For every pose that faces the key: steps there, and on to the nearest pose that faces a door."""
    table, start, (key,) = board(room.width, room.height), _pose(room), keys
    before, after = _free(room, things), _free(room, things - {key})
    doors_ahead = facing(table, cell_set(doors))
    found = {}
    for pose, ahead in enumerate(geometry(room.width, room.height, room.agent_view_size).forward):
        if ahead == key and pose >> 2 not in things:
            to_key = steps_to(table, before, start, 1 << pose)
            onward = _onward(table, after, pose, doors_ahead)
            if to_key is not None and onward is not None:
                found[pose] = to_key + onward
    return found


@lru_cache(maxsize=256)
def _onward(table: Board, walkable: Poses, pose: int, doors: Poses) -> int | None:
    """Steps from where the key is picked up to the nearest pose that faces a door; constant within an episode."""
    return steps_to(table, walkable, pose, doors)
