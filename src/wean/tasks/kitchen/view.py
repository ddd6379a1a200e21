"""What the cook sees of a kitchen: as a cheap key for words, and as numbers for a student."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.tasks.kitchen.layout import SIZE, Cell, Recipe, access
from wean.tasks.kitchen.macros import distance
from wean.tasks.kitchen.world import HAND, IN_BOWL, World


class Portion(NamedTuple):
    """A thing that is held or lies on a board.

    Attributes:
        thing: Its number.
        chopped: Whether it is a chopped food.
        filling: The foods in it, if it is the bowl.
    """

    thing: int
    chopped: bool
    filling: tuple[int, ...]


class Sighting(NamedTuple):
    """What words can tell of one moment; hashable.

    Attributes:
        counter: Things in sight that lie where they began.
        boards: For each cutting board what is seen on it.
        held: What the cook holds.
        before: The boards that the cook stands at.
    """

    counter: tuple[int, ...]
    boards: tuple[Portion | None, ...]
    held: Portion | None
    before: tuple[int, ...]


def look(world: World, sight: int | None) -> Sighting:
    """Reads what the cook sees within `sight` cells; None means the whole kitchen."""
    layout, cook = world.layout, world.cook
    place = world.place
    return Sighting(
        tuple(thing for thing, cell in enumerate(place) if world.is_at_start(thing) and _in_sight(cook, cell, sight)),
        tuple(_portion(world, world.at(board)) if _in_sight(cook, board, sight) else None for board in layout.boards),
        _portion(world, world.at(HAND)),
        tuple(number for number, board in enumerate(layout.boards) if access(board) == cook),
    )


def observation_size(recipe: Recipe) -> int:
    """Length of `observe`'s vector."""
    return len(recipe.foods) * (6 + recipe.boards) + (4 + recipe.boards) + 2 * recipe.boards + 4


def observe(world: World, sight: int | None) -> NDArray[np.float32]:
    """Writes what the cook sees as numbers from 0 to 1.

    Coordinates are row / 6 and column / 6. Whatever is out of sight is all zeros.

    Returns:
        A vector of, for each food: 1 where it is on the counter, on each board, in the hand, in the bowl, 1 if
        chopped, its two coordinates; for the bowl: the same without "in the bowl" and "chopped"; two coordinates
        for each board, for the delivery and for the cook: 18 numbers for tomato, 38 for the other recipes.
    """
    layout, cook = world.layout, world.cook
    numbers: list[float] = []
    bowl_cell = world.place[world.bowl]
    for thing, place in enumerate(world.place):
        cell = bowl_cell if place == IN_BOWL else place
        cell = cook if cell == HAND else cell
        food = thing != world.bowl
        if not _in_sight(cook, cell, sight):
            numbers += [0.0] * ((6 if food else 4) + len(layout.boards))
            continue
        numbers.append(float(world.is_at_start(thing)))
        numbers += [float(place == board) for board in layout.boards]
        numbers.append(float(place == HAND))
        if food:
            numbers += [float(place == IN_BOWL), float(world.is_chopped(thing))]
        numbers += _coordinates(cell)
    for cell in (*layout.boards, layout.delivery):
        numbers += _coordinates(cell) if _in_sight(cook, cell, sight) else (0.0, 0.0)
    numbers += _coordinates(cook)
    return np.array(numbers, np.float32)


def _portion(world: World, thing: int | None) -> Portion | None:
    if thing is None:
        return None
    return Portion(thing, world.is_chopped(thing), world.in_bowl() if thing == world.bowl else ())


def _in_sight(cook: Cell, cell: Cell, sight: int | None) -> bool:
    return sight is None or distance(cook, cell) <= sight


def _coordinates(cell: Cell) -> tuple[float, float]:
    return cell[0] / (SIZE - 1), cell[1] / (SIZE - 1)
