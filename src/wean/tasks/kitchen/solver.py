"""The macro-actions that begin a shortest solution of a kitchen: for demonstrations, and to judge proposals.

Every state that can be reached is searched once, backwards from the served dish. Where the whole kitchen is in sight,
distances do not matter to how many macro-actions are needed, only which places are reached from the same cell; so the
many random kitchens share a few searches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

from wean.tasks.kitchen.macros import macros_of, perform
from wean.tasks.kitchen.world import HAND, IN_BOWL, Cell, Layout, Recipe, World, access

_UNLIMITED = 1_000  # primitive steps: no macro-action takes so many
_START = -1  # instead of a cell: where a thing lay when the episode began
_SERVED = "served"


class Solver:
    """Knows how many macro-actions are left from every state that could be reached from those asked for.

    Args:
        recipe: The recipe.
        sight: How many cells far the cook sees; None for the whole kitchen.
    """

    def __init__(self, recipe: Recipe, sight: int | None) -> None:
        self._macros, self._sight = macros_of(recipe), sight
        self._onward: dict[Hashable, tuple[Hashable, ...]] = {}
        self._left: dict[Hashable, int] = {_SERVED: 0}

    def left(self, world: World) -> int:
        """The fewest macro-actions from a state to the served dish, whatever time is left."""
        state = self._state(world)
        if state not in self._left:
            self._search(world)
        return self._left[state]

    def best(self, world: World) -> list[int]:
        """The numbers of the macro-actions that begin a shortest solution, ascending; none after the dish was served.

        What the kitchen hides from the cook is known to the solver.
        """
        wanted = self.left(world) - 1
        onward = self._onward[self._state(world)]
        return [number for number, state in enumerate(onward) if self._left[state] == wanted]

    def _state(self, world: World) -> Hashable:
        """All that decides the outcome of macro-actions, in a form that kitchens that are alike share."""
        layout = world.layout
        places = tuple(
            place if place in (HAND, IN_BOWL) else layout.boards.index(place) if place in layout.boards else _START
            for place in world.place
        )
        where = _boards_at(layout, world.cook) if self._sight is None else world.cook
        return where, places, tuple(world.chops)

    def _search(self, start: World) -> None:
        """Tries everything from a state, and everything from what comes of it; then counts back from the dish."""
        ahead = deque([start])
        while ahead:
            world = ahead.popleft()
            state = self._state(world)
            if state in self._onward:
                continue
            reached = []
            for macro in self._macros:
                after = world.copy()
                done = perform(after, macro, self._sight, _UNLIMITED)
                then = _SERVED if done.served else self._state(after)
                reached.append(then)
                if not done.served and then not in self._onward:
                    ahead.append(after)
            self._onward[state] = tuple(reached)
        before: dict[Hashable, list[Hashable]] = {}
        for state, outcomes in self._onward.items():
            for then in outcomes:
                before.setdefault(then, []).append(state)
        left = self._left = {_SERVED: 0}
        ring: deque[Hashable] = deque([_SERVED])
        while ring:
            then = ring.popleft()
            for state in before.get(then, ()):
                if state not in left:
                    left[state] = left[then] + 1
                    ring.append(state)


class _Neighbours(NamedTuple):
    """The numbers of the boards that are also reached from where a thing, a board or the delivery is."""

    things: tuple[tuple[int, ...], ...]
    boards: tuple[tuple[int, ...], ...]
    delivery: tuple[int, ...]


def _neighbours(layout: Layout) -> _Neighbours:
    def at(cell: Cell) -> tuple[int, ...]:
        return _boards_at(layout, access(cell))

    things = (*layout.foods, layout.bowl)
    return _Neighbours(tuple(map(at, things)), tuple(map(at, layout.boards)), at(layout.delivery))


def _boards_at(layout: Layout, cook: Cell) -> tuple[int, ...]:
    return tuple(number for number, board in enumerate(layout.boards) if access(board) == cook)


def solver_of(world: World, sight: int | None) -> Solver:
    """The solver of a kitchen, shared by all kitchens whose solutions are the same."""
    return shared_solver(world.recipe, sight, world.layout if sight is not None else _neighbours(world.layout))


@lru_cache(maxsize=256)
def shared_solver(recipe: Recipe, sight: int | None, alike: Layout | _Neighbours) -> Solver:
    """One solver for all kitchens that are `alike`."""
    return Solver(recipe, sight)
