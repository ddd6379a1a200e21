"""Sentences as vectors: texts that mean the same lie near each other."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wean.errors import UsageError, WeanError
from wean.extras import require
from wean.lm import cache, packages
from wean.lm.generation import batches

_BATCH_TOKENS = 8192


class SentenceEncoder:
    """A sentence encoder as sentence-transformers publishes them: a transformer, mean pooling, unit length.

    Attributes:
        identity: Name and digest of weights and tokenizer.
        size: Numbers per sentence.
        max_length: Tokens that are read; what comes after them is cut off, as the model was trained.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: str, *, max_length: int, normalise: bool) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.identity = identity
        self.size = int(model.config.hidden_size)
        self.max_length = max_length
        self._normalise = normalise
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encodes sentences or short paragraphs; an empty one is allowed.

        Returns:
            (N, size) float32 in the order of the texts. Rows have length 1 where the model is specified so (`minilm`
            is): a dot product is then the cosine.

        Raises:
            UsageError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise UsageError("encode takes a list of texts: write encode([text])")
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        if not texts:
            return found
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"]
        with self._lock, torch.inference_mode():
            for group in batches(list(map(len, ids)), max_rows=len(ids), max_tokens=_BATCH_TOKENS):
                found[group] = self._batch([ids[i] for i in group])
        return found

    def _batch(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        padded = self.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt")
        mask = padded["attention_mask"].to(self.model.device)
        states = self.model(input_ids=padded["input_ids"].to(self.model.device), attention_mask=mask).last_hidden_state
        # The mean over real tokens only; the special ones at both ends count, as in training.
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-9)
        if self._normalise:
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        vectors: NDArray[np.float32] = pooled.float().cpu().numpy()
        return vectors


def load_encoder(name_or_path: str | Path = "minilm", *, device: str | None = None) -> SentenceEncoder:
    """Loads a sentence encoder.

    Args:
        name_or_path: `minilm`, or a folder in the layout of sentence-transformers whose pooling is the mean of the
            tokens.
        device: Where it runs; None takes a CUDA device where there is one.

    Raises:
        UsageError: No such model, or the extra `lm` is not installed.
        WeanError: The folder cannot be loaded, or asks for another kind of pooling.
    """
    transformers = require("transformers")
    folder = _locate(str(name_or_path))
    pooling = _setting(folder / "1_Pooling" / "config.json")
    if pooling and not pooling.get("pooling_mode_mean_tokens", False):
        raise WeanError(
            f"{name_or_path} does not pool by the mean of its tokens: use an encoder that does, e.g. minilm"
        )
    modules = _setting(folder / "modules.json") or []
    normalise = any(str(module.get("type", "")).endswith("Normalize") for module in modules)
    with cache.loading(name_or_path, "sentence encoder"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    limit = int(getattr(model.config, "max_position_embeddings", 512))
    chosen = (_setting(folder / "sentence_bert_config.json") or {}).get("max_seq_length") or limit
    model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return SentenceEncoder(
        model, tokenizer, cache.identity_of(folder), max_length=min(int(chosen), limit), normalise=normalise
    )


def _locate(name: str) -> Path:
    if folder := packages.folder_of(name, "encoder"):
        return folder
    path = Path(name).expanduser()
    if not (path / "config.json").is_file():
        raise UsageError(f"no sentence encoder {name!r}: give a model folder, or a name from `wean models list`")
    return path


def _setting(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
