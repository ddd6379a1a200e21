"""What is where in a kitchen, and what happens when the cook bumps into a counter.

The rules are those of the single-cook Overcooked of TWOSOME (2401.14151), as it was observed to behave.
"""

from __future__ import annotations

from wean.tasks.kitchen.layout import Cell, Layout, Recipe

STEP_REWARD = -0.001
CHOPPED_REWARD = 0.2
SERVED_REWARD = 1.0
WRONG_REWARD = -0.1
CHOPS = 3  # until a food is chopped

# Where a thing can be besides a counter cell.
HAND: Cell = (-1, -1)
IN_BOWL: Cell = (-2, -2)


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
