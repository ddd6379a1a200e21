"""A tokenizer of a student's own: byte-level BPE, learnt from the texts of its demonstrations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wean.errors import WeanError
from wean.extras import require
from wean.students.text.prompt import MARKS

PAD = "<pad>"
_WORD = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Learns a byte-level BPE (1508.07909) from texts; every mark is one token.

    Numbers are read digit by digit, so that no two are strangers to each other.

    Args:
        texts: What is going to be read.
        vocabulary: Most tokens that it may have, bytes and marks included.

    Returns:
        A `tokenizers.Tokenizer`.
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
