"""A text student: a language model, its tokenizer, and how it is told an episode; a folder on disk."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from wean.errors import UsageError, WeanError
from wean.extras import quiet, require
from wean.students.text.copying import add_copying, has_copying
from wean.students.text.mixed_keys import has_mixed_keys, mix_keys
from wean.students.text.prompt import ACT, DONE, END, GOAL, MARKS, PROMPT_VERSION, Encode, EpisodeText, Feeding
from wean.students.text.tokenizer import PAD, load_tokenizer

SCHEMA, KIND = "wean-student/1", "text"
_SPREAD = (
    0.6  # of first weights, times the root of the width: at 0.02, made for wide models, a small one learns to copy late
)


@dataclass(frozen=True)
class Habits:
    """How a student is told and used, as its demonstrations were.

    Attributes:
        feeding: One sequence an episode, or one prompt a step.
        subgoals: Whether it plans; without it only says actions.
        context: Tokens that it reads at most.
        goal_limit: Actions after which a sub-goal is over even if the student does not say so: twice as many as the
            longest in its demonstrations took.
        repeat_limit: How often an action may be done in the same moment: all alike that can be seen and is carried, and
            the score.
        repeats: The same by the first words of actions that demonstrations do as often (to wait, to measure).
        unprompted: Words that it may say without having been told them in the episode, as its demonstrations do;
            without any it says what it likes.
        verbs: How its demonstrations' sub-goals begin that have the same first word: what comes behind is a thing.
        seeking: First words of sub-goals with which its demonstrations often look for what nothing has shown yet
            (find); sub-goals that begin otherwise are about what was seen.
        searching: First words of the actions with which its demonstrations then look; without any it looks as it likes.
        unnamed: Whether it has learnt to act where no sub-goal is named.
        in_sight: First words of sub-goals whose things can nearly always be seen or are carried when they are named.
        brings: First words of sub-goals that make one carry a thing which was not carried before.
        takes_up: Whether its demonstrations' sub-goals name what the one before looked for and found.
        apart: Whether its demonstrations' sub-goals hardly ever name one thing twice.
        onward: Whether these hardly ever lead back to a place before anything else was done than to go.
        ways: Sub-goals that always led from elsewhere to the place which they name, and this place.
    """

    feeding: Feeding = "sequence"
    subgoals: bool = True
    context: int = 2048
    goal_limit: int = 50
    repeat_limit: int = 2
    repeats: Mapping[str, int] = field(default_factory=dict)
    unprompted: Collection[str] = ()
    verbs: Mapping[str, str] = field(default_factory=dict)
    seeking: Collection[str] = ()
    searching: Collection[str] = ()
    unnamed: bool = False
    in_sight: Collection[str] = ()
    brings: Collection[str] = ()
    takes_up: bool = False
    apart: bool = False
    onward: bool = False
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """Size of a student from scratch.

    Attributes:
        hidden: Width.
        layers: Depth.
        heads: Attention heads; they divide the width.
    """

    hidden: int = 256
    layers: int = 4
    heads: int = 4


class TextStudent:
    """A language model that plays episodes in words.

    Attributes:
        model: Of transformers' classes: causal, or encoder and decoder (fed step by step only).
        tokenizer: A `tokenizers.Tokenizer` in which every mark is one token.
        habits: How it is told and used.
    """

    def __init__(self, model: Any, tokenizer: Any, habits: Habits) -> None:
        self.model, self.tokenizer, self.habits = model, tokenizer, habits
        self.mark = {name: int(tokenizer.token_to_id(name)) for name in (ACT, DONE, END, GOAL)}
        self.pad = int(tokenizer.token_to_id(PAD))
        if model.config.is_encoder_decoder and habits.feeding == "sequence":
            raise UsageError("an encoder-decoder model reads one prompt a step; set feeding=step")

    @property
    def encode(self) -> Encode:
        """Text to tokens, without any that were not asked for."""
        return lambda text: list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """Tokens to text, marks left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def episode(self, strict: bool = False) -> EpisodeText:
        """A new episode, told as this student is told it."""
        return EpisodeText(self.encode, self.habits.context, self.habits.feeding, strict)

    def parameter_count(self) -> int:
        """Number of trained parameters, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def new_student(tokenizer: Any, size: Size, habits: Habits, seed: int) -> TextStudent:
    """A student from scratch: a decoder of the Llama kind (2302.13971) with tied embeddings and mixed keys.

    Raises:
        UsageError: The heads do not divide the width.
    """
    if size.hidden % size.heads or size.hidden // size.heads % 2:
        raise UsageError(f"{size.heads} heads do not divide a width of {size.hidden} into even parts; set heads=4")
    transformers = require("transformers")
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=size.hidden,
        intermediate_size=_rounded(size.hidden * 8 // 3, 64),
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=habits.context,
        tie_word_embeddings=True,
        initializer_range=_SPREAD / size.hidden**0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    torch.manual_seed(seed)
    with quiet():
        model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    mix_keys(model)
    add_copying(model)
    return TextStudent(model, tokenizer, habits)


def pretrained_student(name: str, habits: Habits, seed: int) -> TextStudent:
    """A student from a pretrained model; the marks are added to its vocabulary.

    Args:
        name: `hf:` and a name in the cache, a folder or a hub id.
        habits: How it will be told and used.
        seed: Draws the marks' first vectors.

    Raises:
        UsageError: There is no such model, it has no fast tokenizer, or its own context is shorter.
    """
    from wean.lm.model import load_model

    torch.manual_seed(seed)
    local = load_model(name, device="cpu")
    model, tokenizer = local.model, local.tokenizer
    if local.max_length is not None and local.max_length < habits.context:
        raise UsageError(f"{name} reads {local.max_length:,} tokens at most; set context={local.max_length}")
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise UsageError(f"{name} has no fast tokenizer (tokenizer.json); take another model")
    fast.no_padding()
    fast.no_truncation()
    fast.add_special_tokens([PAD, *MARKS])
    with quiet():
        model.resize_token_embeddings(max(fast.get_vocab_size(), model.get_input_embeddings().num_embeddings))
    return TextStudent(model, fast, habits)


def save_text_student(student: TextStudent, folder: Path) -> None:
    """Writes a student's folder: `config.json`, `model.safetensors`, `tokenizer.json`; whole or not at all."""
    import shutil

    from safetensors.torch import save_model

    scratch = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    values = {
        "schema": SCHEMA,
        "type": KIND,
        "prompt_version": PROMPT_VERSION,
        "habits": asdict(student.habits),
        "model": student.model.config.to_dict(),
    }
    (scratch / "config.json").write_text(json.dumps(values, indent=1) + "\n")
    student.tokenizer.save(str(scratch / "tokenizer.json"))
    save_model(student.model, str(scratch / "model.safetensors"))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def is_text_student(folder: Path) -> bool:
    """Whether a folder holds a text student."""
    try:
        return bool(json.loads((folder / "config.json").read_text()).get("type") == KIND)
    except (OSError, ValueError, AttributeError):
        return False


