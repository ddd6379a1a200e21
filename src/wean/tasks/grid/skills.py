"""Skills: controllers that turn "explore" or "go to key" into the next primitive action.

They are pure functions of the agent's knowledge (`KnownMap`). The options are those of LLM4Teach (2311.13373), but
*explore* walks to the nearest pose that shows something new (a frontier search) instead of following the paper's
hand-made turning rules. Like the paper's, walking skills treat lava as floor, unless the task calls it an obstacle, and
open shut doors on the way, but not locked ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from wean.tasks.grid.geometry import (
    FORWARD,
    LEFT,
    RIGHT,
    board,
    cell_set,
    every_direction,
    facing,
    first_step,
    geometry,
    holds,
    marked,
    visible,
)

# What a remembered cell means to a walker. A DOOR is shut and opens at a toggle; on a WAY (an open door, a goal) one
# can walk, but put nothing down.
UNSEEN, FREE, LAVA, OBSTACLE, OPAQUE, DOOR, WAY = range(7)
_YES = ord("1")
_UNSEEN, _FREE, _WALKABLE = (
    bytes(_YES if code in codes else ord("0") for code in range(256))
    for codes in ({UNSEEN}, {FREE}, {FREE, LAVA, DOOR, WAY})
)

# MiniGrid's action numbers, those of walking being the search's.
PICK_UP, DROP, TOGGLE, DONE = range(3, 7)


class KnownMap(NamedTuple):
    """The agent's knowledge of the room, hashable and cheap.

    `cells` has one byte a cell (`x * height + y`): UNSEEN, FREE, LAVA, OBSTACLE (e.g. a key), OPAQUE (e.g. a wall or a
    locked door), DOOR or WAY; `pose` is the agent's `cell * 4 + direction`; `named` are known things as (name, cell),
    of which several may share a name; `held` is the name of the held one.
    """

    width: int
    height: int
    view_size: int
    cells: bytes
    pose: int
    named: tuple[tuple[str, int], ...]
    held: str | None


@lru_cache(maxsize=200_000)
def first_action(known: KnownMap, plan: tuple[str, ...]) -> int | None:
    """The next primitive action of a plan's first skill with something to do; None without one."""
    for skill in plan:
        action = skill_action(known, skill)
        if action is not None:
            return action
    return None


def skill_action(known: KnownMap, skill: str) -> int | None:
    """The next action of one skill; None if it is done, impossible or unknown here."""
    words = " ".join(skill.lower().split())
    if words == "explore":
        return explore(known)
    for verb, controller in (("go to ", go_to), ("pick up ", pick_up), ("drop ", drop), ("open ", toggle)):
        if words.startswith(verb):
            return controller(known, _bare(words[len(verb) :]))
    return None


def explore(known: KnownMap) -> int | None:
    """Walks to the nearest pose whose view holds an unseen cell; of several as near, the one that shows most."""
    forward, view, shown = geometry(known.width, known.height, known.view_size)
    unseen = marked(known.cells.translate(_UNSEEN))

    def news(pose: int) -> int:
        return _news(known, view[pose]) if shown[pose] & unseen else 0

    start = known.pose
    if news(start):
        return None
    # Pose by pose: mostly there is news a few steps off, and a search for all poses at once would cost more.
    walkable = known.cells.translate(_WALKABLE)
    met = bytearray(len(forward))
    met[start] = 1
    ring = [(start, -1)]  # poses as far as each other, with the first action on the way to each
    while ring:
        following: list[tuple[int, int]] = []
        for pose, way in ring:
            direction = pose & 3
            cell, ahead = pose - direction, forward[pose]
            if ahead >= 0 and walkable[ahead] == _YES and not met[other := ahead << 2 | direction]:
                met[other] = 1
                following.append((other, FORWARD if way < 0 else way))
            if not met[other := cell | (direction - 1) & 3]:
                met[other] = 1
                following.append((other, LEFT if way < 0 else way))
            if not met[other := cell | (direction + 1) & 3]:
                met[other] = 1
                following.append((other, RIGHT if way < 0 else way))
        best, most = -1, 0
        for pose, way in following:
            if (worth := news(pose)) > most:
                best, most = way, worth
        if best >= 0:
            return _opening(known, best)
        ring = following
    return None


def go_to(known: KnownMap, name: str) -> int | None:
    """Walks to face the nearest thing of that name, or onto the goal; None once there or without a known way."""
    targets = _where(known, name)
    if not targets:
        return None
    cells = cell_set(targets)
    return _walk(known, every_direction(cells) if name == "goal" else facing(board(known.width, known.height), cells))


