"""A text student: a language model that may copy from its prompt, its tokenizer and its prompts; a folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from wean.errors import UsageError, WeanError
from wean.extras import quiet, require
from wean.files import is_whole, parse_json, write_sums, write_tensors
from wean.runtime.prompt import ACT, DONE, END, GOAL, PROMPT_VERSION, Encode, EpisodeEncoder, PromptConfig

_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_COPY_HEAD, _MIXED_KEYS = "copies", "mixed_keys"  # flags in the model's config


class CopyHead(nn.Module):
    """A pointer over the positions so far: a name that was never learnt can be copied from where it stands.

    The probability of a token is (1 - g) p(token) + g sum of a_j over the positions j where it stands, with the
    attention a over all positions so far and a share g, both learned (pointer networks, 1506.03134; mixed as in
    1704.04368). The key of a position depends on its token and the one before. The attention also knows which positions
    follow the last token, and the last two: it learns how much that counts, and so continues a name of unknown tokens,
    "ice cre" with "am" (n-gram heads, 2401.12973). `wean.students.text.incremental` uses the parts one by one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.here = nn.Linear(width, width, bias=False)
        self.before = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        self.follows = nn.Linear(width, 2)
        nn.init.constant_(self.follows.bias, 2.0)
        nn.init.constant_(self.share.bias, -1.0)  # at first it generates more than it copies

    def keys(self, hidden: Tensor) -> Tensor:
        """Keys (B, T, width) of the positions of whole sequences."""
        keys: Tensor = self.here(hidden) + nn.functional.pad(self.before(hidden)[:, :-1], (0, 0, 1, 0))
        return keys

    def mixed(self, hidden: Tensor, keys: Tensor, ids: Tensor, at: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) with copying.

        Args:
            hidden: (N, width), at the positions that predict.
            keys: (T, width), of all positions.
            ids: (T,), the tokens there.
            at: (N,), the positions that predict; later ones are not copied from.
            logits: (N, vocabulary), without copying.
        """
        one_before, two_before = (nn.functional.pad(ids, (back, 0), value=-1)[:-back] for back in (1, 2))
        after_last = one_before == ids[at, None]
        after_both = after_last & (two_before == one_before[at, None])
        worth = self.follows(hidden).float()
        scores = (self.query(hidden) @ keys.T).float() / keys.shape[-1] ** 0.5
        scores = scores + worth[:, :1] * after_last + worth[:, 1:] * after_both
        scores = scores.masked_fill(torch.arange(len(ids), device=ids.device) > at[:, None], -torch.inf)
        attention = scores.softmax(-1)
        copied = torch.zeros_like(logits).scatter_add_(1, ids.expand(len(hidden), -1), attention)
        share = self.share(hidden).float().sigmoid()
        mixed: Tensor = (1 - share) * logits.softmax(-1) + share * copied
        return mixed.clamp_min(1e-20).log()

    def forward(self, hidden: Tensor, ids: Tensor, rows: Tensor, columns: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities (N, vocabulary) of the tokens after the positions (rows, columns) of sequences.

        Args:
            hidden: (B, T, width).
            ids: (B, T).
            rows: (N,), in ascending order.
            columns: (N,).
            logits: (N, vocabulary).
        """
        keys = self.keys(hidden)
        found = []
        for row in range(len(ids)):
            wanted = rows == row
            at = columns[wanted]
            found.append(self.mixed(hidden[row, at], keys[row], ids[row], at, logits[wanted]))
        return torch.cat(found)


