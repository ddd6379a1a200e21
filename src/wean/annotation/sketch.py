"""A demonstration as the segmentation sees it: what each action looks like, beside what was done before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from wean.annotation.actions import action_form
from wean.data.trajectories import Trajectory


@dataclass(frozen=True)
class Look:
    """One action.

    Attributes:
        frame: Verb and small words.
        slots: Each slot's text, and whether the task's description names it.
        again: Whether it was done before in this demonstration, or leads back to a place that was seen before.
        linked: Whether it names something that the action before it names.
    """

    frame: str
    slots: tuple[tuple[str, bool], ...]
    again: bool
    linked: bool


@dataclass(frozen=True)
class Sketch:
    """A demonstration without the middles of long repetitions.

    Attributes:
        kept: Indices of the actions that are looked at. Of four or more equal actions in a row, the first two and
            the last stay: a sub-goal hardly begins in between.
        looks: One for each of them.
        length: Number of all actions.
    """

    kept: tuple[int, ...]
    looks: tuple[Look, ...]
    length: int

    def ends(self, starts: list[int]) -> list[int]:
        """Translates where chunks start among the kept actions (the first is 0) to where they end among all."""
        return [*(self.kept[start] for start in starts[1:]), self.length]


@lru_cache(maxsize=8192)
def sketch(trajectory: Trajectory) -> Sketch:
    """Draws the sketch of a demonstration."""
    actions = [action.lower() for action in trajectory.actions]
    kept = tuple(
        i
        for i, action in enumerate(actions)
        if not (2 <= i < len(actions) - 1 and actions[i - 2] == actions[i - 1] == action == actions[i + 1])
    )
    description = trajectory.description.lower()
    looks: list[Look] = []
    done: set[str] = set()
    places: list[str] = []
    named: frozenset[str] = frozenset()
    for i in kept:
        # The first sentence of what is seen names the place, in text games and in most simulators.
        place = trajectory.path[i].look.lower().split(".")[0]
        if place and (not places or places[-1] != place):
            places.append(place)
        form = action_form(actions[i])
        back = bool(form.slots) and any(_names(place, form.slots[-1]) for place in places[:-1])
        slots = frozenset(form.slots)
        looks.append(
            Look(
                form.frame,
                tuple((slot, slot in description) for slot in form.slots),
                actions[i] in done or back,
                bool(slots & named),
            )
        )
        done.add(actions[i])
        named = slots
    return Sketch(kept, tuple(looks), len(actions))


def _names(text: str, phrase: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text) is not None
