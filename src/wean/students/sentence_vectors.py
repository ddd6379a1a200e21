"""Texts as vectors, each encoded once: within a run, and over runs on the same machine."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wean.lm import cache, packages
from wean.lm.cache import identity_of
from wean.lm.model import load_encoder

_TABLE = "CREATE TABLE IF NOT EXISTS vectors (encoder TEXT, text BLOB, vector BLOB, PRIMARY KEY (encoder, text))"


class Encoder(Protocol):
    """The part of `wean.lm.model.SentenceEncoder` that is used here."""

    identity: str
    size: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, size) vectors of N texts."""


class CachedEncoder:
    """A sentence encoder (`minilm`, or a model folder), loaded only for texts that no run on this machine has encoded.

    Raises:
        UsageError: If there is no such encoder here; the message says how to get it.
    """

    def __init__(self, name: str = "minilm") -> None:
        self._name = name
        self._loaded: Encoder | None = None
        folder = packages.installed(name) if name in packages.PACKAGES else None
        if folder is None:  # a model folder, or an error that names the remedy
            self._loaded = load_encoder(name, device="cpu")
            self.identity = self._loaded.identity
        else:
            self.identity = identity_of(folder)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, size) vectors of N texts; N is at least 1."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        path = cache.cache_root() / "vectors.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=60)) as store, store:
            store.execute(_TABLE)
            found: dict[bytes, NDArray[np.float32]] = {}
            for key in keys:
                row = store.execute(
                    "SELECT vector FROM vectors WHERE encoder = ? AND text = ?", (self.identity, key)
                ).fetchone()
                if row is not None:
                    found[key] = np.frombuffer(row[0], np.float32)
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            if missing:
                found |= zip(missing, self._encode(list(missing.values())), strict=True)
                rows = [(self.identity, key, found[key].tobytes()) for key in missing]
                store.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)
        return np.stack([found[key] for key in keys])

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._loaded is None:
            self._loaded = load_encoder(self._name, device="cpu")
        # One by one: the texts that share a batch change each other's last digits, and runs must not depend on them.
        return np.concatenate([self._loaded.encode([text]) for text in texts])
