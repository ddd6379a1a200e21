"""Skills: "go to counter", "pick up mug" and "place on desk" as the robot's next move.

Pure functions of what the robot knows: its pose and arm, the plan of the flat, and where it last saw each thing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from wean.tasks.navpick.flat import Piece
from wean.tasks.navpick.robot import Moves, Pose
from wean.tasks.navpick.ways import Ways, front_of

Place = tuple[float, float, float]

_THERE = 0.35  # metres from the front of a piece of furniture that count as being there
_FACING, _ALIGNED = math.radians(35), math.radians(8)
_AT_ARMS_LENGTH = 1.25  # metres from the base to a thing, beyond which it must be gone to first
_LEVEL, _TOUCHING = 0.06, 0.13
_STRETCHED = 0.5  # a reach from which the arm goes no farther
_CARRIED = 0.15  # metres above a top at which a thing is carried


class Known(NamedTuple):
    """What the robot knows; `looked_at` is the furniture on which a thing that is searched is not to be seen."""

    ways: Ways
    pose: Pose
    reach: float
    tip: Place
    held: str
    held_at: Place
    seen: Mapping[str, Place]
    looked_at: Collection[str] = ()


def first_action(known: Known, plan: Sequence[str]) -> int | None:
    """The next move of a plan's first skill with something to do; None without one."""
    for skill in plan:
        move = skill_action(known, skill)
        if move is not None:
            return move
    return None


def skill_action(known: Known, skill: str) -> int | None:
    """The next move of one skill; None if it is done, impossible or unknown here."""
    words = " ".join(skill.lower().split())
    pieces = {piece.name: piece for piece in known.ways.flat.pieces}
    for verb, controller in (("go to ", go_to), ("place on ", place_on)):
        if words.startswith(verb):
            piece = pieces.get(words.removeprefix(verb).removeprefix("the "))
            return None if piece is None else controller(known, piece)
    if words.startswith("pick up "):
        return pick_up(known, words.removeprefix("pick up ").removeprefix("the "))
    return None


def go_to(known: Known, piece: Piece) -> int | None:
    """Walks to the front of a piece of furniture and turns to it; None when there, or if it was looked at in vain."""
    if piece.name in known.looked_at:
        return None
    (x, y, _), (front_x, front_y) = known.pose, front_of(piece)
    if math.hypot(front_x - x, front_y - y) > _THERE:
        return _towards(known.pose, *known.ways.next_place(x, y, piece), _ALIGNED)
    turn = _turn(known.pose, piece.x, piece.y, _FACING)
    return None if turn is None else int(turn)


def pick_up(known: Known, thing: str) -> int | None:
    """Faces a thing that was seen, brings the arm's tip to it, grips and lifts; lets go of another thing before.

    None if it is held, far or unseen.
    """
    if known.held == thing:
        top = max((piece.top for piece in known.ways.flat.pieces if _over(known.held_at, piece)), default=0.0)
        return int(Moves.lift_arm) if known.held_at[2] < top + _CARRIED else None
    place = known.seen.get(thing)
    if place is None or math.hypot(place[0] - known.pose.x, place[1] - known.pose.y) > _AT_ARMS_LENGTH:
        return None
    if known.held:
        return int(Moves.grip)
    if math.dist(place, known.tip) < _TOUCHING:
        return int(Moves.grip)
    return _brought(known, place)


def place_on(known: Known, piece: Piece) -> int | None:
    """Brings the held thing over a piece of furniture, lowers it and lets go; None if nothing is held or it is far."""
    if not known.held:
        return None
    (fx, fy), front = piece.front, front_of(piece)
    if math.hypot(front[0] - known.pose.x, front[1] - known.pose.y) > _THERE + 0.3:
        return None
    if not _over(known.held_at, piece):
        above = piece.x + 0.1 * fx, piece.y + 0.1 * fy, piece.top + _CARRIED
        return _brought(known, (*above[:2], max(above[2], known.tip[2])))
    return int(Moves.lower_arm) if known.held_at[2] > piece.top + 0.14 else int(Moves.grip)


def _brought(known: Known, place: Place) -> int:
    """The next move that brings the tip to a place: turn, then height, then reach, and at last the base."""
    turn = _turn(known.pose, place[0], place[1], _ALIGNED)
    if turn is not None:
        return int(turn)
    up = place[2] - known.tip[2]
    if abs(up) > _LEVEL:
        return int(Moves.lift_arm if up > 0 else Moves.lower_arm)
    x, y, _ = known.pose
    gap = math.hypot(place[0] - x, place[1] - y) - math.hypot(known.tip[0] - x, known.tip[1] - y)
    if gap <= 0:
        return int(Moves.reach_in)
    return int(Moves.reach_out if known.reach < _STRETCHED else Moves.forward)


def _over(place: Place, piece: Piece) -> bool:
    return abs(place[0] - piece.x) < piece.half[0] and abs(place[1] - piece.y) < piece.half[1]


def _towards(pose: Pose, x: float, y: float, tolerance: float) -> int:
    turn = _turn(pose, x, y, tolerance)
    return int(Moves.forward if turn is None else turn)


def _turn(pose: Pose, x: float, y: float, tolerance: float) -> Moves | None:
    """The turn towards a place; None when it is faced."""
    error = (math.atan2(y - pose.y, x - pose.x) - pose.facing + math.pi) % (2 * math.pi) - math.pi
    if abs(error) < tolerance:
        return None
    return Moves.turn_left if error > 0 else Moves.turn_right
