"""A kitchen as a picture, for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wean.tasks.kitchen.layout import SIZE, Cell
from wean.tasks.kitchen.world import HAND, IN_BOWL, World

TILE = 32  # pixels

_FLOOR, _COUNTER, _BOARD, _HATCH = (235, 232, 225), (150, 111, 80), (222, 190, 140), (90, 160, 110)
_COOK, _BOWL = (50, 90, 160), (250, 250, 250)
_FOOD = {"tomato": (210, 50, 40), "lettuce": (110, 190, 60), "onion": (170, 120, 190)}


def draw(world: World) -> NDArray[np.uint8]:
    """Draws the whole kitchen, (224, 224, 3).

    A board is a light counter, the hatch a green one, the cook a blue disc. An unchopped food is one disc, a
    chopped one four small ones, the bowl a white ring around what is in it; the cook carries what is held.
    """
    picture = np.empty((SIZE * TILE, SIZE * TILE, 3), np.uint8)
    picture[:] = _COUNTER
    picture[TILE:-TILE, TILE:-TILE] = _FLOOR
    for cell in world.layout.boards:
        _tile(picture, cell)[2:-2, 2:-2] = _BOARD
    _tile(picture, world.layout.delivery)[2:-2, 2:-2] = _HATCH
    _disc(picture, world.cook, 0.5, 0.5, 0.45, _COOK)

    bowl = world.place[world.bowl]
    bowl = world.cook if bowl == HAND else bowl
    _disc(picture, bowl, 0.5, 0.5, 0.36, _BOWL)
    for thing, food in enumerate(world.recipe.foods):
        place, colour = world.place[thing], _FOOD[food]
        cell = {HAND: world.cook, IN_BOWL: bowl}.get(place, place)
        if place == IN_BOWL:  # each its own third of the bowl
            _disc(picture, cell, 0.32 + 0.18 * thing, 0.5, 0.1, colour)
        elif world.is_chopped(thing):
            for x in (0.4, 0.6):
                for y in (0.4, 0.6):
                    _disc(picture, cell, x, y, 0.09, colour)
        else:
            _disc(picture, cell, 0.5, 0.5, 0.25, colour)
    return picture


def _tile(picture: NDArray[np.uint8], cell: Cell) -> NDArray[np.uint8]:
    row, column = cell
    return picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]


def _disc(
    picture: NDArray[np.uint8], cell: Cell, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    """Paints a disc in a cell; place and radius as parts of the cell's side."""
    rows, columns = np.mgrid[0:TILE, 0:TILE] / (TILE - 1)
    _tile(picture, cell)[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = colour
