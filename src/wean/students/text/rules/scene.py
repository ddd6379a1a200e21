"""What an episode has shown so far, and the things that a sub-goal names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

from wean.data.normalize import normalize, place_of


class Scene:
    """What one episode has shown and used so far, in normalized words.

    Attributes:
        known: Words that were read or used so far.
        unprompted: Words that were used before they were read.

    Args:
        description: The task in words.
        look: What can be seen.
        carried: What is carried.
    """

    def __init__(self, description: str, look: str, carried: str) -> None:
        self.known = set(normalize(description).split())
        self.unprompted: set[str] = set()
        self._shown: set[str] = set()
        self._show(look, carried)
        self._look, self._carried = look, carried

    @property
    def place(self) -> str:
        """The name of the current place."""
        return place_of(self._look)

    @property
    def carried(self) -> str:
        """What is carried now."""
        return normalize(self._carried)

    @property
    def sight(self) -> str:
        """What can be seen and is carried now."""
        return f"{normalize(self._look)} | {self.carried}"

    def use(self, text: str) -> None:
        """Notes a normalized sub-goal or action."""
        words = set(text.split())
        self.unprompted |= words - self.known
        self.known |= words

    def observe(self, observation: str, look: str, carried: str) -> None:
        """Notes an observation, and what can be seen and is carried after it."""
        self._show(observation, look, carried)
        self._look, self._carried = look, carried

    def unseen(self, text: str) -> set[str]:
        """Words of a text that nothing has shown yet: no place, no observation, nothing carried."""
        return set(text.split()) - self._shown

    def out_of_sight(self, text: str) -> set[str]:
        """Words of a text that are not in sight now."""
        return set(text.split()) - set(self.sight.split())

    def _show(self, *texts: str) -> None:
        words = {word for text in texts for word in normalize(text).split()}
        self.known |= words
        self._shown |= words


def verb_prefixes(goals: Iterable[str]) -> dict[str, str]:
    """The words with which all sub-goals with the same first word begin: {"pick": "pick up", ...}."""
    prefixes: dict[str, list[str]] = {}
    for goal in goals:
        words = goal.split()
        before = prefixes.setdefault(words[0], words)
        prefixes[words[0]] = before[: _common(words, before)]
    return {first: " ".join(words) for first, words in prefixes.items()}


def things_of(goal: str, prefixes: Mapping[str, str]) -> list[str]:
    """The things that a sub-goal names after its verb.

    Args:
        goal: The sub-goal in words.
        prefixes: As `verb_prefixes` gives them; as many of a prefix's words as the sub-goal has are its verb.
    """
    words = goal.split()
    verb = prefixes.get(words[0], words[0]).split() if words else []
    return [thing for thing in " ".join(words[_common(words, verb) :]).split(" to ") if thing]


def hidden(things: Sequence[str], sight: str, synonyms: Collection[str]) -> list[str]:
    """The things that are not in sight.

    Args:
        things: Things of a sub-goal.
        sight: What is in sight (`Scene.sight`).
        synonyms: A thing named by these words alone may have another name in sight, and counts as there.
    """
    return [thing for thing in things if f" {thing} " not in f" {sight} " and not set(thing.split()) <= set(synonyms)]


def names_twice(goal: str) -> bool:
    """Whether a sub-goal in words names one thing twice: "connect battery to red wire to red wire"."""
    first, *others = goal.split(" to ")
    return len(set(others)) < len(others) or any(first.endswith(f" {thing}") for thing in others)


def _common(words: Sequence[str], others: Sequence[str]) -> int:
    """The number of words that two sequences share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))
