"""Kitchen worlds: recipes and layouts, the rules of the counters, and the cook's macro-actions.

The rules are those of the single-cook Overcooked of TWOSOME (2401.14151), as it was observed to behave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    """A dish, the foods in its kitchen (in the order of the macro-actions), and the number of cutting boards."""

    name: str
    ingredients: tuple[str, ...]
    foods: tuple[str, ...]
    boards: int


@dataclass(frozen=True)
class Layout:
    """The cells of everything at the start of an episode: the cook's on the floor, all others on the counter."""

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
    """Draws a kitchen of a split: things on distinct counter cells, the cook anywhere inside.

    Every counter cell can be reached, so every kitchen can be solved. Kitchens of different splits never use the same
    set of cells.
    """
    foods = len(recipe.foods)

    def draw() -> Layout:
        cells = [_COUNTER[i] for i in random.permutation(len(_COUNTER))[: foods + recipe.boards + 2]]
        row, column = random.integers(1, SIZE - 1, 2).tolist()
        return Layout((row, column), tuple(cells[:foods]), cells[foods], tuple(cells[foods + 1 : -1]), cells[-1])

    return draw_in_split(split, draw, layout_number)


def layout_number(layout: Layout) -> int:
    """The sum of the places of all used counter cells; it decides the split."""
    used = (*layout.foods, layout.bowl, *layout.boards, layout.delivery)
    return sum(_COUNTER.index(cell) for cell in used)


class World:
    """A kitchen's state and its rules; things are numbered, the recipe's foods in order, then the bowl.

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
        """A copy in the same state."""
        copy = World(self.recipe, self.layout)
        copy.cook, copy.place, copy.chops = self.cook, list(self.place), list(self.chops)
        return copy

    def at(self, cell: Cell) -> int | None:
        """The thing on a counter cell or in the hand (`HAND`); None if there is none."""
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
        """Bumps into a counter cell beside the cook: (extra reward, whether the right dish was served)."""
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


DISCOUNT = 0.99  # a primitive step, inside a macro-action


@dataclass(frozen=True)
class Macro:
    """A macro-action: its constant name, and the number of the thing for `get` or of the board for `board`, else 0."""

    name: str
    kind: Literal["get", "board", "deliver", "chop"]
    target: int = 0


class Done(NamedTuple):
    """The result of a macro-action: the sum of its primitive rewards, the i-th weighted with 0.99^i, and its steps.

    `served` is whether the right dish was served.
    """

    reward: float
    steps: int
    served: bool


def macros_of(recipe: Recipe) -> tuple[Macro, ...]:
    """The macro-actions of a recipe's kitchen in the order of their numbers: 5 for one food and one board, else 8."""
    names = "first board", "second board"
    boards = ("board",) if recipe.boards == 1 else names[: recipe.boards]
    return (
        *(Macro(f"get {thing}", "get", number) for number, thing in enumerate((*recipe.foods, "bowl"))),
        *(Macro(f"go to {board}", "board", number) for number, board in enumerate(boards)),
        Macro("deliver", "deliver"),
        Macro("chop", "chop"),
    )


def perform(world: World, macro: Macro, sight: int | None, budget: int) -> Done:
    """Performs a macro-action, which changes the world; it breaks off after `budget` primitive steps.

    `sight` is how many cells far the cook sees; None for the whole kitchen.
    """
    cook = _Cook(world, budget)
    if macro.kind == "get":
        _get(cook, macro.target, sight)
    elif macro.kind == "board":
        _visit(cook, world.layout.boards[macro.target])
    elif macro.kind == "deliver":
        _visit(cook, world.layout.delivery)
    else:
        _chop(cook)
    if cook.steps == 0:  # there was nothing to do, which takes a step as well
        cook.wait()
    return Done(cook.reward, cook.steps, cook.served)


class _Cook:
    """Takes primitive steps within a budget and sums up their rewards."""

    __slots__ = ("_left", "_weight", "reward", "served", "steps", "world")

    def __init__(self, world: World, budget: int) -> None:
        self.world, self._left, self._weight = world, budget, 1.0
        self.reward, self.steps, self.served = 0.0, 0, False

    def wait(self, extra: float = 0.0) -> None:
        """Lets one step pass, if there is one left."""
        if self._left <= 0:
            return
        self.reward += self._weight * (STEP_REWARD + extra)
        self._weight *= DISCOUNT
        self.steps += 1
        self._left -= 1

    def walk(self, cell: Cell, until_seen: int | None = None) -> None:
        """Walks next to a counter cell, rows first; or only until the cell is at most `until_seen` away."""
        world, (row, column) = self.world, access(cell)
        while self._left > 0:
            at = world.cook
            if at == (row, column) or (until_seen is not None and distance(at, cell) <= until_seen):
                return
            if at[0] != row:
                world.cook = (at[0] + (1 if row > at[0] else -1), at[1])
            else:
                world.cook = (row, at[1] + (1 if column > at[1] else -1))
            self.wait()

    def bump(self, cell: Cell) -> None:
        """Bumps into a counter cell, unless time is up."""
        if self._left > 0:
            extra, self.served = self.world.bump(cell)
            self.wait(extra)


def _get(cook: _Cook, thing: int, sight: int | None) -> None:
    world = cook.world
    cell = world.place[thing]
    if cell == HAND:
        return
    if cell == IN_BOWL:
        # Food is not taken out of the bowl. That it is in there shows once the bowl does.
        bowl = world.place[world.bowl]
        if bowl != HAND and sight is not None and distance(world.cook, bowl) > sight:
            cook.walk(bowl, sight)
            cook.wait()
        return
    held = world.at(HAND)
    cook.walk(cell)
    if cell in world.layout.boards and world.is_raw(thing):
        return  # a bump would chop it
    cook.bump(cell)
    if thing == world.bowl and held is not None and world.place[held] == IN_BOWL:
        # The first bump put the food into the bowl, the second takes the bowl up. From a board the first did both.
        if world.place[thing] == HAND:
            cook.wait()
        else:
            cook.bump(cell)


def _visit(cook: _Cook, cell: Cell) -> None:
    """Walks to a board or to the delivery and puts there what the cook holds, if anything."""
    cook.walk(cell)
    if cook.world.at(HAND) is not None:
        cook.bump(cell)


def _chop(cook: _Cook) -> None:
    """Bumps three times into a board beside the cook with something to chop on it, whatever the hand holds."""
    world = cook.world
    for board in world.layout.boards:
        lying = world.at(board)
        if access(board) == world.cook and lying is not None and world.is_raw(lying):
            for _ in range(CHOPS):
                cook.bump(board)
            return
