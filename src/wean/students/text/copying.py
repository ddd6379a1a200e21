"""Two additions with which a small model from scratch learns to copy from its prompt: a copy head and mixed keys.

Copy head: a name that was never learnt can still be copied from where it stands. The probability of a token is
(1 - g) p(token) + g sum of a_j over the positions j where it stands, with the attention a over all positions so far and
a share g, both learned (pointer networks, 1506.03134; mixed as in 1704.04368). The key of a position depends on its
token and the one before. The attention also knows which positions follow the last token, and the last two: it learns
how much that counts, and so continues a name of unknown tokens, "ice cre" with "am" (n-gram heads, 2401.12973).

Mixed keys: to repeat what followed a word before, attention must find positions by the token before them. Two layers
can build that (induction heads, 2209.11895), but a small model learns it late. With the key k_t of each layer replaced
by (1 - m) k_t + m k_{t-1}, with a learned share m for each of its numbers, one layer is enough (a token shift, as in
RWKV, 2305.13048).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_COPY_HEAD, _MIXED_KEYS = "copies", "mixed_keys"  # flags in the model's config


class CopyHead(nn.Module):
    """A pointer over the positions so far; its parts are used one by one in `wean.students.text.incremental`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.here = nn.Linear(width, width, bias=False)
        self.before = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        self.follows = nn.Linear(width, 2)
        nn.init.constant_(self.follows.bias, 2.0)
        nn.init.constant_(self.share.bias, -1.0)  # at first it generates more than it copies

    def keys(self, hidden: Tensor) -> Tensor:
        """Keys (B, T, width) of the positions of whole sequences."""
        keys: Tensor = self.here(hidden) + nn.functional.pad(self.before(hidden)[:, :-1], (0, 0, 1, 0))
        return keys

    def mixed(self, hidden: Tensor, keys: Tensor, ids: Tensor, at: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) with copying.

        Args:
            hidden: (N, width), at the positions that predict.
            keys: (T, width), of all positions.
            ids: (T,), the tokens there.
            at: (N,), the positions that predict; later ones are not copied from.
            logits: (N, vocabulary), without copying.
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
        """Log-probabilities (N, vocabulary) of the tokens after the positions (rows, columns) of sequences.

        Args:
            hidden: (B, T, width).
            ids: (B, T).
            rows: (N,), in ascending order.
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


class MixedKeys(nn.Linear):
    """A key projection that mixes in the key of the token before; for whole sequences only, (B, T, width)."""

    def __init__(self, width: int, keys: int) -> None:
        super().__init__(width, keys, bias=False)
        self.mix = nn.Parameter(torch.full((keys,), 0.5))

    def forward(self, hidden: Tensor) -> Tensor:
        """Keys (B, T, keys); the one before the first is zero."""
        keys = super().forward(hidden)
        before = nn.functional.pad(keys[:, :-1], (0, 0, 1, 0))
        return torch.lerp(keys, before, self.mix.to(keys.dtype))  # half precision under autocast


def add_mixed_keys(model: Any) -> None:
    """Mixes the keys in every layer of a model of the Llama kind, and notes it in the model's config."""
    for layer in model.model.layers:
        plain = layer.self_attn.k_proj
        mixed = MixedKeys(plain.in_features, plain.out_features)
        mixed.weight = plain.weight
        layer.self_attn.k_proj = mixed
    setattr(model.config, _MIXED_KEYS, True)


def add_copy_head(model: Any) -> None:
    """Gives a model a copy head, and notes it in the model's config."""
    model.copying = CopyHead(model.config.hidden_size)
    setattr(model.config, _COPY_HEAD, True)


def has_mixed_keys(model: Any) -> bool:
    """Whether a model has mixed keys, by its config."""
    return bool(getattr(model.config, _MIXED_KEYS, False))


def has_copy_head(model: Any) -> bool:
    """Whether a model has a copy head, by its config."""
    return bool(getattr(model.config, _COPY_HEAD, False))


def with_copies(model: Any, hidden: Tensor, ids: Tensor, rows: Tensor, columns: Tensor, logits: Tensor) -> Tensor:
    """What `CopyHead.forward` gives if a model has a copy head; else the logits."""
    return model.copying(hidden, ids, rows, columns, logits) if has_copy_head(model) else logits
