"""The robot in MuJoCo: a base that drives and turns, an arm with suction, and a camera that casts rays.

Rays need no OpenGL, so that the robot sees on any machine; their depth is that of MuJoCo's own renderer.
"""

from __future__ import annotations

import logging
import math
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.extras import require
from wean.tasks.navpick.flat import Flat, model_xml

_log = logging.getLogger(__name__)
Floats = NDArray[np.float64]


class Moves(IntEnum):
    """The robot's actions; one takes a fifth of a second of physics."""

    forward = 0
    turn_left = 1
    turn_right = 2
    lift_arm = 3
    lower_arm = 4
    reach_out = 5
    reach_in = 6
    grip = 7


_SUBSTEPS, _SECONDS = 10, 0.2
_SPEED, _TURN = 1.0, math.radians(15)  # metres a second, radians a move
_LIFTS, _REACHES, _ARM_STEP = (-0.3, 0.5), (0.0, 0.55), 0.1
SUCTION = 0.15  # metres from the tip within which a thing is held
FAR = 5.0  # metres at which depth ends
_CUTOFF, _VIEW = 20.0, 70  # metres that a ray goes; degrees from the top of the picture to its bottom
_SUN = np.array([0.4, 0.3, 0.85]) / np.linalg.norm([0.4, 0.3, 0.85])
_SEEN_GROUPS = np.array([0, 1, 1, 0, 0, 0], np.uint8)  # the flat, and what moves; not the robot's own base


class Pose(NamedTuple):
    """Where the base is, in metres, and where it faces, in radians from the x axis."""

    x: float
    y: float
    facing: float


class Picture(NamedTuple):
    """One look: depth (H, W) in metres along the camera's axis, colours (H, W, 3) uint8, and what each ray hit.

    `hits` (H, W) has the geom's number, or -1.
    """

    depth: Floats
    colours: NDArray[np.uint8]
    hits: NDArray[np.int32]


@lru_cache(maxsize=4)
def _rays(height: int, width: int) -> tuple[Floats, Floats]:
    """Unit directions (H * W, 3) in the camera's frame, and how far each goes along its axis a metre."""
    focal = 0.5 * height / math.tan(math.radians(_VIEW) / 2)
    right, up = np.meshgrid(
        (np.arange(width) - width / 2 + 0.5) / focal, -(np.arange(height) - height / 2 + 0.5) / focal
    )
    directions = np.stack([right, up, -np.ones_like(right)], -1).reshape(-1, 3)
    lengths = np.linalg.norm(directions, axis=1)
    return directions / lengths[:, None], 1 / lengths


