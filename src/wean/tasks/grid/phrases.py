"""The words of a grid's skills as four small numbers: what is done, and state, colour and kind of the thing.

An observation of bytes can carry them, and whoever reads them can write the phrase again.
"""

from __future__ import annotations

from collections.abc import Sequence

_VERBS = ("explore", "go to", "pick up", "drop", "open", "done")
_STATES = ("open", "closed", "locked", "unlocked", "other")
_COLORS = ("red", "green", "blue", "purple", "yellow", "grey", "color1", "color2")
_KINDS = ("goal", "door", "door1", "door2", "key", "box", "ball")
_ARTICLES = {"the", "a", "an"}

WORDS: tuple[str, ...] = ("", *_VERBS, *_STATES, *_COLORS, *_KINDS)
"""The word of each number; 0 is none."""
PARTS = 4
"""Numbers of a phrase: verb, state, colour, kind."""

_NUMBERS: tuple[dict[str, int], ...] = tuple(
    {word: first + place for place, word in enumerate(words)}
    for words, first in (
        (_VERBS, 1),
        (_STATES, 1 + len(_VERBS)),
        (_COLORS, 1 + len(_VERBS) + len(_STATES)),
        (_KINDS, 1 + len(_VERBS) + len(_STATES) + len(_COLORS)),
    )
)
_VERB, _THING = _NUMBERS[0], _NUMBERS[1:]


def numbers_of(skill: str) -> tuple[int, ...]:
    """The numbers of a skill such as "pick up the red key": places in `WORDS`, 0 where there is no such part.

    Of "drop X next to Y" only "drop X" is told.

    Args:
        skill: A skill as a plan names it.

    Returns:
        Four numbers; all of them 0 where the words are not those of a grid's skills.
    """
    words = [word for word in skill.lower().partition(" next to ")[0].split() if word not in _ARTICLES]
    length = next((n for n in (2, 1) if " ".join(words[:n]) in _VERB), 0)
    found = [_VERB.get(" ".join(words[:length]), 0), 0, 0, 0]
    part = 0
    for word in words[length:]:
        while part < len(_THING) and word not in _THING[part]:
            part += 1
        if part == len(_THING):
            return (0,) * PARTS
        found[part + 1] = _THING[part][word]
        part += 1
    return tuple(found) if found[0] else (0,) * PARTS


def phrase_of(numbers: Sequence[int]) -> str:
    """Writes the phrase of four numbers; empty for four zeros."""
    return " ".join(WORDS[number] for number in numbers if number)


def thing_of(skill: str) -> str:
    """The name of the thing that a skill is about, as maps name it; empty where there is none."""
    return phrase_of((0, *numbers_of(skill)[1:]))
