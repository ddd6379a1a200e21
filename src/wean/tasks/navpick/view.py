"""Pictures of a flat from above, beside what the robot sees."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wean.tasks.navpick.flat import COLUMNS, ROWS, SIDE, THINGS, Flat
from wean.tasks.navpick.robot import FAR, Robot

_METRE = 32  # pixels
_FLOOR, _WALL, _FURNITURE, _ROBOT, _WANTED = (235, 235, 232), (90, 80, 70), (170, 130, 90), (40, 40, 40), (220, 30, 30)


def bird_view(flat: Flat, robot: Robot, wanted: str) -> NDArray[np.uint8]:
    """The flat from above with the robot's camera image and its depth at the right, (H, W, 3).

    The wanted thing is ringed in red.
    """
    height, width = round(ROWS * SIDE * _METRE), round(COLUMNS * SIDE * _METRE)
    picture = np.full((height, width, 3), _FLOOR, np.uint8)
    for x0, y0, x1, y1 in flat.walls:
        _fill(picture, x0, y0, x1, y1, _WALL)
    for piece in flat.pieces:
        (hx, hy), x, y = piece.half, piece.x, piece.y
        _fill(picture, x - hx, y - hy, x + hx, y + hy, _FURNITURE)
    for thing in flat.things:
        x, y, _ = robot.place_of(thing.name)
        if thing.name == wanted:
            _disc(picture, x, y, 0.2, _WANTED)
        _disc(picture, x, y, 0.11, tuple(int(255 * part) for part in THINGS[thing.name][2]))
    pose = robot.pose
    _disc(picture, pose.x, pose.y, 0.25, _ROBOT)
    for far in np.linspace(0, 0.45, 10):
        _disc(picture, pose.x + far * math.cos(pose.facing), pose.y + far * math.sin(pose.facing), 0.06, _ROBOT)
    tip = robot.tip
    _disc(picture, tip[0], tip[1], 0.06, (90, 90, 90))
    seen = robot.look()
    depth = np.repeat((255 * (1 - np.clip(seen.depth / FAR, 0, 1))).astype(np.uint8)[..., None], 3, -1)
    both = [_enlarged(one, height // 2) for one in (seen.colours, depth)]
    side = np.zeros((height, both[0].shape[1], 3), np.uint8)
    side[: len(both[0])], side[height - len(both[1]) :] = both
    return np.concatenate([picture[::-1], side], 1)


def _fill(picture: NDArray[np.uint8], x0: float, y0: float, x1: float, y1: float, colour: tuple[int, ...]) -> None:
    left, low, right, high = (max(0, round(value * _METRE)) for value in (x0, y0, x1, y1))
    picture[low : max(high, low + 1), left : max(right, left + 1)] = colour


def _disc(picture: NDArray[np.uint8], x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    picture[(columns - x * _METRE) ** 2 + (rows - y * _METRE) ** 2 <= (radius * _METRE) ** 2] = colour


def _enlarged(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    times = max(1, height // len(picture))
    return picture.repeat(times, 0).repeat(times, 1)
