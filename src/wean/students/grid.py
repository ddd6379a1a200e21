"""A student for grid maps: an egocentric window of learned embeddings."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import UsageError
from wean.students.config import Goal, StudentConfig
from wean.students.sentence_vectors import CachedEncoder
from wean.students.student import Student
from wean.tasks.grid.words import PARTS, WORDS, phrase_of

_SIZE = 384  # numbers in a sentence vector


class GoalPosition(nn.Module):
    """The sub-goal's position relative to the agent: a weight for each of the `window` cells around it."""

    def __init__(self, window: int, hidden: int) -> None:
        super().__init__()
        self.cells = nn.Linear(window, hidden, bias=False)
        nn.init.zeros_(self.cells.weight)

    def forward(self, channel: Tensor, index: Tensor) -> Tensor:
        """Maps a channel (B, cells), 1 where the sub-goal is, and the window's cells (B, window) to (B, hidden)."""
        window = nn.functional.pad(channel, (0, 1)).gather(1, index)
        out: Tensor = self.cells(window.float())
        return out


class GoalObject(nn.Module):
    """The sub-goal's words: a learned vector for its verb, and for the state, the colour and the kind of its object."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(len(WORDS), hidden, mode="sum", padding_idx=0)
        nn.init.zeros_(self.words.weight)

    def forward(self, channel: Tensor, index: Tensor) -> Tensor:
        """Maps a channel (B, cells), whose first 4 are the numbers of a phrase, to (B, hidden)."""
        out: Tensor = self.words(channel[:, :PARTS].long())
        return out


class GoalLanguage(nn.Module):
    """The sub-goal's phrase as a frozen sentence vector of 384 numbers, of which only the projection is learned.

    The encoder (`minilm`, or a model folder) is needed for acting, too, for phrases that no run here has encoded.
    """

    def __init__(self, hidden: int, encoder: str = "minilm") -> None:
        super().__init__()
        self.sentence = nn.Linear(_SIZE, hidden, bias=False)
        nn.init.zeros_(self.sentence.weight)
        self._name = encoder
        self._encoder: CachedEncoder | None = None
        # Arrays, since a tensor that is made while acting could not be learned from later.
        self._known: dict[tuple[int, ...], NDArray[np.float32]] = {(0,) * PARTS: np.zeros(_SIZE, np.float32)}

    def forward(self, channel: Tensor, index: Tensor) -> Tensor:
        """Maps a channel (B, cells), whose first 4 are the numbers of a phrase, to (B, hidden); all 0 is no sub-goal.

        Raises:
            UsageError: If a phrase is new and the encoder is not here; the message says how to get it.
        """
        distinct, places = torch.unique(channel[:, :PARTS], dim=0, return_inverse=True)
        found = torch.from_numpy(np.stack([self._vector(tuple(row)) for row in distinct.tolist()]))
        out: Tensor = self.sentence(found)[places]
        return out

    def _vector(self, numbers: tuple[int, ...]) -> NDArray[np.float32]:
        if numbers not in self._known:
            self._encoder = self._encoder or CachedEncoder(self._name)
            vector = self._encoder.encode([phrase_of(numbers)])[0]
            if len(vector) != _SIZE:
                raise UsageError(
                    f"the encoder {self._name} gives {len(vector)} numbers, a sub-goal takes {_SIZE}; "
                    "set student.encoder=minilm"
                )
            # Its length is 1: scaled so that each number is about 1.
            self._known[numbers] = vector * np.float32(_SIZE**0.5)
        return self._known[numbers]


def subgoal_encoding(goal: Goal, window: int, hidden: int, encoder: str) -> nn.Module | None:
    """The encoding that a student's settings name; None for a student that sees no sub-goal."""
    if goal == "position":
        return GoalPosition(window, hidden)
    if goal == "object":
        return GoalObject(hidden)
    return GoalLanguage(hidden, encoder) if goal == "language" else None


# MiniGrid's code ranges, with room to spare: objects 0..10, colours 0..5, states 0..2.
_OBJECTS, _COLORS, _STATES = 11, 6, 3
_CODES = _OBJECTS * _COLORS * _STATES
_THINGS = 4 * _COLORS * _STATES  # codes from here on are of things: nothing, walls and floors come before
_NO_AGENT = 4
_REFLECTED = [1, 0, 2, 3, 4, 5, 6]  # MiniGrid's actions under reflection: left is right


