"""Rules that derive an argument of a sub-goal from a text around its chunk, learnt from annotated chunks.

A rule finds a text (`Source`), takes a part of it, and may put words around it: "the second slot of the last action",
"the words between *focus on the* and the full stop in the description". All rules that explain one annotated argument
are proposed; `binding` lets other annotated chunks vote on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

from wean.annotation.features import ChunkContext, Source, split_words

_TEXTS = ("description", "first", "last")

# Of rules that explain the annotated chunks equally well the nearer and simpler source is taken.
_DISTANCE = {
    "first": 0.0,
    "last": 0.02,
    "next sub-goal": 0.1,
    "of equal rank": 0.1,
    "sub-goal before": 0.15,
    "before": 0.2,
    "next action": 0.2,
    "behind": 0.25,
}

# --- where a text comes from --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A phrase of an action or an argument of another sub-goal."""

    source: Source

    def find(self, context: ChunkContext) -> str | None:
        """The text; None where there is none."""
        return context.texts.get(self.source)

    @property
    def distance(self) -> float:
        """How far-fetched it is."""
        return _DISTANCE[str(self.source[0])]


@dataclass(frozen=True)
class Between:
    """The words of a description or an observation between given words."""

    where: str
    left: tuple[str, ...]
    right: str

    def find(self, context: ChunkContext) -> str | None:
        """The words; None where there are none."""
        return context.between(self.where, self.left, self.right)

    distance: ClassVar = 0.06


@dataclass(frozen=True)
class Constant:
    """A constant text."""

    text: str

    def find(self, context: ChunkContext) -> str:
        """The text."""
        return self.text

    distance: ClassVar = 0.3


# --- which part of it is taken ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """The whole text."""

    distance: ClassVar = 0.0

    def take(self, text: str) -> str | None:
        """The text."""
        return text


@dataclass(frozen=True)
class Turned:
    """The whole text, with its first word put last where it is one of some: "egg turtle" becomes "turtle egg"."""

    turning: frozenset[str]

    distance: ClassVar = 0.0

    def take(self, text: str) -> str | None:
        """The text with its first word put last, or left out where it comes again: "egg dove egg" is a dove egg."""
        words = text.split()
        if words[0] in words[1:]:
            words = words[1:]
        elif words[0] in self.turning:
            words = [*words[1:], words[0]]
        return " ".join(words)


@dataclass(frozen=True)
class Inside:
    """The text between a given prefix and suffix."""

    prefix: str
    suffix: str

    distance: ClassVar = 0.05

    def take(self, text: str) -> str | None:
        """The inner part; None where the text begins or ends otherwise."""
        long_enough = len(text) > len(self.prefix) + len(self.suffix)
        if not (text.startswith(self.prefix) and text.endswith(self.suffix) and long_enough):
            return None
        return text[len(self.prefix) : len(text) - len(self.suffix)]


@dataclass(frozen=True)
class Words:
    """A number of words from the front of a longer text or, negative, from its back."""

    count: int

    distance: ClassVar = 0.05

    def take(self, text: str) -> str | None:
        """The words; None where the text has no others."""
        words = text.split()
        if len(words) <= abs(self.count):
            return None
        return " ".join(words[: self.count] if self.count > 0 else words[self.count :])


_WHOLE = Whole()


class ArgumentRule(NamedTuple):
    """A rule for an argument: a text, the part of it that is taken, and words put before and behind it."""

    text: Found | Between | Constant
    part: Whole | Turned | Inside | Words = _WHOLE
    before: str = ""
    behind: str = ""

    def derive(self, context: ChunkContext) -> str | None:
        """The argument in this context; None where there is nothing to derive it from."""
        text = self.text.find(context)
        part = None if text is None else self.part.take(text)
        return None if part is None else self.before + part + self.behind

    @property
    def distance(self) -> float:
        """How far-fetched it is: a tie-breaker, much smaller than a vote."""
        return self.text.distance + 0.05 * bool(self.before or self.behind) + self.part.distance


