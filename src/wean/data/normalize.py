"""Names of places, and the steps of a demonstration that are learnt."""

from __future__ import annotations

import re
from functools import lru_cache

from wean.data.annotations import Annotation
from wean.data.trajectories import Trajectory
from wean.runtime.normalize import short_lines

_ALREADY_SO = re.compile(r"The .+ is already \w+\.")


@lru_cache(maxsize=256)  # called for each candidate action
def place_of(look: str) -> str:
    """The name of the place with this description: its first line; only the lines up to it are normalized."""
    return next((lines[0].rstrip(" :") for line in look.splitlines() if (lines := short_lines(line))), "")


def is_idle(action: str, observation: str) -> bool:
    """Whether an action only showed what every prompt shows anyway, or found its effect in place already.

    Such an action need not be learnt and may cost a move: the oracle opens every door that is open already.
    """
    return action == "look around" or _ALREADY_SO.fullmatch(observation.strip()) is not None


def kept_steps(trajectory: Trajectory, annotation: Annotation | None, max_actions: int) -> list[tuple[int, str | None]]:
    """The actions (at most `max_actions`) that are learnt: each one's number, and the sub-goal that begins with it.

    Idle actions (`is_idle`) are left out; so is a sub-goal that consists of nothing else.
    """
    path = trajectory.path
    kept = [number for number, step in enumerate(path) if not is_idle(step.action, step.observation)][:max_actions]
    if annotation is None:
        return [(number, None) for number in kept]
    steps: list[tuple[int, str | None]] = []
    current = -1
    for number in kept:
        chunk = annotation.chunk_of[number]
        steps.append((number, str(annotation.chunks[chunk].subgoal) if chunk != current else None))
        current = chunk
    return steps
