"""Carries the sub-goals of a few annotated demonstrations over to all others of their task.

A demonstration is segmented into chunks like those of the annotated ones (`segmentation`), and every chunk gets the
sub-goal of the chunk that it is like, with the arguments bound anew to its own actions, description and observations
(`binding`). Of demonstrations with a low confidence it is better to ask the model.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from wean.annotation.argument_rules import ArgumentRule, rules_for, turning_words
from wean.annotation.features import ChunkContext, Position, contexts_of, features_of
from wean.annotation.segmentation import Segmenter
from wean.data.annotations import AnnotatedTrajectory, Annotation, Chunk, SubGoal
from wean.data.trajectories import Trajectory
from wean.errors import UsageError

MOST_LEAD = 0.5  # a greater lead makes nothing more certain

# Logistic regression of "all sub-goals are as the model would have said" on lead and trust, fitted by
# benchmarks/confidence.py on the demonstrations that come with wean; its results say how well it holds on new tasks.
COEFFICIENTS = {"intercept": -1.6, "lead": 7.45, "trust": 3.13}
_FOREIGN_LEAD = 0.2  # at most, where a sub-goal had to be borrowed from another task


class Carried(NamedTuple):
    """A carried annotation before its confidence is known.

    Attributes:
        chunks: The sub-goals.
        lead: By how much, in shares of votes, the closest argument was ahead of another one, 0 to 2.
    """

    chunks: tuple[Chunk, ...]
    lead: float


class Propagator:
    """Propagates annotations within each task, with help from all others.

    Of the other tasks' sub-goals only those made of actions of the trajectories or of a task's own examples are used.
    """

    def __init__(self, examples: Sequence[AnnotatedTrajectory], trajectories: Iterable[Trajectory] = ()) -> None:
        if not examples:
            raise UsageError("there is no annotated demonstration to learn from; ask about one of each task first")
        self._examples = list(examples)
        self._frames: dict[str, set[str]] = {}
        for trajectory in (*trajectories, *(trajectory for trajectory, _ in examples)):
            frames = self._frames.setdefault(trajectory.task, set())
            frames.update(action.frame for action in features_of(trajectory).features)
        self._carriers: dict[str, _Carrier] = {}
        self._trust: dict[str, float] = {}

    def propagate(self, trajectory: Trajectory) -> Annotation:
        """The sub-goals of a demonstration, with the confidence that they are right throughout."""
        task = trajectory.task
        carried = self.carry(trajectory)
        lead, trust = min(carried.lead, MOST_LEAD), self.trust(task)
        odds = COEFFICIENTS["intercept"] + COEFFICIENTS["lead"] * lead + COEFFICIENTS["trust"] * trust
        confidence = 1 / (1 + math.exp(-odds))
        model = self._carriers[task].model
        return Annotation(
            task, trajectory.variation, carried.chunks, "propagated", model, "", confidence, trajectory.digest
        )

    def carry(self, trajectory: Trajectory) -> Carried:
        """The sub-goals of a demonstration, and how clear their arguments are."""
        task = trajectory.task
        if task not in self._carriers:
            self._carriers[task] = self._carrier(task)
        return self._carriers[task].carry(trajectory)

    def carry_without(self, example: AnnotatedTrajectory) -> Carried:
        """The carried sub-goals of an annotated demonstration when its own annotation is left out."""
        return self._carrier(example[0].task, without=example[0]).carry(example[0])

    def trust(self, task: str) -> float:
        """Share of a task's annotated demonstrations that propagation gets right when each is left out.

        Laplace's rule of succession: 0.5 for one annotated demonstration, 0 for none.
        """
        if task not in self._trust:
            own = [example for example in self._examples if example[0].task == task]
            if len(own) < 2:
                self._trust[task] = 0.5 * len(own)
            else:
                right = sum(self.carry_without(example).chunks == example[1].chunks for example in own)
                self._trust[task] = (right + 1) / (len(own) + 2)
        return self._trust[task]

    def _carrier(self, task: str, without: Trajectory | None = None) -> _Carrier:
        examples = [example for example in self._examples if example[0] is not without]
        own = [example for example in examples if example[0].task == task]
        foreign = [example for example in examples if example[0].task != task]
        return _Carrier(own, foreign, frozenset(self._frames.get(task, ())))


class _Carrier:
    """Propagation within one task."""

    def __init__(
        self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory], frames: frozenset[str]
    ) -> None:
        self._segmenter = Segmenter(own, foreign, frames)
        self._binder = Binder(own, foreign)
        self.model = next((annotation.model for _, annotation in (*own, *foreign) if annotation.model), "")

    def carry(self, trajectory: Trajectory) -> Carried:
        segments = self._segmenter.segment(trajectory)
        references = [contexts_of(segment.example)[segment.chunk] for segment in segments]
        subgoals = [SubGoal(reference.verb, ()) for reference in references]
        # Twice: an argument may come from the next sub-goal, which is not bound yet in the first round.
        leads: list[float] = []
        for _ in range(2):
            leads = []
            for number, (segment, reference) in enumerate(zip(segments, references, strict=True)):
                context = ChunkContext(trajectory, segment.first, segment.end, number, tuple(subgoals))
                bound = self._binder.bind(context, reference)
                subgoals[number] = bound.subgoal
                leads.append(bound.lead if segment.own else min(bound.lead, _FOREIGN_LEAD))
        chunks = [Chunk(subgoal, one.end - one.first) for subgoal, one in zip(subgoals, segments, strict=True)]
        return Carried(tuple(chunks), min(leads))


_REFERENCE = 0.5  # votes of the chunk that the segmentation found to be alike, as a share of all others'
_OTHER_FRAMES = 0.4  # votes of a chunk made of other actions
_NOTHING_DERIVED = 0.3  # how much deriving nothing counts against a rule, in a chunk of the same actions
_FOREIGN = 0.5  # votes of all chunks of other tasks together, at most
_MOST_FOREIGN = 16  # chunks of other tasks that vote
_ENOUGH = 0.6  # share of votes with which no other chunk's rules are tried, and that a list needs
_NEAREST = 20  # chunks whose rules are tried where the reference's are not enough
_MARKS = re.compile(r"[(),]")

Voter = tuple[ChunkContext, float]
"""An annotated chunk and the weight of its vote."""


class Bound(NamedTuple):
    """A chunk's sub-goal, and by how many shares of votes its closest argument leads; at most 2."""

    subgoal: SubGoal
    lead: float


