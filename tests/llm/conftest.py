from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    """No test reads the keys, prices or ledger of whoever runs it."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "WEAN_LEDGER", "WEAN_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def ledger(tmp_path):
    from wean.llm import Ledger

    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def ask():
    """A chat of one user message."""
    return lambda text: [{"role": "user", "content": text}]
