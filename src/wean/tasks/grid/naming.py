"""What things of a stock grid task are called, and how a moment of it is told: few words, few distinct situations.

Only what can matter for a decision gets a name. Colours are told where they matter (what the task names, keys, and
doors that were seen locked) and are canonical: the first colour of an episode is always told as "red", the second as
"green" and so on, the task's own first. So "pick up the blue ball" and "pick up the grey ball" are one question.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import partial
from typing import cast

from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT, OBJECT_TO_IDX, STATE_TO_IDX

from wean.tasks.situation import LazySituation

_CANONICAL = ("red", "green", "blue", "purple", "yellow", "grey")
_COLOR = "|".join(COLOR_TO_IDX)
_MEANT = re.compile(rf"(?:\b({_COLOR}) )?\b(ball|box|key|door|object)\b")
# In the order in which a situation lists them.
_KINDS = ("goal", "door", "key", "box", "ball")
_KIND_CODES = {OBJECT_TO_IDX[kind]: kind for kind in _KINDS}
_CLOSED, _LOCKED = STATE_TO_IDX["closed"], STATE_TO_IDX["locked"]

GOAL = """\
You direct a small robot in a grid world of rooms and doors. The robot sees only the cells in front of it, not through \
walls and shut doors, and remembers which things it has seen so far. A locked door opens only while the robot holds \
the key of the door's colour. The robot can hold one thing at a time; to pick up another it must first drop what it \
holds. A box may hide something: when it is opened, what is in it takes its place.

The robot knows these skills:
- explore: walk to where it has not looked yet
- go to X: walk next to a thing it has seen, and face it (or onto the goal)
- pick up X: pick up the thing it faces
- drop X: put down what it holds, on free floor; "drop X next to Y" does so beside a thing it has seen
- open X: open the door or the box it faces
- done: say that the task is done
On its way it opens closed doors by itself, unless they are locked.

You are told the robot's task, what it has seen and what it holds."""

_Key = tuple[str, tuple[str, ...], str | None]  # the task, what has been seen, what is held


def nameable(kind: int) -> bool:
    """Whether a thing of this code can have a name: goal, door, key, box or ball."""
    return kind in _KIND_CODES


class Naming:
    """The names of one episode.

    Args:
        mission: The task in MiniGrid's words.
    """

    def __init__(self, mission: str) -> None:
        self._colors: dict[str, str] = {}
        plain = re.sub(rf"\b({_COLOR}) goal", "goal", mission)  # a goal is always green
        self._meant = {(color or None, kind) for color, kind in _MEANT.findall(plain)}
        self.mission = re.sub(rf"\b({_COLOR})\b", lambda found: self._canonical(found[1]), plain)

    def name(self, code: Sequence[int], was_locked: bool = False) -> str | None:
        """What a thing is called.

        Args:
            code: MiniGrid's (object, colour, state).
            was_locked: Whether this door was seen locked before.

        Returns:
            E.g. "locked green door", "red ball", "other ball" (one that the task does not mean); None for what is
            not worth a name: an open door that the task does not name and that was not locked.
        """
        kind, color, state = IDX_TO_OBJECT[code[0]], IDX_TO_COLOR[code[1]], code[2]
        if kind == "goal":
            return "goal"
        by_color = not {(color, kind), (color, "object")}.isdisjoint(self._meant)
        meant = by_color or not {(None, kind), (None, "object")}.isdisjoint(self._meant)
        if kind == "key":
            return f"{self._canonical(color)} key"
        told = f"{self._canonical(color)} {kind}" if by_color else kind
        if kind != "door":
            other = not meant and any(another == kind for _, another in self._meant)
            return f"other {kind}" if other else told
        if state == _LOCKED or was_locked:
            return f"{'locked' if state == _LOCKED else 'unlocked'} {self._canonical(color)} door"
        if state == _CLOSED:
            return f"closed {told}"
        return f"open {told}" if meant else None

    def _canonical(self, color: str) -> str:
        if color not in self._colors:
            self._colors[color] = _CANONICAL[len(self._colors)]
        return self._colors[color]


def situation(mission: str, seen: set[str], held: str | None) -> LazySituation:
    """A moment in words.

    Args:
        mission: The task, as `Naming` tells it.
        seen: Names of the things that the agent remembers.
        held: The name of what it holds.
    """
    key = (mission, tuple(sorted(seen, key=_place)), held)
    return LazySituation(key, GOAL, partial(_write, key), partial(_choose, key))


def _place(name: str) -> tuple[int, str]:
    return _KINDS.index(name.rsplit(" ", 1)[-1]), name


def _write(key: Hashable) -> str:
    mission, seen, held = cast(_Key, key)
    return f"Task: {mission}. The robot has seen: {', '.join(seen) or 'nothing'}. It holds: {held or 'nothing'}."


def _choose(key: Hashable) -> tuple[str, ...]:
    """Lists the skills that name what has been seen or is held."""
    mission, seen, held = cast(_Key, key)
    choices = ["explore"]
    for name in seen:
        choices.append(f"go to {name}")
        if name.endswith(("door", "box")) and not name.startswith(("open ", "unlocked ")):
            choices.append(f"open {name}")
        if held is None and not name.endswith(("door", "goal")):
            choices.append(f"pick up {name}")
    if held is not None:
        choices.append(f"drop {held}")
        if " next to " in mission or " near " in mission:
            choices += [f"drop {held} next to {name}" for name in seen]
    if mission.startswith("go to "):
        choices.append("done")
    return tuple(choices)
