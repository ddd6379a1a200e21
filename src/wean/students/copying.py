"""A head that points: part of what a student says next is copied from what it was told.

A name that a student has never seen has no place among what it knows to say; where it stands can be pointed at. The
probability of a token is (1 - g) p(token) + g sum of a_j over the places j where it stands, with the attention a over
all places so far and a share g, both learned (pointer networks, 1506.03134; mixed as in 1704.04368). The key of a place
tells what stands there, and what came before it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_NOTED = "copies"  # in the model's config


class CopyHead(nn.Module):
    """Points at places; the parts are used one by one where places are remembered (`wean.students.steps`).

    Args:
        width: Numbers of the model's last hidden vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.here = nn.Linear(width, width, bias=False)
        self.before = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        nn.init.constant_(self.share.bias, -1.0)  # at first it says more than it copies

    def keys(self, hidden: Tensor) -> Tensor:
        """Keys of the places of whole sequences, (B, T, width) each."""
        keys: Tensor = self.here(hidden) + nn.functional.pad(self.before(hidden)[:, :-1], (0, 0, 1, 0))
        return keys

    def mixed(self, hidden: Tensor, keys: Tensor, ids: Tensor, seen: Tensor | None, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) with what is copied.

        Args:
            hidden: (N, width), where something is said next.
            keys: (T, width), of the places.
            ids: (T,) the tokens there.
            seen: (N, T) which places may be pointed at; None for all.
            logits: (N, vocabulary) of what is known.
        """
        scores = (self.query(hidden) @ keys.T).float() / keys.shape[-1] ** 0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        attention = scores.softmax(-1)
        copied = torch.zeros_like(logits).scatter_add_(1, ids.expand(len(hidden), -1), attention)
        share = self.share(hidden).float().sigmoid()
        mixed: Tensor = (1 - share) * logits.softmax(-1) + share * copied
        return mixed.clamp_min(1e-20).log()

    def forward(self, hidden: Tensor, ids: Tensor, rows: Tensor, columns: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) behind the places (rows, columns) of sequences.

        Args:
            hidden: (B, T, width).
            ids: (B, T).
            rows: (N,), rising.
            columns: (N,).
            logits: (N, vocabulary).
        """
        keys = self.keys(hidden)
        place = torch.arange(ids.shape[1], device=ids.device)
        found = []
        for row in range(len(ids)):
            wanted = rows == row
            at = columns[wanted]
            seen = place <= at[:, None]
            found.append(self.mixed(hidden[row, at], keys[row], ids[row], seen, logits[wanted]))
        return torch.cat(found)


def add_copying(model: Any) -> None:
    """Gives a model such a head, and notes it in its config."""
    model.copying = CopyHead(model.config.hidden_size)
    setattr(model.config, _NOTED, True)


def has_copying(model: Any) -> bool:
    """Whether a model has such a head."""
    return bool(getattr(model.config, _NOTED, False))