class Robot:
    """The robot in a flat, standing at a pose.

    Args:
        flat: The flat.
        pose: Where it starts.
        size: Height and width of its picture.

    Attributes:
        held: The name of the thing that it holds; empty for none.

    Raises:
        UsageError: If MuJoCo is not installed.
    """

    def __init__(self, flat: Flat, pose: Pose, size: tuple[int, int]) -> None:
        self._mujoco: Any = require("mujoco", extra="embodied")
        self._mujoco.set_mju_user_warning(_log.debug)  # which would go to a file in the current folder
        self.flat, self._size, self.held = flat, size, ""
        self.model = model = self._mujoco.MjModel.from_xml_string(model_xml(flat))
        self.data = data = self._mujoco.MjData(model)
        self._at = {name: int(model.joint(name).qposadr[0]) for name in ("x", "y", "turn", "lift", "reach")}
        self._bodies = {thing.name: int(model.body(thing.name).id) for thing in flat.things}
        self._tip, self._base = int(model.body("tip").id), int(model.body("base").id)
        self._camera = int(model.camera("head").id)
        self._colours = model.geom_rgba[:, :3].copy()
        names = [thing.name for thing in flat.things]
        self.geom_of = {name: int(model.geom(f"the {name}").id) for name in names}
        self.geom_of |= {piece.name: int(model.geom(piece.name).id) for piece in flat.pieces}
        rays = size[0] * size[1]
        self._hits, self._lengths = np.zeros(rays, np.int32), np.zeros(rays)
        self._normals = np.zeros(3 * rays)
        for name, value in zip(("x", "y", "turn"), pose, strict=True):
            data.qpos[self._at[name]] = value
        data.ctrl[:] = 0
        self._mujoco.mj_step(model, data, 2 * _SUBSTEPS)  # things settle on the furniture

    @property
    def pose(self) -> Pose:
        """Where it is, the angle between -pi and pi."""
        x, y, turn = (float(self.data.qpos[self._at[name]]) for name in ("x", "y", "turn"))
        return Pose(x, y, (turn + math.pi) % (2 * math.pi) - math.pi)

    @property
    def arm(self) -> tuple[float, float]:
        """How far the arm is lifted and how far it reaches, in metres."""
        return float(self.data.qpos[self._at["lift"]]), float(self.data.qpos[self._at["reach"]])

    @property
    def tip(self) -> Floats:
        """Where the arm's tip is (3,)."""
        found: Floats = self.data.xpos[self._tip].copy()
        return found

    def place_of(self, thing: str) -> Floats:
        """Where a thing is (3,)."""
        found: Floats = self.data.xpos[self._bodies[thing]].copy()
        return found

    @property
    def stable(self) -> bool:
        """Whether the physics has given finite numbers so far; MuJoCo notes and resets what is not."""
        kinds = self._mujoco.mjtWarning
        bad = (kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC)
        return not any(self.data.warning[int(kind)].number for kind in bad)

    def act(self, move: Moves) -> None:
        """Performs one move."""
        control, facing = self.data.ctrl, self.data.qpos[self._at["turn"]]
        control[:3] = 0
        if move is Moves.forward:
            control[:2] = _SPEED * math.cos(facing), _SPEED * math.sin(facing)
        elif move in (Moves.turn_left, Moves.turn_right):
            control[2] = (_TURN if move is Moves.turn_left else -_TURN) / _SECONDS
        elif move in (Moves.lift_arm, Moves.lower_arm):
            control[3] = np.clip(control[3] + (_ARM_STEP if move is Moves.lift_arm else -_ARM_STEP), *_LIFTS)
        elif move in (Moves.reach_out, Moves.reach_in):
            control[4] = np.clip(control[4] + (_ARM_STEP if move is Moves.reach_out else -_ARM_STEP), *_REACHES)
        else:
            self._grip()
        self._mujoco.mj_step(self.model, self.data, _SUBSTEPS)
        control[:3] = 0

    def _grip(self) -> None:
        """Holds the nearest thing within reach of the suction, or lets go of what is held."""
        if self.held:
            self.data.eq_active[self.model.equality(f"hold {self.held}").id] = 0
            self.held = ""
            return
        tip = self.tip
        name = min(self._bodies, key=lambda one: float(np.linalg.norm(self.place_of(one) - tip)))
        if np.linalg.norm(self.place_of(name) - tip) < SUCTION:
            self.held = name
            self._weld(name)

    def _weld(self, name: str) -> None:
        """Fixes a thing to the tip as it is now, by its place and turn in the tip's frame."""
        mujoco, data, body = self._mujoco, self.data, self._bodies[name]
        number = self.model.equality(f"hold {name}").id
        back, place, turn = np.zeros(4), np.zeros(3), np.zeros(4)
        mujoco.mju_negQuat(back, data.xquat[self._tip])
        mujoco.mju_rotVecQuat(place, data.xpos[body] - data.xpos[self._tip], back)
        mujoco.mju_mulQuat(turn, back, data.xquat[body])
        self.model.eq_data[number, :3] = 0
        self.model.eq_data[number, 3:6], self.model.eq_data[number, 6:10] = place, turn
        data.eq_active[number] = 1

    def look(self) -> Picture:
        """Casts a ray for each pixel."""
        data, (directions, along) = self.data, _rays(*self._size)
        turned = (directions @ data.cam_xmat[self._camera].reshape(3, 3).T).ravel()
        self._mujoco.mj_multiRay(
            self.model,
            data,
            data.cam_xpos[self._camera],
            turned,
            _SEEN_GROUPS,
            True,
            self._base,
            self._hits,
            self._lengths,
            self._normals,
            len(along),
            _CUTOFF,
        )
        missed = self._hits < 0
        depth = np.where(missed, _CUTOFF, self._lengths) * along
        shade = 0.45 + 0.55 * np.abs(self._normals.reshape(-1, 3) @ _SUN)
        colours = self._colours[self._hits] * shade[:, None]
        colours[missed] = 0.6
        shape = self._size
        return Picture(
            depth.reshape(shape),
            (255 * colours.clip(0, 1)).astype(np.uint8).reshape(*shape, 3),
            self._hits.reshape(shape).copy(),
        )
