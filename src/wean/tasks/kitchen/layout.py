"""The recipes, and where things stand in a kitchen: the paper's fixed places, or places drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wean.tasks.splits import Split, draw_in_split

Cell = tuple[int, int]  # row and column, from the top left

SIZE = 7  # the outer ring is counter, the 5 x 5 cells inside are floor


@dataclass(frozen=True)
class Recipe:
    """What is to be served, and what the kitchen holds for it.

    Attributes:
        name: What the settings call it.
        ingredients: What the dish consists of.
        foods: What there is, in the order of the macro-actions; more than the ingredients in one case.
        boards: Number of cutting boards.
    """

    name: str
    ingredients: tuple[str, ...]
    foods: tuple[str, ...]
    boards: int


@dataclass(frozen=True)
class Layout:
    """Where everything is when an episode begins.

    Attributes:
        cook: Where the cook stands, on the floor.
        foods: A counter cell for each of the recipe's foods.
        bowl: The bowl's counter cell.
        boards: A counter cell for each cutting board.
        delivery: Where dishes are served, in the counter.
    """

    cook: Cell
    foods: tuple[Cell, ...]
    bowl: Cell
    boards: tuple[Cell, ...]
    delivery: Cell


_ALL = ("tomato", "lettuce", "onion")

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("tomato", ("tomato",), ("tomato",), 1),
        Recipe("tomato-lettuce", ("tomato", "lettuce"), _ALL, 2),  # the onion only distracts
        Recipe("tomato-lettuce-onion", _ALL, _ALL, 2),
    )
}

_FOOD_CELLS = {"tomato": (0, 5), "lettuce": (1, 6), "onion": (2, 6)}
_BOARD_CELLS = ((1, 0), (2, 0))

# No corners: those cannot be reached. Every other counter cell can, from exactly one floor cell.
_COUNTER = tuple(
    (row, column)
    for row in range(SIZE)
    for column in range(SIZE)
    if (row in (0, SIZE - 1)) != (column in (0, SIZE - 1))
)


def access(cell: Cell) -> Cell:
    """The one floor cell from which a counter cell is reached."""
    row, column = cell
    return min(max(row, 1), SIZE - 2), min(max(column, 1), SIZE - 2)


def fixed_layout(recipe: Recipe) -> Layout:
    """The paper's kitchen, the same in every episode."""
    foods = tuple(_FOOD_CELLS[food] for food in recipe.foods)
    return Layout((1, 4), foods, (6, 5), _BOARD_CELLS[: recipe.boards], (3, 0))


def random_layout(recipe: Recipe, split: Split, random: np.random.Generator) -> Layout:
    """Draws a kitchen of a split: foods, boards, bowl and delivery on distinct counter cells, the cook anywhere inside.

    The floor is empty and every counter cell can be reached, so every such kitchen can be solved.

    Args:
        recipe: What the kitchen must hold.
        split: Training, choosing or final; kitchens of different splits never put things on the same set of cells.
        random: Where the draws come from.
    """
    foods = len(recipe.foods)

    def draw() -> Layout:
        cells = [_COUNTER[i] for i in random.permutation(len(_COUNTER))[: foods + recipe.boards + 2]]
        row, column = random.integers(1, SIZE - 1, 2).tolist()
        return Layout((row, column), tuple(cells[:foods]), cells[foods], tuple(cells[foods + 1 : -1]), cells[-1])

    return draw_in_split(split, draw, layout_number)


def layout_number(layout: Layout) -> int:
    """A number of the set of counter cells in use; it decides the split."""
    used = (*layout.foods, layout.bowl, *layout.boards, layout.delivery)
    return sum(_COUNTER.index(cell) for cell in used)
