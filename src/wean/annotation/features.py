"""Actions and chunks of demonstrations taken apart.

"move egg turtle in inventory to red box" has the frame `move _ in _ to _` and the slots "egg turtle", "inventory",
"red box". Nothing here knows an environment; the small words are English ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from wean.data.annotations import AnnotatedTrajectory, SubGoal
from wean.data.trajectories import Trajectory

_SMALL_WORDS = frozenset((
    "up", "down", "on", "in", "at", "around", "out", "off", "to", "into", "onto", "from", "with", "over",
    "containing", "of", "for", "under", "inside",
))  # fmt: skip

Position = tuple[object, ...]
"""Names a part of an action in the same way in every action that has it."""


class Phrase(NamedTuple):
    """A part of an action that may name an entity, in lower case.

    Its positions: by the whole frame around it, and by the verb and the small word before it alone.
    """

    text: str
    positions: tuple[Position, ...]


class ActionForm(NamedTuple):
    """The frame of an action (verb and small words, "_" for each slot), its slots, and runs of slots as phrases."""

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
    """One action as the segmentation sees it: its frame, and each slot with whether the description names it.

    `again` is true where it was done before in this demonstration, or leads back to a place that was seen before;
    `linked` where it names something that the action before it names.
    """

    frame: str
    slots: tuple[tuple[str, bool], ...]
    again: bool
    linked: bool


@dataclass(frozen=True)
class FeatureSequence:
    """The features of a demonstration's actions, without the middles of long repetitions.

    `kept` are the indices of the remaining actions: of four or more equal actions in a row the first two and the last,
    since a sub-goal hardly begins in between; `length` counts all actions.
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


Source = tuple[object, ...]
"""Names a text around a chunk in the same way in every demonstration: where it is, then its position there."""

_REACH = 15  # actions before and behind a chunk whose phrases are looked at
_READ = 160  # characters of an observation that are read
_LONGEST = 6  # words of a text that is cut out between other words


@dataclass(frozen=True, eq=False)
class ChunkContext:
    """A chunk and its surroundings.

    Attributes:
        trajectory: The demonstration.
        first: Its first action, from 0.
        end: One past its last action.
        number: Its number among the demonstration's chunks.
        subgoals: The sub-goals of all chunks; only the verb of those not bound yet.
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
