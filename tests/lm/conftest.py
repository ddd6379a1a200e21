"""Models for the tests of this room; see tiny.py."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the extra 'lm' is not installed")

from transformers import PreTrainedTokenizerFast

from lm.tiny import tiny_llama, tiny_t5, tiny_tokenizer
from wean.lm.model import LocalModel


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def llama(tokenizer: PreTrainedTokenizerFast) -> LocalModel:
    return LocalModel(tiny_llama(len(tokenizer)), tokenizer, "tiny@sha256:0")


@pytest.fixture(scope="session")
def plain_llama() -> LocalModel:
    """A model without a chat template: the prompt runs straight into the answer."""
    tokenizer = tiny_tokenizer(chat=False)
    return LocalModel(tiny_llama(len(tokenizer)), tokenizer, "plain@sha256:0")


@pytest.fixture(scope="session")
def t5() -> LocalModel:
    tokenizer = tiny_tokenizer(chat=False)
    return LocalModel(tiny_t5(len(tokenizer)), tokenizer, "t5@sha256:0")


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_llama(len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
