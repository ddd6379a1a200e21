"""The passes of a causal student at work, behind its cache: lean ones for models of the Llama kind, or the model's own.

A small model's pass over one token takes far longer to arrange than to compute: the lean pass does the same products
with a tenth of the calls (a test holds it to the model's own).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from wean.errors import UsageError
from wean.lm.scoring import new_cache
from wean.students.copying import CopyHead, has_copying
from wean.students.keys import has_mixed_keys

_SPARE = 256  # places behind the context, for what is being said or chosen among


class Steps(Protocol):
    """Passes behind a cache."""

    def run(self, ids: list[int], past: int) -> Tensor:
        """Reads tokens behind the first `past` of the cache, and keeps them there.

        Args:
            ids: Tokens, at least one.
            past: How many of the cache's tokens are kept.

        Returns:
            Logits (vocabulary,) behind the last, float32; log-probabilities where the student copies.
        """


def steps_of(model: Any, context: int) -> Steps:
    """The fastest passes that a model can do; a student with mixed keys has none but the lean ones.

    Raises:
        UsageError: It has mixed keys and is not on the CPU in float32.
    """
    lean = model.config.model_type == "llama" and model.device.type == "cpu" and model.dtype == torch.float32
    if has_mixed_keys(model) and not lean:
        raise UsageError("a student from scratch acts on the CPU in float32; load it from its folder")
    return LeanSteps(model, context) if lean and not model.config.attention_bias else ModelSteps(model)


class ModelSteps:
    """The model's own passes, with transformers' cache.

    Args:
        model: Causal.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._cache = model, new_cache(model)

    def run(self, ids: list[int], past: int) -> Tensor:
        """See `Steps.run`."""
        excess = self._cache.get_seq_length() - past
        if excess > 0 and past:
            self._cache.crop(-excess)
        elif excess > 0:
            self._cache = new_cache(self._model)
        output = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[0, -1].float()
        return logits


class LeanSteps:
    """Passes of a Llama in float32 on a CPU.

    Args:
        model: A `LlamaForCausalLM` without biases.
        context: Tokens of the longest sequence.
    """

    def __init__(self, model: Any, context: int) -> None:
        config, inner = model.config, model.model
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._eps = config.rms_norm_eps
        self._embedding, self._head = inner.embed_tokens.weight.detach(), model.lm_head.weight.detach()
        self._norm = inner.norm.weight.detach()
        self._mixes = [
            layer.self_attn.k_proj.mix.detach().view(self._kv_heads, 1, self._width)
            for layer in inner.layers
            if has_mixed_keys(model)
        ]
        self._layers = [
            (
                layer.input_layernorm.weight.detach(),
                torch.cat([getattr(layer.self_attn, f"{name}_proj").weight.detach() for name in "qkv"]),
                layer.self_attn.o_proj.weight.detach(),
                layer.post_attention_layernorm.weight.detach(),
                torch.cat([layer.mlp.gate_proj.weight.detach(), layer.mlp.up_proj.weight.detach()]),
                layer.mlp.down_proj.weight.detach(),
            )
            for layer in inner.layers
        ]
        longest = context + _SPARE
        cos, sin = inner.rotary_emb(self._embedding[None, :1], torch.arange(longest)[None])
        self._cos, self._sin = cos[0].detach(), sin[0].detach()
        # (keys and values, key-value heads, places, width) of each layer
        self._cache = [torch.zeros(2, self._kv_heads, longest, self._width) for _ in self._layers]
        # Keys before they are mixed, behind a place of zeros: what stands before the first token.
        self._unmixed = [torch.zeros(self._kv_heads, longest + 1, self._width) for _ in self._mixes]
        self._copying = model.copying if has_copying(model) else None
        if self._copying is not None:
            self._ids = torch.zeros(longest, dtype=torch.long)
            self._keys = torch.zeros(longest, config.hidden_size)
            self._before = torch.zeros(longest + 1, config.hidden_size)  # behind a place of zeros, too

    def run(self, ids: list[int], past: int) -> Tensor:
        """See `Steps.run`."""
        count, end = len(ids), past + len(ids)
        cos, sin = self._cos[past:end], self._sin[past:end]
        mask = torch.ones(count, end, dtype=torch.bool).tril(past) if count > 1 and past else None
        hidden = self._embedding[torch.tensor(ids)]
        size = (hidden.shape[1],)
        split = [self._heads, self._kv_heads, self._kv_heads]
        for number, (layer, cache) in enumerate(zip(self._layers, self._cache, strict=True)):
            before, qkv, out, after, gate_up, down = layer
            normed = functional.rms_norm(hidden, size, before, self._eps)
            heads = functional.linear(normed, qkv).view(count, -1, self._width).transpose(0, 1)
            query, key, value = torch.split(heads, split)
            if self._unmixed:
                self._unmixed[number][:, past + 1 : end + 1] = key
                key = torch.lerp(key, self._unmixed[number][:, past:end], self._mixes[number])
            cache[0, :, past:end] = _turned(key, cos, sin)
            cache[1, :, past:end] = value
            mixed = functional.scaled_dot_product_attention(
                _turned(query, cos, sin)[None],
                cache[0, None, :, :end],
                cache[1, None, :, :end],
                attn_mask=mask,
                is_causal=mask is None and count > 1,
                enable_gqa=self._heads != self._kv_heads,
            )
            hidden = hidden + functional.linear(mixed[0].transpose(0, 1).reshape(count, -1), out)
            gate, up = functional.linear(functional.rms_norm(hidden, size, after, self._eps), gate_up).chunk(2, -1)
            hidden = hidden + functional.linear(functional.silu(gate) * up, down)
        if self._copying is None:
            return functional.linear(functional.rms_norm(hidden[-1], size, self._norm, self._eps), self._head)
        hidden = functional.rms_norm(hidden, size, self._norm, self._eps)
        return self._copied(self._copying, hidden, ids, past)

    def _copied(self, copying: CopyHead, hidden: Tensor, ids: list[int], past: int) -> Tensor:
        """Remembers the places of the hidden vectors; returns log-probabilities behind the last."""
        end = past + len(ids)
        self._ids[past:end] = torch.tensor(ids)
        self._before[past + 1 : end + 1] = copying.before(hidden)
        self._keys[past:end] = copying.here(hidden) + self._before[past:end]
        logits = functional.linear(hidden[-1:], self._head)
        return copying.mixed(hidden[-1:], self._keys[:end], self._ids[:end], torch.tensor([end - 1]), logits)[0]


def _turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (2104.09864), in transformers' layout."""
    first, second = heads.chunk(2, -1)
    return heads * cos + torch.cat([-second, first], -1) * sin
