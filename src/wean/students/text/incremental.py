"""Incremental forward passes of causal students with a cache: a lean one for Llamas, transformers' own, an ensemble's.

A small model's pass over one token takes far longer to set up than to compute: the lean pass makes the same products
with a tenth of the calls (a test compares it with the model's own).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from wean.errors import UsageError
from wean.lm.scoring import new_cache
from wean.students.text.student import CopyHead, has_copy_head, has_mixed_keys

_SPARE = 256  # positions after the context, for an answer that is generated or ranked


class Incremental(Protocol):
    """A model that reads tokens after those in its cache."""

    def run(self, ids: list[int], past: int, last: int = 1) -> Tensor:
        """Reads tokens after the first `past` in the cache, and keeps them there.

        Args:
            ids: Tokens, at least one.
            past: Number of tokens in the cache that are kept.
            last: Number of tokens, the last ones, after which logits are wanted.

        Returns:
            Logits (last, vocabulary) after each of these, float32; log-probabilities where the student copies.
        """


def incremental(model: Any, context: int, dtype: torch.dtype = torch.float32) -> Incremental:
    """The fastest incremental pass of a model; one with mixed keys has only the lean one.

    The lean pass of one without multiplies numbers of the given type.

    Raises:
        UsageError: It has mixed keys and is not on the CPU in float32.
    """
    lean = model.config.model_type == "llama" and model.device.type == "cpu" and model.dtype == torch.float32
    if has_mixed_keys(model) and not lean:
        raise UsageError("a student from scratch acts on the CPU in float32; load it from its folder")
    if not lean or model.config.attention_bias:
        return CachedModel(model)
    return LeanLlama(model, context, torch.float32 if has_mixed_keys(model) else dtype)


class CachedModel:
    """The pass of any causal model, with transformers' cache."""

    def __init__(self, model: Any) -> None:
        self._model, self._cache = model, new_cache(model)

    def run(self, ids: list[int], past: int, last: int = 1) -> Tensor:
        """See `Incremental.run`."""
        excess = self._cache.get_seq_length() - past
        if excess > 0 and past:
            self._cache.crop(-excess)
        elif excess > 0:
            self._cache = new_cache(self._model)
        output = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=last,
        )
        logits: Tensor = output.logits[0].float()
        return logits


