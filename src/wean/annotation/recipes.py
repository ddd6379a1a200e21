"""Recipes: how an argument of a sub-goal is made from a text in reach of its chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from wean.annotation.setting import Setting, Source, arguments_of, split_words

Part = tuple[object, ...]
_WHOLE: Part = ("whole",)
_TEXTS = ("description", "first", "last")

# Of recipes that explain the annotated chunks equally well the nearer and simpler source is taken.
_FAR = {
    "first": 0.0,
    "last": 0.02,
    "between": 0.06,
    "next sub-goal": 0.1,
    "of equal rank": 0.1,
    "sub-goal before": 0.15,
    "before": 0.2,
    "next action": 0.2,
    "behind": 0.25,
    "always": 0.3,
}


class Recipe(NamedTuple):
    """How to make an argument.

    Attributes:
        source: Where a text is found; ("always", text) needs none.
        part: Which part of it is taken: ("whole",), ("turned", words), ("inside", start, end), ("words", n) from
            the front or, negative, from the back.
        before: What is put before it.
        behind: What is put behind it.
    """

    source: Source
    part: Part = _WHOLE
    before: str = ""
    behind: str = ""

    def make(self, setting: Setting) -> str | None:
        """The argument in this setting; None where the recipe finds nothing to make it from."""
        if self.source[0] == "always":
            return str(self.source[1])
        if self.source[0] == "between":
            _, where, left, right = self.source
            text = setting.between(where, left, right)  # type: ignore[arg-type]
        else:
            text = setting.found.get(self.source)
        text = None if text is None else _take(self.part, text)
        return None if text is None else self.before + text + self.behind

    @property
    def far(self) -> float:
        """How far-fetched it is: a tie-breaker, much smaller than a vote."""
        made_up = bool(self.before or self.behind)
        return _FAR[str(self.source[0])] + 0.05 * made_up + 0.05 * (self.part[0] not in ("whole", "turned"))


def recipes_for(setting: Setting, argument: str, turning: frozenset[str]) -> Iterator[Recipe]:
    """All recipes that make an argument in a setting where it is known; some come twice.

    Args:
        setting: The chunk.
        argument: What is to be made.
        turning: First words that are put behind what follows them (`turning_words`).
    """
    wanted = argument.split()
    turned: Part = ("turned", turning)
    for source, text in setting.found.items():
        if _take(turned, text) == argument:
            yield Recipe(source, turned)
        else:
            yield from _from_text(source, text, wanted)
    words = split_words(argument)
    for where in _TEXTS:
        yield from _from_words(setting, where, words)
    yield Recipe(("always", argument))


def turning_words(settings: Iterable[Setting]) -> frozenset[str]:
    """First words of phrases that the sub-goals put last: "egg turtle" in the action, "turtle egg" in the sub-goal."""
    votes: Counter[str] = Counter()
    for setting in settings:
        votes.update(dict(_turns(setting)))
    return frozenset(word for word, count in votes.items() if count > 0)


@lru_cache(maxsize=65536)
def _turns(setting: Setting) -> tuple[tuple[str, int], ...]:
    """Words, and how often an argument speaks for turning them less how often one speaks against it."""
    texts = {text for source, text in setting.found.items() if source[0] == "first"}
    votes: Counter[str] = Counter()
    for argument in arguments_of(setting):
        words = argument.split()
        if argument in texts:
            votes[words[0]] -= len(words) > 1
        elif " ".join([words[-1], *words[:-1]]) in texts:
            votes[words[-1]] += 1
    return tuple(votes.items())


def _from_text(source: Source, text: str, wanted: list[str]) -> Iterator[Recipe]:
    words = text.split()
    # The longest run of words that both have; what is left of the argument is put around it.
    for length in range(min(len(wanted), len(words)), 0, -1):
        for at in range(len(wanted) - length + 1):
            run = wanted[at : at + length]
            if length == 1 and len(run[0]) < 3 and len(wanted) > 1:
                continue
            start = _find(words, run)
            plural = ""
            if start is None and at + length == len(wanted) and run[-1].endswith("s"):
                start, plural = _find(words, [*run[:-1], run[-1][:-1]]), "s"
            if start is None:
                continue
            before = "".join(f"{word} " for word in wanted[:at])
            behind = plural + "".join(f" {word}" for word in wanted[at + length :])
            for part in _parts(words, start, length):
                yield Recipe(source, part, before, behind)
            return


def _parts(words: list[str], start: int, length: int) -> Iterator[Part]:
    if length == len(words):
        yield _WHOLE
        return
    lead = "".join(f"{word} " for word in words[:start])
    trail = "".join(f" {word}" for word in words[start + length :])
    yield "inside", lead, trail
    if start == 0:
        yield "words", length
    if start + length == len(words):
        yield "words", -length


def _from_words(setting: Setting, where: str, wanted: tuple[str, ...]) -> Iterator[Recipe]:
    words = setting.words(where)
    for at in range(len(wanted)):
        for stop in range(len(wanted), at, -1):
            run = wanted[at:stop]
            if len(run) == 1 and len(run[0]) < 3 and len(wanted) > 1:
                continue
            before = "".join(f"{word} " for word in wanted[:at])
            behind = "".join(f" {word}" for word in wanted[stop:])
            for start in range(1, len(words) - len(run)):
                if words[start : start + len(run)] == run:
                    right = words[start + len(run)]
                    for near in (1, 2):
                        if start >= near:
                            left = words[start - near : start]
                            yield Recipe(("between", where, left, right), _WHOLE, before, behind)


def _take(part: Part, text: str) -> str | None:
    kind = part[0]
    if kind == "whole":
        return text
    words = text.split()
    if kind == "turned":
        # "egg dove egg" is a dove egg, "egg turtle" a turtle egg, and a dove is a dove.
        if words[0] in words[1:]:
            words = words[1:]
        elif words[0] in part[1]:  # type: ignore[operator]
            words = [*words[1:], words[0]]
        return " ".join(words)
    if kind == "inside":
        lead, trail = str(part[1]), str(part[2])
        fits = text.startswith(lead) and text.endswith(trail) and len(text) > len(lead) + len(trail)
        return text[len(lead) : len(text) - len(trail)] if fits else None
    count = part[1]
    assert isinstance(count, int)
    if len(words) <= abs(count):
        return None
    return " ".join(words[:count] if count > 0 else words[count:])


def _find(words: list[str], run: list[str]) -> int | None:
    for start in range(len(words) - len(run) + 1):
        if words[start : start + len(run)] == run:
            return start
    return None