class Binder:
    """Binds the arguments of one task's sub-goals."""

    def __init__(self, own: Iterable[AnnotatedTrajectory], foreign: Iterable[AnnotatedTrajectory] = ()) -> None:
        self._own = _by_verb(own)
        self._foreign = _by_verb(foreign)
        self._turning = turning_words(
            context for group in (self._own, self._foreign) for contexts in group.values() for context in contexts
        )
        self._rules_of = cache(self._find_rules)
        self._voters = cache(self._find_voters)
        self._ranked = cache(self._rank_rules)
        self._best_list = cache(self._find_best_list)

    def bind(self, context: ChunkContext, reference: ChunkContext) -> Bound:
        """The sub-goal of a chunk whose verb is known, by the annotated chunk `reference` that it is like."""
        known, lead = len(reference.arguments), 2.0
        tail: tuple[str, ...] = ()
        listed = self._best_list(reference.verb, context.frames)
        if listed is not None and (texts := context.lists.get(listed[1])):
            known, tail = listed[0], texts
        arguments = []
        for index in range(known):
            text, ahead = self._argument(context, reference, index)
            arguments.append(text)
            lead = min(lead, ahead)
        return Bound(SubGoal(reference.verb, (*arguments, *map(_readable, tail))), lead)

    def _argument(self, context: ChunkContext, reference: ChunkContext, index: int) -> tuple[str, float]:
        """(text, lead in share of votes over the best rule that derives another text)."""
        derived: dict[str, float] = {}
        for alone in (True, False):
            for votes, rule in self._ranked(context.frames, reference, index, alone):
                text = rule.derive(context)
                if text and text not in derived:
                    derived[text] = votes
            if max(derived.values(), default=-1.0) > _ENOUGH:
                break
        if not derived:
            return reference.arguments[index], 0.0
        text, votes = max(derived.items(), key=lambda item: item[1])
        rival = max((other for key, other in derived.items() if key != text), default=-1.0)
        named = _readable(text)
        return named, votes - rival if named == text else 0.0  # no annotation shows how such a name is written

    def _rank_rules(
        self, frames: frozenset[str], reference: ChunkContext, index: int, alone: bool
    ) -> list[tuple[float, ArgumentRule]]:
        """(share of votes, rule) for one argument, best first; rules of the reference alone, or of others too."""
        voters = self._voters(reference.verb, frames, len(reference.arguments))
        nearest = [] if alone else [context for context, _ in _heaviest(voters, _NEAREST)]
        candidates = dict.fromkeys(rule for context in (reference, *nearest) for rule in self._rules_of(context, index))
        total = sum(weight for _, weight in voters)
        voters = [*voters, (reference, _REFERENCE * total)]
        total *= 1 + _REFERENCE
        ranked = []
        for rule in candidates:
            ranked.append(((_votes(rule, voters, index, frames) - rule.distance) / total, rule))
        return sorted(ranked, key=lambda entry: -entry[0])

    def _find_rules(self, context: ChunkContext, index: int) -> list[ArgumentRule]:
        return list(rules_for(context, context.arguments[index], self._turning))

    def _find_voters(self, verb: str, frames: frozenset[str], arity: int | None) -> list[Voter]:
        """The annotated chunks of a verb and, unless None, a number of arguments, with their weights."""
        own, foreign = (
            [
                (context, 1.0 if context.frames == frames else _OTHER_FRAMES)
                for context in group[verb]
                if arity is None or len(context.arguments) == arity
            ]
            for group in (self._own, self._foreign)
        )
        foreign = _heaviest(foreign, _MOST_FOREIGN)
        scale = _FOREIGN / max(_FOREIGN, sum(weight for _, weight in foreign))
        return [*own, *((context, weight * scale) for context, weight in foreign)]

    def _find_best_list(self, verb: str, frames: frozenset[str]) -> tuple[int, Position] | None:
        """(arguments before the list, position) where a verb names one entity for each of its actions."""
        voters = self._voters(verb, frames, None)
        lengths = {len(context.arguments) for context, _ in voters}
        if len(lengths) < 2 and max(lengths, default=0) < 3:
            return None
        candidates: dict[tuple[int, Position], None] = {}
        for context, _ in _heaviest(voters, _NEAREST):
            for position, texts in context.lists.items():
                if 2 <= len(texts) <= len(context.arguments) and context.arguments[-len(texts) :] == texts:
                    candidates[len(context.arguments) - len(texts), position] = None
        total = sum(weight for _, weight in voters)
        best, most = None, _ENOUGH
        for before, position in candidates:
            votes = 0.0
            for context, weight in voters:
                texts = context.lists.get(position, ())
                right = texts == context.arguments[before:]
                votes += weight * (1.0 if right else -1.0 if texts else -_NOTHING_DERIVED)
            if votes / total > most:
                best, most = (before, position), votes / total
        return best


