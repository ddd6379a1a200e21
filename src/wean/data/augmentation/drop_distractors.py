"""Demonstrations with less to see: a student that knows scenes by heart finds its way in no other.

A thousand demonstrations are some hundred scenes, and a small student soon tells them apart by what stands around: here
it was the tortoise that lived longest. Lines of what can be seen that a demonstration has no use for are left out at
random, others at every reading, so that only what counts is always there; the answer stays right, also of a choice:
the animal that lives longest of eight does so of five of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from wean.data.annotations import Annotation
from wean.data.augmentation.swap_entities import any_of, words_of
from wean.data.trajectories import PathStep, Trajectory
from wean.students.text.prompt import is_idle, place_of

_THING = re.compile(r"[^(.,:]*")
_LITTLE = frozenset(("a", "an", "and", "are", "at", "by", "for", "from", "in", "into", "is", "it", "of", "on", "that"))
_LITTLE |= {"the", "then", "to", "with", "you", "your"}


def places_of(trajectories: Sequence[Trajectory]) -> frozenset[str]:
    """The names of all places that demonstrations come to."""
    return frozenset(place_of(moment.look) for one in trajectories for moment in one.path) - {""}


def thinned(
    trajectory: Trajectory,
    annotation: Annotation | None,
    places: Collection[str],
    most: float,
    generator: np.random.Generator,
) -> Trajectory:
    """The same demonstration with some of what can be seen left out, from its beginning to its end.

    What its description, its sub-goals and its actions name stays, and so do the places and the ways to them.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        places: What `places_of` found.
        most: Greatest share of the other things that is left out; the share is drawn for each demonstration.
        generator: Draws.
    """
    share = most * generator.random()
    done = (one.action for one in trajectory.path if not is_idle(one.action, one.observation))
    named = words_of(trajectory.description).union(*(words_of(action.partition(" ")[2]) for action in done))
    if annotation is not None:
        named = named.union(*(words_of(" ".join(chunk.subgoal.arguments)) for chunk in annotation.chunks))
    named -= _LITTLE
    way = any_of(places)
    left_out: dict[str, bool] = {}

    def stays(line: str) -> bool:
        told = line.lower()
        if not line.strip() or way.search(told) or not named.isdisjoint(words_of(told)):
            return True
        thing = _THING.match(told)
        key = thing[0].strip() if thing else told
        if key not in left_out:
            left_out[key] = bool(generator.random() < share)
        return not left_out[key]

    def kept(text: str) -> str:
        first, *others = text.split("\n")
        return "\n".join([first, *filter(stays, others)])

    path = tuple(
        PathStep(one.action, kept(one.observation), kept(one.look), one.inventory, one.score) for one in trajectory.path
    )
    return replace(trajectory, path=path)