class MixedKeys(nn.Linear):
    """A key projection that mixes in the key of the token before; for whole sequences only, (B, T, width).

    To repeat what followed a word before, attention must find positions by the token before them. Two layers can build
    that (induction heads, 2209.11895), but a small model learns it late. With the key k_t of each layer replaced by
    (1 - m) k_t + m k_{t-1}, with a learned share m for each of its numbers, one layer is enough (a token shift, as in
    RWKV, 2305.13048).
    """

    def __init__(self, width: int, keys: int) -> None:
        super().__init__(width, keys, bias=False)
        self.mix = nn.Parameter(torch.full((keys,), 0.5))

    def forward(self, hidden: Tensor) -> Tensor:
        """Keys (B, T, keys); the one before the first is zero."""
        keys = super().forward(hidden)
        before = nn.functional.pad(keys[:, :-1], (0, 0, 1, 0))
        return torch.lerp(keys, before, self.mix.to(keys.dtype))  # half precision under autocast


def add_mixed_keys(model: Any) -> None:
    """Mixes the keys in every layer of a model of the Llama kind, and notes it in the model's config."""
    for layer in model.model.layers:
        plain = layer.self_attn.k_proj
        mixed = MixedKeys(plain.in_features, plain.out_features)
        mixed.weight = plain.weight
        layer.self_attn.k_proj = mixed
    setattr(model.config, _MIXED_KEYS, True)


def add_copy_head(model: Any) -> None:
    """Gives a model a copy head, and notes it in the model's config."""
    model.copying = CopyHead(model.config.hidden_size)
    setattr(model.config, _COPY_HEAD, True)


def has_mixed_keys(model: Any) -> bool:
    """Whether a model has mixed keys, by its config."""
    return bool(getattr(model.config, _MIXED_KEYS, False))


def has_copy_head(model: Any) -> bool:
    """Whether a model has a copy head, by its config."""
    return bool(getattr(model.config, _COPY_HEAD, False))


def with_copies(model: Any, hidden: Tensor, ids: Tensor, rows: Tensor, columns: Tensor, logits: Tensor) -> Tensor:
    """What `CopyHead.forward` gives if a model has a copy head; else the logits."""
    return model.copying(hidden, ids, rows, columns, logits) if has_copy_head(model) else logits


SCHEMA, KIND = "wean-student/1", "text"
PAD = "<pad>"


class TextStudent:
    """A language model that plays episodes in words.

    Attributes:
        model: A model of transformers: causal, or encoder and decoder (fed step by step only).
        tokenizer: A `tokenizers.Tokenizer` in which every mark is one token.
        prompt: How its prompts are built.
        mark: Tokens of the marks that it generates.
        pad: The padding token.
    """

    def __init__(self, model: Any, tokenizer: Any, prompt: PromptConfig) -> None:
        self.model, self.tokenizer, self.prompt = model, tokenizer, prompt
        self.mark = {name: int(tokenizer.token_to_id(name)) for name in (ACT, DONE, END, GOAL)}
        self.pad = int(tokenizer.token_to_id(PAD))
        if self.is_seq2seq and prompt.feeding == "sequence":
            raise UsageError("an encoder-decoder model reads one prompt a step; set feeding=step")

    @property
    def is_seq2seq(self) -> bool:
        """Whether the model has an encoder and a decoder."""
        return bool(self.model.config.is_encoder_decoder)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without any special ones added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """The text of tokens, without marks."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def episode(self, strict: bool = False) -> EpisodeEncoder:
        """A new episode, encoded for this student."""
        encode: Encode = self.encode
        return EpisodeEncoder(encode, self.prompt, strict)

    def parameter_count(self) -> int:
        """Number of trained parameters, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def training_flops(self, lengths: Sequence[int]) -> float:
        """FLOPs of a gradient step on sequences of these lengths, the head's left out.

        6 for each parameter and token, and the attention's query-key and attention-value products: 2 each, half of them
        masked, three times for forward and backward pass.
        """
        config = self.model.config
        width = getattr(config, "hidden_size", None) or config.d_model
        layers = getattr(config, "num_hidden_layers", None) or config.num_layers
        inner = self.parameter_count() - int(self.model.get_input_embeddings().weight.numel())
        return float(6.0 * inner * sum(lengths) + 6.0 * layers * width * sum(length**2 for length in lengths))

    def tensors(self) -> dict[str, torch.Tensor]:
        """A copy of the model's tensors; those with several names once."""
        seen: set[int] = set()
        found = {}
        for name, value in self.model.state_dict().items():
            if value.data_ptr() not in seen:
                seen.add(value.data_ptr())
                found[name] = value.detach().clone()
        return found

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Puts back what `tensors` gave."""
        self.model.load_state_dict(tensors, strict=False)


def save_text_student(student: TextStudent, folder: Path) -> None:
    """Writes a student's folder: `config.json`, `model.safetensors`, `tokenizer.json`; whole or not at all."""
    import shutil

    scratch = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    values = {
        "schema": SCHEMA,
        "type": KIND,
        "prompt_version": PROMPT_VERSION,
        "prompt": asdict(student.prompt),
        "model": student.model.config.to_dict(),
    }
    (scratch / "config.json").write_text(json.dumps(values, indent=1) + "\n")
    student.tokenizer.save(str(scratch / "tokenizer.json"))
    write_tensors(scratch / "model.safetensors", student.tensors())
    write_sums(scratch, _FILES)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def is_text_student(folder: Path) -> bool:
    """Whether a folder holds a text student."""
    try:
        return bool(parse_json((folder / "config.json").read_text()).get("type") == KIND)
    except (OSError, ValueError, AttributeError):
        return False


