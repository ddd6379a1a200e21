"""Secrets stay in the requests, and a key goes to nobody whom only a file names."""

from __future__ import annotations

import logging
import pickle
import sys
from pathlib import Path

import pytest
from fake_server import FakeServer, Reply, completion

from wean.cli import main
from wean.errors import UsageError
from wean.experiment.settings import from_yaml, resolve
from wean.experiment.train import train
from wean.llm import Ledger, open_model
from wean.llm.address import ModelName, key_for, read_address

FEW = {"num_envs": 2, "num_steps": 16, "student": {"hidden": 8}}
FEW |= {"evaluation": {"curve_points": 1, "curve_episodes": 2, "episodes": 2, "recorded_episodes": 0}}
USER, PASSWORD, KEY = "someone", "pass-word+1", "q-secret/2"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("http://me:secret@host:8000/v1#m", "http://host:8000/v1#m"),
        ("https://token@host/v1#m", "https://host/v1#m"),
        ("https://host/v1?api_key=secret&api-version=2024-10-21#m", "https://host/v1?api-version=2024-10-21#m"),
        ("https://host/sk-0123456789abcdef/v1#m", "https://host/***/v1#m"),
        ("http://host:8000/v1#org/me@host?x", "http://host:8000/v1#org/me@host?x"),
        ("openai:gpt-5", "openai:gpt-5"),
        ("recorded:a@b?c=d", "recorded:a@b?c=d"),
    ],
)
def test_what_of_a_name_may_be_written(name, shown):
    made = ModelName(name)
    assert (made, made.full, ModelName(made).full) == (shown, name, name)
    assert pickle.loads(pickle.dumps(made)).full == name
    config = resolve("llm4teach", model=name)
    assert config.model.full == name
    assert f"model: {shown}" in config.as_yaml() or shown in config.as_yaml()
    assert from_yaml(config.as_yaml()) == config
    assert from_yaml(config.as_yaml()).model.full == shown


def test_an_address_is_taken_apart():
    found = read_address("http://me:p%40ss@Host:8000/v1?api_key=a%2Bb&api-version=3#m")
    assert (found.url, found.host, found.where) == ("http://Host:8000/v1", "host", "Host:8000")
    assert found.query == {"api_key": "a+b", "api-version": "3"}
    assert found.headers == {"Authorization": "Basic bWU6cEBzcw=="}
    assert {"p@ss", "p%40ss", "a+b", "a%2Bb"} <= set(found.secrets)
    assert "3" not in found.secrets
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    ("base", "url", "goes"),
    [
        (None, "http://127.0.0.1:1/v1", False),
        (None, "https://api.openai.com/v1", True),
        (None, "http://api.openai.com/v1", False),
        (None, "https://api.openai.com.evil.example/v1", False),
        (None, "https://api.openai.com@evil.example/v1", False),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/other", True),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", False),
    ],
)
def test_which_addresses_of_a_file_get_the_key(monkeypatch, base, url, goes):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    if base:
        monkeypatch.setenv("OPENAI_BASE_URL", base)
    assert key_for(read_address(url), None, None) == "sk-mine"
    if goes:
        assert key_for(read_address(url), None, "config.yaml") == "sk-mine"
    else:
        with pytest.raises(UsageError, match=r"config.yaml names .* OPENAI_API_KEY.* --model"):
            key_for(read_address(url), None, "config.yaml")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert key_for(read_address(url), None, "config.yaml") == ""