@lru_cache(maxsize=2**18)
def _derived(rule: ArgumentRule) -> dict[ChunkContext, str | None]:
    """The arguments that a rule derived in annotated chunks so far: many demonstrations need the same votes."""
    return {}


def _votes(rule: ArgumentRule, voters: Sequence[Voter], index: int, frames: frozenset[str]) -> float:
    """The votes for a rule less those against it."""
    derived, votes = _derived(rule), 0.0
    for context, weight in voters:
        if context not in derived:
            derived[context] = rule.derive(context)
        if derived[context] is None:
            votes -= weight * (_NOTHING_DERIVED if context.frames == frames else 0.0)
        else:
            votes += weight if derived[context] == context.arguments[index] else -weight
    return votes


def _heaviest(voters: Sequence[Voter], count: int) -> list[Voter]:
    return sorted(voters, key=lambda voter: -voter[1])[:count]


def _readable(name: str) -> str:
    """A name without the marks that part arguments: "book (the foundations" would be no argument."""
    return " ".join(_MARKS.sub(" ", name).split())


def _by_verb(examples: Iterable[AnnotatedTrajectory]) -> dict[str, list[ChunkContext]]:
    groups: dict[str, list[ChunkContext]] = defaultdict(list)
    for example in examples:
        for context in contexts_of(example):
            groups[context.verb].append(context)
    return groups
