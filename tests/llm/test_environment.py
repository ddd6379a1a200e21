"""What the environment gets wrong is said by the variable's name."""

from __future__ import annotations

import pytest
from fake_server import FakeServer

from wean.errors import WeanError
from wean.llm import open_model

pytest.importorskip("openai")

CHAT = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:1", "ALL_PROXY"),
        ("all_proxy", "socks5h://127.0.0.1:1", "all_proxy"),
        ("HTTP_PROXY", "socks4://127.0.0.1:1", "HTTP_PROXY"),
        ("http_proxy", "nonsense://me:secret@127.0.0.1:1", "http_proxy"),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:1", "HTTP_PROXY names a proxy"),
        ("SSL_CERT_FILE", "/nowhere/bundle.pem", "SSL_CERT_FILE names /nowhere/bundle.pem, which does not exist"),
    ],
)
def test_the_variable_is_named(ledger, monkeypatch, variable, value, line):
    monkeypatch.setenv(variable, value)
    with FakeServer() as server, open_model(server.name, ledger=ledger, retry_base=0.01, retries=1) as model:
        with pytest.raises(WeanError, match=line) as caught:
            model.generate([CHAT])
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_without_certificates_is_named(ledger, monkeypatch, tmp_path):
    (tmp_path / "bundle.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    with (
        FakeServer() as server,
        open_model(server.name.replace("http", "https"), ledger=ledger, retry_base=0.01, retries=1) as model,
        pytest.raises(WeanError, match="SSL_CERT_FILE"),
    ):
        model.generate([CHAT])
