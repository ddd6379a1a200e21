"""Ways through a flat: which places the base can stand on, and the shortest way to one of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wean.tasks.navpick.flat import COLUMNS, ROWS, SIDE, Flat, Piece

CELL = 0.1  # metres
_RADIUS = 0.3  # of the base, with a margin
_AHEAD = 5  # cells that a walker looks ahead
_STEPS = tuple((dx, dy, math.hypot(dx, dy)) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy)


class Ways:
    """The floor of a flat in cells of 10 cm.

    Attributes:
        blocked: (X, Y) bool, where the base would touch a wall or furniture.
    """

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        shape = int(COLUMNS * SIDE / CELL), int(ROWS * SIDE / CELL)
        xs, ys = ((np.arange(length) + 0.5) * CELL for length in shape)
        self.blocked: NDArray[np.bool_] = np.zeros(shape, bool)
        boxes = [(p.x - p.half[0], p.y - p.half[1], p.x + p.half[0], p.y + p.half[1]) for p in flat.pieces]
        for x0, y0, x1, y1 in (*flat.walls, *boxes):
            across = (xs > x0 - _RADIUS) & (xs < x1 + _RADIUS)
            along = (ys > y0 - _RADIUS) & (ys < y1 + _RADIUS)
            self.blocked |= across[:, None] & along[None]
        self._fields: dict[str, NDArray[np.float32]] = {}

    def free(self) -> NDArray[np.float64]:
        """The middles (N, 2) of the cells on which the base can stand, in metres."""
        found: NDArray[np.float64] = ((np.argwhere(~self.blocked) + 0.5) * CELL).astype(np.float64)
        return found

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The cell of a place."""
        wide, deep = self.blocked.shape
        return min(max(int(x / CELL), 0), wide - 1), min(max(int(y / CELL), 0), deep - 1)

    def reaches_all(self, x: float, y: float) -> bool:
        """Whether there is a way from a place to the front of every piece of furniture."""
        first, *others = self.flat.pieces
        field = self._field(first)
        places = [(x, y), *(front_of(piece) for piece in others)]
        return all(np.isfinite(field[self.cell(*place)]) for place in places)

    def next_place(self, x: float, y: float, piece: Piece) -> tuple[float, float]:
        """The place to walk to now, straight ahead, on a shortest way to the front of a piece of furniture."""
        field, here = self._field(piece), self.cell(x, y)
        best, most = here, field[here]
        for dx in range(-_AHEAD, _AHEAD + 1):
            for dy in range(-_AHEAD, _AHEAD + 1):
                there = here[0] + dx, here[1] + dy
                inside = 0 <= there[0] < field.shape[0] and 0 <= there[1] < field.shape[1]
                if inside and field[there] < most and self._clear(here, there):
                    best, most = there, field[there]
        return (best[0] + 0.5) * CELL, (best[1] + 0.5) * CELL

    def _clear(self, start: tuple[int, int], end: tuple[int, int]) -> bool:
        """Whether the straight line between two cells is free; the first may be blocked, as after a bump."""
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        return not any(
            self.blocked[
                round(start[0] + (end[0] - start[0]) * step / steps),
                round(start[1] + (end[1] - start[1]) * step / steps),
            ]
            for step in range(1, steps + 1)
        )

    def _field(self, piece: Piece) -> NDArray[np.float32]:
        """Metres (X, Y) from each free cell to the front of a piece of furniture, infinite where no way leads."""
        if piece.name not in self._fields:
            self._fields[piece.name] = self._distances(self.cell(*front_of(piece)))
        return self._fields[piece.name]

    def _distances(self, goal: tuple[int, int]) -> NDArray[np.float32]:
        if self.blocked[goal]:
            free = np.argwhere(~self.blocked)
            goal = tuple(free[((free - goal) ** 2).sum(1).argmin()].tolist())
        wide, deep = self.blocked.shape
        rim = np.full((wide + 2, deep + 2), np.inf, np.float32)  # so that neighbours need no check
        found = rim[1:-1, 1:-1]
        found[goal] = 0
        while True:  # all cells at once, as often as the longest way has cells: quicker here than a queue
            nearer = found.copy()
            for dx, dy, step in _STEPS:
                np.minimum(nearer, rim[1 + dx : 1 + dx + wide, 1 + dy : 1 + dy + deep] + step * CELL, out=nearer)
            nearer[self.blocked] = np.inf
            if np.array_equal(nearer, found):
                return nearer
            found[:] = nearer


def front_of(piece: Piece) -> tuple[float, float]:
    """The place in front of a piece of furniture from which an arm reaches its front edge."""
    return piece.x + 0.75 * piece.front[0], piece.y + 0.75 * piece.front[1]
