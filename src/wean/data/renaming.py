"""Demonstrations with other names: what a task's description names is exchanged for names of its other variations.

A small student from scratch learns a thousand demonstrations' names by heart, and says "sandpaper" where the task asks
for zinc. Where names are drawn anew at every reading, by heart is no way to be right, and it learns to look them up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wean.data.annotations import Annotation
from wean.data.subgoals import Chunk, SubGoal
from wean.data.trajectories import Moment, Trajectory, by_task

_WORD = re.compile(r"[A-Za-z]+")
_DOOR = re.compile(r"door to (?:the )?([a-z ]+)")
_SMALL = re.compile(r"a|an|and|at|by|for|from|in|into|is|it|of|on|or|the|to|with")

Names = Mapping[str, tuple[str, ...]]
"""For each task the words that are exchanged among themselves, in lower case."""


def given_names(trajectories: Sequence[Trajectory]) -> Names:
    """Words that the descriptions of a task's demonstrations do not all share.

    Words of places are none: which way leads where is something to know.

    Args:
        trajectories: Demonstrations.
    """
    seen = " ".join({moment.look.lower() for one in trajectories for moment in one.path})
    places = {word for place in set(_DOOR.findall(seen)) for word in place.split()}
    found: dict[str, tuple[str, ...]] = {}
    for task, of_task in by_task(trajectories).items():
        count = Counter(word for one in of_task for word in set(_WORD.findall(one.description.lower())))
        names = {word for word, times in count.items() if times < len(of_task) and not _SMALL.fullmatch(word)} - places
        found[task] = tuple(sorted(names))
    return found


def renamed(
    trajectory: Trajectory, annotation: Annotation | None, names: Names, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None]:
    """The same demonstration with its task's names exchanged by a drawn permutation, everywhere alike.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        names: What `given_names` found.
        generator: Draws.
    """
    pool = names.get(trajectory.task, ())
    drawn = dict(zip(pool, generator.permutation(pool).tolist(), strict=True)) if pool else {}

    def other(match: re.Match[str]) -> str:
        return str(drawn.get(match[0].lower(), match[0]))

    def told(text: str) -> str:
        return _WORD.sub(other, text)

    path = tuple(
        Moment(told(one.action), told(one.observation), told(one.look), told(one.inventory), one.score)
        for one in trajectory.path
    )
    again = replace(trajectory, description=told(trajectory.description), path=path)
    if annotation is None:
        return again, None
    chunks = tuple(
        Chunk(SubGoal(subgoal.verb, tuple(map(told, subgoal.arguments))), actions)
        for subgoal, actions in annotation.chunks
    )
    return again, replace(annotation, chunks=chunks, digest="")
