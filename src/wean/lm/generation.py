"""Sampling answers in batches: each depends on its own question and seed and on nothing beside it.

The loop is our own because the library's sampler draws one stream of random numbers for a whole batch: there,
adding a question changes the answers to the others. Here every (question, sample) has a stream of its own,
the n samples of a question share one reading of the prompt, and rows that have finished leave the batch.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

# Rows times padded length of one batch: bounds the memory of keys and values, not the result.
_BATCH_TOKENS = 16384
_BATCH_ROWS = 64


@dataclass(frozen=True)
class GeneratedText:
    """One answer.

    Attributes:
        text: The answer without special tokens.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written, the one that ends the turn included.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Sampling:
    """How to draw an answer.

    Attributes:
        temperature: 0 takes the most probable token each time.
        top_p: Keep the smallest set of tokens that has this much probability; 1 keeps all.
        max_tokens: Longest answer.
        seed: Same seed, same answers; None draws a fresh one.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int | None = None


def batches(lengths: Sequence[int], copies: int) -> Iterator[list[int]]:
    """Group prompts of similar length, each group small enough for memory.

    Args:
        lengths: Tokens of each prompt with room for its answer.
        copies: Rows that each prompt takes.

    Yields:
        Positions of prompts; every position once.
    """
    group: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        rows = (len(group) + 1) * copies
        if group and (rows > _BATCH_ROWS or rows * lengths[position] > _BATCH_TOKENS):
            yield group
            group = []
        group.append(position)
    if group:
        yield group


def generate_ids(
    model: Any,
    prompts: Sequence[Sequence[int]],
    n: int,
    sampling: Sampling,
    *,
    stop_ids: Sequence[int],
    pad_id: int,
    limit: int | None,
) -> list[list[list[int]]]:
    """Answer each prompt n times.

    Args:
        model: Causal or encoder-decoder model of transformers, in evaluation mode.
        prompts: Tokens of each prompt.
        n: Answers per prompt.
        sampling: How to draw.
        stop_ids: Tokens that end an answer.
        pad_id: Any token; it fills the left of shorter prompts and is masked.
        limit: Longest sequence that the model reads (prompt and answer together for a causal model); None for
            no limit.

    Returns:
        For each prompt n lists of tokens, the ending token included where one was written.
    """
    answers: list[list[list[int]]] = [[] for _ in prompts]
    # A fresh seed is drawn once per call, so that the batches of one call do not depend on how they were cut.
    base = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    reach = [len(prompt) + sampling.max_tokens for prompt in prompts]
    for group in batches(reach, n):
        chosen = [prompts[i] for i in group]
        streams = [_stream(base, prompt, sample) for prompt in chosen for sample in range(n)]
        with torch.inference_mode():
            rows = _run(model, chosen, n, sampling, streams, frozenset(stop_ids), pad_id, limit)
        for place, position in enumerate(group):
            answers[position] = rows[place * n : (place + 1) * n]
    return answers


def pick(logits: torch.Tensor, draws: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Choose a token for each row from its logits and one uniform number.

    Args:
        logits: (rows, vocabulary), any float type.
        draws: (rows,) float64 in [0, 1).
        temperature: 0 takes the largest logit.
        top_p: Probability that the kept tokens must have together.

    Returns:
        (rows,) int64.
    """
    if temperature <= 0:
        return logits.argmax(dim=-1)
    # Inverse of the cumulative distribution over tokens sorted by probability: the same number gives the same
    # token on every device, which torch.multinomial does not promise.
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    mass = ordered.cumsum(dim=-1)
    kept = ordered.masked_fill(mass - ordered >= top_p, 0.0).cumsum(dim=-1)
    target = draws.to(kept.device).unsqueeze(-1) * kept[:, -1:]
    place = torch.searchsorted(kept, target, right=True).clamp_max(kept.shape[-1] - 1)
    return tokens.gather(-1, place).squeeze(-1)


def _stream(seed: int, prompt: Sequence[int], sample: int) -> torch.Generator:
    """The random numbers of one answer: its seed, its number and its prompt decide them."""
    words = f"{seed}:{sample}:{','.join(map(str, prompt))}"
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little") >> 1)
    return generator


