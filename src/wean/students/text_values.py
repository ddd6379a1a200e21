"""Action values from text: a frozen sentence encoder, and a small network on pairs of situation and action."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.students.action_values import ActionValues
from wean.students.sentence_vectors import CachedEncoder

_RIDGE = 0.1


class PairHead(nn.Module):
    """Values pairs of vectors: Q = w . relu(V relu(A s + B a + C s * D a)).

    The first layer of a concatenation [s, a] is A s + B a, so that each situation and each distinct action of a batch
    is multiplied once and not once a pair; the product lets an action mean different things in different situations.

    Args:
        size: Numbers in a vector.
        hidden: Width of the hidden layers.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.situation = nn.Linear(size, 2 * hidden)
        self.action = nn.Linear(size, 2 * hidden)
        self.deep = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, situations: Tensor, actions: Tensor, pairs: Tensor) -> Tensor:
        """Values (B, A) of the actions of B situations.

        Args:
            situations: (B, size) vectors.
            actions: (U, size) vectors of the distinct actions.
            pairs: (B, A) int64, which of them each situation offers.
        """
        seen, seen_factor = self.situation(situations).unsqueeze(1).chunk(2, -1)  # (B, 1, hidden) each
        done, done_factor = self.action(actions)[pairs].chunk(2, -1)  # (B, A, hidden)
        hidden = torch.relu(seen + done + seen_factor * done_factor)
        values: Tensor = self.out(torch.relu(self.deep(hidden))).squeeze(-1)
        return values


class TextValues(ActionValues):
    """Q(situation, action) from the vectors of both texts.

    The texts of one task are much alike, and so are their vectors: left as they are, a small network takes ten times
    as long to tell them apart. So they are whitened, by the texts met before learning began (see `settle`). The
    vectors of all texts that it met travel with it, so that it needs its encoder for new ones only.

    Args:
        encoder: `minilm`, or the folder of a sentence encoder.
        size: Numbers in a vector.
        hidden: Width of the hidden layers.
        temperature: See `ActionValues`.
    """

    kind: ClassVar[str] = "q-text"
    vectors: Tensor
    settled: Tensor

    def __init__(self, encoder: str = "minilm", size: int = 384, hidden: int = 64, temperature: float = 0.1) -> None:
        config = {"encoder": encoder, "size": size, "hidden": hidden, "temperature": temperature}
        super().__init__(config, temperature)
        self.head = PairHead(size, hidden)
        self.register_buffer("vectors", torch.zeros(0, size))
        self.register_buffer("settled", torch.tensor(0))  # how many texts decided the whitening
        self._whitening = torch.zeros(size), torch.eye(size)
        self._white = torch.zeros(0, size)
        self._encoder: CachedEncoder | None = None

    def forward(
        self, states: NDArray[np.int64], head: nn.Module | None = None, places: NDArray[np.int64] | None = None
    ) -> Tensor:
        """See `ActionValues.forward`.

        Raises:
            UsageError: If a text is new and the encoder is not here; the message says how to get it.
        """
        self._encode_new()
        met = self.situations
        if places is None:
            choices = met.choices[states, : int(met.counts[states].max())]
        else:
            choices = met.choices[states, places][:, None]
        distinct, pairs = np.unique(choices, return_inverse=True)
        head = head or self.head
        return cast(
            Tensor,
            head(
                self._white[torch.from_numpy(met.text[states])],
                self._white[torch.from_numpy(distinct)],  # -1, where there is no action, is the last text's vector
                torch.from_numpy(pairs.reshape(choices.shape)),
            ),
        )

    def settle(self) -> None:
        """Whitens by the texts met so far, from now on: mean 0, and alike in all directions in which they differ.

        Directions in which they hardly differ are not blown up: their variance counts as `_RIDGE` at least.
        """
        self._encode_new()
        self.settled.fill_(len(self.vectors))
        self._whiten()

    def _whiten(self) -> None:
        known = self.vectors[: int(self.settled)]
        if len(known):
            centred = (known - known.mean(0)).double()
            variances, directions = torch.linalg.eigh(centred.T @ centred / len(known))
            matrix = directions / (variances.clamp(min=0) + _RIDGE).sqrt()
            self._whitening = known.mean(0), matrix.float()
        mean, matrix = self._whitening
        self._white = (self.vectors - mean) @ matrix

    def _encode_new(self) -> None:
        known, texts = len(self.vectors), self.situations.texts
        if len(texts) == known:
            return
        if self._encoder is None:
            self._encoder = CachedEncoder(self.config["encoder"])
        # Their length is 1: scaled so that each number is about 1.
        new = torch.from_numpy(self._encoder.encode(texts[known:])) * math.sqrt(self.config["size"])
        mean, matrix = self._whitening
        self.vectors = torch.cat([self.vectors, new])
        self._white = torch.cat([self._white, (new - mean) @ matrix])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.vectors = torch.zeros_like(state_dict[f"{prefix}vectors"])  # it grows with the texts met
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._whiten()