@lru_cache(maxsize=8)
def egocentric_index(width: int, height: int, radius: int) -> Tensor:
    """Where each cell of an agent-centred, agent-aligned window lies on the map.

    Returns:
        int64 (width * height * 4, (2 * radius + 1) ** 2): for the pose `(x * height + y) * 4 + direction`, the flat
        map cell `x * height + y` of each window cell, or `width * height` beyond the map. Window rows run from the
        farthest ahead to the farthest behind, columns from left to right.
    """
    step = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]])  # east, south, west, north
    x, y, direction = torch.meshgrid(torch.arange(width), torch.arange(height), torch.arange(4), indexing="ij")
    dx, dy = step[direction.flatten()].T  # (P,)
    ahead, right = torch.meshgrid(
        torch.arange(radius, -radius - 1, -1), torch.arange(-radius, radius + 1), indexing="ij"
    )
    ahead, right = ahead.flatten(), right.flatten()  # (W,)
    # Right of the direction (dx, dy) is (-dy, dx).
    column = x.flatten()[:, None] + dx[:, None] * ahead - dy[:, None] * right
    row = y.flatten()[:, None] + dy[:, None] * ahead + dx[:, None] * right
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return torch.where(inside, column * height + row, width * height)


@lru_cache(maxsize=8)
def border_distances(width: int, height: int) -> Tensor:
    """Distances from each pose to the borders of the map, as the agent sees them.

    Returns:
        int64 (width * height * 4, 4): for the pose `(x * height + y) * 4 + direction`, the cells between the agent and
        the border ahead, to its right, behind it and to its left.
    """
    x, y, direction = torch.meshgrid(torch.arange(width), torch.arange(height), torch.arange(4), indexing="ij")
    x, y, direction = x.flatten(), y.flatten(), direction.flatten()
    sides = torch.stack([width - 1 - x, height - 1 - y, x, y], 1)  # east, south, west, north
    return sides.gather(1, (direction[:, None] + torch.arange(4)) % 4)


