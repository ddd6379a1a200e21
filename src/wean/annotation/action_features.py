"""Actions in words taken apart: frame and slots of one action, features of a whole demonstration's actions.

"move egg turtle in inventory to red box" has the frame `move _ in _ to _` and the slots "egg turtle", "inventory",
"red box". Nothing here knows an environment; the small words are English ones.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from wean.data.trajectories import Trajectory

_SMALL_WORDS = frozenset((
    "up", "down", "on", "in", "at", "around", "out", "off", "to", "into", "onto", "from", "with", "over",
    "containing", "of", "for", "under", "inside",
))  # fmt: skip

Position = tuple[object, ...]
"""Names a part of an action in the same way in every action that has it."""


class Phrase(NamedTuple):
    """A part of an action that may name an entity.

    Attributes:
        text: The words, in lower case.
        positions: Where it stands: by the whole frame around it, and by the verb and the small word before it alone.
    """

    text: str
    positions: tuple[Position, ...]


class ActionForm(NamedTuple):
    """The frame of an action and what fills its slots.

    Attributes:
        frame: Verb and small words, "_" for each slot.
        slots: The words between small words, in their order.
        phrases: The slots, and runs of several slots with the small words between them.
    """

    frame: str
    slots: tuple[str, ...]
    phrases: tuple[Phrase, ...]


@lru_cache(maxsize=65536)
def action_form(action: str) -> ActionForm:
    """The form of an action; upper and lower case are the same."""
    verb, *words = action.lower().split() or [""]
    parts = _split_at_small_words(words)
    frame = " ".join([verb, *(word for small, slot in parts for word in (small, "_" if slot else "") if word)])
    filled = [part for part in parts if part[1]]
    return ActionForm(frame, tuple(slot for _, slot in filled), tuple(_phrases(verb, frame, filled)))


def _split_at_small_words(words: list[str]) -> list[tuple[str, str]]:
    """(small words, the slot behind them) of each part of an action; either may be empty."""
    parts: list[tuple[str, str]] = []
    small: list[str] = []
    slot: list[str] = []
    for word in words:
        if word not in _SMALL_WORDS:
            slot.append(word)
            continue
        if slot:
            parts.append((" ".join(small), " ".join(slot)))
            small, slot = [], []
        small.append(word)
    if slot or small:
        parts.append((" ".join(small), " ".join(slot)))
    return parts


def _phrases(verb: str, frame: str, filled: list[tuple[str, str]]) -> list[Phrase]:
    phrases = []
    met: Counter[str] = Counter()
    for first, (small, text) in enumerate(filled):
        phrases.append(Phrase(text, ((frame, first, first), (verb, small, met[small], "slot"))))
        for last in range(first + 1, len(filled)):
            text += f" {filled[last][0]} {filled[last][1]}"
            loose = ((verb, small, met[small], "rest"),) if last + 1 == len(filled) else ()
            phrases.append(Phrase(text, ((frame, first, last), *loose)))
        met[small] += 1
    return phrases


@dataclass(frozen=True)
class ActionFeatures:
    """One action as the segmentation sees it.

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
class FeatureSequence:
    """The features of a demonstration's actions, without the middles of long repetitions.

    Attributes:
        kept: Indices of the actions that are looked at. Of four or more equal actions in a row, the first two and
            the last stay: a sub-goal hardly begins in between.
        features: One for each of them.
        length: Number of all actions.
    """

    kept: tuple[int, ...]
    features: tuple[ActionFeatures, ...]
    length: int


@lru_cache(maxsize=8192)
def features_of(trajectory: Trajectory) -> FeatureSequence:
    """The features of a demonstration's actions."""
    actions = [action.lower() for action in trajectory.actions]
    kept = tuple(
        i
        for i, action in enumerate(actions)
        if not (2 <= i < len(actions) - 1 and actions[i - 2] == actions[i - 1] == action == actions[i + 1])
    )
    description = trajectory.description.lower()
    features: list[ActionFeatures] = []
    done: set[str] = set()
    places: list[str] = []
    named: frozenset[str] = frozenset()
    for i in kept:
        # The first sentence of what is seen names the place, in text games and in most simulators.
        place = trajectory.path[i].look.lower().split(".")[0]
        if place and (not places or places[-1] != place):
            places.append(place)
        form = action_form(actions[i])
        back = bool(form.slots) and any(_mentions(place, form.slots[-1]) for place in places[:-1])
        slots = frozenset(form.slots)
        with_mission = tuple((slot, slot in description) for slot in form.slots)
        features.append(ActionFeatures(form.frame, with_mission, actions[i] in done or back, bool(slots & named)))
        done.add(actions[i])
        named = slots
    return FeatureSequence(kept, tuple(features), len(actions))


def _mentions(text: str, phrase: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text) is not None
