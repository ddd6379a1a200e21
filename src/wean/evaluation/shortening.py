"""ScienceWorld's demonstrations made shorter: what takes the oracle many moves takes an agent with a hundred a few.

The oracle walks from room to room and opens open doors, although the simplification `easy` lets the agent teleport; it
looks on until the block is at the bottom of the plane. A student that learns from it spends most of its moves so, and
cannot end what takes the oracle more than a hundred. So ways become one action each, within each sub-goal (rooms that
are searched one after the other still are), what is repeated is done three times, and what changes nothing is left out.

Each new path is replayed. It is kept if it reaches the full score and has earned as much before its last action as the
demonstration had: an experiment that was cut short and ends with the right guess is none. Where that fails what is
repeated stays, and where that fails, too, so does the demonstration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wean.data.annotations import Annotation, Chunk
from wean.data.normalize import is_idle
from wean.data.trajectories import Trajectory
from wean.evaluation.oracle import TRIES, replayed
from wean.tasks.scienceworld import ScienceWorld
from wean.tasks.scienceworld_server import ServerLost

_WALK, _TELEPORT = "go to ", "teleport to "
_REPEATED = 3


@dataclass(frozen=True)
class Shorter:
    """A demonstration made shorter, before it is replayed.

    Attributes:
        actions: What is done.
        chunks: Its sub-goals; those of which nothing is left are left out.
    """

    actions: tuple[str, ...]
    chunks: tuple[Chunk, ...]


def shortened(trajectory: Trajectory, annotation: Annotation, repeated: int | None = _REPEATED) -> Shorter:
    """Makes a demonstration shorter.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals.
        repeated: How often in a row one action is done at most; None for as often as it is.
    """
    actions: list[str] = []
    chunks: list[Chunk] = []
    start = 0
    for subgoal, count in annotation.chunks:
        begun = len(actions)
        for moment in trajectory.path[start : start + count]:
            action, done = moment.action, actions[begun:]
            if is_idle(action, moment.observation) or (repeated and done[-repeated:] == [action] * repeated):
                continue
            if action.startswith(_WALK):
                if done and done[-1].startswith(_TELEPORT):
                    actions.pop()
                action = _TELEPORT + action.removeprefix(_WALK)
            actions.append(action)
        if len(actions) > begun:
            chunks.append(Chunk(subgoal, len(actions) - begun))
        start += count
    return Shorter(tuple(actions), tuple(chunks))


class ShorterPaths:
    """Replays demonstrations made shorter; an `Oracle`.

    Args:
        examples: Demonstrations and their sub-goals, with scores.
        simplification: See `ScienceWorld`.
    """

    def __init__(self, examples: Sequence[tuple[Trajectory, Annotation]], simplification: str = "easy") -> None:
        self._examples = {trajectory.key: (trajectory, annotation) for trajectory, annotation in examples}
        self._env = ScienceWorld(simplification=simplification, max_moves=None)

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """See `Oracle`; the score is 0 where even the demonstration cannot be repeated."""
        example = self._examples[task, variation]
        least = _before_end([moment.score or 0.0 for moment in example[0].path])
        shorter = dict.fromkeys(path.actions for path in _candidates(*example))
        tries = [*shorter, *[example[0].actions] * (TRIES - 1)]
        for number, actions in enumerate(tries, 1):
            try:
                row = replayed(self._env, task, variation, actions)
            except ServerLost:
                if number == len(tries):
                    raise
                continue
            earned = _before_end([moment["score"] for moment in row["path"]])
            if row["score"] >= 100 and (actions == example[0].actions or earned >= least):
                return row
        return {**row, "score": 0}

    def close(self) -> None:
        """Ends the Java machine."""
        self._env.close()


def annotated(trajectory: Trajectory, example: tuple[Trajectory, Annotation]) -> Annotation:
    """The sub-goals of a shorter path as it was replayed: it ends where the full score is reached.

    Args:
        trajectory: The replayed path.
        example: The demonstration that it was made of, and its sub-goals.
    """
    left = len(trajectory.path)
    chunks = next(one.chunks for one in _candidates(*example) if one.actions[:left] == trajectory.actions)
    kept: list[Chunk] = []
    for subgoal, count in chunks:
        if left > 0:
            kept.append(Chunk(subgoal, min(count, left)))
        left -= count
    return replace(example[1], chunks=tuple(kept), digest=trajectory.digest)


def _candidates(trajectory: Trajectory, annotation: Annotation) -> list[Shorter]:
    """What is tried in turn."""
    shorter = [shortened(trajectory, annotation, often) for often in (_REPEATED, None)]
    return [*shorter, Shorter(trajectory.actions, annotation.chunks)]


def _before_end(scores: Sequence[float]) -> float:
    """The greatest score below the full one."""
    return max((score for score in scores if score < 100), default=0.0)
