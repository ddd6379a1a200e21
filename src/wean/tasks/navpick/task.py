"""Nav-and-pick as tasks: fetch a named thing in a flat, with depth images, words and skills.

The embodied half of LLM4Teach (2311.13373), whose robot is told to bring a thing in Habitat: here in MuJoCo.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.extras import require
from wean.tasks.navpick import skills
from wean.tasks.navpick.flat import COLUMNS, FURNITURE, NAMES, PIECES, ROWS, SIDE, Flat, draw_flat
from wean.tasks.navpick.robot import FAR, Moves, Picture, Pose, Robot
from wean.tasks.navpick.view import bird_view
from wean.tasks.navpick.ways import Ways
from wean.tasks.situation import LazySituation, Situation
from wean.tasks.splits import Split, draw_in_split, split_of_seed

_log = logging.getLogger(__name__)
_THINGS = 6
_PIXELS_OF_THING, _PIXELS_OF_PIECE = 2, 8  # in 32x24; as many per picture in larger ones
_RECOGNISED = 4.0  # metres within which a thing is recognised
_LOOKED_AT, _IN_VIEW = 2.5, math.radians(22)  # how near, and how far aside, furniture is whose top is seen as a whole
_LIFTED = 0.1  # metres above the top on which it stood
_REST = 0.12  # metres above a top at which a thing that was let go counts as standing there
_DIAGONAL = math.hypot(COLUMNS * SIDE, ROWS * SIDE)

_GOAL = """\
A mobile robot with one arm fetches things in a flat of six rooms: {rooms}. It knows the plan of the flat and its \
furniture, and the things that it has seen, which stand on furniture. It can "go to" a piece of furniture, "pick up" a \
thing that it has seen and stands before{place}. It follows a plan until what it is told here changes. While it \
searches for a thing it looks at the furniture that it comes to, and goes to none twice: to search, name all furniture \
in the order in which to look."""
_PLACE = ', and "place on" a piece of furniture what it holds'
_ROOMS = ", ".join(f"{room} ({', '.join(pieces)})" for room, pieces in FURNITURE.items())


class _Key(NamedTuple):
    """All that the words of a situation tell: what is wanted, where it belongs once it was picked up, where it stands.

    What was searched and which other thing is held change no plan, as skills see to both: they are left out, so that
    a teacher is asked about few situations.
    """

    wanted: str
    target: str
    where: str


class NavPick(gym.Env[Any, Any]):
    """A robot fetches a thing: it drives to it, reaches for it and lifts it; or brings it to a piece of furniture.

    Observation: a dict. `image` is uint8 (H, W, 1), depth in 255 parts of 5 metres, or (H, W, 4) with colours before
    it. `state` is float32 (S,) in [0, 1]: how far the arm is lifted and reaches, whether it holds something and whether
    that is the wanted thing, which thing is wanted (12), with `place` which furniture it goes to (12); and for each
    compass (to the place where the wanted thing stood at first, then to the furniture) the distance in flat diagonals
    and the sine and cosine of the angle to it, halved and moved to [0, 1].

    Actions: see `Moves`. Reward: 1 - 0.9 * steps / horizon for success, else 0. Success, which terminates: the wanted
    thing is held 10 cm above the furniture on which it stood; with `place`, it stands on the named furniture and is let
    go of. `horizon` steps truncate. Physics that gives numbers that are not finite truncates, too, with
    `info["unstable"]`.

    Flats of training, choosing and final seeds are disjoint (`wean.tasks.splits`). In every flat that is handed out
    there is a way to every piece of furniture.

    Args:
        compass: Whether the observation tells where the wanted thing stood at first, and the words its furniture.
        usual: Probability that a thing stands in the room where one usually finds it; otherwise it is anywhere.
        place: Whether the thing must be brought to a named piece of furniture.
        size: Height and width of the picture.
        colours: Whether the picture has colours.
        horizon: Steps after which an episode is truncated.
        render_mode: None, `rgb_array` (the flat from above beside what the robot sees), or `human`.

    Raises:
        UsageError: If a setting is wrong, or MuJoCo is not installed.
    """

    metadata = {
        "render_modes": ["rgb_array", "human"],
        "render_fps": 5,
        "observation": "camera",
    }
    actions = Moves

    def __init__(
        self,
        *,
        compass: bool = True,
        usual: float = 0.0,
        place: bool = False,
        size: tuple[int, int] = (24, 32),
        colours: bool = False,
        horizon: int = 300,
        render_mode: str | None = None,
    ) -> None:
        if not 0 <= usual <= 1:
            raise UsageError(f"usual is a probability, not {usual}")
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1 step, not {horizon}")
        height, width = (int(side) for side in size)
        if min(height, width) < 12 or max(height, width) > 256:
            raise UsageError(f"a picture has 12 to 256 pixels a side, not {tuple(size)}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"nav-and-pick renders 'rgb_array' or 'human', not {render_mode!r}")
        self.compass, self.usual, self.place, self.colours = compass, usual, place, colours
        self.size, self.horizon, self.render_mode = (height, width), horizon, render_mode
        numbers = 4 + len(NAMES) + len(PIECES) * place + 3 * (compass + (compass and place))
        self.observation_space: spaces.Dict = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (height, width, 4 if colours else 1), np.uint8),
                "state": spaces.Box(0, 1, (numbers,), np.float32),
            }
        )
        self.action_space = spaces.Discrete(len(Moves))
        self.goal = _GOAL.format(rooms=_ROOMS, place=_PLACE if place else "")
        self._split: Split = "training"
        self._scale = max(1, height * width // (24 * 32))
        self._viewer: Any = None

    # --- Gymnasium's contract ------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Starts an episode in a new flat; the same seed gives the same one."""
        super().reset(seed=seed)
        if seed is not None:
            self._split = split_of_seed(seed)
        self.flat, self._ways = draw_in_split(self._split, self._draw, lambda drawn: drawn[0].number())
        free = self._ways.free()
        x, y = free[self.np_random.integers(len(free))]
        pose = Pose(float(x), float(y), float(self.np_random.uniform(-math.pi, math.pi)))
        self.robot = Robot(self.flat, pose, self.size)
        wanted = self.flat.things[self.np_random.integers(len(self.flat.things))]
        self.wanted, self._home = wanted.name, self.flat.pieces[wanted.piece]
        others = [piece for piece in self.flat.pieces if piece is not self._home]
        self._target = others[self.np_random.integers(len(others))] if self.place else None
        self._steps = 0
        self.seen: dict[str, tuple[float, float, float]] = {}
        self._looked_at: set[str] = set()
        if self.render_mode == "human":
            self._show()
        return self._observe(), {"is_success": False}

    def step(self, action: int) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Performs one move; see the class for rewards and ends."""
        self.robot.act(Moves(int(action)))
        self._steps += 1
        if not self.robot.stable:
            _log.warning("the physics of a flat gave numbers that are not finite; its episode is truncated")
            return self._last, 0.0, False, True, {"is_success": False, "unstable": True}
        observation = self._observe()
        won = self._won()
        if self._viewer is not None:
            self._viewer.sync()
        reward = 1 - 0.9 * self._steps / self.horizon if won else 0.0
        return observation, reward, won, self._steps >= self.horizon and not won, {"is_success": won}

    def render(self) -> NDArray[np.uint8] | None:
        """The flat from above, the robot's trail and pose, and what it sees, (H, W, 3); None otherwise."""
        if self.render_mode != "rgb_array":
            return None
        return bird_view(self.flat, self.robot, self.wanted)

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    # --- words and skills ----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        """What is wanted and where it is known to be, or, once it was picked up, where it belongs."""
        target = self._target.name if self._target is not None and self._picked_up() else ""
        where = self._home.name if self.compass else ""
        if self.wanted in self.seen:
            where = self._piece_under(self.seen[self.wanted])
        key = _Key(self.wanted, target, "" if target else where)
        return LazySituation(key, self.goal, partial(self._write, key), partial(self._choices, key))

    def first_action(self, plan: Sequence[str]) -> int | None:
        """The next move of a plan (a list of skills); None where it can do nothing here."""
        held_at = self.robot.place_of(self.robot.held) if self.robot.held else self.robot.tip
        known = skills.Known(
            self._ways,
            self.robot.pose,
            self.robot.arm[1],
            _place(self.robot.tip),
            self.robot.held,
            _place(held_at),
            self.seen,
            () if self.compass or self.wanted in self.seen else self._looked_at,
        )
        return skills.first_action(known, plan)

    def best_actions(self) -> list[int]:
        """The move of the skills for which all places are known: go there, pick it up, and with `place` bring it."""
        self.seen[self.wanted] = _place(self.robot.place_of(self.wanted))
        plan = [f"pick up {self.wanted}"]
        if self.robot.held != self.wanted:
            plan = [f"go to {self._piece_under(self.seen[self.wanted])}", *plan]
        elif self._target is not None:
            plan = [f"place on {self._target.name}", *plan, f"go to {self._target.name}"]
        move = self.first_action(plan)
        return [] if move is None else [move]

    @property
    def skill_names(self) -> tuple[str, ...]:
        """Every skill that a situation can name, in a fixed order."""
        placing = tuple(f"place on {piece}" for piece in PIECES) if self.place else ()
        return (*(f"go to {piece}" for piece in PIECES), *(f"pick up {name}" for name in NAMES), *placing)

    def _write(self, key: _Key) -> str:
        if key.target:
            return f"The robot holds the {key.wanted}, which belongs on the {key.target}."
        where = f"was last seen on the {key.where}" if key.where else "was not seen yet"
        return f"The robot is to fetch the {key.wanted}, which {where}."

    def _choices(self, key: _Key) -> tuple[str, ...]:
        going = tuple(f"go to {piece}" for piece in PIECES)
        picking = (f"pick up {key.wanted}",) if key.where else ()
        placing = tuple(f"place on {piece}" for piece in PIECES) if key.target else ()
        return going + picking + placing

    # --- the episode ---------------------------------------------------------------------------------------------

    def _draw(self) -> tuple[Flat, Ways]:
        """Draws flats until one has ways to all its furniture."""
        while True:
            flat = draw_flat(self.np_random, _THINGS, self.usual)
            if flat is not None:
                ways = Ways(flat)
                if ways.reaches_all(*ways.free()[0]):
                    return flat, ways

    def _observe(self) -> dict[str, NDArray[Any]]:
        picture = self.robot.look()
        self._recognise(picture)
        depth = (255 * np.clip(picture.depth / FAR, 0, 1)).astype(np.uint8)[..., None]
        image = np.concatenate([picture.colours, depth], -1) if self.colours else depth
        lift, reach = self.robot.arm
        held = self.robot.held
        numbers = [(lift + 0.3) / 0.8, reach / 0.55, float(bool(held)), float(held == self.wanted)]
        numbers += [float(name == self.wanted) for name in NAMES]
        if self._target is not None:
            numbers += [float(piece == self._target.name) for piece in PIECES]
        if self.compass:
            numbers += self._compass(self._home.x, self._home.y)
            if self._target is not None:
                numbers += self._compass(self._target.x, self._target.y)
        self._last = {"image": image, "state": np.clip(np.array(numbers, np.float32), 0, 1)}
        return self._last

    def _compass(self, x: float, y: float) -> list[float]:
        pose = self.robot.pose
        angle = math.atan2(y - pose.y, x - pose.x) - pose.facing
        return [math.hypot(x - pose.x, y - pose.y) / _DIAGONAL, (1 + math.sin(angle)) / 2, (1 + math.cos(angle)) / 2]

    def _recognise(self, picture: Picture) -> None:
        """Remembers the things in view and the furniture that was looked at; after all of it in vain, none of it."""
        hits = picture.hits[picture.depth < _RECOGNISED]
        counts = np.bincount(hits[hits >= 0], minlength=self.robot.model.ngeom)
        for thing in self.flat.things:
            if counts[self.robot.geom_of[thing.name]] >= _PIXELS_OF_THING * self._scale:
                self.seen[thing.name] = _place(self.robot.place_of(thing.name))
        x, y, facing = self.robot.pose
        for piece in self.flat.pieces:
            aside = math.remainder(math.atan2(piece.y - y, piece.x - x) - facing, 2 * math.pi)
            near = math.hypot(piece.x - x, piece.y - y) < _LOOKED_AT and abs(aside) < _IN_VIEW
            if near and counts[self.robot.geom_of[piece.name]] >= _PIXELS_OF_PIECE * self._scale:
                self._looked_at.add(piece.name)
        if len(self._looked_at) == len(PIECES) and self.wanted not in self.seen:
            self._looked_at.clear()

    def _piece_under(self, place: tuple[float, float, float]) -> str:
        """The name of the furniture nearest to a place."""
        return min(self.flat.pieces, key=lambda piece: math.hypot(piece.x - place[0], piece.y - place[1])).name

    def _picked_up(self) -> bool:
        """Whether the wanted thing is held and lifted; what is lowered onto other furniture counts, too."""
        x, y, z = self.robot.place_of(self.wanted)
        off = math.hypot(x - self._home.x, y - self._home.y) > max(self._home.half)
        return self.robot.held == self.wanted and bool(off or z > self._home.top + _LIFTED)

    def _won(self) -> bool:
        if self._target is None:
            height = float(self.robot.place_of(self.wanted)[2])
            return self.robot.held == self.wanted and height > self._home.top + _LIFTED
        x, y, z = self.robot.place_of(self.wanted)
        (hx, hy), piece = self._target.half, self._target
        over = abs(x - piece.x) < hx and abs(y - piece.y) < hy
        return bool(self.robot.held != self.wanted and over and piece.top < z < piece.top + _REST)

    def _show(self) -> None:
        self.close()
        viewer = require("mujoco.viewer", extra="embodied")
        self._viewer = viewer.launch_passive(self.robot.model, self.robot.data)


def _place(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
