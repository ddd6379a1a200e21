"""Data augmentation that removes distractors: demonstrations in which fewer irrelevant things can be seen.

A thousand demonstrations show about a hundred scenes, and a small student soon recognizes them by their furniture. So
lines of what can be seen that a demonstration makes no use of are left out at random, others in each pass, and only
what matters is always there. The demonstrated answer stays right, also that of a comparison: the animal that lives
longest of eight does so among five of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from wean.data.annotations import Annotation
from wean.data.augmentation.swap_entities import any_of, words_of
from wean.data.normalize import is_idle, place_of
from wean.data.trajectories import PathStep, Trajectory

_THING = re.compile(r"[^(.,:]*")
_STOP_WORDS = frozenset(("a", "an", "and", "are", "at", "by", "for", "from", "in", "into", "is", "it", "of", "on"))
_STOP_WORDS |= {"that", "the", "then", "to", "with", "you", "your"}


def places_of(trajectories: Sequence[Trajectory]) -> frozenset[str]:
    """The names of all places in some demonstrations."""
    return frozenset(place_of(step.look) for one in trajectories for step in one.path) - {""}


def drop_distractors(
    trajectory: Trajectory,
    annotation: Annotation | None,
    places: Collection[str],
    max_share: float,
    generator: np.random.Generator,
) -> Trajectory:
    """The same demonstration with some of what can be seen left out throughout.

    Things named in its description, its sub-goals or its actions stay, and so do places and the doors to them.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        places: As `places_of` found them.
        max_share: Greatest share of the other things that is left out; the share is drawn for each demonstration.
        generator: Source of randomness.
    """
    share = max_share * generator.random()
    actions = (one.action for one in trajectory.path if not is_idle(one.action, one.observation))
    used = words_of(trajectory.description).union(*(words_of(action.partition(" ")[2]) for action in actions))
    if annotation is not None:
        used = used.union(*(words_of(" ".join(chunk.subgoal.arguments)) for chunk in annotation.chunks))
    used -= _STOP_WORDS
    place = any_of(places)
    left_out: dict[str, bool] = {}

    def stays(line: str) -> bool:
        lowered = line.lower()
        if not line.strip() or place.search(lowered) or not used.isdisjoint(words_of(lowered)):
            return True
        thing = _THING.match(lowered)
        key = thing[0].strip() if thing else lowered
        if key not in left_out:
            left_out[key] = bool(generator.random() < share)
        return not left_out[key]

    def reduced(text: str) -> str:
        first, *others = text.split("\n")
        return "\n".join([first, *filter(stays, others)])

    path = tuple(
        PathStep(one.action, reduced(one.observation), reduced(one.look), one.inventory, one.score)
        for one in trajectory.path
    )
    return replace(trajectory, path=path)
