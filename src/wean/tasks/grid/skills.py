"""Skills: controllers that turn "explore" or "go to key" into the next primitive action.

They are pure functions of what the agent knows (`KnownMap`), never of hidden state, and keep no state of their own:
every step they are asked anew. Facts of the paper's options: LLM4Teach (2311.13373), section on options; here
*explore* walks to the nearest pose that shows something new (a frontier search) instead of the paper's hand-made
turning rules. Like the paper's, both walking skills treat lava as floor, so a teacher that uses them is blind to it; a
task that wants it avoided calls it an obstacle. Walking opens shut doors on the way, but not locked ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wean.tasks.grid.vision import geometry, visible

# What a remembered cell means to a walker. A DOOR is shut and opens at a toggle; on a WAY (an open door, a goal) one
# can walk, but put nothing down.
UNSEEN, FREE, LAVA, OBSTACLE, OPAQUE, DOOR, WAY = range(7)

# MiniGrid's action numbers.
LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)


class KnownMap(NamedTuple):
    """What the agent knows of the room, hashable and cheap.

    Attributes:
        width: Cells of the grid in x.
        height: Cells of the grid in y.
        view_size: Side of the agent's square view.
        cells: One byte a cell (`x * height + y`): UNSEEN, FREE, LAVA, OBSTACLE (e.g. a key), OPAQUE (e.g. a wall or a
            locked door), DOOR or WAY.
        pose: The agent's `cell * 4 + direction`.
        named: The things it knows by name, as (name, cell); several may share a name.
        held: The name of what it holds, or None.
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
    """Turns a plan into the next primitive action: that of its first skill that still has something to do.

    Args:
        known: What the agent knows.
        plan: Skills such as `("go to key", "pick up key", "explore")`.

    Returns:
        MiniGrid's action number, or None where no skill of the plan can do anything here.
    """
    for skill in plan:
        action = skill_action(known, skill)
        if action is not None:
            return action
    return None


def skill_action(known: KnownMap, skill: str) -> int | None:
    """Gives the next action of one skill; None if it is done, impossible or unknown here."""
    words = " ".join(skill.lower().split())
    if words == "explore":
        return explore(known)
    for verb, controller in (("go to ", go_to), ("pick up ", pick_up), ("drop ", drop), ("open ", toggle)):
        if words.startswith(verb):
            return controller(known, _bare(words[len(verb) :]))
    return None


def explore(known: KnownMap) -> int | None:
    """Walks to the nearest pose whose view holds an unseen cell; of several as near, the one that shows most."""
    table = geometry(known.width, known.height, known.view_size)
    return _search(known, lambda pose: _news(known, table.view[pose]))


def go_to(known: KnownMap, name: str) -> int | None:
    """Walks next to the nearest thing of that name and faces it, or onto the goal.

    None once there, or where no known way leads there.
    """
    targets = _where(known, name)
    if not targets:
        return None
    if name == "goal":
        return _search(known, lambda pose: int(pose >> 2 in targets))
    forward = geometry(known.width, known.height, known.view_size).forward
    return _search(known, lambda pose: int(forward[pose] in targets))


def pick_up(known: KnownMap, name: str) -> int | None:
    """Picks up the thing straight ahead."""
    return PICK_UP if known.held is None and _faces(known, name) else None


def toggle(known: KnownMap, name: str) -> int | None:
    """Toggles the door or box straight ahead."""
    return TOGGLE if _faces(known, name) else None


def drop(known: KnownMap, what: str) -> int | None:
    """Puts down what is held, after turning (or walking) to face a free cell if there is none ahead.

    Not right before or behind a doorway, if there is another place. With "X next to Y" the cell must be beside a thing
    named Y.
    """
    name, beside, other = what.partition(" next to ")
    if known.held is None or _bare(known.held) != name:
        return None
    cells, forward = known.cells, geometry(known.width, known.height, known.view_size).forward
    near = {forward[cell << 2 | side] for cell in _where(known, _bare(other)) for side in range(4)}

    def fits(pose: int) -> int:
        ahead = forward[pose]
        return int(ahead >= 0 and cells[ahead] == FREE and (not beside or ahead in near))

    def out_of_the_way(pose: int) -> int:
        return int(
            fits(pose) and not any(cells[forward[forward[pose] << 2 | side]] in (WAY, DOOR) for side in range(4))
        )

    if out_of_the_way(known.pose):
        return DROP
    action = _search(known, out_of_the_way)
    if action is None:
        action = DROP if fits(known.pose) else _search(known, fits)
    return action


def _bare(name: str) -> str:
    """Drops articles and brackets, which language models like to add."""
    name = name.strip(" <>[]\"'.")
    for article in ("the ", "a ", "an "):
        name = name.removeprefix(article)
    return name


def achieved(before: KnownMap, after: KnownMap) -> tuple[str, ...]:
    """Names the skills whose aim one step achieved, judged from what the agent observed on both sides of it.

    "go to X" is achieved by coming to face X (the nearest of the name or another), "explore" by the first sight of a
    thing whose name is new, "open X" by what lay there no longer bearing its name.

    Args:
        before: What the agent knew before the step.
        after: What it knows after it.
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
    """Counts the unseen cells that a view would show, as far as the known walls tell."""
    cells = known.cells
    if not any(cell >= 0 and cells[cell] == UNSEEN for cell in view):
        return 0
    opaque, own = 0, (known.view_size - 1) * known.view_size + known.view_size // 2
    for index, cell in enumerate(view):
        if cell < 0 or (cells[cell] in (OPAQUE, DOOR) and index != own):
            opaque |= 1 << index
    seen = visible(known.view_size, opaque)
    return sum(view[index] >= 0 and cells[view[index]] == UNSEEN for index in seen)


def _search(known: KnownMap, worth) -> int | None:  # type: ignore[no-untyped-def]
    """Breadth-first search over poses; each turn or step costs one.

    Args:
        known: What the agent knows; free cells, ways and lava can be walked on, and a shut door is one toggle away.
        worth: Maps a pose to a number; the nearest pose with a positive one is the goal, the largest of equals.

    Returns:
        The first action on a shortest way, or None if the agent is at a goal already or none can be reached.
    """
    cells, start = known.cells, known.pose
    if worth(start):
        return None
    forward = geometry(known.width, known.height, known.view_size).forward
    seen = {start}
    ring: list[tuple[int, int]] = [(start, -1)]
    while ring:
        following: list[tuple[int, int]] = []
        best, best_worth = -1, 0
        for pose, first in ring:
            cell, direction = pose >> 2, pose & 3
            neighbours = [
                (LEFT, cell << 2 | (direction - 1) & 3),
                (RIGHT, cell << 2 | (direction + 1) & 3),
            ]
            ahead = forward[pose]
            if ahead >= 0 and cells[ahead] in (FREE, LAVA, WAY):
                neighbours.insert(0, (FORWARD, ahead << 2 | direction))
            elif ahead >= 0 and cells[ahead] == DOOR:
                neighbours.insert(0, (TOGGLE, ahead << 2 | direction))
            for action, neighbour in neighbours:
                if neighbour in seen:
                    continue
                seen.add(neighbour)
                way = action if first < 0 else first
                value = worth(neighbour)
                if value > best_worth:
                    best, best_worth = way, value
                following.append((neighbour, way))
        if best >= 0:
            return best
        ring = following
    return None
