"""Shared by all tests: one PyTorch thread, and a ledger and cache of their own."""

import signal

import pytest
import torch
from hypothesis import settings

# A slow disk or a busy machine is not a failure of the code: examples have no time limit of their own.
settings.register_profile("wean", deadline=None)
settings.load_profile("wean")

# Where tests are started in the background, these are ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def private_files(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps tests away from the user's ledger."""
    monkeypatch.setenv("WEAN_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.sqlite"))
    torch.set_num_threads(1)
