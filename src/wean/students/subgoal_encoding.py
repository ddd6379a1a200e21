"""How a student of a grid map encodes its current sub-goal: the three encodings of Words as Beacons (2410.08632).

`wean.teachers.subgoal_tasks` defines the fifth channel of the map. Each encoding becomes a vector that is
added to the student's first hidden layer. All begin at zero: a new student acts as one without a sub-goal.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import UsageError
from wean.students.config import Goal
from wean.students.sentence_vectors import CachedEncoder
from wean.tasks.grid.words import PARTS, WORDS, phrase_of

_SIZE = 384  # numbers in a sentence vector


class GoalPosition(nn.Module):
    """The sub-goal's position relative to the agent: a weight for each cell of its window.

    Args:
        window: Cells of the window.
        hidden: Width of the layer that it is added to.
    """

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
    """The sub-goal's words: a learned vector for its verb, and for the state, the colour and the kind of its object.

    Args:
        hidden: Width of the layer that it is added to.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(len(WORDS), hidden, mode="sum", padding_idx=0)
        nn.init.zeros_(self.words.weight)

    def forward(self, channel: Tensor, index: Tensor) -> Tensor:
        """Maps a channel (B, cells), whose first 4 are the numbers of a phrase, to (B, hidden)."""
        out: Tensor = self.words(channel[:, :PARTS].long())
        return out


class GoalLanguage(nn.Module):
    """The sub-goal's phrase as a frozen sentence vector, of which only the projection is learned.

    Args:
        hidden: Width of the layer that it is added to.
        encoder: `minilm`, or the folder of a sentence encoder of 384 numbers. It is needed for acting, too, for phrases
            that no run on the machine has encoded before.
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
