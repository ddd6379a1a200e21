"""One chunk in its demonstration, and every text in reach that may name what its sub-goal is about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from wean.annotation.actions import action_form
from wean.data.annotations import Annotation
from wean.data.subgoals import SubGoal
from wean.data.trajectories import Trajectory

Source = tuple[object, ...]
"""Names a place where a text can be found, in the same way in every demonstration."""

_REACH = 15  # actions before and behind a chunk whose phrases are looked at
_READ = 160  # characters of an observation that are read
_LONGEST = 6  # words of a text that is cut out between other words


@dataclass(frozen=True, eq=False)
class Setting:
    """A chunk with what surrounds it.

    Attributes:
        trajectory: The demonstration.
        first: Its first action, from 0.
        end: One past its last action.
        number: Which of the demonstration's chunks it is.
        subgoals: The sub-goals of all its chunks, as far as they are known.
        made: What recipes made here before: many demonstrations ask the same annotated chunks for their votes.
    """

    trajectory: Trajectory
    first: int
    end: int
    number: int
    subgoals: Sequence[SubGoal | None]
    made: dict[object, str | None] = field(default_factory=dict, repr=False)

    @cached_property
    def frames(self) -> frozenset[str]:
        """The frames of its actions."""
        return frozenset(action_form(action).frame for action in self.trajectory.actions[self.first : self.end])

    @cached_property
    def found(self) -> dict[Source, str]:
        """The texts that are found by their place: phrases of actions, arguments of other sub-goals."""
        return dict(_phrases(self)) | dict(_beside(self)) | dict(_arguments(self))

    @cached_property
    def listed(self) -> dict[Source, tuple[str, ...]]:
        """The distinct texts in one place of all actions of the chunk, in order."""
        lists: dict[Source, dict[str, None]] = {}
        for action in self.trajectory.actions[self.first : self.end]:
            for phrase in action_form(action).phrases:
                for place in phrase.places:
                    lists.setdefault(place, {})[phrase.text] = None
        return {place: tuple(texts) for place, texts in lists.items()}

    def words(self, where: str) -> tuple[str, ...]:
        """The words of the task's description ("description"), or of what the first or last action showed."""
        if where == "description":
            return split_words(self.trajectory.description)
        moment = self.trajectory.path[self.first if where == "first" else self.end - 1]
        return split_words(moment.observation[:_READ])

    def between(self, where: str, left: tuple[str, ...], right: str) -> str | None:
        """The words between others, where they occur first; None where they do not, or lie too far apart."""
        words = self.words(where)
        for start in range(len(left), len(words)):
            if words[start - len(left) : start] == left:
                for stop in range(start + 1, min(len(words), start + _LONGEST + 1)):
                    if words[stop] == right:
                        return " ".join(words[start:stop])
                return None
        return None


@lru_cache(maxsize=8192)
def settings_of(trajectory: Trajectory, annotation: Annotation) -> list[Setting]:
    """Every chunk of an annotated demonstration."""
    subgoals = tuple(chunk.subgoal for chunk in annotation.chunks)
    starts = (0, *annotation.ends)
    return [
        Setting(trajectory, first, end, number, subgoals)
        for number, (first, end) in enumerate(zip(starts, annotation.ends, strict=False))
    ]


def verb_of(setting: Setting) -> str:
    """The verb of a chunk's sub-goal."""
    subgoal = setting.subgoals[setting.number]
    assert subgoal is not None
    return subgoal.verb


def arguments_of(setting: Setting) -> tuple[str, ...]:
    """The arguments of an annotated chunk's sub-goal."""
    subgoal = setting.subgoals[setting.number]
    assert subgoal is not None
    return subgoal.arguments


@lru_cache(maxsize=65536)
def split_words(text: str) -> tuple[str, ...]:
    """Words and punctuation marks, in lower case."""
    return tuple(re.findall(r"[\w.-]*\w|[^\w\s]", text.lower()))


def _phrases(setting: Setting) -> Iterator[tuple[Source, str]]:
    """Phrases of the chunk's actions (first and last such), and of the nearest such before and behind it."""
    actions = setting.trajectory.actions
    chunk = range(setting.first, setting.end)
    behind = range(setting.end, min(len(actions), setting.end + _REACH))
    before = range(setting.first - 1, max(-1, setting.first - 1 - _REACH), -1)
    for where, indices in (("first", chunk), ("last", chunk[::-1]), ("behind", behind), ("before", before)):
        met: set[Source] = set()
        for index in indices:
            for phrase in action_form(actions[index]).phrases:
                for place in phrase.places:
                    if place not in met:
                        met.add(place)
                        yield (where, place), phrase.text


def _beside(setting: Setting) -> Iterator[tuple[Source, str]]:
    """What the very next action names, whatever it does."""
    if setting.end < len(setting.trajectory.actions):
        slots = action_form(setting.trajectory.actions[setting.end]).slots
        if slots:
            yield ("next action", 0), slots[0]
            yield ("next action", -1), slots[-1]


def _arguments(setting: Setting) -> Iterator[tuple[Source, str]]:
    """Arguments of other sub-goals: the next, the one before, the last of each verb, the one of equal rank."""
    around, number = setting.subgoals, setting.number
    if number + 1 < len(around) and (following := around[number + 1]) is not None and following.arguments:
        yield from ((("next sub-goal", i), text) for i, text in enumerate(following.arguments))
        yield ("next sub-goal", -1), following.arguments[-1]
    if number and (previous := around[number - 1]) is not None:
        yield from ((("sub-goal before", i), text) for i, text in enumerate(previous.arguments))
    mine = around[number]
    rank = sum(other is not None and mine is not None and other.verb == mine.verb for other in around[:number])
    met: Counter[str] = Counter()
    for other in around[:number]:
        if other is None:
            continue
        for i, text in enumerate(other.arguments):
            yield ("last", other.verb, i), text
            if met[other.verb] == rank:
                yield ("of equal rank", other.verb, i), text
        met[other.verb] += 1