# --- proposing rules ----------------------------------------------------------------------------------------------


def rules_for(context: ChunkContext, argument: str, turning: frozenset[str]) -> Iterator[ArgumentRule]:
    """All rules that derive a known argument in its context; some come twice.

    `turning` are first words that are put behind what follows them (`turning_words`).
    """
    turned = Turned(turning)
    for source, text in context.texts.items():
        if turned.take(text) == argument:
            yield ArgumentRule(Found(source), turned)
        else:
            yield from _from_phrase(source, text, argument.split())
    for where in _TEXTS:
        yield from _from_words(context, where, split_words(argument))
    yield ArgumentRule(Constant(argument))


def turning_words(contexts: Iterable[ChunkContext]) -> frozenset[str]:
    """First words of phrases that the sub-goals put last: "egg turtle" in the action, "turtle egg" in the sub-goal."""
    votes: Counter[str] = Counter()
    for context in contexts:
        votes.update(_turns(context))
    return frozenset(word for word, count in votes.items() if count > 0)


@lru_cache(maxsize=65536)
def _turns(context: ChunkContext) -> Counter[str]:
    """Words, and how often an argument speaks for turning them less how often one speaks against it."""
    texts = {text for source, text in context.texts.items() if source[0] == "first"}
    votes: Counter[str] = Counter()
    for argument in context.arguments:
        words = argument.split()
        if argument in texts:
            votes[words[0]] -= len(words) > 1
        elif " ".join([words[-1], *words[:-1]]) in texts:
            votes[words[-1]] += 1
    return votes


def _from_phrase(source: Source, text: str, wanted: list[str]) -> Iterator[ArgumentRule]:
    """Rules for the longest run of words that text and argument share; the rest of the argument is put around it."""
    words = text.split()
    for length in range(min(len(wanted), len(words)), 0, -1):
        for at in range(len(wanted) - length + 1):
            run = wanted[at : at + length]
            if _too_short(run, wanted):
                continue
            start, plural = _find(words, run), ""
            if start is None and at + length == len(wanted) and run[-1].endswith("s"):
                start, plural = _find(words, [*run[:-1], run[-1][:-1]]), "s"
            if start is None:
                continue
            before, behind = _around(wanted, at, at + length)
            for part in _parts(words, start, length):
                yield ArgumentRule(Found(source), part, before, plural + behind)
            return


def _parts(words: list[str], start: int, length: int) -> Iterator[Whole | Inside | Words]:
    """Ways to take a run of words."""
    if length == len(words):
        yield _WHOLE
        return
    yield Inside(*_around(words, start, start + length))
    if start == 0:
        yield Words(length)
    if start + length == len(words):
        yield Words(-length)


def _from_words(context: ChunkContext, where: str, wanted: tuple[str, ...]) -> Iterator[ArgumentRule]:
    """Rules for every run of the argument's words that occurs in a description or an observation."""
    words = context.words(where)
    for at in range(len(wanted)):
        for stop in range(len(wanted), at, -1):
            run = wanted[at:stop]
            if _too_short(run, wanted):
                continue
            for start in range(1, len(words) - len(run)):
                if words[start : start + len(run)] == run:
                    right = words[start + len(run)]
                    for near in range(1, min(2, start) + 1):
                        left = words[start - near : start]
                        yield ArgumentRule(Between(where, left, right), _WHOLE, *_around(wanted, at, stop))


def _too_short(run: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a run is a single short word of a longer argument: such words are found everywhere."""
    return len(run) == 1 and len(run[0]) < 3 and len(wanted) > 1


def _around(words: Sequence[str], start: int, stop: int) -> tuple[str, str]:
    """The words before a run and those behind it, each with the space that parts them from it."""
    return "".join(f"{word} " for word in words[:start]), "".join(f" {word}" for word in words[stop:])


def _find(words: list[str], run: list[str]) -> int | None:
    for start in range(len(words) - len(run) + 1):
        if words[start : start + len(run)] == run:
            return start
    return None