def _run(
    model: Any,
    prompts: Sequence[Sequence[int]],
    n: int,
    sampling: Sampling,
    streams: Sequence[torch.Generator],
    stop_ids: frozenset[int],
    pad_id: int,
    limit: int | None,
) -> list[list[int]]:
    encoder_decoder = bool(model.config.is_encoder_decoder)
    state = _Decoder(model, prompts, pad_id) if encoder_decoder else _Causal(model, prompts, pad_id)
    logits = state.logits
    if n > 1:
        state.repeat(n)
        logits = logits.repeat_interleave(n, dim=0)
    room = [sampling.max_tokens] * len(streams)
    if limit is not None and not encoder_decoder:
        room = [min(sampling.max_tokens, limit - len(prompts[i // n])) for i in range(len(streams))]
    written: list[list[int]] = [[] for _ in streams]
    alive = list(range(len(streams)))
    while alive:
        draws = torch.stack([torch.rand((), dtype=torch.float64, generator=streams[i]) for i in alive])
        tokens = pick(logits, draws, sampling.temperature, sampling.top_p)
        values = tokens.tolist()
        kept = []
        for place, (row, token) in enumerate(zip(alive, values, strict=True)):
            written[row].append(token)
            if token not in stop_ids and len(written[row]) < room[row]:
                kept.append(place)
        if len(kept) < len(alive):
            alive = [alive[place] for place in kept]
            if not alive:
                break
            rows = torch.tensor(kept, device=tokens.device)
            state.select(rows)
            tokens = tokens[rows]
        logits = state.step(tokens)
    return written


class _Causal:
    """Keys, values and positions of a batch of a decoder-only model, padded on the left."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        self.model = model
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, width - len(prompt) :] = 1
        self.mask = mask.to(model.device)
        positions = (self.mask.cumsum(dim=-1) - 1).clamp_min(0)
        self.last = positions[:, -1:]
        known = inspect.signature(model.forward).parameters
        self.placed = "position_ids" in known
        options: dict[str, Any] = {"position_ids": positions} if self.placed else {}
        if "logits_to_keep" in known:
            options["logits_to_keep"] = 1
        output = model(input_ids=ids.to(model.device), attention_mask=self.mask, use_cache=True, **options)
        self.cache = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row; returns the logits behind it, (rows, vocabulary)."""
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=-1)
        self.last = self.last + 1
        options: dict[str, Any] = {"position_ids": self.last} if self.placed else {}
        output = self.model(
            input_ids=tokens.unsqueeze(-1),
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def repeat(self, n: int) -> None:
        """Make n copies of each row, side by side."""
        self.cache.batch_repeat_interleave(n)
        self.mask = self.mask.repeat_interleave(n, dim=0)
        self.last = self.last.repeat_interleave(n, dim=0)

    def select(self, rows: torch.Tensor) -> None:
        """Keep only the given rows."""
        self.cache.batch_select_indices(rows)
        self.mask, self.last = self.mask[rows], self.last[rows]


class _Decoder:
    """Encoder states and decoder cache of a batch of an encoder-decoder model."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        self.model = model
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(list(prompt))
            mask[row, : len(prompt)] = 1
        self.mask = mask.to(model.device)
        encoder = model.get_encoder()
        self.states = encoder(input_ids=ids.to(model.device), attention_mask=self.mask).last_hidden_state
        self.cache: Any = None
        start = torch.full((len(prompts),), model.config.decoder_start_token_id, device=model.device)
        self.logits = self.step(start)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row; returns the logits behind it, (rows, vocabulary)."""
        output = self.model(
            decoder_input_ids=tokens.unsqueeze(-1),
            encoder_outputs=(self.states,),
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def repeat(self, n: int) -> None:
        """Make n copies of each row, side by side."""
        self.cache.batch_repeat_interleave(n)
        self.states = self.states.repeat_interleave(n, dim=0)
        self.mask = self.mask.repeat_interleave(n, dim=0)

    def select(self, rows: torch.Tensor) -> None:
        """Keep only the given rows."""
        self.cache.batch_select_indices(rows)
        self.states, self.mask = self.states[rows], self.mask[rows]
