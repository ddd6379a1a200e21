"""A pretrained model's vocabulary, cut to what a student reads, with the marks of its prompts added.

Of 49,152 tokens, demonstrations use about 1,400; the others cost a third of the products of a gradient step and a fifth
of a small model's memory. A byte-pair vocabulary is cut so that every text with the kept tokens is encoded as before
(a merge that was never made cannot be missed), and any other text in smaller pieces, down to its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from wean.extras import quiet, require
from wean.runtime.prompt import MARKS
from wean.students.text.student import PAD

_WORDS = {"<inv>": "inventory", "<act>": "action", "<obs>": "result", "<end>": "\n", PAD: "\n"}
"""Words in place of a mark's own name; a mark begins as the mean of its word's vectors, not as noise."""


def add_marks(model: Any, tokenizer: Any, texts: Iterable[str] | None = None, least: int = 0) -> Any:
    """Fits a model, in place, to a tokenizer in which every mark is one token.

    Args:
        model: A model of transformers.
        tokenizer: Its `tokenizers.Tokenizer`, which stays as it is.
        texts: What will be read: the vocabulary is cut to what occurs in it. None keeps all.
        least: The cut vocabulary keeps the most frequent tokens beside those that occur, until it has this number.

    Returns:
        The `tokenizers.Tokenizer` to use with the model.
    """
    settings = json.loads(tokenizer.to_str())
    old_ids = list(range(tokenizer.get_vocab_size(with_added_tokens=True)))
    fitted = _with_marks(settings)
    if texts is not None and settings["model"]["type"] == "BPE":
        used = {token for one in fitted.encode_batch(list(texts), add_special_tokens=False) for token in one.ids}
        old_ids = _cut(settings, used, least)
        fitted = _with_marks(settings)
    words = {fitted.token_to_id(mark): _word_ids(tokenizer, mark) for mark in (PAD, *MARKS)}
    size = fitted.get_vocab_size(with_added_tokens=True)
    if texts is None:  # some models have more rows than tokens
        size = max(size, int(model.get_input_embeddings().num_embeddings))
    _resize(model, size, old_ids, words)
    return fitted


def _with_marks(settings: dict[str, Any]) -> Any:
    """A tokenizer with these settings, to which the marks are added."""
    tokenizer = require("tokenizers").Tokenizer.from_str(json.dumps(settings))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.add_special_tokens([PAD, *MARKS])
    return tokenizer


def _word_ids(tokenizer: Any, mark: str) -> list[int]:
    """Tokens of the word that a mark begins as."""
    word = _WORDS.get(mark, f" {mark.strip('<>')}")
    return list(tokenizer.encode(word, add_special_tokens=False).ids)


def _cut(settings: dict[str, Any], used: set[int], least: int) -> list[int]:
    """Cuts a tokenizer's settings, in place; returns the kept tokens by their numbers before.

    Kept are characters and bytes, the used tokens, those that they are merged from, and the most frequent ones.
    """
    model = settings["model"]
    vocabulary: dict[str, int] = model["vocab"]
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    made_from: dict[str, list[tuple[str, str]]] = {}
    for one, two in merges:
        made_from.setdefault(one + two, []).append((one, two))
    name_of = {number: token for token, number in vocabulary.items()}
    basic = {token for token in vocabulary if token not in made_from and (len(token) == 1 or token.startswith("<0x"))}
    kept = basic | {model["unk_token"]} & set(vocabulary)
    pending = [name_of[number] for number in used if number in name_of]
    frequent = iter([one + two for one, two in merges])  # in the order in which they were learnt
    while pending or len(kept) < least:
        token = pending.pop() if pending else next(frequent, None)
        if token is None:
            break
        if token not in kept and token in vocabulary:
            kept.add(token)
            pending += [part for pair in made_from.get(token, ()) for part in pair]
    ordered = sorted(kept, key=vocabulary.__getitem__)
    model["vocab"] = {token: number for number, token in enumerate(ordered)}
    model["merges"] = [[one, two] for one, two in merges if {one, two, one + two} <= kept]
    settings["added_tokens"], settings["post_processor"] = [], None
    return [vocabulary[token] for token in ordered]


@torch.no_grad()
def _resize(model: Any, size: int, old_ids: Sequence[int], words: dict[int, list[int]]) -> None:
    """Gives a model the rows of the kept tokens, and to each mark the mean of its word's rows."""

    def rows(old: Tensor, new: Tensor) -> None:
        new[: len(old_ids)] = old[list(old_ids)]
        for number, of_word in words.items():
            if of_word:
                new[number] = old[of_word].mean(0)

    inputs = model.get_input_embeddings().weight.detach().clone()
    head = model.get_output_embeddings()
    outputs = None if model.config.tie_word_embeddings else head.weight.detach().clone()
    with quiet():
        model.resize_token_embeddings(size)
    rows(inputs, model.get_input_embeddings().weight)
    if outputs is not None:
        rows(outputs, model.get_output_embeddings().weight)
