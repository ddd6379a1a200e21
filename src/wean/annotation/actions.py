"""The form of an action in words: a verb, small words that hold it together, and phrases that name things.

"move egg turtle in inventory to red box" has the frame `move _ in _ to _` and the phrases "egg turtle", "inventory",
"red box". Nothing here knows an environment; small words are English ones.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

_SMALL_WORDS = frozenset((
    "up", "down", "on", "in", "at", "around", "out", "off", "to", "into", "onto", "from", "with", "over",
    "containing", "of", "for", "under", "inside",
))  # fmt: skip


class Phrase(NamedTuple):
    """A part of an action that may name a thing.

    Attributes:
        text: The words, in lower case.
        places: Under which names the same part is found in other actions: with the whole frame around it, and
            with only the verb and the small word before it.
    """

    text: str
    places: tuple[tuple[object, ...], ...]


class ActionForm(NamedTuple):
    """An action taken apart.

    Attributes:
        frame: Verb and small words, "_" for each phrase.
        slots: The phrases between small words, in their order.
        phrases: All phrases: the slots, and runs of several slots with the small words between them.
    """

    frame: str
    slots: tuple[str, ...]
    phrases: tuple[Phrase, ...]


@lru_cache(maxsize=65536)
def action_form(action: str) -> ActionForm:
    """Takes an action apart; upper and lower case are the same."""
    verb, *words = action.lower().split() or [""]
    parts: list[tuple[str, str]] = []  # (small word before, slot); the slot may be empty
    before: list[str] = []
    slot: list[str] = []
    for word in words:
        if word in _SMALL_WORDS:
            if slot:
                parts.append((" ".join(before), " ".join(slot)))
                before, slot = [], []
            before.append(word)
        else:
            slot.append(word)
    if slot or before:
        parts.append((" ".join(before), " ".join(slot)))
    frame = " ".join([verb, *(word for small, text in parts for word in (small, "_" if text else "") if word)])
    full = [part for part in parts if part[1]]
    slots = tuple(text for _, text in full)
    phrases = []
    met: Counter[str] = Counter()
    for first, (small, text) in enumerate(full):
        phrases.append(Phrase(text, ((frame, first, first), (verb, small, met[small], "slot"))))
        for last in range(first + 1, len(full)):
            text += f" {full[last][0]} {full[last][1]}"
            loose = ((verb, small, met[small], "rest"),) if last + 1 == len(full) else ()
            phrases.append(Phrase(text, ((frame, first, last), *loose)))
        met[small] += 1
    return ActionForm(frame, slots, tuple(phrases))