class LeanLlama:
    """The pass of a `LlamaForCausalLM` without biases in float32 on a CPU, for at most `context` tokens.

    Its matrices are multiplied in numbers of a type (bfloat16 is half as much to read from memory, which is what a pass
    over few tokens waits for); all else is float32.

    Attributes:
        branches: Whether it reads branches, too (`run_branches`).
    """

    def __init__(self, model: Any, context: int, dtype: torch.dtype = torch.float32) -> None:
        config, inner = model.config, model.model
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        # The norm (1910.07467) of x is x / hypot(|x|, root(size * eps)), times the root of the size and its weights.
        size = config.hidden_size
        self._least = torch.tensor(math.sqrt(size * config.rms_norm_eps))
        self._embedding, self._head = inner.embed_tokens.weight.detach(), model.lm_head.weight.detach()
        self._norm = inner.norm.weight.detach() * math.sqrt(size)
        # Rotary positions pair number i of a head with number i + width / 2; side by side they are a complex number.
        pairs = torch.arange(self._width).view(2, -1).T.flatten()
        self._mixes = [
            layer.self_attn.k_proj.mix.detach().view(self._kv_heads, 1, self._width)[..., pairs]
            for layer in inner.layers
            if has_mixed_keys(model)
        ]
        self._layers = []
        for layer in inner.layers:
            attention, mlp = layer.self_attn, layer.mlp
            before, after = (
                norm.weight.detach() * math.sqrt(size)
                for norm in (layer.input_layernorm, layer.post_attention_layernorm)
            )
            query, key = (
                part.weight.detach().view(-1, self._width, size)[:, pairs].flatten(0, 1)
                for part in (attention.q_proj, attention.k_proj)
            )
            matrices = (
                torch.cat([query, key, attention.v_proj.weight.detach()]) * before,
                attention.o_proj.weight.detach(),
                torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()]) * after,
                mlp.down_proj.weight.detach(),
            )
            self._layers.append(tuple(matrix.to(dtype) for matrix in matrices))
        self._dtype, self.branches = dtype, not self._mixes and not has_copy_head(model)
        self._head = self._head.to(dtype)
        longest = context + _SPARE
        cos, sin = inner.rotary_emb(self._embedding[None, :1], torch.arange(longest)[None])
        half = self._width // 2
        self._turns = torch.complex(cos[0, :, :half].detach(), sin[0, :, :half].detach())
        # (keys and values, key-value heads, positions, width) of each layer
        self._cache = [torch.zeros(2, self._kv_heads, longest, self._width) for _ in self._layers]
        # Keys before they are mixed, after a row of zeros for what comes before the first token.
        self._unmixed = [torch.zeros(self._kv_heads, longest + 1, self._width) for _ in self._mixes]
        self._copying = model.copying if has_copy_head(model) else None
        if self._copying is not None:
            self._ids = torch.zeros(longest, dtype=torch.long)
            self._keys = torch.zeros(longest, config.hidden_size)
            self._before = torch.zeros(longest + 1, config.hidden_size)  # after a row of zeros, too

    def run(self, ids: list[int], past: int, last: int = 1) -> Tensor:
        """See `Incremental.run`."""
        count, end = len(ids), past + len(ids)
        mask = torch.ones(count, end, dtype=torch.bool).tril(past) if count > 1 and past else None
        hidden = self._run(ids, past, self._turns[past:end], mask)
        if self._copying is None:
            return self._logits(hidden[-last:])
        return self._copied(self._copying, self._normed(hidden) * self._norm, ids, past, last)

    def run_branches(self, ids: list[int], past: int, base: int, before: Sequence[Sequence[int]]) -> Tensor:
        """Reads tokens that follow different ones in the cache, and keeps them there.

        Args:
            ids: Tokens, at least one.
            past: Number of positions in the cache that are kept; the tokens are put behind them.
            base: Number of tokens that all follow.
            before: For each token the positions in the cache of the further ones that it follows, in their order.

        Returns:
            Logits (tokens, vocabulary) after each.
        """
        mask = torch.zeros(len(ids), past + len(ids), dtype=torch.bool)
        mask[:, :base] = True
        rows = [row for row, places in enumerate(before) for _ in places]
        mask[rows, [place for places in before for place in places]] = True
        mask[torch.arange(len(ids)), past + torch.arange(len(ids))] = True
        turns = self._turns[torch.tensor([base + len(places) for places in before])]
        return self._logits(self._run(ids, past, turns, mask))

    def keep(self, places: Sequence[int], past: int) -> None:
        """Moves positions of the cache behind the first `past`, in their order."""
        chosen = torch.tensor(places, dtype=torch.long)
        for cache in self._cache:
            cache[:, :, past : past + len(places)] = cache[:, :, chosen]

    @property
    def room(self) -> int:
        """Positions in the cache."""
        return int(self._cache[0].shape[2])

    def _run(self, ids: list[int], past: int, turns: Tensor, mask: Tensor | None) -> Tensor:
        """The last layer's vectors (tokens, width); keys and values stay in the cache behind the first `past`."""
        count, end = len(ids), past + len(ids)
        hidden = self._embedding[torch.tensor(ids)]
        split = [self._heads, self._kv_heads, self._kv_heads]
        for number, ((qkv, out, gate_up, down), cache) in enumerate(zip(self._layers, self._cache, strict=True)):
            heads = self._times(self._normed(hidden), qkv).view(count, -1, self._width).transpose(0, 1)
            query, key, value = torch.split(heads, split)
            if self._unmixed:
                self._unmixed[number][:, past + 1 : end + 1] = key
                key = torch.lerp(key, self._unmixed[number][:, past:end], self._mixes[number])
            cache[0, :, past:end] = _turned(key, turns)
            cache[1, :, past:end] = value
            mixed = functional.scaled_dot_product_attention(
                _turned(query, turns)[None],
                cache[0, None, :, :end],
                cache[1, None, :, :end],
                attn_mask=mask,
                is_causal=mask is None and count > 1,
                enable_gqa=self._heads != self._kv_heads,
            )
            hidden = hidden + self._times(mixed[0].transpose(0, 1).reshape(count, -1), out)
            gate, up = self._times(self._normed(hidden), gate_up).chunk(2, -1)
            hidden = hidden + self._times(functional.silu(gate) * up, down)
        last: Tensor = hidden
        return last

    def _times(self, vectors: Tensor, matrix: Tensor) -> Tensor:
        """The product of vectors and a matrix, in float32."""
        if self._dtype == torch.float32:
            return functional.linear(vectors, matrix)
        return functional.linear(vectors.to(self._dtype), matrix).float()

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._times(self._normed(hidden) * self._norm, self._head)

    def _normed(self, hidden: Tensor) -> Tensor:
        """Vectors divided by their norm, without the norm's weights."""
        return hidden / torch.hypot(torch.linalg.vector_norm(hidden, dim=-1, keepdim=True), self._least)

    def _copied(self, copying: CopyHead, hidden: Tensor, ids: list[int], past: int, last: int) -> Tensor:
        """Keeps the positions of the hidden vectors; returns log-probabilities after the last ones."""
        end = past + len(ids)
        self._ids[past:end] = torch.tensor(ids)
        self._before[past + 1 : end + 1] = copying.before(hidden)
        self._keys[past:end] = copying.here(hidden) + self._before[past:end]
        hidden, at = hidden[-last:], torch.arange(end - last, end)
        logits = functional.linear(hidden, self._head)
        return copying.mixed(hidden, self._keys[:end], self._ids[:end], at, logits)


class Ensemble:
    """Several models that read the same tokens; their probabilities are averaged (deep ensembles, 1612.01474)."""

    def __init__(self, models: Sequence[Incremental]) -> None:
        self._models = models

    def run(self, ids: list[int], past: int, last: int = 1) -> Tensor:
        """Log-probabilities (last, vocabulary): log 1/K sum of p_k over the K models; see `Incremental.run`."""
        found = torch.stack([model.run(ids, past, last).log_softmax(-1) for model in self._models])
        return found.logsumexp(0) - math.log(len(self._models))


def _turned(heads: Tensor, turns: Tensor) -> Tensor:
    """Applies rotary positions (2104.09864) to heads (heads, positions, width) whose numbers are in pairs."""
    pairs = torch.view_as_complex(heads.view(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)
