"""Exhaustive search of a kitchen: which macro-actions begin a shortest solution, from every moment that can come."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from wean.tasks.kitchen.layout import Layout, Recipe
from wean.tasks.kitchen.macros import macros_of, perform
from wean.tasks.kitchen.world import World

_UNLIMITED = 1_000  # primitive steps: a macro-action takes ten at most


def state_of(world: World) -> tuple[Hashable, ...]:
    """Everything of a kitchen that changes; equal states have equal futures."""
    return (world.cook, tuple(world.place), tuple(world.chops))


class Solution:
    """Distances to the served dish, in macro-actions, of all states that can be reached in one kitchen.

    A kitchen has some thousand states and is searched in seconds.

    Args:
        recipe: What is to be served.
        layout: Where things stand.
        sight: How many cells far the cook sees, as in the task.
    """

    def __init__(self, recipe: Recipe, layout: Layout, sight: int | None = None) -> None:
        self._macros = macros_of(recipe)
        start = World(recipe, layout)
        self._onward: dict[Hashable, list[Hashable | None]] = {}
        before: dict[Hashable | None, list[Hashable]] = {}
        ahead = deque([start])
        seen: set[Hashable] = {state_of(start)}
        while ahead:
            world = ahead.popleft()
            state, outcomes = state_of(world), []
            for macro in self._macros:
                after = _copy(world)
                served = perform(after, macro, sight, _UNLIMITED).served
                reached = None if served else state_of(after)
                outcomes.append(reached)
                before.setdefault(reached, []).append(state)
                if not served and reached not in seen:
                    seen.add(reached)
                    ahead.append(after)
            self._onward[state] = outcomes
        self._left: dict[Hashable | None, int] = {None: 0}
        backwards: deque[Hashable | None] = deque([None])
        while backwards:
            reached = backwards.popleft()
            for state in before.get(reached, ()):
                if state not in self._left:
                    self._left[state] = self._left[reached] + 1
                    backwards.append(state)

    def __len__(self) -> int:
        return len(self._onward)

    def left(self, world: World) -> int | None:
        """The fewest macro-actions from here to the served dish; None where it can no longer be served."""
        return self._left.get(state_of(world))

    def best(self, world: World) -> tuple[int, ...]:
        """Numbers of the macro-actions that begin a shortest solution; empty where there is none."""
        state = state_of(world)
        here = self._left.get(state)
        if here is None:
            return ()
        return tuple(
            number for number, reached in enumerate(self._onward[state]) if self._left.get(reached) == here - 1
        )


def _copy(world: World) -> World:
    copy = World(world.recipe, world.layout)
    copy.cook, copy.place, copy.chops = world.cook, list(world.place), list(world.chops)
    return copy
