"""Demonstrations that go astray and come back: teaches a student to go on from where its own mistakes bring it.

An expert makes none, so its demonstrations never show how to leave a wrong room, and a student that has gone wrong once
goes on going wrong. As in DART (Laskey et al. 2017) mistakes are put into the demonstrations, and what sets them right
is learnt; the mistakes themselves are told, and not learnt. No environment is needed: a student goes where this very
demonstration has been before, so that what is to be seen there is known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wean.data.annotations import Annotation, Chunk, SubGoal
from wean.data.trajectories import Key, PathStep, Trajectory
from wean.students.text.examples import Mistakes
from wean.students.text.normalize import phrase
from wean.students.text.prompt import is_idle, place_of

_GIVEN_UP = 0.2
"""Share of the mistakes in the midst of a sub-goal that take it for done; more teach to name again what is done."""
_FURTHER = 0.5
"""Share of the trips that go on to a second place."""


@dataclass(frozen=True)
class Roads:
    """How demonstrations get from place to place.

    Attributes:
        steps: From one place to the next one: the most frequent action, and what was observed.
        goals: The sub-goal that leads to a place.
    """

    steps: Mapping[tuple[str, str], tuple[str, str]]
    goals: Mapping[str, SubGoal]


def roads_of(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], ways: Mapping[str, str]
) -> Roads:
    """Reads the roads off demonstrations.

    Args:
        trajectories: Demonstrations.
        annotations: Their sub-goals; there may be none.
        ways: Sub-goals as the student says them, and the places to which they lead (`Habits.ways`).
    """
    steps: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in trajectories:
        for moment, after in zip(one.path, one.path[1:], strict=False):
            there = place_of(moment.look), place_of(after.look)
            if there[0] != there[1] and all(there) and there[1] in moment.action:
                steps[there][moment.action, moment.observation] += 1
    goals = {
        ways[said]: subgoal
        for annotation in annotations.values()
        for subgoal, _ in annotation.chunks
        if (said := phrase(str(subgoal))) in ways
    }
    return Roads({there: found.most_common(1)[0][0] for there, found in steps.items()}, goals)


def astray(
    trajectory: Trajectory, annotation: Annotation | None, roads: Roads, rate: float, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None, Mistakes]:
    """The same demonstration with mistakes in it, each of which is set right at once.

    Before a sub-goal another one leads to the place before; in the midst of one the student goes there in error, or
    takes the sub-goal for done and has to name it again. Not between repeated actions: who measures and waits stays.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        roads: What `roads_of` found.
        rate: Chance of a mistake before each action but repeated ones.
        generator: Draws.

    Returns:
        Both anew, and which of their parts are mistakes.
    """
    path: list[PathStep] = []
    starts: dict[int, SubGoal] = {}
    goals, actions, dones = set[int](), set[int](), set[int]()
    seen: dict[str, str] = {}
    current = -1
    for number, moment in enumerate(trajectory.path):
        here = place_of(moment.look)
        seen[here] = moment.look
        chunk = annotation.chunk_of[number] if annotation else -1
        begins, current = chunk != current, chunk
        repeated = moment.action in {one.action for one in trajectory.path[max(0, number - 2) : number]}
        usable = number and not repeated and not is_idle(moment.action, moment.observation)
        if usable and generator.random() < rate:
            out = _out(here, seen, roads, generator)
            if annotation and not begins and generator.random() < _GIVEN_UP:
                dones.add(len(path))
                starts[len(path)] = annotation.chunks[chunk].subgoal
            elif out and not begins:
                actions.update(range(len(path), len(path) + len(out)))
                path += _trip(path[-1], moment, [here, *out], seen, roads)
            elif out and annotation and _leads(annotation.chunks[chunk].subgoal, here, out[-1], roads):
                goals.add(len(path))
                starts |= {len(path): roads.goals[out[-1]], len(path) + len(out): roads.goals[here]}
                path += _trip(path[-1], moment, [here, *out], seen, roads)
        if annotation and begins:
            starts[len(path)] = annotation.chunks[chunk].subgoal
        path.append(moment)
    again, mistakes = replace(trajectory, path=tuple(path)), Mistakes(goals, actions, dones)
    if annotation is None:
        return again, None, mistakes
    chunks = tuple(Chunk(starts[start], end - start) for start, end in pairwise([*starts, len(path)]))
    return again, replace(annotation, chunks=chunks, digest=""), mistakes


def _leads(subgoal: SubGoal, here: str, there: str, roads: Roads) -> bool:
    """Whether sub-goals can lead there and back; not before one that leads away anyway."""
    return {here, there} <= roads.goals.keys() and subgoal not in roads.goals.values()


def _out(here: str, seen: Mapping[str, str], roads: Roads, generator: np.random.Generator) -> list[str]:
    """One or two places, one behind the other, seen before and with roads back; none, where there are none."""
    out: list[str] = []
    for further in (True, generator.random() < _FURTHER):
        at = out[-1] if out else here
        found = [place for place in seen if place != here and (at, place) in roads.steps and (place, at) in roads.steps]
        if further and found:
            out.append(str(generator.choice(found)))
    return out


def _trip(before: PathStep, now: PathStep, out: Sequence[str], seen: Mapping[str, str], roads: Roads) -> list[PathStep]:
    """From the first place to the last, and the same way back."""
    ways = pairwise([*out, *out[-2::-1]])
    return [PathStep(*roads.steps[one, other], seen[one], now.inventory, before.score) for one, other in ways]
