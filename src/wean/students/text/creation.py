"""New text students: from scratch with a tokenizer of their own, or from a pretrained model, with or without LoRA."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from wean.errors import UsageError
from wean.extras import quiet, require
from wean.lm.model import load_model
from wean.runtime.prompt import END, MARKS, PromptConfig
from wean.students.text.student import PAD, TextStudent, add_copy_head, add_mixed_keys
from wean.students.text.vocabulary import add_marks

_INITIAL_SPREAD = 0.6
"""Standard deviation of the initial weights times the root of the width; with the usual 0.02, made for wide models, a
small one learns to copy late."""
_WORD = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"


@dataclass(frozen=True)
class Size:
    """Size of a student from scratch."""

    hidden: int = 256
    """Width."""
    layers: int = 4
    """Depth."""
    heads: int = 4
    """Attention heads; they divide the width."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Trains a byte-level BPE (1508.07909) on texts; every mark is one token, and so is every digit.

    Returns:
        A `tokenizers.Tokenizer` of at most `vocabulary` tokens, bytes and marks included.
    """
    tokenizers = require("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = tokenizers.pre_tokenizers
    # A word is the same tokens at the beginning of a text as within it.
    tokenizer.normalizer = tokenizers.normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = split.Sequence(
        [split.Split(tokenizers.Regex(_WORD), "isolated"), split.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, *MARKS],
        initial_alphabet=split.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def new_student(tokenizer: Any, size: Size, prompt: PromptConfig, seed: int) -> TextStudent:
    """A student from scratch: a decoder of the Llama kind (2302.13971) with tied embeddings, which copies.

    Raises:
        UsageError: The heads do not divide the width.
    """
    if size.hidden % size.heads or size.hidden // size.heads % 2:
        raise UsageError(f"{size.heads} heads do not divide a width of {size.hidden} into even parts; set heads=4")
    transformers = require("transformers")
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=size.hidden,
        intermediate_size=-(-(size.hidden * 8 // 3) // 64) * 64,  # the next multiple of 64
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=prompt.context,
        tie_word_embeddings=True,
        initializer_range=_INITIAL_SPREAD / size.hidden**0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    torch.manual_seed(seed)
    with quiet():
        model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    add_mixed_keys(model)
    add_copy_head(model)
    return TextStudent(model, tokenizer, prompt)


class Trained(NamedTuple):
    """How much of a pretrained model is trained."""

    lora_rank: int = 0
    """Rank of the adapters that are trained in place of its matrices; 0 trains it as a whole."""
    frozen_layers: int = 0
    """Lower layers that stay as they are."""


WHOLE = Trained()


def pretrained_student(
    name: str,
    prompt: PromptConfig,
    seed: int,
    trained: Trained = WHOLE,
    texts: Iterable[str] | None = None,
    vocabulary: int = 0,
) -> TextStudent:
    """A student from a pretrained model, with the marks added to its vocabulary.

    Args:
        name: `hf:` and a name in the cache, a folder or a hub id.
        prompt: How its prompts are built.
        seed: Seed of the adapters' initial matrices.
        trained: How much of it is trained.
        texts: What it will read: its vocabulary is cut to what occurs, and the most frequent. None keeps all.
        vocabulary: Tokens that are kept at least.

    Raises:
        UsageError: There is no such model, it has no fast tokenizer, or its own context is shorter.
    """
    torch.manual_seed(seed)
    local = load_model(name, device="cpu")
    model, tokenizer = local.model, local.tokenizer
    if local.max_length is not None and local.max_length < prompt.context:
        raise UsageError(f"{name} reads {local.max_length:,} tokens at most; set context={local.max_length}")
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise UsageError(f"{name} has no fast tokenizer (tokenizer.json); take another model")
    student = TextStudent(model, add_marks(model, fast, texts, vocabulary), prompt)
    if trained.lora_rank:
        _add_adapters(student.model, trained.lora_rank)
    if trained.frozen_layers:
        _freeze(student.model, trained.frozen_layers, name)
    return student


def _freeze(model: Any, count: int, name: str) -> None:
    """Freezes the lower layers of a decoder.

    Raises:
        UsageError: It has no more layers than these, or an encoder.
    """
    layers = [] if model.config.is_encoder_decoder else model.base_model.layers
    if count >= len(layers):
        raise UsageError(f"{name} has {len(layers)} layers that can be frozen, and one must be trained; set fewer")
    for layer in layers[:count]:
        layer.requires_grad_(False)


def _add_adapters(model: Any, rank: int) -> None:
    """Adds LoRA (2106.09685): W + B A with matrices of a rank, in all linear layers but the head; W is frozen.

    The embeddings are trained as they are, as the marks among them are new. Adapters count twice (alpha = 2 rank).
    """
    peft = require("peft")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    with quiet():
        peft.inject_adapter_in_model(config, model)
    model.get_input_embeddings().weight.requires_grad_(True)


def merged(student: TextStudent) -> TextStudent:
    """A copy of the student with its adapters added to its matrices; the student itself if it has none."""
    if not any("lora_" in name for name, _ in student.model.named_parameters()):
        return student
    layers = require("peft.tuners.lora").LoraLayer
    model = copy.deepcopy(student.model)
    for name, module in list(model.named_modules()):
        if isinstance(module, layers):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return TextStudent(model, student.tokenizer, student.prompt)
