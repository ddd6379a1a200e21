"""What can be reached in a room: the shortest way with the whole map known, and scripted explorers without it.

References to judge a teacher or a student by, written by hand; none of them teaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wean.errors import UsageError
from wean.tasks.grid.room import Room
from wean.tasks.grid.search import board, every_direction, facing, first_step, holds
from wean.tasks.grid.skills import FREE, PICK_UP, TOGGLE, UNSEEN, KnownMap
from wean.tasks.grid.vision import geometry

Look = Callable[[KnownMap], int | None]


def shortest_length(room: Room) -> int:
    """Steps of the shortest episode that opens a door, for one who sees the whole room from the start.

    Args:
        room: A room that was just reset, with one key on the floor (SimpleDoorKey, LavaDoorKey, TwoDoor).

    Raises:
        UsageError: If the room has no key on the floor, or several.
    """
    things = {
        x * room.height + y: thing
        for x in range(room.width)
        for y in range(room.height)
        if (thing := room.grid.get(x, y)) is not None
    }
    keys = [cell for cell, thing in things.items() if thing.type == "key"]
    if len(keys) != 1:
        raise UsageError(f"the shortest way is known for rooms with one key on the floor, not {room.kind.name}")
    doors = [cell for cell, thing in things.items() if thing.type == "door"]
    forward = geometry(room.width, room.height, room.agent_view_size).forward
    x, y = (int(c) for c in room.agent_pos)
    start = (x * room.height + y) * 4 + int(room.agent_dir)
    to_key = _distances(forward, set(things), start)
    lengths = []
    for pose in (pose for pose in to_key if forward[pose] == keys[0]):
        to_door = _distances(forward, set(things) - set(keys), pose)
        lengths += [to_key[pose] + to_door[other] for other in to_door if forward[other] in doors]
    return min(lengths) + 2  # picking up, and toggling


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


def _distances(forward: tuple[int, ...], blocked: set[int], start: int) -> dict[int, int]:
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
