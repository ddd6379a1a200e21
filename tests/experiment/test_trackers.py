"""Metrics in trackers: a resumed run goes on in the same tracked run, and no tracker stops a training."""

import json
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from wean.errors import UsageError
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import resolve
from wean.experiment.trackers import TRACKERS

LAKE = (
    "total_timesteps=768",
    "num_envs=4",
    "num_steps=16",
    "student.hidden=8",
    "evaluation.curve_points=3",
    "evaluation.curve_episodes=4",
    "evaluation.episodes=4",
    "evaluation.recorded_episodes=0",
)


class Killed(Exception):
    """Stands for a kill between two updates."""


class Kept:
    """A tracker that keeps what it is told, and fails where it is told to."""

    written: list[tuple[str, int, dict[str, float]]]
    fails = ""

    def __init__(self, run: Any, key: str, say: Any) -> None:
        self._key = key
        if self.fails == "start":
            raise ConnectionError("no network")

    def write(self, values: dict[str, float], done: int) -> None:
        if self.fails == "write":
            raise ConnectionError("no network")
        self.written.append((self._key, done, dict(values)))

    def close(self) -> None:
        if self.fails == "close":
            raise ConnectionError("no network")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> type[Kept]:
    Kept.written, Kept.fails = [], ""
    monkeypatch.setitem(cast(dict[str, Any], TRACKERS), "wandb", Kept)
    return Kept


def lake(out: Path, log: str, kill_at: int | None = None, resume: bool = False) -> list[str]:
    """Trains a little, and returns what was said."""
    said: list[str] = []

    def progress(now: Progress) -> None:
        if kill_at is not None and now.unit != "episodes" and now.done >= kill_at:
            raise Killed

    config = resolve("ppo", "FrozenLake4x4", seed=1, overrides=LAKE)
    runner = Runner(config, out, resume=resume, log=log, progress=progress, say=said.append)
    if kill_at is None:
        runner.run()
    else:
        with pytest.raises(Killed):
            runner.run()
    return said


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["env_steps"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_goes_on_in_the_same_tracked_run(tmp_path: Path, kept: type[Kept]) -> None:
    lake(tmp_path / "run", "wandb", kill_at=600)
    lake(tmp_path / "run", "wandb", resume=True)
    assert len({key for key, _, _ in kept.written}) == 1
    updates = [done for _, done, values in kept.written if "rollout/ep_len_mean" in values]
    assert updates == steps(tmp_path / "run")  # none twice, none missing
    points = [done for _, done, values in kept.written if "evaluation/success" in values]
    assert sorted(set(points)) == [0, 256, 512, 768]


def test_a_tracker_that_is_added_later_begins_with_the_resume(tmp_path: Path, kept: type[Kept]) -> None:
    lake(tmp_path / "run", "", kill_at=600)
    assert not list((tmp_path / "run").glob("events*"))
    lake(tmp_path / "run", "wandb,tensorboard", resume=True)
    updates = [done for _, done, values in kept.written if "rollout/ep_len_mean" in values]
    assert updates == [done for done in steps(tmp_path / "run") if done > 512]
    assert list((tmp_path / "run").glob("events*"))


@pytest.mark.parametrize("fails", ["start", "write", "close"])
def test_a_tracker_that_fails_is_one_line_and_the_run_goes_on(tmp_path: Path, kept: type[Kept], fails: str) -> None:
    kept.fails = fails
    said = lake(tmp_path / "run", "wandb")
    assert said == [
        "wandb failed (ConnectionError: no network); the run goes on without it, metrics.jsonl has everything"
    ]
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_tracker_that_cannot_be_used_is_refused_before_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="unknown tracker 'wandbb'; did you mean 'wandb'"):
        lake(tmp_path / "run", "wandbb")
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UsageError, match=r"trackio is not installed: pip install '.\[trackio\]'"):
        lake(tmp_path / "run", "tensorboard,trackio")
    assert not (tmp_path / "run").exists()


def log_records(data: bytes) -> Iterator[bytes]:
    """The records of a file of Weights & Biases: LevelDB's log format, in blocks of 32 KiB after a header."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if (left := 32_768 - place % 32_768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield parts
            parts = b""


@pytest.mark.slow
def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody is logged in
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    said = lake(tmp_path / "run", "wandb", kill_at=600)
    assert said == ["nobody is logged in to Weights & Biases; the run is kept offline, `wandb sync` sends it"]
    lake(tmp_path / "run", "wandb", resume=True)
    found, ids = [], set()
    for file in sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")):
        for data in log_records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            ids |= {record.run.run_id} - {""}
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            if "rollout/ep_len_mean" in row:
                found.append(row["env_steps"])
    assert len(ids) == 1
    assert sorted(found) == steps(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    lake(tmp_path / "run", "trackio", kill_at=600)
    lake(tmp_path / "run", "trackio", resume=True)
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    assert len({name for name, _, _ in rows}) == 1
    updates = [step for _, step, metrics in rows if "rollout/ep_len_mean" in json.loads(metrics)]
    assert updates == steps(tmp_path / "run")
    assert capsys.readouterr().out == ""
