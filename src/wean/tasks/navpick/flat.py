"""A flat of six rooms with furniture and things: drawn by a seed, and written as a MuJoCo model."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROWS, COLUMNS = 2, 3
SIDE = 4.0  # of a room, in metres
_DOOR, _WALL, _HALF_WALL = 1.1, 1.25, 0.05  # a doorway's width, half of a wall's height, half of its thickness

# Furniture of each room, with the height of its top.
FURNITURE = {
    "kitchen": {"counter": 0.8, "table": 0.7},
    "bathroom": {"washstand": 0.6, "stool": 0.45},
    "bedroom": {"bed": 0.4, "dresser": 0.75},
    "living room": {"sofa": 0.4, "coffee table": 0.45},
    "office": {"desk": 0.7, "bookcase": 0.6},
    "hall": {"bench": 0.45, "cabinet": 0.8},
}
ROOMS = tuple(FURNITURE)
PIECES = tuple(piece for pieces in FURNITURE.values() for piece in pieces)

_SHAPES = {
    "box": 'type="box" size=".05 .05 .06"',
    "ball": 'type="sphere" size=".06"',
    "can": 'type="cylinder" size=".045 .07"',
}
# Things, with the room where one usually finds them, their shape and their colour.
THINGS = {
    "mug": ("kitchen", "can", (0.95, 0.95, 0.95)),
    "apple": ("kitchen", "ball", (0.9, 0.1, 0.1)),
    "soap": ("bathroom", "box", (0.95, 0.6, 0.8)),
    "sponge": ("bathroom", "box", (0.9, 0.8, 0.1)),
    "alarm clock": ("bedroom", "can", (0.1, 0.2, 0.9)),
    "teddy bear": ("bedroom", "ball", (0.6, 0.35, 0.1)),
    "remote control": ("living room", "box", (0.1, 0.1, 0.1)),
    "vase": ("living room", "can", (0.1, 0.7, 0.1)),
    "stapler": ("office", "box", (0.9, 0.4, 0.1)),
    "tape roll": ("office", "can", (0.6, 0.6, 0.2)),
    "wool ball": ("hall", "ball", (0.6, 0.1, 0.8)),
    "shoe polish": ("hall", "can", (0.1, 0.7, 0.7)),
}
NAMES = tuple(THINGS)


class Piece(NamedTuple):
    """A piece of furniture: its room, its centre, its half sizes, the height of its top, and the way off the wall."""

    room: str
    name: str
    x: float
    y: float
    half: tuple[float, float]
    top: float
    front: tuple[int, int]


class Thing(NamedTuple):
    """A thing, and where it stands at first: the number of its piece of furniture, and its place."""

    name: str
    piece: int
    x: float
    y: float


class Flat(NamedTuple):
    """A flat: the rooms' names row by row, walls as boxes (x0, y0, x1, y1), furniture and things."""

    rooms: tuple[str, ...]
    walls: tuple[tuple[float, float, float, float], ...]
    pieces: tuple[Piece, ...]
    things: tuple[Thing, ...]

    def room_at(self, x: float, y: float) -> str:
        """The name of the room at a place."""
        column, row = (min(max(int(value / SIDE), 0), most - 1) for value, most in ((x, COLUMNS), (y, ROWS)))
        return self.rooms[row * COLUMNS + column]

    def number(self) -> int:
        """A number of this layout, by which it belongs to a split."""
        places = [(piece.name, round(piece.x, 2), round(piece.y, 2)) for piece in self.pieces]
        return hash_of((self.rooms, places, [(thing.name, thing.piece) for thing in self.things]))


def hash_of(value: object) -> int:
    """A number that is the same in every process."""
    return zlib.crc32(repr(value).encode())


def draw_flat(random: np.random.Generator, things: int, usual: float) -> Flat | None:
    """Draws a flat; None if its furniture finds no place, so that none is handed out that is wrong.

    Args:
        random: Decides everything.
        things: How many things.
        usual: Probability that a thing stands in its usual room; otherwise, and with 0, anywhere.
    """
    rooms = tuple(str(name) for name in random.permutation(ROOMS))
    doors, walls = _walls(random)
    pieces: list[Piece] = []
    for place, room in enumerate(rooms):
        for name, top in FURNITURE[room].items():
            piece = _placed(random, place, room, name, top, doors, pieces)
            if piece is None:
                return None
            pieces.append(piece)
    names = [str(name) for name in random.permutation(NAMES)[:things]]
    free = [int(number) for number in random.permutation(len(pieces))]
    standing = []
    for name in names:
        at_home = [number for number in free if pieces[number].room == THINGS[name][0]]
        number = at_home[0] if at_home and random.random() < usual else free[0]
        free.remove(number)
        standing.append(_standing(random, name, number, pieces[number]))
    return Flat(rooms, tuple(walls), tuple(pieces), tuple(standing))


def _walls(
    random: np.random.Generator,
) -> tuple[list[tuple[float, float]], list[tuple[float, float, float, float]]]:
    """The middles of the doorways, and the walls: four outside, and between two rooms one with a doorway in it."""
    width, height = COLUMNS * SIDE, ROWS * SIDE
    lines = [(0.0, 0.0, width, 0.0), (0.0, height, width, height), (0.0, 0.0, 0.0, height), (width, 0.0, width, height)]
    doors = []
    for row in range(ROWS):
        for column in range(1, COLUMNS):
            x, y = column * SIDE, row * SIDE + random.uniform(1.2, SIDE - 1.2)
            doors.append((x, y))
            lines += [(x, row * SIDE, x, y - _DOOR / 2), (x, y + _DOOR / 2, x, (row + 1) * SIDE)]
    for row in range(1, ROWS):
        for column in range(COLUMNS):
            x, y = column * SIDE + random.uniform(1.2, SIDE - 1.2), row * SIDE
            doors.append((x, y))
            lines += [(column * SIDE, y, x - _DOOR / 2, y), (x + _DOOR / 2, y, (column + 1) * SIDE, y)]
    half = _HALF_WALL
    return doors, [(x0 - half, y0 - half, x1 + half, y1 + half) for x0, y0, x1, y1 in lines]


