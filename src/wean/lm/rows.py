"""Scoring with a copied cache: the prompt is read once, then every answer is a row behind a copy of it.

This is for models that cannot take a tree-shaped mask (sliding windows, recurrent layers, relative positions)
and for decoders behind an encoder. Answers are padded on the right: padding stands behind the last token of
its row, where a causal model cannot see it, and is never counted. An answer that another one begins with
shares its row.
"""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import torch

from wean.lm.logprobs import log_probability
from wean.lm.prompts import Question
from wean.lm.trie import TokenTrie

_ROWS = 32


def score_rows(model: Any, question: Question) -> tuple[list[float], int]:
    """Score the answers of one question.

    Args:
        model: Causal or encoder-decoder model of transformers, in evaluation mode.
        question: Prompt and answers as tokens.

    Returns:
        The log-probability of each answer, and how many tokens went through the model (padding included, an
        encoder's not).
    """
    trie = TokenTrie()
    paths = [trie.insert(answer) for answer in question.answers]
    # One row per longest inner path: an answer that another one begins with has its tokens in that row.
    ends = [n for n in range(len(trie)) if trie.children[n] and not trie.inner(trie.children[n])]
    rows = [trie.path(end) for end in ends]
    reader = (_EncoderReader if model.config.is_encoder_decoder else _CausalReader)(model, question)
    nodes = reader.nodes
    first = torch.tensor([trie.tokens[top] for top in trie.tops], device=reader.logits.device)
    found = dict(zip(trie.tops, log_probability(reader.logits, torch.zeros_like(first), first), strict=True))
    for start in range(0, len(rows), _ROWS):
        group = rows[start : start + _ROWS]
        width = max(map(len, group))
        ids = torch.tensor([[trie.tokens[n] for n in row] + [0] * (width - len(row)) for row in group])
        logits = reader.continued(ids.to(model.device))
        nodes += ids.numel()
        for line, row in enumerate(group):
            asked = [(i, c) for i, node in enumerate(row) for c in trie.children[node] if c not in found]
            index = torch.tensor([i for i, _ in asked], dtype=torch.long, device=logits.device)
            token = torch.tensor([trie.tokens[c] for _, c in asked], dtype=torch.long, device=logits.device)
            values = log_probability(logits[line], index, token)
            found.update(zip((c for _, c in asked), values, strict=True))
    return [math.fsum(found[node] for node in path) for path in paths], nodes


class _CausalReader:
    """The cache of a prompt of a decoder-only model, and the logits behind it."""

    def __init__(self, model: Any, question: Question) -> None:
        self.model = model
        self.nodes = len(question.prompt)
        ids = torch.tensor([question.prompt], device=model.device)
        # Only the last logits are asked for: those of a long prompt would be the largest thing in memory.
        last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        output = model(input_ids=ids, use_cache=True, **last)
        self.cache = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1]

    def continued(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits behind each token of the rows, (rows, width, vocabulary)."""
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(ids.shape[0])
        logits: torch.Tensor = self.model(input_ids=ids, past_key_values=cache, use_cache=True).logits
        return logits


class _EncoderReader:
    """The encoder's states of a prompt, read once, and the decoder's logits before the first token."""

    def __init__(self, model: Any, question: Question) -> None:
        self.model = model
        self.nodes = 1
        ids = torch.tensor([question.prompt], device=model.device)
        self.states = model.get_encoder()(input_ids=ids).last_hidden_state
        self.start = torch.tensor([[model.config.decoder_start_token_id]], device=model.device)
        output = model(decoder_input_ids=self.start, encoder_outputs=(self.states,), use_cache=True)
        self.cache = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1]

    def continued(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits behind each token of the rows, (rows, width, vocabulary)."""
        rows = ids.shape[0]
        cache = copy.copy(self.cache)
        cache.self_attention_cache = copy.deepcopy(self.cache.self_attention_cache)
        cache.self_attention_cache.batch_repeat_interleave(rows)
        # The keys and values of the prompt are the same for all rows: a view for each, no copy.
        cache.cross_attention_cache = copy.copy(self.cache.cross_attention_cache)
        cache.cross_attention_cache.layers = [copy.copy(layer) for layer in self.cache.cross_attention_cache.layers]
        for layer in cache.cross_attention_cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        states = self.states.expand(rows, -1, -1)
        output = self.model(decoder_input_ids=ids, encoder_outputs=(states,), past_key_values=cache, use_cache=True)
        logits: torch.Tensor = output.logits
        return logits