class GridStudent(Student):
    """Sees a remembered grid map (W, H, 4) turned with the agent and centred on it.

    Each cell's object, colour and state are looked up in three learned tables and added; the window of embedded
    cells goes through two hidden layers. Centring makes "the key is two ahead and one to the left" one pattern
    instead of one for every place and direction. Cells that were never seen, or lie beyond the map, are zeros: they
    are most of the window, and leaving them out halves the cost of learning.

    Args:
        width: Map cells in x.
        height: Map cells in y.
        num_actions: Size of the action space.
        config: All but `chooses` and `values` is used; `reflection` excludes a memory. With a `goal`, observations
            carry a fifth channel with the current sub-goal; see `wean.teachers.subgoal_tasks`.
        embedding: Size of a cell's embedding.
        masked: Observations carry a fifth channel, whose cells in order (x, then y) are 1 for admissible actions.
    """

    kind: ClassVar[str] = "grid"

    def __init__(
        self,
        width: int,
        height: int,
        num_actions: int,
        config: StudentConfig | None = None,
        embedding: int = 4,
        masked: bool = False,
    ) -> None:
        config = config or StudentConfig()
        radius = config.view_radius or min(max(width, height) - 1, 9)
        saved: dict[str, Any] = {
            "width": width,
            "height": height,
            "num_actions": num_actions,
            "view_radius": radius,
            "border_distances": config.border_distances,
            "embedding": embedding,
            "hidden": config.hidden,
            "recurrent": config.recurrent,
            "masked": masked,
        }
        if config.goal != "none":
            saved |= {"goal": config.goal, "encoder": config.encoder}
        saved |= {name: True for name in ("object_set", "reflection") if name in config.map_options}
        super().__init__(saved, config.hidden, num_actions, config.recurrent)
        self._height, self._masked = height, masked
        index, side = egocentric_index(width, height, radius), 2 * radius + 1
        self._views = [index]
        if config.reflection:
            self._views.append(index.view(-1, side, side).flip(-1).flatten(1))
            if config.recurrent:
                raise UsageError(
                    "a student with a memory has no reflection; leave student.reflection or .recurrent out"
                )
            # Skills, which are masked, turn nowhere.
            self.actor = ReflectedHead(self.actor, None if masked else _REFLECTED)
            self.critic = ReflectedHead(self.critic, None)
        self.object = nn.Embedding(_OBJECTS, embedding)
        self.color = nn.Embedding(_COLORS, embedding)
        self.state = nn.Embedding(_STATES, embedding)
        window = side**2
        self.trunk = nn.Sequential(
            nn.Linear(window * embedding, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU()
        )
        self.border_distances: nn.EmbeddingBag | None = None
        if config.border_distances:
            longest = max(width, height)
            distances = border_distances(width, height)
            # A reflection exchanges right and left; each of the four sides has its own part of the table.
            self._distances = [one + longest * torch.arange(4) for one in (distances, distances[:, [0, 3, 2, 1]])]
            self.border_distances = nn.EmbeddingBag(4 * longest, config.hidden, mode="sum")
            nn.init.zeros_(self.border_distances.weight)
        self.object_set = nn.Linear(_CODES, config.hidden, bias=False) if config.object_set else None
        self.goal = subgoal_encoding(config.goal, window, config.hidden, config.encoder)

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Self:
        """See `Student.from_config`."""
        config, rest = StudentConfig.split(values)
        return cls(**rest, config=config)

    @classmethod
    def for_task(
        cls, observation_space: gym.Space[Any], num_actions: int, config: StudentConfig, observation: str
    ) -> Self:
        """Makes one for a task; see `wean.students.saving.make_student`."""
        shape = observation_space.shape or ()
        channels = 5 if observation in ("map+actions", "map+subgoal") else 4
        if len(shape) != 3 or shape[2] != channels or observation_space.dtype != np.uint8:
            raise UsageError(
                f"a grid student sees a map, uint8 (W, H, {channels}), not {observation_space}; set student.kind=dense"
            )
        if config.goal != "none" and observation != "map+subgoal":
            raise UsageError(f"the task shows no sub-goals for student.goal={config.goal}; leave it out")
        return cls(shape[0], shape[1], num_actions, config, masked=observation == "map+actions")

    def maps(self) -> gym.spaces.Box:
        """The maps that it has tables for: every code in its range; see `features`."""
        high = [_OBJECTS - 1, _COLORS - 1, _STATES - 1, _NO_AGENT, *([1] if self._masked else [])]
        shape = (self.config["width"], self.config["height"], len(high))
        return gym.spaces.Box(np.uint8(0), np.broadcast_to(np.array(high, np.uint8), shape), shape, np.uint8)

    def sees(self, observations: NDArray[Any]) -> bool:
        """See `Student.sees`."""
        return observations.shape[1:3] == (self.config["width"], self.config["height"])

    def allowed(self, observations: Tensor) -> Tensor | None:
        """Reads the fifth channel, if it shows the admissible actions."""
        if not self._masked:
            return None
        return observations[..., 4].flatten(1)[:, : self.num_actions] > 0

    def features(self, observations: Tensor) -> Tensor:
        """Maps uint8 maps (B, W, H, 4 or 5) to features (B, hidden); with reflection (B, 2 * hidden)."""
        flat = observations.flatten(1, 2)  # (B, W * H, 4 or 5)
        direction, own = flat[..., 3].min(1)  # (B,) the agent's, and its cell: _NO_AGENT is above every direction
        pose = own * 4 + direction
        codes = (flat[..., 0].int() * _COLORS + flat[..., 1]) * _STATES + flat[..., 2]
        present = self.object_set(_present(codes)) if self.object_set is not None else 0.0
        codes = nn.functional.pad(codes, (0, 1))
        table = (
            self.object.weight[:, None, None] + self.color.weight[None, :, None] + self.state.weight[None, None, :]
        ).flatten(0, 2)
        table = torch.cat([torch.zeros_like(table[:1]), table[1:]])  # code 0 is "unseen"
        sides = []
        for number, index in enumerate(self._views):
            embedded = nn.functional.embedding(
                codes.gather(1, index.index_select(0, pose)), table, padding_idx=0
            )  # (B, window, ...)
            hidden = present + self.trunk[0](embedded.flatten(1))
            if self.border_distances is not None:
                hidden = hidden + self.border_distances(self._distances[number][pose])
            if self.goal is not None:
                hidden = hidden + self.goal(flat[..., 4], index[pose])
            sides.append(self.trunk[1:](hidden))
        return torch.cat(sides, -1)


class ReflectedHead(nn.Module):
    """The mean of a linear head on the features of a map and of its reflection.

    `reflected` gives for each output its place under reflection; None where outputs have no side.
    """

    def __init__(self, linear: nn.Module, reflected: list[int] | None) -> None:
        super().__init__()
        self.linear, self._reflected = linear, reflected

    def forward(self, seen: Tensor) -> Tensor:
        """Outputs (..., outputs) of features (..., 2 * hidden)."""
        own, reflected = (self.linear(side) for side in seen.chunk(2, -1))
        if self._reflected is not None:
            reflected = reflected[..., self._reflected]
        out: Tensor = (own + reflected) / 2
        return out


def _present(codes: Tensor) -> Tensor:
    """The set of objects on each map: float (B, codes) of zeros and ones, from the codes (B, cells) of its cells."""
    there = torch.zeros(len(codes), _CODES).scatter_(1, codes.long(), 1.0)
    there[:, :_THINGS] = 0.0
    return there