def _placed(
    random: np.random.Generator,
    place: int,
    room: str,
    name: str,
    top: float,
    doors: list[tuple[float, float]],
    pieces: list[Piece],
) -> Piece | None:
    """A piece of furniture at a wall of its room, away from doorways and other furniture; None if there is no place."""
    row, column = divmod(place, COLUMNS)
    for _ in range(200):
        side, along, off = int(random.integers(4)), random.uniform(0.9, SIDE - 0.9), 0.45
        dx, dy = [(along, off), (along, SIDE - off), (off, along), (SIDE - off, along)][side]
        x, y, half = column * SIDE + dx, row * SIDE + dy, (0.45, 0.3) if side < 2 else (0.3, 0.45)
        clear = all(abs(x - a) > half[0] + 0.8 or abs(y - b) > half[1] + 0.8 for a, b in doors)
        if clear and all(math.hypot(x - other.x, y - other.y) > 1.5 for other in pieces):
            return Piece(room, name, x, y, half, top, ((0, 1), (0, -1), (1, 0), (-1, 0))[side])
    return None


def _standing(random: np.random.Generator, name: str, number: int, piece: Piece) -> Thing:
    """A thing near the front edge of a piece of furniture, where an arm reaches it."""
    (fx, fy), along = piece.front, random.uniform(-0.2, 0.2)
    return Thing(name, number, piece.x + 0.12 * fx + along * abs(fy), piece.y + 0.12 * fy + along * abs(fx))


def model_xml(flat: Flat) -> str:
    """The flat with the robot as a MuJoCo model. Geom groups: 1 the flat, 2 what is seen and moves, 3 the robot."""
    width, height = COLUMNS * SIDE, ROWS * SIDE
    welds = "".join(
        f'<weld name="hold {thing.name}" body1="tip" body2="{thing.name}" active="false" solref=".02 1"/>'
        for thing in flat.things
    )
    return f"""<mujoco><option timestep="0.02" integrator="implicitfast"/>
<worldbody>
<geom name="floor" type="plane" pos="{width / 2} {height / 2} 0" size="{width / 2} {height / 2} .1"
 rgba=".45 .45 .5 1" group="1"/>
{"".join(_geoms(flat))}{_ROBOT}
</worldbody>
<equality>{welds}</equality>
<actuator>
<velocity joint="x" kv="400"/><velocity joint="y" kv="400"/><velocity joint="turn" kv="60"/>
<position joint="lift" kp="400" kv="60" ctrlrange="-.3 .5"/><position joint="reach" kp="300" kv="50" ctrlrange="0 .55"/>
</actuator></mujoco>"""


def _geoms(flat: Flat) -> Iterator[str]:
    for x0, y0, x1, y1 in flat.walls:
        yield _box("", (x0, y0, 0, x1, y1, 2 * _WALL), (0.8, 0.75, 0.7))
    for piece in flat.pieces:
        (hx, hy), x, y = piece.half, piece.x, piece.y
        yield _box(f' name="{piece.name}"', (x - hx, y - hy, 0, x + hx, y + hy, piece.top), (0.5, 0.35, 0.2))
    for thing in flat.things:
        _, shape, (red, green, blue) = THINGS[thing.name]
        top = flat.pieces[thing.piece].top
        yield (
            f'<body name="{thing.name}" pos="{thing.x:.3f} {thing.y:.3f} {top + 0.075:.3f}"><freejoint/>'
            f'<geom name="the {thing.name}" {_SHAPES[shape]} mass=".2" rgba="{red} {green} {blue} 1" group="2" '
            'friction="1 .05 .01" condim="6"/></body>\n'
        )


def _box(name: str, corners: tuple[float, ...], colour: tuple[float, float, float]) -> str:
    x0, y0, z0, x1, y1, z1 = corners
    middle = f"{(x0 + x1) / 2:.3f} {(y0 + y1) / 2:.3f} {(z0 + z1) / 2:.3f}"
    half = f"{(x1 - x0) / 2:.3f} {(y1 - y0) / 2:.3f} {(z1 - z0) / 2:.3f}"
    red, green, blue = colour
    return f'<geom{name} type="box" pos="{middle}" size="{half}" rgba="{red} {green} {blue} 1" group="1"/>\n'


# A base that drives and turns, a mast with a camera, and an arm that lifts and reaches; suction is a weld to its tip.
_ROBOT = """<body name="base" pos="0 0 0">
<joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
<joint name="turn" type="hinge" axis="0 0 1"/>
<geom type="cylinder" size=".22 .15" pos="0 0 .17" mass="20" group="3" rgba=".2 .2 .2 1"/>
<camera name="head" pos=".05 0 1.15" xyaxes="0 -1 0 .5 0 1"/>
<body name="arm" pos=".1 0 .6" gravcomp="1"><joint name="lift" type="slide" axis="0 0 1" range="-.3 .5"/>
<geom type="box" size=".03 .03 .03" mass=".5" contype="0" conaffinity="0" group="3"/>
<body name="tip" pos=".15 0 0" gravcomp="1"><joint name="reach" type="slide" axis="1 0 0" range="0 .55"/>
<geom type="capsule" fromto="-.15 0 0 0 0 0" size=".02" mass=".3" contype="0" conaffinity="0" group="2"
 rgba=".1 .1 .1 1"/></body></body></body>"""
