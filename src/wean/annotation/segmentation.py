"""Cuts a demonstration into chunks like those of annotated ones: the cheapest walk through their actions.

Every action of the annotated demonstrations is a state. A new demonstration is explained as a walk through states,
one for each of its actions: it pays where an action looks unlike its state, and where the walk leaves the order of
the annotated ones. Following one annotated demonstration from its first to its last action costs nothing, so does
going from there to the next sub-goal; loops inside a sub-goal, changing to another demonstration and jumping cost
something. Chunks begin where the walk passes from one sub-goal to another. Demonstrations of other tasks lend
single sub-goals, at a price. The walk is found with dynamic programming (Viterbi).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.annotation.sketch import Look, Sketch, sketch
from wean.data.annotations import Annotation
from wean.data.trajectories import Trajectory

Example = tuple[Trajectory, Annotation]


class Costs(NamedTuple):
    """What an explanation pays. Only their ratios matter; they were chosen on 15 of ScienceWorld's 30 tasks.

    Attributes:
        frame: The action has another verb or other small words; half of it where the verb is the same.
        slot: A slot names something else; half of it where the last word is the same, or where the sub-goal's
            arguments name the state's slot (it is there to be replaced).
        mission_slot: As `slot`, where the description of its own task names either.
        again: Done before here but not there, or the other way round.
        linked: Names what the action before it names here but not there, or the other way round.
        loop: Going round inside a sub-goal as annotated ones do.
        odd_loop: The same, where only the frames agree.
        skip: Leaving out one action of a sub-goal.
        torn: Going on inside a sub-goal in a way that was never seen.
        cut_short: Leaving a sub-goal before its end, or entering it after its start.
        switch: Going on in another demonstration, behind a like sub-goal that ends alike.
        order: Two sub-goals whose verbs follow each other elsewhere in this task.
        foreign_order: ... that follow each other in other tasks only.
        new_order: ... that never follow each other.
        drift: Jumping from the beginning of a demonstration to the end; shorter jumps in proportion.
        foreign: Using a sub-goal of another task.
        edge: Beginning elsewhere than at a start, or ending elsewhere than at an end; and in proportion to how far.
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


@dataclass(frozen=True)
class Piece:
    """One chunk of a cut demonstration.

    Attributes:
        first: Its first action, from 0.
        end: One past its last action.
        example: The annotated demonstration, and the number of the chunk in it, that it was explained by.
        chunk: That number.
        own: Whether that demonstration is of the same task.
    """

    first: int
    end: int
    example: Example
    chunk: int
    own: bool


@dataclass(frozen=True)
class _State:
    example: Example
    sequence: int  # states of one sequence may follow each other
    place: int  # among the kept actions of its demonstration
    chunk: int
    progress: float  # of the chunk in its demonstration, 0 to 1
    verb: str
    look: Look
    filled: tuple[bool, ...]  # for each slot whether the sub-goal's arguments name it
    starts: bool
    ends: bool
    last: bool
    own: bool


