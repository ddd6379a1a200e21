"""A text is encoded once on a machine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.students import sentence_vectors as vectors
from wean.students.sentence_vectors import CachedEncoder


class Lengths:
    identity, size = "lengths@1", 2

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_what_is_known_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path))
    encoder = Lengths()
    monkeypatch.setattr(vectors, "load_encoder", lambda name, device: encoder)
    first = CachedEncoder("folder")
    assert first.encode(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert encoder.read == ["a", "bb"]
    assert CachedEncoder("folder").encode(["bb", "ccc"]).tolist() == [[2, 1], [3, 1]]
    assert encoder.read == ["a", "bb", "ccc"]
    encoder.identity = "lengths@2"  # another model knows nothing yet
    CachedEncoder("folder").encode(["a"])
    assert encoder.read == ["a", "bb", "ccc", "a"]


def test_no_encoder_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="wean models get minilm") as error:
        CachedEncoder().encode(["a"])
    assert "\n" not in str(error.value)
