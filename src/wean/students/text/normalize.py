"""The words in which everything is told, and sub-goals in these words: how they begin, and which things they name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile

_ARTICLE = re.compile(r"\b(?:[Tt]he|an?) +")
_MARK = re.compile(r"\s*([^\w\s])\s*")
_CALL = re.compile(r"([a-z][a-z0-9_]*)\((.*)\)")


@lru_cache(maxsize=1 << 16)  # a place is told again and again
def plain(text: str) -> str:
    """A text in the words in which everything is told: lower case, no articles, a space around every mark.

    A name is the same tokens then wherever it stands, and what stands before it is more often the same: the student
    finds "red" behind "focus on" of the task when it has said "focus on" itself.
    """
    return " ".join(_MARK.sub(r" \1 ", _ARTICLE.sub("", text)).lower().split())


def phrase(subgoal: str) -> str:
    """A sub-goal in the words of actions: `pick_up(metal pot)` is "pick up metal pot"."""
    call = _CALL.fullmatch(subgoal.strip())
    if call is None:
        return plain(subgoal)
    arguments = " to ".join(argument.strip() for argument in call[2].split(","))
    return plain(f"{call[1].replace('_', ' ')} {arguments}")


def names_twice(goal: str) -> bool:
    """Whether a sub-goal in words (`phrase`) names one thing twice: "connect battery to red wire to red wire"."""
    first, *others = goal.split(" to ")
    return len(set(others)) < len(others) or any(first.endswith(f" {thing}") for thing in others)


def beginnings(goals: Iterable[str]) -> dict[str, str]:
    """How sub-goals in words (`phrase`) begin that have the same first word: {"pick": "pick up", ...}."""
    found: dict[str, list[str]] = {}
    for goal in goals:
        words = goal.split()
        before = found.setdefault(words[0], words)
        found[words[0]] = before[: _alike(words, before)]
    return {first: " ".join(words) for first, words in found.items()}


def things_of(goal: str, begin: Mapping[str, str]) -> list[str]:
    """The things that a sub-goal in words names.

    Args:
        goal: The sub-goal.
        begin: How sub-goals begin (`beginnings`); behind as much of it as the sub-goal has its first thing is named.
    """
    words = goal.split()
    said = begin.get(words[0], words[0]).split() if words else []
    return [thing for thing in " ".join(words[_alike(words, said) :]).split(" to ") if thing]


def hidden(things: Sequence[str], sight: str, known: Collection[str]) -> list[str]:
    """Those of some things that can neither be seen nor are carried.

    Args:
        things: Of a sub-goal.
        sight: What can be seen and is carried (`EpisodeText.sight`).
        known: Words that are said untold; a thing of such words alone may be called otherwise.
    """
    return [thing for thing in things if f" {thing} " not in f" {sight} " and not set(thing.split()) <= set(known)]


def _alike(words: Sequence[str], others: Sequence[str]) -> int:
    """With how many of the same words two begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))
