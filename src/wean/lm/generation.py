"""Sampling answers in batches: each depends on its own question and seed and on nothing beside it.

The loop is our own because the library's sampler draws one stream of random numbers for a whole batch: there,
adding a question changes the answers to the others. Here every (question, sample) has a stream of its own,
the n samples of a question share one reading of the prompt, and rows that have finished leave the batch. Models whose
caches cannot be padded, copied or cut to some rows (recurrent and hybrid ones) write one answer after the other.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.utils.rnn import pad_sequence

from wean.lm.scoring import whole_logits

Way = Literal["batch", "single", "whole"]
"""Many answers side by side; one after the other, each with a cache of its own; or without a cache."""

# They bound the memory of keys and values, not the result.
_BATCH_TOKENS = 16384
_BATCH_ROWS = 64


@dataclass(frozen=True)
class GeneratedText:
    """One answer without special tokens.

    Attributes:
        text: The answer.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written, the one that ends the turn included.
        ended: Whether the model ended it, and not the limit of tokens.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    ended: bool


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn."""

    temperature: float = 1.0
    """0 takes the most probable token each time."""
    top_p: float = 1.0
    """Keep the smallest set of tokens that has this much probability; 1 keeps all."""
    max_tokens: int = 256
    """Longest answer."""
    seed: int | None = None
    """Same seed, same answers; None draws a fresh one."""


def batches(
    lengths: Sequence[int], copies: int = 1, max_rows: int = _BATCH_ROWS, max_tokens: int = _BATCH_TOKENS
) -> Iterator[list[int]]:
    """Groups texts of similar length (tokens, with room for the answer) for memory; yields the positions of each group.

    Each text takes `copies` rows. A group has at most `max_rows` rows, and rows times padded length at most
    `max_tokens`.
    """
    group: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        rows = (len(group) + 1) * copies
        if group and (rows > max_rows or rows * lengths[position] > max_tokens):
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
    way: Way = "batch",
) -> list[list[list[int]]]:
    """Answers each prompt n times: for each n lists of tokens, the ending token included where one was written.

    Args:
        model: Causal or encoder-decoder model of transformers, in evaluation mode.
        prompts: Tokens of each prompt.
        n: Answers per prompt.
        sampling: How to draw.
        stop_ids: Tokens that end an answer.
        pad_id: Any token; it fills shorter prompts up and is masked.
        limit: Longest sequence of a causal model, prompt and answer together; None for no limit.
        way: How the model can be run; see `generation_way`.

    Raises:
        WeanError: The model fails.
    """
    answers: list[list[list[int]]] = [[] for _ in prompts]
    # A fresh seed is drawn once per call, so that the batches of one call do not depend on how they were cut.
    base = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    lengths, stops = [len(prompt) + sampling.max_tokens for prompt in prompts], frozenset(stop_ids)
    if limit is None or model.config.is_encoder_decoder:
        room = [sampling.max_tokens] * len(prompts)
    else:
        room = [min(sampling.max_tokens, limit - len(prompt)) for prompt in prompts]
    alone = way == "single"
    for group in [[i] for i in range(len(prompts)) for _ in range(n)] if alone else batches(lengths, n):
        copies = 1 if alone else n
        streams = [_stream(base, prompts[i], len(answers[i]) + copy) for i in group for copy in range(copies)]
        with torch.inference_mode():
            state = _begun(model, [prompts[i] for i in group], pad_id, way)
            state.repeat(copies)
            rows = _write(state, sampling, streams, [room[i] for i in group for _ in range(copies)], stops)
        for place, position in enumerate(group):
            answers[position] += rows[place * copies : (place + 1) * copies]
    return answers


def generation_way(model: Any, pad_id: int) -> Way:
    """The fastest way in which a model writes what ordinary passes give; checked on two short prompts.

    Raises:
        WeanError: The model fails.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    token = [vocabulary // 3 + i % max(1, vocabulary // 3) for i in range(16)]
    prompts, next_ = [token[:4], token[4:13]], token[13:15]
    slack = 1e-3 if model.dtype == torch.float32 else 5e-2
    with torch.inference_mode():
        plain = [whole_logits(model, prompt, next_)[-1] for prompt in prompts]
        for way in ("batch", "single"):
            try:
                found = _tried(model, prompts, next_, pad_id, way)
            except Exception:  # caches of recurrent layers lack methods, have other shapes, or other names
                continue
            if all(bool((logits - plain[i]).abs().max() <= slack * plain[i].abs().max()) for i, logits in found):
                return way
    return "whole"


def _tried(
    model: Any, prompts: Sequence[Sequence[int]], next_: Sequence[int], pad_id: int, way: Way
) -> list[tuple[int, torch.Tensor]]:
    """Which of two prompts each row has, and its logits behind the prompt and some more tokens."""
    found: list[tuple[int, torch.Tensor]] = []
    for some in [[0, 1]] if way == "batch" else [[0], [1]]:
        state = _begun(model, [prompts[i] for i in some], pad_id, way)
        if way == "batch":
            # Neither as many rows as were read nor as many as there are copies: no layer may keep what it had.
            state.repeat(3)
            state.select(torch.tensor([1, 3, 5], device=model.device))
            some = [0, 1, 1]
        for token in next_:
            state.step(torch.tensor([token] * len(some), device=model.device))
        found += list(zip(some, state.logits, strict=True))
    return found


def pick(logits: torch.Tensor, draws: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Chooses a token (rows,) int64 for each row of logits (rows, vocabulary) by uniform numbers (rows,) in [0, 1).

    Temperature 0 takes the largest logit; `top_p` is the probability that the kept tokens have together.
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


def _write(
    state: _Rows,
    sampling: Sampling,
    streams: Sequence[torch.Generator],
    room: Sequence[int],
    stop_ids: frozenset[int],
) -> list[list[int]]:
    """Writes one answer for each row, of at most `room` tokens."""
    written: list[list[int]] = [[] for _ in streams]
    alive = list(range(len(streams)))
    while True:
        draws = torch.stack([torch.rand((), dtype=torch.float64, generator=streams[i]) for i in alive])
        tokens = pick(state.logits, draws, sampling.temperature, sampling.top_p)
        kept = []
        for place, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
            written[row].append(token)
            if token not in stop_ids and len(written[row]) < room[row]:
                kept.append(place)
        if not kept:
            return written
        if len(kept) < len(alive):
            alive = [alive[place] for place in kept]
            rows = torch.tensor(kept, device=tokens.device)
            state.select(rows)
            tokens = tokens[rows]
        state.step(tokens)


class _Rows:
    """A batch of sequences in the making: the model's cache, other tensors with a row for each, and the next logits.

    `logits` are (rows, vocabulary) behind the last token of each row.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.logits: torch.Tensor
        self.cache: Any = None
        self.tensors: dict[str, torch.Tensor] = {}

    def step(self, tokens: torch.Tensor) -> None:
        """Appends one token to each row."""
        raise NotImplementedError(f"{type(self).__name__} must implement step()")

    def repeat(self, n: int) -> None:
        """Makes n copies of each row, side by side."""
        if n > 1:
            self.cache.batch_repeat_interleave(n)
            self.logits = self.logits.repeat_interleave(n, dim=0)
            self.tensors = {name: tensor.repeat_interleave(n, dim=0) for name, tensor in self.tensors.items()}

    def select(self, rows: torch.Tensor) -> None:
        """Keeps only the given rows."""
        self.cache.batch_select_indices(rows)
        self.tensors = {name: tensor[rows] for name, tensor in self.tensors.items()}

    def _run(self, **inputs: Any) -> None:
        output = self.model(use_cache=True, past_key_values=self.cache, **inputs)
        self.cache, self.logits = output.past_key_values, output.logits[:, -1]


class _Causal(_Rows):
    """A batch of a decoder-only model, padded on the left."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        super().__init__(model)
        ids, mask = _padded(prompts, pad_id, "left", model.device)
        positions = (mask.cumsum(dim=-1) - 1).clamp_min(0)
        self.tensors = {"mask": mask, "last": positions[:, -1:]}
        known = inspect.signature(model.forward).parameters
        self.placed = "position_ids" in known
        keep = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self._run(input_ids=ids, attention_mask=mask, **self._places(positions), **keep)

    def step(self, tokens: torch.Tensor) -> None:
        mask, last = self.tensors["mask"], self.tensors["last"] + 1
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
        self.tensors = {"mask": mask, "last": last}
        self._run(input_ids=tokens.unsqueeze(-1), attention_mask=mask, **self._places(last))

    def _places(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"position_ids": positions} if self.placed else {}


class _EncoderDecoder(_Rows):
    """A batch of an encoder-decoder model: its encoder reads the prompts once, padded on the right."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        super().__init__(model)
        ids, mask = _padded(prompts, pad_id, "right", model.device)
        states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        self.tensors = {"mask": mask, "states": states}
        self.step(torch.full((len(prompts),), model.config.decoder_start_token_id, device=model.device))

    def step(self, tokens: torch.Tensor) -> None:
        mask, states = self.tensors["mask"], self.tensors["states"]
        self._run(decoder_input_ids=tokens.unsqueeze(-1), encoder_outputs=(states,), attention_mask=mask)


class _Whole(_Rows):
    """A batch without a cache: every token is an ordinary pass over all of its row."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        super().__init__(model)
        self.rows: list[tuple[Sequence[int], list[int]]] = [(prompt, []) for prompt in prompts]
        self._read()

    def step(self, tokens: torch.Tensor) -> None:
        for (_, written), token in zip(self.rows, tokens.tolist(), strict=True):
            written.append(token)
        self._read()

    def repeat(self, n: int) -> None:
        self.rows = [(prompt, list(written)) for prompt, written in self.rows for _ in range(n)]
        self.logits = self.logits.repeat_interleave(n, dim=0)

    def select(self, rows: torch.Tensor) -> None:
        self.rows = [self.rows[row] for row in rows.tolist()]

    def _read(self) -> None:
        self.logits = torch.stack([whole_logits(self.model, prompt, written)[-1] for prompt, written in self.rows])


def _begun(model: Any, prompts: Sequence[Sequence[int]], pad_id: int, way: Way) -> _Rows:
    """A batch that has read its prompts."""
    if way == "whole":
        return _Whole(model, prompts)
    return (_EncoderDecoder if model.config.is_encoder_decoder else _Causal)(model, prompts, pad_id)


def _padded(
    prompts: Sequence[Sequence[int]], pad_id: int, side: str, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as (n, width) tokens, and 1 where a token is none of padding."""
    rows = [torch.tensor(list(prompt)) for prompt in prompts]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad_id, padding_side=side)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True, padding_side=side)
    return ids.to(device), mask.to(device)