class Segmenter:
    """Cuts demonstrations of one task.

    Args:
        own: Annotated demonstrations of the task.
        foreign: Annotated demonstrations of other tasks.
        frames: Only foreign sub-goals made of these frames are used; None uses all.
        costs: What explanations pay.
    """

    def __init__(
        self,
        own: Sequence[Example],
        foreign: Sequence[Example] = (),
        frames: frozenset[str] | None = None,
        costs: Costs | None = None,
    ) -> None:
        self._costs = costs or Costs()
        self._states = [state for number, example in enumerate(own) for state in _own_states(example, number)]
        self._states += _foreign_states(foreign, len(own), frames)
        self._step, self._cuts = self._transitions(own, foreign)
        self._enter, self._leave = self._edges()

    def cut(self, trajectory: Trajectory) -> list[Piece]:
        """The cheapest explanation of a demonstration.

        Args:
            trajectory: What is to be cut.

        Returns:
            Its chunks in their order. There is at least one state, that is, one annotated demonstration.
        """
        seen = sketch(trajectory)
        unlike = self._unlikeness(seen)
        reach = self._enter + unlike[0]
        back: list[NDArray[np.intp]] = []
        rows = np.arange(len(self._states))
        for row in unlike[1:]:
            ways = self._step.T + reach  # (to, from): the memory lies so that this order is the fast one
            best = ways.argmin(1)
            back.append(best)
            reach = ways[rows, best] + row
        walk = [int((reach + self._leave).argmin())]
        for best in reversed(back):
            walk.append(int(best[walk[-1]]))
        walk.reverse()
        return self._pieces(seen, walk)

    def _pieces(self, seen: Sketch, walk: list[int]) -> list[Piece]:
        starts = [0, *(i for i in range(1, len(walk)) if self._cuts[walk[i - 1], walk[i]])]
        ends = seen.ends(starts)
        pieces = []
        for first, start, stop, end in zip([0, *ends], starts, [*starts[1:], len(walk)], ends, strict=False):
            visited = [self._states[state] for state in walk[start:stop]]
            chunks = [(state.sequence, state.chunk) for state in visited]
            most = max(chunks, key=chunks.count)
            state = visited[chunks.index(most)]
            pieces.append(Piece(first, end, state.example, state.chunk, state.own))
        return pieces

    def _unlikeness(self, seen: Sketch) -> NDArray[np.float32]:
        """(actions, states) what it costs that an action looks unlike a state."""
        kinds: dict[tuple[Look, tuple[bool, ...]], int] = {}
        of_state = [kinds.setdefault((state.look, state.filled), len(kinds)) for state in self._states]
        looks: dict[Look, int] = {}
        of_action = [looks.setdefault(look, len(looks)) for look in seen.looks]
        table = np.array([[self._unlike(look, *kind) for kind in kinds] for look in looks], np.float32)
        return np.asarray(table[np.ix_(of_action, of_state)])

    def _unlike(self, here: Look, there: Look, filled: tuple[bool, ...]) -> float:
        costs, paid = self._costs, 0.0
        if here.frame != there.frame:
            paid += costs.frame / (2 if here.frame.split()[0] == there.frame.split()[0] else 1)
        else:
            for (ours, mission), (theirs, their_mission), replaced in zip(here.slots, there.slots, filled, strict=True):
                if ours == theirs:
                    continue
                if mission and their_mission:
                    paid += costs.mission_slot
                else:
                    paid += costs.slot / (2 if replaced or ours.split()[-1] == theirs.split()[-1] else 1)
        return paid + costs.again * (here.again != there.again) + costs.linked * (here.linked != there.linked)

    def _edges(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(states,) what beginning in a state costs, and what ending in it costs."""
        costs, enter, leave = self._costs, [], []
        for state in self._states:
            foreign = costs.edge + costs.foreign
            first = 0.0 if state.own and state.place == 0 else costs.edge + state.progress if state.own else foreign
            enter.append(first + (0.0 if state.starts else costs.cut_short))
            final = 0.0 if state.own and state.last else costs.edge + (1 - state.progress if state.own else 0.0)
            leave.append(final + (0.0 if state.ends else costs.cut_short))
        return np.array(enter, np.float32), np.array(leave, np.float32)

    def _transitions(
        self, own: Sequence[Example], foreign: Sequence[Example]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(states, states) what going from one to another costs, and whether a new chunk begins with it."""
        costs, states = self._costs, self._states
        is_own = np.array([state.own for state in states])
        chunk = np.array([state.chunk for state in states])
        place = np.array([state.place for state in states])
        sequence = np.array([state.sequence for state in states])
        progress = np.array([state.progress for state in states])
        verb = _numbers([state.verb for state in states])
        both_own = is_own[:, None] & is_own[None, :]
        drift = np.where(both_own, np.abs(progress[:, None] - progress[None, :]) * costs.drift, 0.0)
        same_sequence = sequence[:, None] == sequence[None, :]

        # Into another chunk.
        follows = same_sequence & (chunk[None, :] == chunk[:, None] + 1) & is_own[:, None]
        order = np.where(self._ends_alike(), costs.switch, self._order(own, foreign))
        starts = np.array([state.starts for state in states])
        ends = np.array([state.ends for state in states])
        across = np.where(follows, 0.0, order + drift) + np.where(is_own, 0.0, costs.foreign)[None, :]
        across += np.where(ends, 0.0, costs.cut_short)[:, None] + np.where(starts, 0.0, costs.cut_short)[None, :]
        across += 1e-2  # of two explanations that cost the same, the one with fewer chunks

        # Inside a chunk.
        inside = self._loops(own, foreign) + drift
        steps = place[None, :] - place[:, None]
        onwards = same_sequence & (chunk[:, None] == chunk[None, :]) & (steps > 0)
        inside = np.where(onwards, np.minimum(inside, costs.skip * (steps - 1)), inside)
        inside = np.where(verb[:, None] == verb[None, :], np.minimum(inside, costs.torn), np.inf)
        step = np.asfortranarray(np.minimum(inside, across), np.float32)
        return step, across < inside

    def _order(self, own: Sequence[Example], foreign: Sequence[Example]) -> NDArray[np.float64]:
        """(states, states) what it costs that one's verb follows the other's."""
        costs = self._costs
        verbs = sorted({state.verb for state in self._states})
        table = np.full((len(verbs), len(verbs)), costs.new_order)
        number = {verb: index for index, verb in enumerate(verbs)}
        for examples, cost in ((foreign, costs.foreign_order), (own, costs.order)):
            for _, annotation in examples:
                row = [chunk.subgoal.verb for chunk in annotation.chunks]
                for before, after in itertools.pairwise(row):
                    if before in number and after in number:
                        table[number[before], number[after]] = cost
        index = [number[state.verb] for state in self._states]
        return np.asarray(table[np.ix_(index, index)])

    def _ends_alike(self) -> NDArray[np.bool_]:
        """(states, states) whether, in its own demonstration, a chunk like the one's comes before the other's."""
        final = {(s.sequence, s.chunk): (s.verb, s.look.frame) for s in self._states if s.ends}
        before = [final.get((s.sequence, s.chunk - 1)) if s.own else None for s in self._states]
        mine = [(s.verb, s.look.frame) for s in self._states]
        number = {kind: index for index, kind in enumerate(dict.fromkeys(mine))}
        ours = np.array([number[kind] for kind in mine])
        theirs = np.array([-1 if kind is None else number.get(kind, -1) for kind in before])
        is_own = np.array([state.own for state in self._states])
        return np.asarray((ours[:, None] == theirs[None, :]) & is_own[:, None])

    def _loops(self, own: Sequence[Example], foreign: Sequence[Example]) -> NDArray[np.float64]:
        """(states, states) what it costs to go on inside a chunk as chunks of that verb were seen to."""
        costs = self._costs
        seen: set[tuple[object, ...]] = set()
        for examples, is_own in ((own, True), (foreign, False)):
            for example in examples:
                for verb, before, after in _pairs_inside(example):
                    seen.add((is_own, verb, before.frame, after.frame))
                    seen.add((is_own, verb, before.frame, before.again, after.frame, after.again, after.linked))
        kinds = [(s.own, s.verb, s.look.frame, s.look.again, s.look.linked) for s in self._states]
        distinct = list(dict.fromkeys(kinds))
        table = np.full((len(distinct), len(distinct)), np.inf)
        for row, (is_own, verb, frame, again, _) in enumerate(distinct):
            for column, (also_own, also_verb, next_frame, next_again, linked) in enumerate(distinct):
                if (is_own, verb) != (also_own, also_verb):
                    continue
                if (is_own, verb, frame, again, next_frame, next_again, linked) in seen:
                    table[row, column] = costs.loop
                elif (is_own, verb, frame, next_frame) in seen:
                    table[row, column] = costs.odd_loop
        number = {kind: index for index, kind in enumerate(distinct)}
        index = [number[kind] for kind in kinds]
        return np.asarray(table[np.ix_(index, index)])


def _own_states(example: Example, sequence: int) -> list[_State]:
    """Every kept action of an annotated demonstration."""
    seen = sketch(example[0])
    return [_state(example, sequence, place, own=True) for place in range(len(seen.kept))]


def _foreign_states(examples: Iterable[Example], sequence: int, frames: frozenset[str] | None) -> list[_State]:
    """The distinct chunks of demonstrations of other tasks, each a sequence of its own."""
    states: list[_State] = []
    met: set[tuple[object, ...]] = set()
    for example in examples:
        seen = sketch(example[0])
        chunk_of = example[1].chunk_of
        chunks: dict[int, list[int]] = {}
        for place, i in enumerate(seen.kept):
            chunks.setdefault(chunk_of[i], []).append(place)
        for number, places in chunks.items():
            looks = [seen.looks[place] for place in places]
            verb = example[1].chunks[number].subgoal.verb
            kind = (verb, *((look.frame, tuple(slot for slot, _ in look.slots)) for look in looks))
            if kind in met or (frames is not None and not all(look.frame in frames for look in looks)):
                continue
            met.add(kind)
            states += [_state(example, sequence, place, own=False) for place in places]
            sequence += 1
    return states


def _state(example: Example, sequence: int, place: int, own: bool) -> _State:
    seen, annotation = sketch(example[0]), example[1]
    chunk_of = annotation.chunk_of
    number = chunk_of[seen.kept[place]]
    look = seen.looks[place]
    subgoal = annotation.chunks[number].subgoal
    final = place + 1 == len(seen.kept)
    return _State(
        example,
        sequence,
        place,
        number,
        number / max(1, len(annotation.chunks) - 1),
        subgoal.verb,
        look,
        tuple(any(slot in name or name in slot for name in subgoal.arguments) for slot, _ in look.slots),
        starts=place == 0 or chunk_of[seen.kept[place - 1]] != number,
        ends=final or chunk_of[seen.kept[place + 1]] != number,
        last=final,
        own=own,
    )


def _pairs_inside(example: Example) -> Iterable[tuple[str, Look, Look]]:
    """(verb, look, look) of all neighbouring actions that belong to one chunk."""
    seen, annotation = sketch(example[0]), example[1]
    for place in range(1, len(seen.kept)):
        before, after = (annotation.chunk_of[seen.kept[i]] for i in (place - 1, place))
        if before == after:
            yield annotation.chunks[after].subgoal.verb, seen.looks[place - 1], seen.looks[place]


def _numbers(values: Sequence[str]) -> NDArray[np.int64]:
    number = {value: index for index, value in enumerate(dict.fromkeys(values))}
    return np.array([number[value] for value in values])