@pytest.fixture
def wean(monkeypatch, capsys):
    """Runs the command line in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wean", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return run


def test_a_run_folder_sends_the_key_nowhere(tmp_path, monkeypatch, wean):
    pytest.importorskip("openai")
    run = tmp_path / "run"
    train("when2ask", teacher="recorded:doorkey", out=run, total_timesteps=64, **FEW)
    with FakeServer() as server:
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("recorded:doorkey", server.name))
        asked = ("eval", run, "--episodes", "1", "--json")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-0123456789")
        code, told = wean(*asked)
        assert (code, server.headers) == (2, [])
        assert told.count("\n") == 1
        assert f"{config} names {server.url.split('/')[2]}" in told
        code, told = wean(*asked, "--model", server.name)
        assert code == 0, told
        assert {headers["authorization"] for headers in server.headers} == {"Bearer sk-mine-0123456789"}
        monkeypatch.delenv("OPENAI_API_KEY")
        before = len(server.headers)
        code, told = wean(*asked, "--seed", "77")
        assert code == 0, told
        assert {headers["authorization"] for headers in server.headers[before:]} <= {"Bearer none"}
        config.write_text(config.read_text().replace(server.name, "scripted:payload:answer"))
        (tmp_path / "payload.py").write_text("raise SystemExit(77)")
        monkeypatch.syspath_prepend(tmp_path)
        code, told = wean(*asked)
        assert code == 2
        assert "imported only if you name it yourself" in told


def test_no_secret_of_an_address_is_written_or_said(tmp_path, monkeypatch, wean, caplog):
    pytest.importorskip("openai")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAN_LEDGER", str(tmp_path / "ledger.sqlite"))
    caplog.set_level(logging.DEBUG)
    with FakeServer() as server:
        host = server.url.removeprefix("http://")
        model = f"http://{USER}:pass-word%2B1@{host}?api_key=q-secret%2F2#fake-1"
        settings = ("total_timesteps=64", "num_envs=2", "num_steps=16", "student.hidden=8", "evaluation.episodes=2")
        settings += ("evaluation.curve_points=1", "evaluation.curve_episodes=2", "evaluation.recorded_episodes=1")
        told = ""
        for arguments in (
            ("ask", "SimpleDoorKey", "--episodes", "1", "--model", model),
            ("train", "when2ask", "--task", "SimpleDoorKey", "--out", "run", "--model", model, *settings),
            ("eval", "run", "--episodes", "2", "--model", model, "--out", "played"),
            ("eval", "teacher", "--task", "SimpleDoorKey", "--episodes", "2", "--model", model),
            ("ledger", "stats"),
        ):
            code, said = wean(*arguments)
            assert code == 0, said
            told += said
        assert {headers["x-query"] for headers in server.headers} == {"api_key=q-secret%2F2"}
        assert {headers["authorization"][:6] for headers in server.headers} == {"Basic "}
    for arguments in (
        ("ask", "SimpleDoorKey", "--model", model.replace("fake-1", "other"), "--option", "retry_base=0.01"),
        ("train", "llm4teach", "--out", "other", "--model", model.replace("fake-1", ""), *settings),
        ("eval", "teacher", "--model", model.replace("http", "ftp"), "--task", "SimpleDoorKey"),
        ("eval", "teacher", "--model", model.removeprefix("http://"), "--task", "SimpleDoorKey"),
    ):
        code, said = wean(*arguments)
        assert code != 0
        assert said.count("\n") == 1
        told += said
    token = read_address(model).headers["Authorization"].removeprefix("Basic ")
    secrets = [PASSWORD, "pass-word%2B1", KEY, "q-secret%2F2", token]
    assert [secret for secret in secrets if secret in told + caplog.text] == []
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"config.yaml", "summary.json", "report.html"} <= {file.name for file in files}
    assert [(file, secret) for file in files for secret in secrets if secret.encode() in file.read_bytes()] == []


def test_python_keeps_them_too(tmp_path):
    pytest.importorskip("openai")
    plan = completion('{"plans": [{"skills": ["explore"], "probability": 1.0}]}')
    with FakeServer(lambda body, attempt: Reply(plan)) as server, Ledger(tmp_path / "l.sqlite") as ledger:
        model = f"http://{USER}:{PASSWORD}@{server.url.removeprefix('http://')}#fake-1"
        few = FEW | {"total_timesteps": 64, "ledger": ledger}
        train("llm4teach", "SimpleDoorKey", teacher=model, out=tmp_path / "run", **few)
        with open_model(ModelName(model), ledger=ledger) as opened:
            assert PASSWORD not in f"{opened.name} {opened!r}"
    written = [file.read_bytes() for file in Path(tmp_path).rglob("*") if file.is_file()]
    assert not any(PASSWORD.encode() in content for content in written)
