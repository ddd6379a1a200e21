"""Segments a demonstration into chunks like those of annotated ones: the cheapest walk through their actions (Viterbi).

Every action of the annotated demonstrations is a state. A new demonstration is explained as a walk through states, one
for each of its actions, with emission costs where an action looks unlike its state and transition costs where the walk
leaves the order of the annotated ones. Following one annotated demonstration from its first to its last action is free;
loops inside a sub-goal, changing to another demonstration and jumping have costs. A chunk starts where the walk passes
from one sub-goal to another. Demonstrations of other tasks lend single sub-goals, at a price.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from wean.annotation.features import ActionFeatures, FeatureSequence, features_of
from wean.data.annotations import AnnotatedTrajectory
from wean.data.trajectories import Trajectory

Floats = NDArray[np.floating]
T = TypeVar("T", bound=Hashable)


class Costs(NamedTuple):
    """The prices of an explanation. Only their ratios matter; they were chosen on 15 of ScienceWorld's 30 tasks.

    Attributes:
        frame: The action has another verb or other small words; half of it where the verb is the same.
        slot: A slot names something else; half of it where the last word is the same, or where the sub-goal's
            arguments name the state's slot (it is there to be replaced).
        mission_slot: As `slot`, where the description of its own task names either.
        again: Repeated in only one of the two demonstrations.
        linked: Names what the action before it names, in only one of the two.
        loop: A loop inside a sub-goal, as in annotated ones.
        odd_loop: The same, where only the frames agree.
        skip: Leaving out one action of a sub-goal.
        torn: A step inside a sub-goal that was never seen.
        cut_short: Leaving a sub-goal before its end, or entering it after its start.
        switch: Going on in another demonstration, behind a like sub-goal that ends alike.
        order: Two sub-goals whose verbs follow each other elsewhere in this task.
        foreign_order: ... that follow each other in other tasks only.
        new_order: ... that never follow each other.
        drift: Jumping from the start of a demonstration to the end; shorter jumps in proportion.
        foreign: Using a sub-goal of another task.
        edge: Starting elsewhere than at a start, or ending elsewhere than at an end; and in proportion to how far.
        chunk: Each chunk, so that of two explanations that cost the same the one with fewer chunks is taken.
    """

    frame: float = 3.0
    slot: float = 0.6
    mission_slot: float = 0.2
    again: float = 0.3
    linked: float = 0.3
    loop: float = 0.4
    odd_loop: float = 0.8
    skip: float = 1.0
    torn: float = 4.0
    cut_short: float = 2.5
    switch: float = 0.2
    order: float = 0.4
    foreign_order: float = 0.8
    new_order: float = 1.5
    drift: float = 1.0
    foreign: float = 0.8
    edge: float = 0.5
    chunk: float = 0.01


@dataclass(frozen=True)
class Segment:
    """One chunk of a segmented demonstration: actions `first` to `end` - 1, explained by a chunk of an example.

    `own` is whether that example is of the same task.
    """

    first: int
    end: int
    example: AnnotatedTrajectory
    chunk: int
    own: bool


@dataclass(frozen=True)
class _State:
    """An action of an annotated demonstration.

    States of one `sequence` may follow each other at no cost; `place` counts the demonstration's kept actions;
    `progress` is that of the chunk in the demonstration, 0 to 1; `filled` is for each slot whether the sub-goal's
    arguments name it.
    """

    example: AnnotatedTrajectory
    sequence: int
    place: int
    chunk: int
    progress: float
    verb: str
    features: ActionFeatures
    filled: tuple[bool, ...]
    starts: bool
    ends: bool
    last: bool
    own: bool


class Segmenter:
    """Segments demonstrations of one task, by annotated ones of it (`own`) and of other tasks (`foreign`).

    Only foreign sub-goals made of `frames` are used; None uses all.
    """

    def __init__(
        self,
        own: Sequence[AnnotatedTrajectory],
        foreign: Sequence[AnnotatedTrajectory] = (),
        frames: frozenset[str] | None = None,
    ) -> None:
        self._costs = Costs()
        self._states = [
            replace(state, sequence=number) for number, example in enumerate(own) for state in _states_of(example)
        ]
        self._states += _foreign_states(foreign, len(own), frames)
        self._enter, self._leave = self._edge_costs()
        drift = self._drift()
        across = self._costs_across(own, foreign, drift)
        inside = self._costs_inside(own, foreign, drift)
        self._step = np.asfortranarray(np.minimum(inside, across), np.float32)
        self._cuts = across < inside

    def segment(self, trajectory: Trajectory) -> list[Segment]:
        """The chunks of a demonstration, in their order, by its cheapest explanation."""
        seen = features_of(trajectory)
        emission = self._emission_costs(seen)
        reach = self._enter + emission[0]
        back: list[NDArray[np.intp]] = []
        rows = np.arange(len(self._states))
        for row in emission[1:]:
            ways = self._step.T + reach  # (to, from): the memory lies so that this order is the fast one
            best = ways.argmin(1)
            back.append(best)
            reach = ways[rows, best] + row
        walk = [int((reach + self._leave).argmin())]
        for best in reversed(back):
            walk.append(int(best[walk[-1]]))
        walk.reverse()
        return self._segments(seen, walk)

    def _segments(self, seen: FeatureSequence, walk: list[int]) -> list[Segment]:
        """The segments of a walk; the chunk in which a segment spends most of its actions explains it."""
        starts = [0, *(i for i in range(1, len(walk)) if self._cuts[walk[i - 1], walk[i]])]
        stops = [*starts[1:], len(walk)]
        ends = [*(seen.kept[start] for start in starts[1:]), seen.length]
        segments = []
        for first, start, stop, end in zip([0, *ends[:-1]], starts, stops, ends, strict=True):
            visited = [self._states[state] for state in walk[start:stop]]
            chunks = [(state.sequence, state.chunk) for state in visited]
            state = visited[chunks.index(max(chunks, key=chunks.count))]
            segments.append(Segment(first, end, state.example, state.chunk, state.own))
        return segments

    # --- emission: how unlike an action and a state are -------------------------------------------------------------

    def _emission_costs(self, seen: FeatureSequence) -> Floats:
        """(actions, states) the costs of an action looking unlike a state."""
        kinds, of_state = _distinct((state.features, state.filled) for state in self._states)
        actions, of_action = _distinct(seen.features)
        table = np.array([[self._unlikeness(action, *kind) for kind in kinds] for action in actions], np.float32)
        return np.asarray(table[np.ix_(of_action, of_state)])

    def _unlikeness(self, here: ActionFeatures, there: ActionFeatures, filled: tuple[bool, ...]) -> float:
        costs, total = self._costs, 0.0
        if here.frame != there.frame:
            total += costs.frame / (2 if here.frame.split()[0] == there.frame.split()[0] else 1)
        else:
            for (ours, mission), (theirs, their_mission), replaced in zip(here.slots, there.slots, filled, strict=True):
                if ours == theirs:
                    continue
                if mission and their_mission:
                    total += costs.mission_slot
                else:
                    total += costs.slot / (2 if replaced or ours.split()[-1] == theirs.split()[-1] else 1)
        return total + costs.again * (here.again != there.again) + costs.linked * (here.linked != there.linked)

    # --- transition: how far a walk leaves the annotated order ------------------------------------------------------

    def _edge_costs(self) -> tuple[Floats, Floats]:
        """(states,) the costs of starting in a state, and of ending in it."""
        costs, enter, leave = self._costs, [], []
        for state in self._states:
            foreign = costs.edge + costs.foreign
            first = 0.0 if state.own and state.place == 0 else costs.edge + state.progress if state.own else foreign
            enter.append(first + (0.0 if state.starts else costs.cut_short))
            final = 0.0 if state.own and state.last else costs.edge + (1 - state.progress if state.own else 0.0)
            leave.append(final + (0.0 if state.ends else costs.cut_short))
        return np.array(enter, np.float32), np.array(leave, np.float32)

    def _costs_across(
        self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory], drift: Floats
    ) -> Floats:
        """(states, states) the costs of going from one to another if a new chunk starts with it."""
        costs = self._costs
        is_own, chunk = self._column(lambda state: state.own), self._column(lambda state: state.chunk)
        follows = self._same(lambda state: state.sequence) & (chunk[None, :] == chunk[:, None] + 1) & is_own[:, None]
        order = np.where(self._ends_alike(), costs.switch, self._order_costs(own, foreign))
        across = np.where(follows, 0.0, order + drift) + np.where(is_own, 0.0, costs.foreign)[None, :]
        ends, starts = self._column(lambda state: state.ends), self._column(lambda state: state.starts)
        across += np.where(ends, 0.0, costs.cut_short)[:, None] + np.where(starts, 0.0, costs.cut_short)[None, :]
        return np.asarray(across + costs.chunk)

    def _costs_inside(
        self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory], drift: Floats
    ) -> Floats:
        """(states, states) the costs of going from one to another inside a chunk; infinite between verbs."""
        costs, place = self._costs, self._column(lambda state: state.place)
        steps = place[None, :] - place[:, None]
        onwards = self._same(lambda state: state.sequence) & self._same(lambda state: state.chunk) & (steps > 0)
        looping = self._loop_costs(own, foreign) + drift
        inside = np.where(onwards, np.minimum(looping, costs.skip * (steps - 1)), looping)
        return np.where(self._same(lambda state: state.verb), np.minimum(inside, costs.torn), np.inf)

    def _drift(self) -> Floats:
        """(states, states) the costs of jumping within or between demonstrations of the task."""
        progress, is_own = self._column(lambda state: state.progress), self._column(lambda state: state.own)
        jump = np.abs(progress[:, None] - progress[None, :]) * self._costs.drift
        return np.where(is_own[:, None] & is_own[None, :], jump, 0.0)

    def _order_costs(self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory]) -> Floats:
        """(states, states) the costs of one's verb following the other's."""
        costs = self._costs
        verbs, of_state = _distinct(state.verb for state in self._states)
        number = {verb: index for index, verb in enumerate(verbs)}
        table = np.full((len(verbs), len(verbs)), costs.new_order)
        for examples, cost in ((foreign, costs.foreign_order), (own, costs.order)):
            for _, annotation in examples:
                row = [chunk.subgoal.verb for chunk in annotation.chunks]
                for before, after in itertools.pairwise(row):
                    if before in number and after in number:
                        table[number[before], number[after]] = cost
        return np.asarray(table[np.ix_(of_state, of_state)])

    def _ends_alike(self) -> NDArray[np.bool_]:
        """(states, states) whether, in its own demonstration, a chunk like the one's comes before the other's."""
        final = {(s.sequence, s.chunk): (s.verb, s.features.frame) for s in self._states if s.ends}
        kinds, ours = _distinct((s.verb, s.features.frame) for s in self._states)
        number = {kind: index for index, kind in enumerate(kinds)}
        before = [final.get((s.sequence, s.chunk - 1)) if s.own else None for s in self._states]
        theirs = np.array([-1 if kind is None else number.get(kind, -1) for kind in before])
        return np.asarray((ours[:, None] == theirs[None, :]) & self._column(lambda state: state.own)[:, None])

    def _loop_costs(self, own: Sequence[AnnotatedTrajectory], foreign: Sequence[AnnotatedTrajectory]) -> Floats:
        """(states, states) the costs of going on inside a chunk as in annotated chunks of that verb."""
        alike: set[tuple[object, ...]] = set()  # pairs of neighbouring actions with all that counts of them
        frames: set[tuple[object, ...]] = set()  # their frames alone
        for examples, is_own in ((own, True), (foreign, False)):
            for verb, before, after in itertools.chain.from_iterable(map(_neighbours_inside, examples)):
                alike.add((is_own, verb, before.frame, before.again, after.frame, after.again, after.linked))
                frames.add((is_own, verb, before.frame, after.frame))
        kinds, of_state = _distinct(
            (s.own, s.verb, s.features.frame, s.features.again, s.features.linked) for s in self._states
        )
        table = np.full((len(kinds), len(kinds)), np.inf)
        for row, (is_own, verb, frame, again, _) in enumerate(kinds):
            for column, (also_own, also_verb, next_frame, next_again, linked) in enumerate(kinds):
                if (is_own, verb) != (also_own, also_verb):
                    continue
                if (is_own, verb, frame, again, next_frame, next_again, linked) in alike:
                    table[row, column] = self._costs.loop
                elif (is_own, verb, frame, next_frame) in frames:
                    table[row, column] = self._costs.odd_loop
        return np.asarray(table[np.ix_(of_state, of_state)])

    def _column(self, field: Callable[[_State], Any]) -> NDArray[Any]:
        """(states,) one field of all states."""
        return np.array([field(state) for state in self._states])

    def _same(self, field: Callable[[_State], Any]) -> NDArray[np.bool_]:
        """(states, states) whether both agree in a field."""
        column = self._column(field)
        return np.asarray(column[:, None] == column[None, :])


@lru_cache(maxsize=8192)
def _states_of(example: AnnotatedTrajectory) -> tuple[_State, ...]:
    """Every kept action of an annotated demonstration."""
    seen, annotation = features_of(example[0]), example[1]
    chunks = [annotation.chunk_of[action] for action in seen.kept]
    states = []
    for place, (number, features) in enumerate(zip(chunks, seen.features, strict=True)):
        subgoal = annotation.chunks[number].subgoal
        state = _State(
            example,
            sequence=0,
            place=place,
            chunk=number,
            progress=number / max(1, len(annotation.chunks) - 1),
            verb=subgoal.verb,
            features=features,
            filled=tuple(any(slot in name or name in slot for name in subgoal.arguments) for slot, _ in features.slots),
            starts=place == 0 or chunks[place - 1] != number,
            ends=place + 1 == len(chunks) or chunks[place + 1] != number,
            last=place + 1 == len(chunks),
            own=True,
        )
        states.append(state)
    return tuple(states)


def _foreign_states(
    examples: Iterable[AnnotatedTrajectory], sequence: int, frames: frozenset[str] | None
) -> list[_State]:
    """The distinct chunks of demonstrations of other tasks, each a sequence of its own."""
    states: list[_State] = []
    met: set[tuple[object, ...]] = set()
    for example in examples:
        for _, chunk in itertools.groupby(_states_of(example), key=lambda state: state.chunk):
            group = list(chunk)
            looks = [(state.features.frame, tuple(slot for slot, _ in state.features.slots)) for state in group]
            kind = (group[0].verb, *looks)
            if kind in met or (frames is not None and not all(frame in frames for frame, _ in looks)):
                continue
            met.add(kind)
            states += [replace(state, sequence=sequence, own=False) for state in group]
            sequence += 1
    return states


def _neighbours_inside(example: AnnotatedTrajectory) -> Iterable[tuple[str, ActionFeatures, ActionFeatures]]:
    """(verb, features, features) of all neighbouring actions that belong to one chunk."""
    for before, after in itertools.pairwise(_states_of(example)):
        if before.chunk == after.chunk:
            yield after.verb, before.features, after.features


def _distinct(values: Iterable[T]) -> tuple[list[T], NDArray[np.intp]]:
    """The distinct values in the order in which they first come, and for each value its number among them."""
    number: dict[T, int] = {}
    index = [number.setdefault(value, len(number)) for value in values]
    return list(number), np.array(index, np.intp)
