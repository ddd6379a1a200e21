"""Demonstrations that go astray and come back: teaches a student to go on from where its own mistakes bring it.

An expert makes none, so its demonstrations never show how to leave a wrong room, and a student that has gone wrong once
goes on going wrong. As in DART (Laskey et al. 2017) mistakes are put into the demonstrations, and what sets them right
is learnt; the mistakes themselves are told, and not learnt. No environment is needed: a student goes where this very
demonstration has been before, so that what is to be seen there is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wean.algorithms.lessons import Mistakes
from wean.data.annotations import Annotation
from wean.data.subgoals import Chunk, SubGoal
from wean.data.trajectories import Key, Moment, Trajectory
from wean.students.episode_text import is_idle, phrase, place_of


@dataclass(frozen=True)
class Roads:
    """How demonstrations get from place to place.

    Attributes:
        steps: From one place to the next one: the action, and what was observed.
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
    steps: dict[tuple[str, str], tuple[str, str]] = {}
    for one in trajectories:
        for moment, after in zip(one.path, one.path[1:], strict=False):
            there = place_of(moment.look), place_of(after.look)
            if there[0] != there[1] and all(there) and there[1] in moment.action:
                steps[there] = moment.action, moment.observation
    goals = {
        ways[said]: subgoal
        for annotation in annotations.values()
        for subgoal, _ in annotation.chunks
        if (said := phrase(str(subgoal))) in ways
    }
    return Roads(steps, goals)


def astray(
    trajectory: Trajectory, annotation: Annotation | None, roads: Roads, rate: float, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None, Mistakes]:
    """The same demonstration with mistakes in it, each of which is set right at once.

    Before a sub-goal another one leads to the place before; in the midst of one the student goes there in error, or
    takes the sub-goal for done and has to name it again.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        roads: What `roads_of` found.
        rate: Chance of a mistake before each action.
        generator: Draws.

    Returns:
        Both anew, and which of their parts are mistakes.
    """
    path: list[Moment] = []
    starts: dict[int, SubGoal] = {}
    goals, actions, dones = set[int](), set[int](), set[int]()
    seen: dict[str, str] = {}
    current = -1
    for number, moment in enumerate(trajectory.path):
        here = place_of(moment.look)
        seen[here] = moment.look
        chunk = annotation.chunk_of[number] if annotation else -1
        begins, current = chunk != current, chunk
        if number and not is_idle(moment.action, moment.observation) and generator.random() < rate:
            there = _near(here, seen, roads, generator)
            trip = _trip(path[-1], moment, there, seen[there], roads) if there else []
            if annotation and not begins and (not trip or generator.random() < 0.5):
                dones.add(len(path))
                starts[len(path)] = annotation.chunks[chunk].subgoal
            elif trip and not begins:
                actions.add(len(path))
                path += trip
            elif trip and annotation and _leads(annotation.chunks[chunk].subgoal, here, there, roads):
                goals.add(len(path))
                starts |= {len(path): roads.goals[there], len(path) + 1: roads.goals[here]}
                path += trip
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


def _near(here: str, seen: Mapping[str, str], roads: Roads, generator: np.random.Generator) -> str:
    """A place that was seen before, from which a road leads back at once; empty where there is none."""
    found = [place for place in seen if (here, place) in roads.steps and (place, here) in roads.steps]
    return str(generator.choice(found)) if found else ""


def _trip(before: Moment, now: Moment, there: str, look: str, roads: Roads) -> list[Moment]:
    """There and back."""
    here = place_of(now.look)
    return [
        Moment(*roads.steps[here, there], now.look, now.inventory, before.score),
        Moment(*roads.steps[there, here], look, now.inventory, before.score),
    ]
