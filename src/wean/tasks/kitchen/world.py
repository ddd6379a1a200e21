"""A kitchen: its recipes, where things stand in it, and what happens when the cook bumps into a counter.

The rules are those of the single-cook Overcooked of TWOSOME (2401.14151), as it was observed to behave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wean.tasks.splits import Split, draw_in_split

Cell = tuple[int, int]  # row and column, from the top left

SIZE = 7  # the outer ring is counter, the 5 x 5 cells inside are floor

STEP_REWARD = -0.001
CHOPPED_REWARD = 0.2
SERVED_REWARD = 1.0
WRONG_REWARD = -0.1
CHOPS = 3  # until a food is chopped

# Where a thing can be besides a counter cell.
HAND: Cell = (-1, -1)
IN_BOWL: Cell = (-2, -2)


@dataclass(frozen=True)
class Recipe:
    """A dish, and what the kitchen holds for it.

    Attributes:
        name: Its name in the settings.
        ingredients: The foods of the dish.
        foods: The foods in the kitchen, in the order of the macro-actions; more than the ingredients in one case.
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
        cook: The cook's cell, on the floor.
        foods: A counter cell for each of the recipe's foods.
        bowl: The bowl's counter cell.
        boards: A counter cell for each cutting board.
        delivery: The counter cell where dishes are served.
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


def fixed_layout(recipe: Recipe) -> Layout:
    """The paper's kitchen, the same in every episode."""
    foods = tuple(_FOOD_CELLS[food] for food in recipe.foods)
    return Layout((1, 4), foods, (6, 5), _BOARD_CELLS[: recipe.boards], (3, 0))


def random_layout(recipe: Recipe, split: Split, random: np.random.Generator) -> Layout:
    """Draws a kitchen of a split: foods, boards, bowl and delivery on distinct counter cells, the cook anywhere inside.

    The floor is empty and every counter cell can be reached, so every such kitchen can be solved.

    Args:
        recipe: The recipe.
        split: Training, choosing or final; kitchens of different splits never put things on the same set of cells.
        random: The generator of the draws.
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


class World:
    """A kitchen's state and its rules.

    Things are numbered: the recipe's foods in order, then the bowl.

    Attributes:
        cook: The cook's cell.
        place: For each thing its counter cell, `HAND` or `IN_BOWL`.
        chops: For each food how often it was chopped, 0 to 3.
        bowl: The bowl's number.
    """

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        self.recipe, self.layout = recipe, layout
        self.cook = layout.cook
        self.bowl = len(recipe.foods)
        self._start = (*layout.foods, layout.bowl)
        self.place: list[Cell] = list(self._start)
        self.chops = [0] * len(recipe.foods)
        self._wanted = {recipe.foods.index(food) for food in recipe.ingredients}

    def copy(self) -> World:
        """Another kitchen in the same state."""
        copy = World(self.recipe, self.layout)
        copy.cook, copy.place, copy.chops = self.cook, list(self.place), list(self.chops)
        return copy

    def at(self, cell: Cell) -> int | None:
        """The thing that lies on a counter cell, or is in the hand (`HAND`); None if there is none."""
        place = self.place
        return place.index(cell) if cell in place else None

    def in_bowl(self) -> tuple[int, ...]:
        """The foods in the bowl."""
        return tuple(thing for thing, place in enumerate(self.place) if place == IN_BOWL)

    def is_chopped(self, thing: int) -> bool:
        """True for a food that is chopped; never for the bowl."""
        return thing != self.bowl and self.chops[thing] >= CHOPS

    def is_raw(self, thing: int) -> bool:
        """True for a food that still has to be chopped; never for the bowl."""
        return thing != self.bowl and self.chops[thing] < CHOPS

    def is_at_start(self, thing: int) -> bool:
        """True while a thing lies where it lay when the episode began."""
        return self.place[thing] == self._start[thing]

    def bump(self, cell: Cell) -> tuple[float, bool]:
        """Bumps into a counter cell beside the cook.

        Returns:
            The reward beyond that of every step, and whether the right dish was served.
        """
        held, lying = self.at(HAND), self.at(cell)
        if cell == self.layout.delivery:
            return (0.0, False) if held is None else self._serve(held)
        if held is None:
            return self._use_empty_hand(cell, lying), False
        if lying is None:
            self.place[held] = cell
        elif held == self.bowl and self.is_chopped(lying):
            self.place[lying] = IN_BOWL
        elif lying == self.bowl and self.is_chopped(held):
            self.place[held] = IN_BOWL
            if cell in self.layout.boards:  # on a board, though not elsewhere, the filled bowl comes into the hand
                self.place[self.bowl] = HAND
        return 0.0, False

    def _use_empty_hand(self, cell: Cell, lying: int | None) -> float:
        if lying is None:
            return 0.0
        if cell not in self.layout.boards or not self.is_raw(lying):
            self.place[lying] = HAND
            return 0.0
        self.chops[lying] += 1
        return CHOPPED_REWARD if self.is_chopped(lying) and lying in self._wanted else 0.0

    def _serve(self, held: int) -> tuple[float, bool]:
        """Ends with the right dish; anything else goes back to where it began, unchopped."""
        filling = self.in_bowl() if held == self.bowl else ()
        if held == self.bowl and set(filling) == self._wanted:
            return SERVED_REWARD, True
        for thing in (held, *filling):
            self.place[thing] = self._start[thing]
            if thing != self.bowl:
                self.chops[thing] = 0
        return WRONG_REWARD, False


def access(cell: Cell) -> Cell:
    """The one floor cell from which a counter cell is reached."""
    row, column = cell
    return min(max(row, 1), SIZE - 2), min(max(column, 1), SIZE - 2)


def distance(one: Cell, other: Cell) -> int:
    """How far apart two cells are for the eye: the larger of rows and columns."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))
