"""The network of a student that reads, as ONNX: the next tokens after those in a cache of keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wean.errors import UsageError
from wean.serving.graph import Graph
from wean.serving.networks import OPSET
from wean.students.text.student import CopyHead, TextStudent, has_copy_head, has_mixed_keys

SPARE = 256
"""Positions after the context, for an answer that is generated or ranked."""


def check_readable(student: TextStudent) -> None:
    """Checks that a student's network can be written.

    Raises:
        UsageError: Its architecture is none that can.
    """
    kind = student.model.config.model_type
    if kind != "llama":
        raise UsageError(
            f"the student is a {kind} model, and only decoders of the Llama kind can be exported; train one from "
            "scratch, or from SmolLM2"
        )


def write_reader(student: TextStudent, path: Path) -> None:
    """Writes the network of a student.

    Its inputs, for a batch of B sequences, each with P of at most C positions in its cache, and T new tokens:

    - `ids` (B, T) the new tokens; what stands after the last one is padding, and what comes out there means nothing
    - `past` (B,) how many positions of the cache are filled; there is room in it for the new ones
    - `at` (B, L) the places among the new tokens after which the next one is wanted
    - `keys_0`, `values_0`, ... (B, heads, C, width) the cache of each layer
    - of a student that copies: `seen` (B, C) all tokens so far with the new ones, `copy_keys` (B, C, hidden)
    - of one with mixed keys or copies: `trail` (B, R) what the last position of the cache left for the next one

    Its outputs: `logs` (B, L, vocabulary) the log-probabilities of the next tokens, and for each part of the cache what
    the new tokens add to it: `new_keys_0` (B, heads, T, width), ..., `new_copy_keys` (B, T, hidden), `new_trail`
    (B, T, R).
    """
    graph = Graph(OPSET)
    network = _Network(graph, student)
    outputs = network.write()
    graph.write(path, outputs)


class _Network:
    """The operators of a decoder of the Llama kind; the same products as its lean pass in PyTorch, for batches."""

    def __init__(self, graph: Graph, student: TextStudent) -> None:
        model = student.model
        self._graph, self._model, self._config = graph, model, model.config
        config = model.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._hidden = config.hidden_size
        self._copying: CopyHead | None = model.copying if has_copy_head(model) else None
        self._mixed = self._kv_heads * self._width if has_mixed_keys(model) else 0
        self._longest = student.prompt.context + SPARE

    def write(self) -> dict[str, Sequence[str | int]]:
        """Adds the whole network to the graph; returns its outputs with their shapes."""
        op, inner = self._graph, self._model.model
        self._ids = op.input("ids", ("batch", "new"), whole=True)
        self._past = op("Unsqueeze", op.input("past", ("batch",), whole=True), op.whole(1))
        self._at = op.input("at", ("batch", "wanted"), whole=True)
        self._places = op("Add", self._past, self._range(op("Shape", self._ids, start=1)))
        tables = inner.rotary_emb(inner.embed_tokens.weight[None, :1], torch.arange(self._longest)[None])
        self._tables = [table[0].detach().clone() for table in tables]  # cosines and sines (positions, width)
        self._turns = [op("Unsqueeze", op("Gather", op.weight(one), self._places), op.whole(1)) for one in self._tables]
        depth = len(inner.layers)
        outputs: dict[str, Sequence[str | int]] = {"logs": ("batch", "wanted", self._model.lm_head.weight.shape[0])}
        sizes = [self._mixed] * depth * bool(self._mixed) + [self._hidden] * (self._copying is not None)
        trail = op.split(op.input("trail", ("batch", sum(sizes))), sizes) if sizes else []
        left: list[str] = []
        hidden = op("Gather", op.weight(inner.embed_tokens.weight), self._ids)
        for number, layer in enumerate(inner.layers):
            hidden, unmixed = self._layer(hidden, number, layer, trail[number] if self._mixed else "")
            left += [unmixed] * bool(self._mixed)
            for name in ("keys", "values"):
                outputs[f"new_{name}_{number}"] = ("batch", self._kv_heads, "new", self._width)
        hidden = self._normed(hidden, inner.norm)
        wanted = op("GatherND", hidden, op("Unsqueeze", self._at, op.whole(2)), batch_dims=1)
        logits = self._logits(wanted)
        if self._copying is None:
            op("LogSoftmax", logits, name="logs", axis=-1)
        else:
            before = op.linear(hidden, self._copying.before)
            keys = op(
                "Add", op.linear(hidden, self._copying.here), self._shifted(before, trail[-1]), name="new_copy_keys"
            )
            self._copied(self._copying, wanted, logits, keys)
            outputs["new_copy_keys"] = ("batch", "new", self._hidden)
            left.append(before)
        if left:
            op("Concat", *left, name="new_trail", axis=-1)
            outputs["new_trail"] = ("batch", "new", sum(sizes))
        return outputs

    def _layer(self, hidden: str, number: int, layer: Any, before: str) -> tuple[str, str]:
        """Hidden vectors (B, T, hidden) after a layer, and its keys before they are mixed."""
        op, attention, mlp = self._graph, layer.self_attn, layer.mlp
        parts = attention.q_proj, attention.k_proj, attention.v_proj
        sizes = [self._heads * self._width, *[self._kv_heads * self._width] * 2]
        query, unmixed, value = op.split(op.linear(self._normed(hidden, layer.input_layernorm), *parts), sizes)
        key = unmixed
        if before:
            change = op("Sub", self._shifted(unmixed, before), unmixed)
            key = op("Add", unmixed, op("Mul", change, op.weight(attention.k_proj.mix)))
        key = self._turned(self._by_head(key, self._kv_heads), f"new_keys_{number}")
        value = op("Identity", self._by_head(value, self._kv_heads), name=f"new_values_{number}")
        query = op("Mul", self._turned(self._by_head(query, self._heads)), op.number(self._width**-0.5))
        attended = self._attention(query, key, value, number)
        hidden = op("Add", hidden, op.linear(attended, attention.o_proj))
        both = op.linear(self._normed(hidden, layer.post_attention_layernorm), mlp.gate_proj, mlp.up_proj)
        gate, up = op.split(both, [mlp.gate_proj.out_features] * 2)
        inner = op("Mul", op("Mul", gate, op("Sigmoid", gate)), up)
        return op("Add", hidden, op.linear(inner, mlp.down_proj)), unmixed

    def _attention(self, query: str, key: str, value: str, number: int) -> str:
        """What heads (B, heads, T, width) find in the cache and among the new tokens: (B, T, heads * width)."""
        op = self._graph
        shape = ("batch", self._kv_heads, "capacity", self._width)
        keys, values = (op.input(f"{name}_{number}", shape) for name in ("keys", "values"))
        if not number:
            self._capacity = op("Shape", keys, start=2, end=3)
            self._old, self._own = self._masks()
        # The heads that share a key-value head stand one below the other.
        query = op("Reshape", query, op.whole(0, self._kv_heads, -1, self._width))
        old = op("Add", op("MatMul", query, op("Transpose", keys, perm=[0, 1, 3, 2])), self._old)
        own = op("Add", op("MatMul", query, op("Transpose", key, perm=[0, 1, 3, 2])), self._own)
        weights = op("Softmax", op("Concat", old, own, axis=-1), axis=-1)
        sizes = op("Concat", self._capacity, op("Shape", self._ids, start=1), axis=0)
        on_old, on_own = op.many("Split", weights, sizes, names=[f"old_{number}", f"own_{number}"], axis=-1)
        found = op("Add", op("MatMul", on_old, values), op("MatMul", on_own, value))
        found = op("Reshape", found, op.whole(0, self._heads, -1, self._width))
        return op("Reshape", op("Transpose", found, perm=[0, 2, 1, 3]), op.whole(0, 0, -1))

    def _masks(self) -> tuple[str, str]:
        """What is added to scores: 0 where a position may be seen, else minus infinity; of the cache, of new tokens."""
        op, nothing, never = self._graph, self._graph.number(0.0), self._graph.number(-torch.inf)
        filled = op("Unsqueeze", op("Less", self._range(self._capacity), self._past), op.whole(1, 2))
        new = self._range(op("Shape", self._ids, start=1))
        seen = op("LessOrEqual", op("Unsqueeze", new, op.whole(0)), op("Unsqueeze", new, op.whole(1)))
        groups = self._heads // self._kv_heads
        causal = op("Tile", op("Where", seen, nothing, never), op.whole(groups, 1))
        return op("Where", filled, nothing, never), causal

    # --- the copy head, see `CopyHead.mixed` ---------------------------------------------------------------------

    def _copied(self, copying: CopyHead, wanted: str, logits: str, keys: str) -> None:
        """Writes `logs`: log-probabilities (B, L, vocabulary) with copying."""
        op = self._graph
        seen = op.input("seen", ("batch", "capacity"), whole=True)
        old = op.input("copy_keys", ("batch", "capacity", self._hidden))
        cached = op("Expand", self._range(self._capacity), op("Shape", seen))
        places = op("Concat", cached, self._places, axis=1)
        now = op("Add", self._past, self._at)
        scores = op(
            "MatMul", op.linear(wanted, copying.query), op("Transpose", op("Concat", old, keys, axis=1), perm=[0, 2, 1])
        )
        scores = op("Mul", scores, op.number(self._hidden**-0.5))
        after_last = self._equal(self._back(seen, places, 1), self._back(seen, now, 0))
        after_both = op("And", after_last, self._equal(self._back(seen, places, 2), self._back(seen, now, 1)))
        worths = op.split(op.linear(wanted, copying.follows), [1, 1])
        for worth, follows in zip(worths, (after_last, after_both), strict=True):
            scores = op("Add", scores, op("Mul", worth, op("Cast", follows, to=1)))
        # Of the cache the filled positions; of the new tokens those up to the one that predicts.
        is_old = op("Less", cached, self._past)
        is_new = op("GreaterOrEqual", self._places, self._past)
        real = op("Unsqueeze", op("Concat", is_old, is_new, axis=1), op.whole(1))
        early = op("LessOrEqual", op("Unsqueeze", places, op.whole(1)), op("Unsqueeze", now, op.whole(2)))
        scores = op("Where", op("And", real, early), scores, op.number(-torch.inf))
        attention = op("Softmax", scores, axis=-1)
        tokens = op("Unsqueeze", op("Concat", seen, self._ids, axis=1), op.whole(1))
        indices = op("Expand", tokens, op("Shape", attention))
        nothing = op("Mul", logits, op.number(0.0))
        copied = op("ScatterElements", nothing, indices, attention, axis=2, reduction="add")
        share = op("Sigmoid", op.linear(wanted, copying.share))
        rest = op("Sub", op.number(1.0), share)
        mixed = op("Add", op("Mul", rest, op("Softmax", logits, axis=-1)), op("Mul", share, copied))
        op("Log", op("Max", mixed, op.number(1e-20)), name="logs")

    def _back(self, seen: str, places: str, back: int) -> str:
        """The tokens some places before the given ones; -1 before the first."""
        op = self._graph
        before = op("Sub", places, op.whole(back))
        found = op("GatherElements", seen, op("Max", before, op.whole(0)), axis=1)
        return op("Where", op("Less", before, op.whole(0)), op.whole(-1), found)

    def _equal(self, of_places: str, of_wanted: str) -> str:
        """Whether tokens (B, N) are those of the wanted places (B, L): (B, L, N)."""
        op = self._graph
        return op("Equal", op("Unsqueeze", of_places, op.whole(1)), op("Unsqueeze", of_wanted, op.whole(2)))

    # --- pieces --------------------------------------------------------------------------------------------------

    def _logits(self, wanted: str) -> str:
        """Logits (B, L, vocabulary); the head's weights may be the embedding's."""
        op, head = self._graph, self._model.lm_head
        flat = op("Reshape", wanted, op.whole(-1, self._hidden))
        bias = [] if head.bias is None else [op.weight(head.bias)]
        rows = op("Gemm", flat, op.weight(head.weight), *bias, transB=1)
        return op("Reshape", rows, op("Concat", op("Shape", self._at), op.whole(-1), axis=0))

    def _normed(self, hidden: str, norm: Any) -> str:
        """RMSNorm (1910.07467)."""
        op = self._graph
        mean = op("ReduceMean", op("Mul", hidden, hidden), op.whole(-1))
        length = op("Sqrt", op("Add", mean, op.number(norm.variance_epsilon)))
        return op("Mul", op("Div", hidden, length), op.weight(norm.weight))

    def _by_head(self, value: str, heads: int) -> str:
        op = self._graph
        return op("Transpose", op("Reshape", value, op.whole(0, 0, heads, self._width)), perm=[0, 2, 1, 3])

    def _turned(self, heads: str, name: str = "") -> str:
        """Applies rotary positions (2104.09864) to heads (B, heads, T, width)."""
        op = self._graph
        cos, sin = self._turns
        first, second = op.split(heads, [self._width // 2] * 2)
        other = op("Concat", op("Neg", second), first, axis=-1)
        return op("Add", op("Mul", heads, cos), op("Mul", other, sin), name=name)

    def _shifted(self, value: str, before: str) -> str:
        """What each of the new tokens' predecessors has: (B, T, R), given the first one's (B, R)."""
        op = self._graph
        rest = op("Slice", value, op.whole(0), op.whole(-1), op.whole(1))
        return op("Concat", op("Unsqueeze", before, op.whole(1)), rest, axis=1)

    def _range(self, size: str) -> str:
        """The numbers from 0 below a size, given as a list of one."""
        op = self._graph
        return op("Range", op("Squeeze", op.whole(0)), op("Squeeze", size), op("Squeeze", op.whole(1)))
