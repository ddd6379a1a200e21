"""A head that points: part of what a student says next is copied from what it was told.

A name that a student has never seen has no place among what it knows to say; where it stands can be pointed at. The
probability of a token is (1 - g) p(token) + g sum of a_j over the places j where it stands, with the attention a over
all places so far and a share g, both learned (pointer networks, 1506.03134; mixed as in 1704.04368). The key of a place
tells what stands there, and what came before it. The attention also knows which places follow the very token that was
said last, and the very two: it learns what that is worth, and so goes on with a name of tokens that it has never
learnt anything about, "ice cre" with "am" (n-gram heads, 2401.12973).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_NOTED = "copies"  # in the model's config


class CopyHead(nn.Module):
    """Points at places; the parts are used one by one where places are remembered (`wean.students.text.incremental`).

    Args:
        width: Numbers of the model's last hidden vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.here = nn.Linear(width, width, bias=False)
        self.before = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        self.follows = nn.Linear(width, 2)
        nn.init.constant_(self.follows.bias, 2.0)
        nn.init.constant_(self.share.bias, -1.0)  # at first it says more than it copies

    def keys(self, hidden: Tensor) -> Tensor:
        """Keys of the places of whole sequences, (B, T, width) each."""
        keys: Tensor = self.here(hidden) + nn.functional.pad(self.before(hidden)[:, :-1], (0, 0, 1, 0))
        return keys

    def mixed(self, hidden: Tensor, keys: Tensor, ids: Tensor, at: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) with what is copied.

        Args:
            hidden: (N, width), where something is said next.
            keys: (T, width), of the places.
            ids: (T,) the tokens there.
            at: (N,) which of the places these are; what lies behind is not pointed at.
            logits: (N, vocabulary) of what is known.
        """
        one_before, two_before = (nn.functional.pad(ids, (back, 0), value=-1)[:-back] for back in (1, 2))
        after_last = one_before == ids[at, None]
        after_both = after_last & (two_before == one_before[at, None])
        worth = self.follows(hidden).float()
        scores = (self.query(hidden) @ keys.T).float() / keys.shape[-1] ** 0.5
        scores = scores + worth[:, :1] * after_last + worth[:, 1:] * after_both
        scores = scores.masked_fill(torch.arange(len(ids), device=ids.device) > at[:, None], -torch.inf)
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
        found = []
        for row in range(len(ids)):
            wanted = rows == row
            at = columns[wanted]
            found.append(self.mixed(hidden[row, at], keys[row], ids[row], at, logits[wanted]))
        return torch.cat(found)


def add_copying(model: Any) -> None:
    """Gives a model such a head, and notes it in its config."""
    model.copying = CopyHead(model.config.hidden_size)
    setattr(model.config, _NOTED, True)


def has_copying(model: Any) -> bool:
    """Whether a model has such a head."""
    return bool(getattr(model.config, _NOTED, False))