def load_text_student(folder: Path) -> TextStudent:
    """Reads a student's folder.

    Raises:
        WeanError: Something is missing, damaged, or of another version.
    """
    values = _read_config(folder)
    tokenizer = load_tokenizer(folder)
    try:
        whole = is_whole(folder, _FILES)
    except OSError as error:
        raise WeanError(f"{error.filename} cannot be read ({error.strerror}); copy the student folder anew") from None
    if not whole:
        raise WeanError(f"the student in {folder} is damaged; train it again or copy it anew")
    try:
        prompt = PromptConfig(**values["prompt"])
        model = _load_model(values["model"], folder / "model.safetensors")
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError):
        raise WeanError(f"weights and config.json in {folder} do not belong together; copy both anew") from None
    return TextStudent(model.eval(), tokenizer, prompt)


def load_ensemble(folders: Sequence[Path]) -> list[TextStudent]:
    """Loads one student, or several that act as an ensemble.

    Raises:
        UsageError: One differs from the first in its tokens or prompts, or has an encoder.
        WeanError: A folder is damaged.
    """
    first, *others = students = [load_text_student(folder) for folder in folders]
    for folder, other in zip(folders[1:], others, strict=True):
        same_tokens = other.tokenizer.to_str() == first.tokenizer.to_str()
        if not (same_tokens and other.prompt == first.prompt) or other.is_seq2seq:
            raise UsageError(
                f"{folder} and {folders[0]} cannot act together; take decoders that were trained on the same "
                "demonstrations with the same settings, with other seeds"
            )
    return students


def load_tokenizer(folder: Path) -> Any:
    """Reads the `tokenizer.json` of a student.

    Raises:
        WeanError: It is missing or damaged.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise WeanError(f"{folder} has no tokenizer.json; copy the whole student folder")
    try:
        return require("tokenizers").Tokenizer.from_file(str(path))
    except Exception:  # the library raises bare Exception
        raise WeanError(f"{path} is damaged; copy the student folder anew") from None


def _read_config(folder: Path) -> dict[str, Any]:
    """The values in `config.json`, if they are of this version."""
    try:
        values = parse_json((folder / "config.json").read_text())
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
    if "prompt" not in values:
        raise WeanError(f"{folder} was written by wean 0.1; train it again, or use that version")
    return values


def _load_model(settings: dict[str, Any], weights: Path) -> Any:
    """A model of these settings, with its weights from a file."""
    from safetensors.torch import load_model

    transformers = require("transformers")
    settings = dict(settings)
    config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    with quiet():
        model = kind.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    if has_mixed_keys(model):
        add_mixed_keys(model)
    if has_copy_head(model):
        add_copy_head(model)
    load_model(model, str(weights))
    return model
