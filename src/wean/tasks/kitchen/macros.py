"""The cook's macro-actions: walk to a thing and use it, made of moves and bumps.

Each is performed to its end within one step of the task, or until the time is up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from wean.tasks.kitchen.world import CHOPS, HAND, IN_BOWL, STEP_REWARD, Cell, Recipe, World, access, distance

DISCOUNT = 0.99  # a primitive step, inside a macro-action


@dataclass(frozen=True)
class Macro:
    """One macro-action.

    Attributes:
        name: A name that does not depend on the moment, e.g. `get tomato`.
        kind: What it does.
        target: The thing's number for `get`, the board's for `board`, else 0.
    """

    name: str
    kind: Literal["get", "board", "deliver", "chop"]
    target: int = 0


class Done(NamedTuple):
    """What a macro-action came to.

    Attributes:
        reward: Sum of its primitive rewards, the i-th weighted with 0.99^i.
        steps: Primitive steps it took, at least 1.
        served: Whether the right dish was served.
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
    """Performs a macro-action.

    Args:
        world: The kitchen; changed in place.
        macro: What to do.
        sight: How many cells far the cook sees; None for the whole kitchen.
        budget: Primitive steps that are left, at least 1; the macro-action breaks off after them.
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
    """Takes primitive steps while there is time, and keeps account of them."""

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
