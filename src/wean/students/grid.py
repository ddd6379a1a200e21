"""A student for grid observations that sees the map from where it stands, with learned codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wean.errors import UsageError
from wean.students.student import Student
from wean.students.subgoal_encoding import Goal, GoalLanguage, GoalObject, GoalPosition
from wean.tasks.grid.phrases import PARTS

# MiniGrid's code ranges, with room to spare: objects 0..10, colours 0..5, states 0..2.
_OBJECTS, _COLORS, _STATES = 11, 6, 3
_CODES = _OBJECTS * _COLORS * _STATES
_THINGS = 4 * _COLORS * _STATES  # codes from here on are of things: nothing, walls and floors come before
_NO_AGENT = 4
_EXCHANGED = [1, 0, 2, 3, 4, 5, 6]  # MiniGrid's actions in a mirror: left is right


@lru_cache(maxsize=8)
def egocentric_index(width: int, height: int, reach: int) -> Tensor:
    """Where each cell of an agent-centred, agent-aligned window lies on the map.

    Args:
        width: Map cells in x.
        height: Map cells in y.
        reach: Cells that the window extends from the agent to each side.

    Returns:
        int64 (width * height * 4, (2 * reach + 1) ** 2): for the pose `(x * height + y) * 4 + direction`, the flat
        map cell `x * height + y` of each window cell, or `width * height` beyond the map. Window rows run from the
        farthest ahead to the farthest behind, columns from left to right.
    """
    step = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]])  # east, south, west, north
    x, y, direction = torch.meshgrid(torch.arange(width), torch.arange(height), torch.arange(4), indexing="ij")
    dx, dy = step[direction.flatten()].T  # (P,)
    ahead, right = torch.meshgrid(torch.arange(reach, -reach - 1, -1), torch.arange(-reach, reach + 1), indexing="ij")
    ahead, right = ahead.flatten(), right.flatten()  # (W,)
    # Right of the direction (dx, dy) is (-dy, dx).
    column = x.flatten()[:, None] + dx[:, None] * ahead - dy[:, None] * right
    row = y.flatten()[:, None] + dy[:, None] * ahead + dx[:, None] * right
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return torch.where(inside, column * height + row, width * height)


@lru_cache(maxsize=8)
def edge_distances(width: int, height: int) -> Tensor:
    """How far the edges of the map are from each pose, as the agent sees it.

    Args:
        width: Map cells in x.
        height: Map cells in y.

    Returns:
        int64 (width * height * 4, 4): for the pose `(x * height + y) * 4 + direction`, the cells between the agent and
        the edge ahead, to its right, behind it and to its left.
    """
    x, y, direction = torch.meshgrid(torch.arange(width), torch.arange(height), torch.arange(4), indexing="ij")
    x, y, direction = x.flatten(), y.flatten(), direction.flatten()
    sides = torch.stack([width - 1 - x, height - 1 - y, x, y], 1)  # east, south, west, north
    return sides.gather(1, (direction[:, None] + torch.arange(4)) % 4)


class GridStudent(Student):
    """Sees a remembered grid map (W, H, 4) turned and centred on itself.

    Each cell's object, colour and state are looked up in three learned tables and added; the window of embedded
    cells goes through two hidden layers. Centring makes "the key is two ahead and one to the left" one pattern
    instead of one for every place and direction. Cells that were never seen, or lie beyond the map, are zeros: they
    are most of the window, and leaving them out halves the cost of learning.

    Args:
        width: Map cells in x.
        height: Map cells in y.
        num_actions: Size of the action space.
        reach: Cells seen to each side; by default the whole map from anywhere, at most 9.
        edges: Also tells it how far off the four edges of the map are: where rooms fill the map, it knows where it is.
        census: Also tells it what things there are, wherever they are: so it need not learn for each pair of places
            that the key there fits the lock here.
        mirror: What is to the left is treated as the same thing to the right in a mirror would be, with the turns
            exchanged: half as much to learn, at twice the work. Not together with a memory.
        embedding: Size of a cell's embedding.
        hidden: Width of the hidden layers.
        recurrent: Adds a GRU after the hidden layers.
        masked: Observations carry a fifth channel, whose cells in order (x, then y) are 1 for the actions that may be
            chosen.
        goal: Observations carry a fifth channel with the current sub-goal, which is read so; see
            `wean.teachers.subgoal_tasks`.
        encoder: The sentence encoder of `goal="language"`.
    """

    kind: ClassVar[str] = "grid"

    def __init__(
        self,
        width: int,
        height: int,
        num_actions: int,
        reach: int | None = None,
        edges: bool = False,
        census: bool = False,
        mirror: bool = False,
        embedding: int = 4,
        hidden: int = 128,
        recurrent: bool = False,
        masked: bool = False,
        goal: Goal = "none",
        encoder: str = "minilm",
    ) -> None:
        reach = min(max(width, height) - 1, 9) if reach is None else reach
        config: dict[str, Any] = {
            "width": width,
            "height": height,
            "num_actions": num_actions,
            "reach": reach,
            "edges": edges,
            "embedding": embedding,
            "hidden": hidden,
            "recurrent": recurrent,
            "masked": masked,
        }
        if goal != "none":
            config |= {"goal": goal, "encoder": encoder}
        config |= {name: True for name, on in (("census", census), ("mirror", mirror)) if on}
        super().__init__(config, hidden, num_actions, recurrent)
        self._height = height
        index, side = egocentric_index(width, height, reach), 2 * reach + 1
        self._views = [index]
        if mirror:
            self._views.append(index.view(-1, side, side).flip(-1).flatten(1))
            if recurrent:
                raise UsageError("a student with a memory sees no mirror; leave student.mirror or .recurrent out")
            # Skills, which are masked, turn nowhere.
            self.actor = MirroredHead(self.actor, None if masked else _EXCHANGED)
            self.critic = MirroredHead(self.critic, None)
        self.object = nn.Embedding(_OBJECTS, embedding)
        self.color = nn.Embedding(_COLORS, embedding)
        self.state = nn.Embedding(_STATES, embedding)
        window = side**2
        self.trunk = nn.Sequential(
            nn.Linear(window * embedding, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.edges: nn.EmbeddingBag | None = None
        if edges:
            longest = max(width, height)
            distances = edge_distances(width, height)
            # In a mirror right and left are exchanged; each of the four sides has its own part of the table.
            self._distances = [one + longest * torch.arange(4) for one in (distances, distances[:, [0, 3, 2, 1]])]
            self.edges = nn.EmbeddingBag(4 * longest, hidden, mode="sum")
            nn.init.zeros_(self.edges.weight)
        self.census = nn.Linear(_CODES, hidden, bias=False) if census else None
        self.goal: GoalPosition | GoalObject | GoalLanguage | None = None
        if goal == "position":
            self.goal = GoalPosition(window, hidden)
        elif goal == "object":
            self.goal = GoalObject(hidden)
        elif goal == "language":
            self.goal = GoalLanguage(hidden, encoder)

    def allowed(self, observations: Tensor) -> Tensor | None:
        """Reads the fifth channel, if there is one."""
        if not self.config["masked"]:
            return None
        return observations[..., 4].flatten(1)[:, : self.num_actions] > 0

    def features(self, observations: Tensor) -> Tensor:
        """Maps uint8 maps (B, W, H, 4 or 5) to features (B, hidden); with a mirror (B, 2 * hidden), own side first."""
        flat = observations.flatten(1, 2)  # (B, W * H, 4 or 5)
        own = (flat[..., 3] != _NO_AGENT).to(torch.uint8).argmax(1)  # (B,) the agent's cell
        pose = own * 4 + flat[torch.arange(len(flat)), own, 3]
        codes = (flat[..., 0].int() * _COLORS + flat[..., 1]) * _STATES + flat[..., 2]
        present = self.census(_present(codes)) if self.census is not None else 0.0
        codes = nn.functional.pad(codes, (0, 1))
        table = (
            self.object.weight[:, None, None] + self.color.weight[None, :, None] + self.state.weight[None, None, :]
        ).flatten(0, 2)
        table = torch.cat([torch.zeros_like(table[:1]), table[1:]])  # code 0 is "unseen"
        sides = []
        for number, index in enumerate(self._views):
            embedded = nn.functional.embedding(codes.gather(1, index[pose]), table, padding_idx=0)  # (B, window, ...)
            hidden = present + self.trunk[0](embedded.flatten(1))
            if self.edges is not None:
                hidden = hidden + self.edges(self._distances[number][pose])
            if self.goal is not None:
                hidden = hidden + self.goal(self._shown(flat[..., 4], index[pose]))
            sides.append(self.trunk[1:](hidden))
        return torch.cat(sides, -1)

    def _shown(self, channel: Tensor, index: Tensor) -> Tensor:
        """What the channel (B, cells) of the sub-goal shows: a mark in the window, or the parts of a phrase."""
        if isinstance(self.goal, GoalPosition):
            return nn.functional.pad(channel, (0, 1)).gather(1, index)
        return channel[:, :PARTS]


class MirroredHead(nn.Module):
    """A linear head on both sides of a mirror: the mean of what it says of each, the turns of one exchanged.

    Args:
        linear: The head.
        exchanged: For each output its place in a mirror; None where outputs have no side.
    """

    def __init__(self, linear: nn.Module, exchanged: list[int] | None) -> None:
        super().__init__()
        self.linear, self._exchanged = linear, exchanged

    def forward(self, seen: Tensor) -> Tensor:
        """Outputs (..., outputs) of features (..., 2 * hidden)."""
        own, mirrored = (self.linear(side) for side in seen.chunk(2, -1))
        if self._exchanged is not None:
            mirrored = mirrored[..., self._exchanged]
        out: Tensor = (own + mirrored) / 2
        return out


def _present(codes: Tensor) -> Tensor:
    """Which things there are: float (B, codes) of zeros and ones, of the codes (B, cells) of a map."""
    there = torch.zeros(len(codes), _CODES).scatter_(1, codes.long(), 1.0)
    there[:, :_THINGS] = 0.0
    return there
