"""Names of things in the grid tasks, and their situations in words: few words, few distinct situations.

Rooms use the names of their kind (`wean.tasks.grid.kinds`). In a stock task only things that can matter for a decision
get a name, with a colour only where it matters (for what the task names, keys, and doors that were seen locked).
Colours are canonical: the first colour of an episode is always "red", the second "green" and so on, the task's own
first. So "pick up the blue ball" and "pick up the grey ball" are one question.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Protocol, cast

from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX

from wean.tasks.grid.kinds import Naming, RoomKind
from wean.tasks.situation import LazySituation

_CANONICAL = ("red", "green", "blue", "purple", "yellow", "grey")
_COLOR = "|".join(COLOR_TO_IDX)
_MEANT = re.compile(rf"(?:\b({_COLOR}) )?\b(ball|box|key|door|object)\b")
# In the order in which a situation lists them.
_KINDS = ("goal", "door", "key", "box", "ball")
_CLOSED, _LOCKED = STATE_TO_IDX["closed"], STATE_TO_IDX["locked"]

STOCK_GOAL = """\
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

NOWHERE = -1
"""In place of the cell of a thing that is held."""


class Names(Protocol):
    """Names things in the order of first sight, for one episode. A code is MiniGrid's (object, colour, state)."""

    def name(self, code: bytes, cell: int) -> str | None:
        """The name of a thing on a cell (`NOWHERE`: in the hand); None for what has none."""

    def shown(self, code: bytes) -> bytes:
        """The code of a thing as the remembered map shows it."""


# --- rooms -----------------------------------------------------------------------------------------------------------

_RoomKey = tuple[tuple[str, ...], str | None]  # what has been seen, in the kind's order, and what is held


