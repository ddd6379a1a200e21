"""One chunk in its demonstration, and every text around it from which an argument of its sub-goal may come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from wean.annotation.action_features import Position, action_form
from wean.data.annotations import AnnotatedTrajectory, SubGoal
from wean.data.trajectories import Trajectory

Source = tuple[object, ...]
"""Names a text around a chunk in the same way in every demonstration: where it is, then its position there."""

_REACH = 15  # actions before and behind a chunk whose phrases are looked at
_READ = 160  # characters of an observation that are read
_LONGEST = 6  # words of a text that is cut out between other words


@dataclass(frozen=True, eq=False)
class ChunkContext:
    """A chunk and what surrounds it.

    Attributes:
        trajectory: The demonstration.
        first: Its first action, from 0.
        end: One past its last action.
        number: Which of the demonstration's chunks it is.
        subgoals: The sub-goals of all its chunks; of those that are not bound yet, the verb alone.
    """

    trajectory: Trajectory
    first: int
    end: int
    number: int
    subgoals: Sequence[SubGoal]

    @property
    def verb(self) -> str:
        """The verb of the chunk's sub-goal."""
        return self.subgoals[self.number].verb

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the chunk's sub-goal, as far as they are known."""
        return self.subgoals[self.number].arguments

    @cached_property
    def frames(self) -> frozenset[str]:
        """The frames of its actions."""
        return frozenset(action_form(action).frame for action in self._actions)

    @cached_property
    def texts(self) -> dict[Source, str]:
        """Texts by their source: phrases of actions, arguments of other sub-goals."""
        return dict(self._phrases()) | dict(self._next_action()) | dict(self._arguments_around())

    @cached_property
    def lists(self) -> dict[Position, tuple[str, ...]]:
        """The distinct texts in one position of all the chunk's actions, in order."""
        lists: dict[Position, dict[str, None]] = {}
        for action in self._actions:
            for phrase in action_form(action).phrases:
                for position in phrase.positions:
                    lists.setdefault(position, {})[phrase.text] = None
        return {position: tuple(texts) for position, texts in lists.items()}

    def words(self, where: str) -> tuple[str, ...]:
        """The words of the task's description ("description"), or of the "first" or "last" action's observation."""
        if where == "description":
            return split_words(self.trajectory.description)
        step = self.trajectory.path[self.first if where == "first" else self.end - 1]
        return split_words(step.observation[:_READ])

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

    @property
    def _actions(self) -> tuple[str, ...]:
        return self.trajectory.actions[self.first : self.end]

    def _phrases(self) -> Iterator[tuple[Source, str]]:
        """Phrases of the chunk's actions (first and last such), and of the nearest such before and behind it."""
        actions = self.trajectory.actions
        chunk = range(self.first, self.end)
        behind = range(self.end, min(len(actions), self.end + _REACH))
        before = range(self.first - 1, max(-1, self.first - 1 - _REACH), -1)
        for where, indices in (("first", chunk), ("last", chunk[::-1]), ("behind", behind), ("before", before)):
            met: set[Position] = set()
            for index in indices:
                for phrase in action_form(actions[index]).phrases:
                    for position in phrase.positions:
                        if position not in met:
                            met.add(position)
                            yield (where, position), phrase.text

    def _next_action(self) -> Iterator[tuple[Source, str]]:
        """The outer slots of the very next action, whatever its frame."""
        if self.end < len(self.trajectory.actions):
            slots = action_form(self.trajectory.actions[self.end]).slots
            if slots:
                yield ("next action", 0), slots[0]
                yield ("next action", -1), slots[-1]

    def _arguments_around(self) -> Iterator[tuple[Source, str]]:
        """Arguments of other sub-goals: the next, the one before, the last of each verb, the one of equal rank."""
        number = self.number
        if number + 1 < len(self.subgoals) and (following := self.subgoals[number + 1].arguments):
            yield from ((("next sub-goal", i), text) for i, text in enumerate(following))
            yield ("next sub-goal", -1), following[-1]
        earlier = self.subgoals[:number]
        if earlier:
            yield from ((("sub-goal before", i), text) for i, text in enumerate(earlier[-1].arguments))
        rank = sum(other.verb == self.verb for other in earlier)
        met: Counter[str] = Counter()
        for other in earlier:
            for i, text in enumerate(other.arguments):
                yield ("last", other.verb, i), text
                if met[other.verb] == rank:
                    yield ("of equal rank", other.verb, i), text
            met[other.verb] += 1


@lru_cache(maxsize=8192)
def contexts_of(example: AnnotatedTrajectory) -> list[ChunkContext]:
    """Every chunk of an annotated demonstration."""
    trajectory, annotation = example
    subgoals = tuple(chunk.subgoal for chunk in annotation.chunks)
    starts = (0, *annotation.ends)
    return [
        ChunkContext(trajectory, first, end, number, subgoals)
        for number, (first, end) in enumerate(zip(starts, annotation.ends, strict=False))
    ]


@lru_cache(maxsize=65536)
def split_words(text: str) -> tuple[str, ...]:
    """Words and punctuation marks, in lower case."""
    return tuple(re.findall(r"[\w.-]*\w|[^\w\s]", text.lower()))
