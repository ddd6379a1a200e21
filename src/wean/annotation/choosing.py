"""Which demonstrations to annotate first: a typical one of each task, then those least like the ones chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from wean.annotation.sketch import sketch
from wean.data.trajectories import Trajectory


def most_telling(trajectories: Sequence[Trajectory], chosen: Sequence[Trajectory], count: int) -> list[Trajectory]:
    """Chooses demonstrations of one task, so that the others are like one of them.

    The first is the one that is most like all (the medoid); every further one is that whose nearest chosen one is
    farthest away (farthest-first traversal; Gonzalez 1985). Of equals the earlier is taken.

    Args:
        trajectories: Of one task, none of which is chosen yet.
        chosen: Those that are annotated already.
        count: How many to choose, at most.
    """
    if count >= len(trajectories):
        return list(trajectories)
    new: list[Trajectory] = []
    left = list(trajectories)
    near = {one.key: min((_distance(one, other) for other in chosen), default=math.inf) for one in left}
    while len(new) < count:
        if not chosen and not new:
            best = min(left, key=lambda one: sum(_distance(one, other) for other in left))
        else:
            best = max(left, key=lambda one: near[one.key])
        left.remove(best)
        new.append(best)
        for one in left:
            near[one.key] = min(near[one.key], _distance(one, best))
    return new


def _distance(one: Trajectory, other: Trajectory) -> float:
    """Share of steps from one action to the next that only one of them has (Jaccard distance)."""
    ours, theirs = _steps(one), _steps(other)
    return 1.0 - len(ours & theirs) / max(1, len(ours | theirs))


@lru_cache(maxsize=8192)
def _steps(trajectory: Trajectory) -> frozenset[tuple[object, ...]]:
    looks = [(look.frame, look.again) for look in sketch(trajectory).looks]
    return frozenset(zip([None, *looks], [*looks, None], strict=True))