class RoomNames:
    """Names in a room of a kind, see `RoomKind.naming`."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._numbers: dict[str | int, int] = {}  # of colours or of doors' cells, in the order of first sight

    def name(self, code: bytes, cell: int) -> str | None:
        """See `Names`; keys, doors, boxes and balls have names."""
        kind, color = IDX_TO_OBJECT[code[0]], IDX_TO_COLOR[code[1]]
        if kind not in _KINDS or kind == "goal":
            return None
        if self._naming == "coloured":
            return f"{color} {kind}"
        if self._naming == "canonical":
            return f"color{self._number(color)} {kind}"
        return f"{kind}{self._number(cell)}" if self._naming == "numbered" and kind == "door" else str(kind)

    def shown(self, code: bytes) -> bytes:
        """See `Names`; where colours are canonical in words, they are so on the map."""
        if self._naming != "canonical" or IDX_TO_OBJECT[code[0]] not in _KINDS:
            return code
        return bytes((code[0], self._number(IDX_TO_COLOR[code[1]]) - 1, code[2]))

    def _number(self, seen: str | int) -> int:
        """1 for what was seen first in this episode, 2 for the next, and so on."""
        return self._numbers.setdefault(seen, len(self._numbers) + 1)


def room_situation(kind: RoomKind, seen: set[str], held: str | None) -> LazySituation:
    """The situation in a room, from the names of the remembered things and of the held one."""
    key = (tuple(name for name in kind.things if name in seen), held)
    return LazySituation(key, kind.goal, partial(_write_room, key), partial(room_skills, key))


def _write_room(key: Hashable) -> str:
    seen, held = cast(_RoomKey, key)
    return f"The robot has seen {_listed(seen)}. It holds {_listed([held] if held else [])}."


def room_skills(key: Hashable) -> tuple[str, ...]:
    """The skills of a situation, from its key."""
    seen, held = cast(_RoomKey, key)
    choices = ["explore"]
    for name in seen:
        choices.append(f"go to {name}")
        if name.rstrip("0123456789").endswith(("door", "box")):
            choices.append(f"open {name}")
        elif held is None:
            choices.append(f"pick up {name}")
    if held is not None:
        choices.append(f"drop {held}")
    return tuple(choices)


def _listed(names: Sequence[str]) -> str:
    """Writes "a key and a door", "a key and door1", "nothing"."""
    words = [name if name[-1].isdigit() else f"a {name}" for name in names]
    if len(words) > 1:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return words[0] if words else "nothing"


# --- stock tasks -----------------------------------------------------------------------------------------------------

_StockKey = tuple[str, tuple[str, ...], str | None]  # the task, what has been seen, what is held


class StockNames:
    """Names in one episode of a stock task.

    Attributes:
        mission: The task in MiniGrid's words, with canonical colours.
    """

    def __init__(self, mission: str) -> None:
        self._colors: dict[str, str] = {}
        self._locked: set[int] = set()  # cells of doors that were seen locked
        plain = re.sub(rf"\b({_COLOR}) goal", "goal", mission)  # a goal is always green
        self._meant = {(color or None, kind) for color, kind in _MEANT.findall(plain)}
        self.mission = re.sub(rf"\b({_COLOR})\b", lambda found: self._canonical(found[1]), plain)

    def name(self, code: bytes, cell: int) -> str | None:
        """See `Names`; e.g. "locked green door", "red ball", "other ball" (one that the task does not mean).

        None for an open door that the task does not name and that was never seen locked.
        """
        kind, color, state = IDX_TO_OBJECT[code[0]], IDX_TO_COLOR[code[1]], code[2]
        if kind not in _KINDS or kind == "goal":
            return "goal" if kind == "goal" else None
        by_color = not {(color, kind), (color, "object")}.isdisjoint(self._meant)
        meant = by_color or not {(None, kind), (None, "object")}.isdisjoint(self._meant)
        if kind == "key":
            return f"{self._canonical(color)} key"
        name = f"{self._canonical(color)} {kind}" if by_color else str(kind)
        if kind != "door":
            other = not meant and any(another == kind for _, another in self._meant)
            return f"other {kind}" if other else name
        if state == _LOCKED:
            self._locked.add(cell)
        if cell in self._locked:
            return f"{'locked' if state == _LOCKED else 'unlocked'} {self._canonical(color)} door"
        if state == _CLOSED:
            return f"closed {name}"
        return f"open {name}" if meant else None

    def shown(self, code: bytes) -> bytes:
        """See `Names`; always as it is."""
        return code

    def _canonical(self, color: str) -> str:
        if color not in self._colors:
            self._colors[color] = _CANONICAL[len(self._colors)]
        return self._colors[color]


def stock_situation(mission: str, seen: set[str], held: str | None) -> LazySituation:
    """The situation of a stock task, from its mission and the names of the remembered things and of the held one."""
    key = (mission, tuple(sorted(seen, key=_place)), held)
    return LazySituation(key, STOCK_GOAL, partial(_write_stock, key), partial(_choose_stock, key))


def _place(name: str) -> tuple[int, str]:
    return _KINDS.index(name.rsplit(" ", 1)[-1]), name


def _write_stock(key: Hashable) -> str:
    mission, seen, held = cast(_StockKey, key)
    return f"Task: {mission}. The robot has seen: {', '.join(seen) or 'nothing'}. It holds: {held or 'nothing'}."


def _choose_stock(key: Hashable) -> tuple[str, ...]:
    """Lists the skills that name what has been seen or is held."""
    mission, seen, held = cast(_StockKey, key)
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


_VERBS = ("explore", "go to", "pick up", "drop", "open", "done")
_STATES = ("open", "closed", "locked", "unlocked", "other")
_COLORS = ("red", "green", "blue", "purple", "yellow", "grey", "color1", "color2")
_THINGS = ("goal", "door", "door1", "door2", "key", "box", "ball")
_ARTICLES = {"the", "a", "an"}

WORDS: tuple[str, ...] = ("", *_VERBS, *_STATES, *_COLORS, *_THINGS)
"""The word of each number; 0 is none."""
PARTS = 4
"""Numbers of a phrase: verb, state, colour, kind."""

_NUMBERS: tuple[dict[str, int], ...] = tuple(
    {word: first + place for place, word in enumerate(words)}
    for words, first in (
        (_VERBS, 1),
        (_STATES, 1 + len(_VERBS)),
        (_COLORS, 1 + len(_VERBS) + len(_STATES)),
        (_THINGS, 1 + len(_VERBS) + len(_STATES) + len(_COLORS)),
    )
)
_VERB, _THING = _NUMBERS[0], _NUMBERS[1:]


def numbers_of(skill: str) -> tuple[int, ...]:
    """The `PARTS` numbers of a skill such as "pick up the red key": places in `WORDS`, 0 where there is no such part.

    Of "drop X next to Y" only "drop X" is encoded. All zeros for words that are no skill of a grid.
    """
    words = [word for word in skill.lower().partition(" next to ")[0].split() if word not in _ARTICLES]
    length = next((n for n in (2, 1) if " ".join(words[:n]) in _VERB), 0)
    found = [_VERB.get(" ".join(words[:length]), 0), 0, 0, 0]
    part = 0
    for word in words[length:]:
        while part < len(_THING) and word not in _THING[part]:
            part += 1
        if part == len(_THING):
            return (0,) * PARTS
        found[part + 1] = _THING[part][word]
        part += 1
    return tuple(found) if found[0] else (0,) * PARTS


def phrase_of(numbers: Sequence[int]) -> str:
    """The phrase of four numbers; empty for four zeros."""
    return " ".join(WORDS[number] for number in numbers if number)


def thing_of(skill: str) -> str:
    """The name of a skill's thing, as maps name it; empty where there is none."""
    return phrase_of((0, *numbers_of(skill)[1:]))