def load_text_student(folder: Path) -> TextStudent:
    """Reads a student's folder.

    Raises:
        WeanError: Something is missing, damaged, or of another version of the prompt.
    """
    from safetensors.torch import load_model

    try:
        values = json.loads((folder / "config.json").read_text())
    except OSError:
        raise WeanError(f"{folder} holds no student (config.json is missing); name a folder that was saved") from None
    except ValueError:
        raise WeanError(f"{folder}/config.json is damaged; copy the student folder anew") from None
    if not isinstance(values, dict) or (values.get("schema"), values.get("type")) != (SCHEMA, KIND):
        raise WeanError(f"{folder} holds no text student of this wean; use the wean that wrote it")
    if values.get("prompt_version") != PROMPT_VERSION:
        raise WeanError(
            f"{folder} was trained with prompts {values.get('prompt_version')}, this wean writes {PROMPT_VERSION}; "
            "train it again, or use the wean that wrote it"
        )
    tokenizer = load_tokenizer(folder)
    transformers = require("transformers")
    try:
        settings = dict(values["model"])
        config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
        kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
        with quiet():
            model = kind.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
        if has_mixed_keys(model):
            mix_keys(model)
        if has_copying(model):
            add_copying(model)
        load_model(model, str(folder / "model.safetensors"))
        habits = Habits(**values["habits"])
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError):
        raise WeanError(f"weights and config.json in {folder} do not belong together; copy both anew") from None
    return TextStudent(model.eval(), tokenizer, habits)


def _rounded(number: int, to: int) -> int:
    return -(-number // to) * to
