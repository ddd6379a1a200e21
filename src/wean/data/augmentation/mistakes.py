"""Data augmentation that injects mistakes: demonstrations with wrong turns and their corrections (DART, 1703.09327).

An expert makes no mistakes, so its demonstrations never show how to recover from one: a student that has entered a
wrong room goes on from bad to worse. Mistakes are therefore inserted into demonstrations, and their corrections are
learnt; the mistakes themselves are read and not learnt. No environment is needed: a student is sent only to places that
the same demonstration has visited before, so that it is known what can be seen there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wean.data.annotations import Annotation, Chunk, SubGoal
from wean.data.normalize import is_idle, place_of
from wean.data.trajectories import Key, PathStep, Trajectory
from wean.runtime.normalize import render_subgoal

_ENDED_EARLY = 0.2
"""Share of the mistakes within a sub-goal that end it early; with more, students learn to repeat finished sub-goals."""
_SECOND_PLACE = 0.5
"""Share of the detours that go on to a second place."""


@dataclass(frozen=True)
class Mistakes:
    """Parts of a demonstration that are read and not learnt, by the numbers of actions.

    Attributes:
        goals: Actions with which a wrong sub-goal begins.
        actions: Wrong actions.
        dones: Actions before which a sub-goal was ended too early.
    """

    goals: AbstractSet[int] = frozenset()
    actions: AbstractSet[int] = frozenset()
    dones: AbstractSet[int] = frozenset()


NO_MISTAKES = Mistakes()


@dataclass(frozen=True)
class Routes:
    """How to get from place to place, as demonstrated.

    Attributes:
        steps: For a place and the next one: the most frequent action, and its observation.
        goals: The sub-goal that leads to a place.
    """

    steps: Mapping[tuple[str, str], tuple[str, str]]
    goals: Mapping[str, SubGoal]


def find_routes(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], destinations: Mapping[str, str]
) -> Routes:
    """Collects the routes in demonstrations; `destinations` maps a rendered sub-goal to the place to which it leads."""
    steps: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in trajectories:
        for step, after in pairwise(one.path):
            route = place_of(step.look), place_of(after.look)
            if route[0] != route[1] and all(route) and route[1] in step.action:
                steps[route][step.action, step.observation] += 1
    goals = {
        destinations[text]: subgoal
        for annotation in annotations.values()
        for subgoal, _ in annotation.chunks
        if (text := render_subgoal(str(subgoal))) in destinations
    }
    return Routes({route: found.most_common(1)[0][0] for route, found in steps.items()}, goals)


def inject_mistakes(
    trajectory: Trajectory, annotation: Annotation | None, routes: Routes, rate: float, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None, Mistakes]:
    """The same demonstration with mistakes, each corrected at once, its sub-goals, and which parts are mistakes.

    Before a sub-goal, another one leads to a place visited before; within a sub-goal the student goes there in error,
    or ends the sub-goal early and has to name it again. A mistake comes with probability `rate` before each action, but
    never between repeated actions, such as waiting for a measurement.
    """
    path: list[PathStep] = []
    starts: dict[int, SubGoal] = {}
    goals, actions, dones = set[int](), set[int](), set[int]()
    seen: dict[str, str] = {}
    current = -1
    for number, step in enumerate(trajectory.path):
        here = place_of(step.look)
        seen[here] = step.look
        chunk = annotation.chunk_of[number] if annotation else -1
        begins, current = chunk != current, chunk
        repeated = step.action in {one.action for one in trajectory.path[max(0, number - 2) : number]}
        usable = number and not repeated and not is_idle(step.action, step.observation)
        if usable and generator.random() < rate:
            detour = _detour(here, seen, routes, generator)
            if annotation and not begins and generator.random() < _ENDED_EARLY:
                dones.add(len(path))
                starts[len(path)] = annotation.chunks[chunk].subgoal
            elif detour and not begins:
                actions.update(range(len(path), len(path) + len(detour)))
                path += _round_trip(path[-1], step, [here, *detour], seen, routes)
            elif detour and annotation and _fits(annotation.chunks[chunk].subgoal, here, detour[-1], routes):
                goals.add(len(path))
                starts |= {len(path): routes.goals[detour[-1]], len(path) + len(detour): routes.goals[here]}
                path += _round_trip(path[-1], step, [here, *detour], seen, routes)
        if annotation and begins:
            starts[len(path)] = annotation.chunks[chunk].subgoal
        path.append(step)
    again, mistakes = replace(trajectory, path=tuple(path)), Mistakes(goals, actions, dones)
    if annotation is None:
        return again, None, mistakes
    chunks = tuple(Chunk(starts[start], end - start) for start, end in pairwise([*starts, len(path)]))
    return again, replace(annotation, chunks=chunks, digest=""), mistakes


def _fits(subgoal: SubGoal, here: str, there: str, routes: Routes) -> bool:
    """Whether sub-goals can lead there and back before this sub-goal, which must not lead elsewhere itself."""
    return {here, there} <= routes.goals.keys() and subgoal not in routes.goals.values()


def _detour(here: str, seen: Mapping[str, str], routes: Routes, generator: np.random.Generator) -> list[str]:
    """One or two places in a row, seen before and with routes back; empty where there are none."""
    detour: list[str] = []
    for continues in (True, generator.random() < _SECOND_PLACE):
        at = detour[-1] if detour else here
        found = [
            place for place in seen if place != here and (at, place) in routes.steps and (place, at) in routes.steps
        ]
        if continues and found:
            detour.append(str(generator.choice(found)))
    return detour


def _round_trip(
    before: PathStep, now: PathStep, places: Sequence[str], seen: Mapping[str, str], routes: Routes
) -> list[PathStep]:
    """The steps from the first place to the last, and back the same way."""
    legs = pairwise([*places, *places[-2::-1]])
    return [PathStep(*routes.steps[one, other], seen[one], now.inventory, before.score) for one, other in legs]
