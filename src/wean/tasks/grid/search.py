"""Shortest ways of an agent that turns and walks, for many poses at once: a set of poses is one integer.

What a teacher's advice costs is mostly the way to a thing far off, so it works on bits: pose `cell * 4 + direction` is
the bit of that number, and one step of a breadth-first search is a handful of shifts, whatever the number of poses.
Among equally short ways the first in the order forward, left, right is taken, as a search pose by pose would.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from wean.tasks.grid.vision import STEP

LEFT, RIGHT, FORWARD = range(3)  # MiniGrid's action numbers

Poses = int
"""A set of poses."""


class Board(NamedTuple):
    """Masks and shifts of one grid size.

    Attributes:
        facing: For each direction, all poses in it whose cell straight ahead is on the grid.
        backing: For each direction, all poses in it whose cell straight behind is on the grid.
        ahead: For each direction, how many bits further up the cell straight ahead lies.
        low: Direction 0 of every cell.
        three: Directions 0 to 2 of every cell.
    """

    facing: tuple[Poses, ...]
    backing: tuple[Poses, ...]
    ahead: tuple[int, ...]
    low: Poses
    three: Poses


@lru_cache(maxsize=16)
def board(width: int, height: int) -> Board:
    """Builds the masks of a `width` x `height` grid."""

    def on_grid(direction: int, sign: int) -> Poses:
        dx, dy = STEP[direction]
        cells = [(x, y) for x in range(width) for y in range(height)]
        inside = [(x, y) for x, y in cells if 0 <= x + sign * dx < width and 0 <= y + sign * dy < height]
        return sum(1 << 4 * (x * height + y) + direction for x, y in inside)

    steps = [4 * (dx * height + dy) for dx, dy in STEP]
    low = sum(1 << 4 * cell for cell in range(width * height))
    facing, backing = (tuple(on_grid(d, sign) for d in range(4)) for sign in (1, -1))
    return Board(facing, backing, tuple(steps), low, low * 0b0111)


def marked(cells: bytes) -> Poses:
    """Direction 0 of the cells whose byte is "1" (the others' are "0")."""
    return int(cells[::-1], 16)


def every_direction(cells: Poses) -> Poses:
    """All poses in the `marked` cells."""
    return cells * 0b1111


def facing(table: Board, cells: Poses) -> Poses:
    """All poses whose cell straight ahead is `marked`."""
    found = 0
    for direction in range(4):
        found |= _shifted(cells << direction & table.backing[direction], -table.ahead[direction])
    return found


def holds(poses: Poses, pose: int) -> bool:
    """Whether `pose` (`cell * 4 + direction`) is in a set."""
    return bool(poses >> pose & 1)


def first_step(table: Board, walkable: Poses, start: int, goals: Poses) -> int | None:
    """The first action on a shortest way from a pose to any of a set of poses.

    Args:
        table: The grid's masks.
        walkable: All poses in cells that can be walked onto.
        start: The agent's pose, `cell * 4 + direction`, not in `goals`.
        goals: Where it wants to be.

    Returns:
        LEFT, RIGHT or FORWARD; None where no way leads there.
    """
    reached = ring = goals
    while ring:
        ring = (_turned(table, ring) | _walked(table, ring & walkable, -1)) & ~reached
        if ring >> start & 1:
            direction = start & 3
            ahead = _walked(table, 1 << start, 1) & walkable
            if ahead & reached:
                return FORWARD
            return LEFT if holds(reached, start - direction | (direction - 1) & 3) else RIGHT
        reached |= ring
    return None


def _shifted(poses: Poses, by: int) -> Poses:
    return poses << by if by >= 0 else poses >> -by


def _turned(table: Board, poses: Poses) -> Poses:
    """The poses one turn away."""
    low, three = table.low, table.three
    return (poses & three) << 1 | (poses >> 3) & low | (poses >> 1) & three | (poses & low) << 3


def _walked(table: Board, poses: Poses, sign: int) -> Poses:
    """The poses one step ahead (sign 1) or behind (sign -1), as far as they are on the grid."""
    found = 0
    masks = table.facing if sign > 0 else table.backing
    for mask, shift in zip(masks, table.ahead, strict=True):
        found |= _shifted(poses & mask, sign * shift)
    return found
