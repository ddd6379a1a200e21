"""Views and shortest ways in a grid, for an agent that turns and walks.

A cell is `x * height + y`; a pose is `cell * 4 + direction`. A view's opaque cells, or a set of poses, is one integer,
so that a step of a breadth-first search is a handful of shifts, whatever the number of poses. Among equally short ways
the first in the order forward, left, right is taken, as a search pose by pose would.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

# Direction -> step (dx, dy), in MiniGrid's numbering: 0 east, 1 south, 2 west, 3 north.
STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))

LEFT, RIGHT, FORWARD = range(3)  # MiniGrid's action numbers

Poses = int
"""A set of poses: the bit of each pose's number is set."""


# --- views -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def visible(size: int, opaque: int) -> tuple[int, ...]:
    """Indices `row * size + column` of the seen cells of a view, in increasing order.

    The rule is that of `minigrid.core.grid.Grid.process_vis`: light spreads from the agent row by row, first to the
    right, then to the left, and stops behind opaque cells (which are seen themselves).

    Args:
        size: Side of the square view; the agent stands in the middle of its last row.
        opaque: Bit `row * size + column` is set where a view cell blocks sight.
    """
    seen = 1 << ((size - 1) * size + size // 2)
    for row in range(size - 1, -1, -1):
        for columns, side in ((range(size - 1), 1), (range(size - 1, 0, -1), -1)):
            for column in columns:
                cell = row * size + column
                if not seen >> cell & 1 or opaque >> cell & 1:
                    continue
                seen |= 1 << (cell + side)
                if row > 0:
                    seen |= 1 << (cell + side - size) | 1 << (cell - size)
    return tuple(cell for cell in range(size * size) if seen >> cell & 1)


class Geometry(NamedTuple):
    """Tables of one grid size, for each pose.

    `forward` is the cell straight ahead, `view` the cells of its view in view order (both -1 outside the grid), and
    `shown` the cells of its view as one integer, bit `4 * cell` for each.
    """

    forward: tuple[int, ...]
    view: tuple[tuple[int, ...], ...]
    shown: tuple[int, ...]


@lru_cache(maxsize=16)
def geometry(width: int, height: int, size: int) -> Geometry:
    """Builds the tables of a `width` x `height` grid for views of side `size`."""

    def cell(x: int, y: int) -> int:
        return x * height + y if 0 <= x < width and 0 <= y < height else -1

    forward: list[int] = []
    view: list[tuple[int, ...]] = []
    for x in range(width):
        for y in range(height):
            for dx, dy in STEP:
                forward.append(cell(x + dx, y + dy))
                # Right of the direction (dx, dy) is (-dy, dx); the last view row is the agent's own.
                view.append(
                    tuple(
                        cell(
                            x + dx * (size - 1 - row) - dy * (column - size // 2),
                            y + dy * (size - 1 - row) + dx * (column - size // 2),
                        )
                        for row in range(size)
                        for column in range(size)
                    )
                )
    shown = tuple(sum(1 << 4 * cell for cell in cells if cell >= 0) for cells in view)
    return Geometry(tuple(forward), tuple(view), shown)


# --- ways ------------------------------------------------------------------------------------------------------------


class Board(NamedTuple):
    """Masks and shifts of one grid size.

    For each direction, `facing` and `backing` are the poses whose cell straight ahead or behind is on the grid, and
    `ahead` is how many bits further up the cell straight ahead lies; `low` and `three` are direction 0 and 0 to 2 of
    every cell.
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


def cell_set(cells: Iterable[int]) -> Poses:
    """Direction 0 of some cells, as `marked` gives it."""
    return sum(1 << 4 * cell for cell in cells)


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
    """The first action (LEFT, RIGHT or FORWARD) on a shortest way to any of a set of poses; None if there is none.

    Args:
        table: The grid's masks.
        walkable: All poses in cells that can be walked onto.
        start: The agent's pose, not in `goals`.
        goals: The poses to reach.
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


def steps_to(table: Board, walkable: Poses, start: int, goals: Poses) -> int | None:
    """The number of actions on a shortest way to any of a set of poses; None if there is none. See `first_step`."""
    reached = ring = goals
    steps = 0
    while ring:
        if holds(ring, start):
            return steps
        ring = (_turned(table, ring) | _walked(table, ring & walkable, -1)) & ~reached
        reached |= ring
        steps += 1
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