def pick_up(known: KnownMap, name: str) -> int | None:
    """Picks up the thing straight ahead."""
    return PICK_UP if known.held is None and _faces(known, name) else None


def toggle(known: KnownMap, name: str) -> int | None:
    """Toggles the door or box straight ahead."""
    return TOGGLE if _faces(known, name) else None


def drop(known: KnownMap, what: str) -> int | None:
    """Puts down the held thing, after turning (or walking) to face a free cell if there is none ahead.

    Not right before or behind a doorway, if there is another place. With "X next to Y" the cell must be beside a thing
    named Y.
    """
    name, beside, other = what.partition(" next to ")
    if known.held is None or _bare(known.held) != name:
        return None
    free = marked(known.cells.translate(_FREE))
    if beside:
        free &= cell_set(_beside(known, _where(known, _bare(other))))
    doorways = {cell for cell, code in enumerate(known.cells) if code in (WAY, DOOR)}
    table = board(known.width, known.height)
    for places in (free & ~cell_set(_beside(known, doorways)), free):
        goals = facing(table, places)
        if holds(goals, known.pose):
            return DROP
        action = _walk(known, goals)
        if action is not None:
            return action
    return None


def _bare(name: str) -> str:
    """Drops articles and brackets, which language models like to add."""
    name = name.strip(" <>[]\"'.")
    for article in ("the ", "a ", "an "):
        name = name.removeprefix(article)
    return name


def achieved(before: KnownMap, after: KnownMap) -> tuple[str, ...]:
    """The skills whose aim one step achieved, judged from the agent's observations before and after it.

    "go to X" is achieved by coming to face X (the nearest of the name or another), "explore" by the first sight of a
    thing whose name is new, "open X" by what lay there no longer bearing its name.
    """
    forward = geometry(after.width, after.height, after.view_size).forward
    found: list[str] = []
    if before.held != after.held:
        found += [f"drop {before.held}"] if before.held else []
        found += [f"pick up {after.held}"] if after.held else []
    else:
        now = {cell: name for name, cell in after.named}
        for name, cell in before.named:
            shut = name.endswith(("door", "box")) and not name.startswith(("open ", "unlocked "))
            if shut and cell == forward[before.pose] and now.get(cell) != name:
                found.append(f"open {name}")
    for name in dict.fromkeys(name for name, _ in after.named):
        if _at(after, name) and not _at(before, name):
            found.append(f"go to {name}")
    known = {name for name, _ in before.named} | {before.held}
    if any(name not in known and before.cells[cell] == UNSEEN for name, cell in after.named):
        found.append("explore")
    return tuple(found)


def _at(known: KnownMap, name: str) -> bool:
    """Whether "go to" has nothing to do because the agent is there."""
    return known.pose >> 2 in _where(known, name) if name == "goal" else _faces(known, name)


def _where(known: KnownMap, name: str) -> set[int]:
    return {cell for other, cell in known.named if other == name}


def _faces(known: KnownMap, name: str) -> bool:
    return geometry(known.width, known.height, known.view_size).forward[known.pose] in _where(known, name)


def _news(known: KnownMap, view: Sequence[int]) -> int:
    """Counts the unseen cells that a view would show, given the known walls."""
    cells = known.cells
    opaque, own = 0, (known.view_size - 1) * known.view_size + known.view_size // 2
    for index, cell in enumerate(view):
        if cell < 0 or (cells[cell] in (OPAQUE, DOOR) and index != own):
            opaque |= 1 << index
    seen = visible(known.view_size, opaque)
    return sum(view[index] >= 0 and cells[view[index]] == UNSEEN for index in seen)


def _beside(known: KnownMap, cells: Iterable[int]) -> set[int]:
    """The neighbours of some cells."""
    forward = geometry(known.width, known.height, known.view_size).forward
    return {other for cell in cells for side in range(4) if (other := forward[cell << 2 | side]) >= 0}


def _walk(known: KnownMap, goals: int) -> int | None:
    """The first action on a shortest way to one of a set of poses; None once there, or without a known way."""
    if holds(goals, known.pose):
        return None
    walkable = every_direction(marked(known.cells.translate(_WALKABLE)))
    action = first_step(board(known.width, known.height), walkable, known.pose, goals)
    return None if action is None else _opening(known, action)


def _opening(known: KnownMap, action: int) -> int:
    """A step forward into a shut door is a toggle."""
    ahead = geometry(known.width, known.height, known.view_size).forward[known.pose]
    return TOGGLE if action == FORWARD and known.cells[ahead] == DOOR else action
