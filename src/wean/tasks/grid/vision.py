"""Which cells of a square view the agent sees, and where they lie: MiniGrid's rules as cached tables."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# Direction -> step (dx, dy), in MiniGrid's numbering: 0 east, 1 south, 2 west, 3 north.
STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))


@lru_cache(maxsize=65536)
def visible(size: int, opaque: int) -> tuple[int, ...]:
    """Tells which cells of a view are seen, given which of them cannot be seen through.

    The rule is that of `minigrid.core.grid.Grid.process_vis`: light spreads from the agent row by row, first to
    the right, then to the left, and stops behind opaque cells (which are seen themselves).

    Args:
        size: Side of the square view; the agent stands in the middle of its last row.
        opaque: Bit `row * size + column` is set where a view cell blocks sight.

    Returns:
        Indices `row * size + column` of the seen cells, in increasing order.
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
    """Tables of one grid size. A cell is `x * height + y`; a pose is `cell * 4 + direction`.

    Attributes:
        forward: For each pose, the cell straight ahead, or -1 outside the grid.
        view: For each pose, the cells of its view in view order, -1 outside the grid.
        shown: For each pose, the cells of its view as one integer, bit `4 * cell` for each.
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
