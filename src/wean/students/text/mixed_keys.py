"""Keys that tell of the token before, too: a small student from scratch learns to copy with them much earlier.

To repeat what followed a word the last time, attention must find places by the token before them. Two layers can build
that (induction heads, 2209.11895), but a small model finds it late. With the key k_t in each layer replaced by
(1 - m) k_t + m k_{t-1}, for each of its numbers a learned share m, one layer is enough (a token shift, as in RWKV,
2305.13048).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_NOTED = "mixed_keys"  # in the model's config


class MixedKeys(nn.Linear):
    """A key projection that mixes in the key of the token before; whole sequences only, (B, T, width).

    Args:
        width: Numbers of the input.
        keys: Numbers of a key, all heads.
    """

    def __init__(self, width: int, keys: int) -> None:
        super().__init__(width, keys, bias=False)
        self.mix = nn.Parameter(torch.full((keys,), 0.5))

    def forward(self, hidden: Tensor) -> Tensor:
        """Keys (B, T, keys); nothing stands before the first."""
        keys = super().forward(hidden)
        before = nn.functional.pad(keys[:, :-1], (0, 0, 1, 0))
        return torch.lerp(keys, before, self.mix.to(keys.dtype))  # halves under autocast


def mix_keys(model: Any) -> None:
    """Gives every layer of a model of the Llama kind such keys, and notes it in its config."""
    for layer in model.model.layers:
        plain = layer.self_attn.k_proj
        mixed = MixedKeys(plain.in_features, plain.out_features)
        mixed.weight = plain.weight
        layer.self_attn.k_proj = mixed
    setattr(model.config, _NOTED, True)


def has_mixed_keys(model: Any) -> bool:
    """Whether a model's keys are mixed."""
    return bool(getattr(model.config, _NOTED, False))
