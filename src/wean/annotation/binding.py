"""Names what a chunk is about: arguments made by the recipes that explain like chunks of annotated demonstrations.

A recipe is voted on by every annotated chunk of the same verb: for it where it makes the annotated argument, against
it where it makes another, a little against it where it makes none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wean.annotation.recipes import Recipe, recipes_for, turning_words
from wean.annotation.segmentation import Example
from wean.annotation.setting import Setting, Source, arguments_of, settings_of, verb_of
from wean.data.subgoals import SubGoal

_REFERENCE = 0.5  # votes of the chunk that the segmentation found to be alike, as a share of all others'
_OTHER_FRAMES = 0.4  # votes of a chunk made of other actions
_NOTHING_MADE = 0.3  # how much making nothing counts against a recipe, in a chunk of the same actions
_FOREIGN = 0.5  # votes of all chunks of other tasks together, at most
_MOST_FOREIGN = 16  # chunks of other tasks that are asked
_ENOUGH = 0.6  # share of votes with which no other chunk's recipes are tried
_NEAREST = 20  # chunks whose recipes are tried where the reference's are not enough
_MARKS = re.compile(r"[(),]")
_ENOUGH_FOR_A_LIST = 0.6  # share of votes that a list needs


class Bound(NamedTuple):
    """A sub-goal for a chunk.

    Attributes:
        subgoal: Verb and arguments.
        lead: By how much, in shares of votes, the closest argument is ahead of another text; at most 2.
    """

    subgoal: SubGoal
    lead: float


class Binder:
    """Names the chunks of one task.

    Args:
        own: Annotated demonstrations of the task.
        foreign: Annotated demonstrations of other tasks.
    """

    def __init__(self, own: Iterable[Example], foreign: Iterable[Example] = ()) -> None:
        self._own = _by_verb(own)
        self._foreign = _by_verb(foreign)
        self._turning = turning_words(
            setting for group in (self._own, self._foreign) for settings in group.values() for setting in settings
        )
        self._explained: dict[tuple[Setting, int], list[Recipe]] = {}
        self._voters: dict[tuple[object, ...], list[tuple[Setting, float]]] = {}
        self._ranked: dict[tuple[object, ...], list[tuple[float, Recipe]]] = {}
        self._lists: dict[tuple[object, ...], tuple[int, Source] | None] = {}

    def bind(self, setting: Setting, reference: Setting) -> Bound:
        """The sub-goal of a chunk.

        Args:
            setting: The chunk; its own entry among the sub-goals says at most the verb.
            reference: The annotated chunk that it is like.
        """
        verb = verb_of(reference)
        listed = self._best_list(verb, setting.frames)
        tail: tuple[str, ...] = ()
        known, lead = len(arguments_of(reference)), 2.0
        if listed is not None and (texts := setting.listed.get(listed[1])):
            known, tail = listed[0], texts
        arguments = []
        for index in range(known):
            text, ahead = self._argument(setting, reference, index)
            arguments.append(text)
            lead = min(lead, ahead)
        return Bound(SubGoal(verb, (*arguments, *map(_readable, tail))), lead)

    def _argument(self, setting: Setting, reference: Setting, index: int) -> tuple[str, float]:
        """(text, lead in share of votes over the best recipe that makes another text)."""
        made: dict[str, float] = {}
        for alone in (True, False):
            for votes, recipe in self._recipes(setting.frames, reference, index, alone):
                text = recipe.make(setting)
                if text and text not in made:
                    made[text] = votes
            best = max(made.values(), default=-1.0)
            if best > _ENOUGH:
                break
        if not made:
            return arguments_of(reference)[index], 0.0
        text, votes = max(made.items(), key=lambda item: item[1])
        rival = max((other for key, other in made.items() if key != text), default=-1.0)
        named = _readable(text)
        return named, votes - rival if named == text else 0.0  # nobody has shown how such a name is said

    def _recipes(
        self, frames: frozenset[str], reference: Setting, index: int, alone: bool
    ) -> list[tuple[float, Recipe]]:
        """(share of votes, recipe) for one argument, best first; of the reference alone, or of other chunks too."""
        key = (frames, reference, index, alone)
        if key not in self._ranked:
            voters = self._voting(verb_of(reference), frames, len(arguments_of(reference)))
            nearest = [] if alone else [s for s, _ in sorted(voters, key=lambda voter: -voter[1])[:_NEAREST]]
            candidates = dict.fromkeys(
                recipe for setting in (reference, *nearest) for recipe in self._explaining(setting, index)
            )
            total = sum(weight for _, weight in voters)
            voters = [*voters, (reference, _REFERENCE * total)]
            total *= 1 + _REFERENCE
            ranked = []
            for recipe in candidates:
                votes = sum(self._vote(recipe, setting, index, frames) * weight for setting, weight in voters)
                ranked.append(((votes - recipe.far) / total, recipe))
            self._ranked[key] = sorted(ranked, key=lambda entry: -entry[0])
        return self._ranked[key]

    def _explaining(self, setting: Setting, index: int) -> list[Recipe]:
        key = (setting, index)
        if key not in self._explained:
            self._explained[key] = list(recipes_for(setting, arguments_of(setting)[index], self._turning))
        return self._explained[key]

    def _vote(self, recipe: Recipe, setting: Setting, index: int, frames: frozenset[str]) -> float:
        if recipe not in setting.made:
            setting.made[recipe] = recipe.make(setting)
        made = setting.made[recipe]
        if made is None:
            return -_NOTHING_MADE if setting.frames == frames else 0.0
        return 1.0 if made == arguments_of(setting)[index] else -1.0

    def _voting(self, verb: str, frames: frozenset[str], arity: int | None) -> list[tuple[Setting, float]]:
        """The annotated chunks of a verb, with their weights."""
        key = (verb, frames, arity)
        if key not in self._voters:
            groups = []
            for settings in (self._own[verb], self._foreign[verb]):
                fitting = [s for s in settings if arity is None or len(arguments_of(s)) == arity]
                groups.append([(s, 1.0 if s.frames == frames else _OTHER_FRAMES) for s in fitting])
            own, foreign = groups
            foreign = sorted(foreign, key=lambda voter: -voter[1])[:_MOST_FOREIGN]
            scale = _FOREIGN / max(_FOREIGN, sum(weight for _, weight in foreign))
            self._voters[key] = [*own, *((setting, weight * scale) for setting, weight in foreign)]
        return self._voters[key]

    def _best_list(self, verb: str, frames: frozenset[str]) -> tuple[int, Source] | None:
        """(arguments before it, place) where a verb names one thing for each of its actions."""
        key = (verb, frames)
        if key not in self._lists:
            voters = self._voting(verb, frames, None)
            self._lists[key] = _vote_for_lists(voters)
        return self._lists[key]


def _readable(name: str) -> str:
    """A name without the marks that part arguments: "book (the foundations" would be no argument."""
    return " ".join(_MARKS.sub(" ", name).split())


def _vote_for_lists(voters: Sequence[tuple[Setting, float]]) -> tuple[int, Source] | None:
    if all(len(arguments_of(setting)) < 3 for setting, _ in voters):
        lengths = {len(arguments_of(setting)) for setting, _ in voters}
        if len(lengths) < 2:
            return None
    candidates: dict[tuple[int, Source], None] = {}
    for setting, _ in sorted(voters, key=lambda voter: -voter[1])[:20]:
        arguments = arguments_of(setting)
        for place, texts in setting.listed.items():
            if 2 <= len(texts) <= len(arguments) and arguments[-len(texts) :] == texts:
                candidates[len(arguments) - len(texts), place] = None
    total = sum(weight for _, weight in voters)
    best: tuple[int, Source] | None = None
    most = _ENOUGH_FOR_A_LIST
    for before, place in candidates:
        votes = 0.0
        for setting, weight in voters:
            texts = setting.listed.get(place, ())
            right = texts == arguments_of(setting)[before:]
            votes += weight * (1.0 if right else -1.0 if texts else -_NOTHING_MADE)
        if votes / total > most:
            most, best = votes / total, (before, place)
    return best


def _by_verb(examples: Iterable[Example]) -> dict[str, list[Setting]]:
    groups: dict[str, list[Setting]] = defaultdict(list)
    for example in examples:
        for setting in settings_of(*example):
            groups[verb_of(setting)].append(setting)
    return groups
