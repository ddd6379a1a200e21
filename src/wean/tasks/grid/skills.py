"""Skills: controllers that turn "explore" or "go to key" into the next primitive action.

They are pure functions of what the agent knows (`KnownMap`), never of hidden state, and keep no state of their own:
every step they are asked anew. Facts of the paper's options: LLM4Teach (2311.13373), section on options; here
*explore* walks to the nearest pose that shows something new (a frontier search) instead of the paper's hand-made
turning rules. Like the paper's, both walking skills treat lava as floor, so a teacher that uses them is blind to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wean.tasks.grid.vision import geometry, visible

# What a remembered cell means to a walker.
UNSEEN, FREE, LAVA, OBSTACLE, OPAQUE = range(5)

# MiniGrid's action numbers.
LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)


class KnownMap(NamedTuple):
    """What the agent knows of the room, hashable and cheap.

    Attributes:
        width: Cells of the grid in x.
        height: Cells of the grid in y.
        view_size: Side of the agent's square view.
        cells: One byte a cell (`x * height + y`): UNSEEN, FREE, LAVA, OBSTACLE (e.g. a key) or OPAQUE (e.g. a wall).
        pose: The agent's `cell * 4 + direction`.
        named: The things it knows by name, as (name, cell).
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
    """Walks next to a thing and faces it; None once there, or where no known way leads there."""
    target = _where(known, name)
    if target is None:
        return None
    table = geometry(known.width, known.height, known.view_size)
    return _search(known, lambda pose: int(table.forward[pose] == target))


def pick_up(known: KnownMap, name: str) -> int | None:
    """Picks up the thing straight ahead."""
    return PICK_UP if known.held is None and _faces(known, name) else None


def toggle(known: KnownMap, name: str) -> int | None:
    """Toggles the door or box straight ahead."""
    return TOGGLE if _faces(known, name) else None


def drop(known: KnownMap, name: str) -> int | None:
    """Puts down what is held, after turning (or walking) to face a free cell if there is none ahead."""
    if known.held is None or _bare(known.held) != name:
        return None
    table = geometry(known.width, known.height, known.view_size)

    def faces_free(pose: int) -> int:
        ahead = table.forward[pose]
        return int(ahead >= 0 and known.cells[ahead] == FREE)

    return DROP if faces_free(known.pose) else _search(known, faces_free)


def _bare(name: str) -> str:
    """Drops articles and brackets, which language models like to add."""
    name = name.strip(" <>[]\"'.")
    for article in ("the ", "a ", "an "):
        name = name.removeprefix(article)
    return name


def _where(known: KnownMap, name: str) -> int | None:
    for other, cell in known.named:
        if other == name:
            return cell
    return None


def _faces(known: KnownMap, name: str) -> bool:
    ahead = geometry(known.width, known.height, known.view_size).forward[known.pose]
    return ahead >= 0 and _where(known, name) == ahead


def _news(known: KnownMap, view: Sequence[int]) -> int:
    """Counts the unseen cells that a view would show, as far as the known walls tell."""
    cells = known.cells
    if not any(cell >= 0 and cells[cell] == UNSEEN for cell in view):
        return 0
    opaque = 0
    for index, cell in enumerate(view):
        if cell < 0 or cells[cell] == OPAQUE:
            opaque |= 1 << index
    seen = visible(known.view_size, opaque)
    return sum(view[index] >= 0 and cells[view[index]] == UNSEEN for index in seen)


def _search(known: KnownMap, worth) -> int | None:  # type: ignore[no-untyped-def]
    """Breadth-first search over poses; each turn or step costs one.

    Args:
        known: What the agent knows; free cells and lava can be walked on.
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
            if ahead >= 0 and cells[ahead] in (FREE, LAVA):
                neighbours.insert(0, (FORWARD, ahead << 2 | direction))
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
