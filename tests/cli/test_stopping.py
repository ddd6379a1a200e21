"""Commands that are stopped: one line, the same from every signal, no process left, and the same command goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import small_tasks
from wean.processes import file_locked

Wean = Callable[..., tuple[int, str, str]]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def wean(command_line: Wean, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wean]:
    """Runs the command line; a signal may stop it in an episode."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def run(*arguments: str, stop: int | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(small_tasks.Endless, "signal", stop)
        return command_line(*arguments)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_evaluation_of_endless_episodes_can_be_stopped(wean: Wean, number: int) -> None:
    code, out, error = wean("eval", "random", "--task", "small_tasks:Endless", "--out", "scores", stop=number)
    assert (code, out) == (130, "")
    assert [line for line in error.splitlines() if line.startswith("wean:")] == [
        "wean: stopped; what was played is kept where there is an --out, and the same command goes on"
    ]
    assert not Path("scores").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_can_be_stopped_in_its_evaluation_of_endless_episodes(wean: Wean, number: int) -> None:
    code, _, error = wean("train", "ppo", "--task", "small_tasks:Endless", "--out", "run", stop=number)
    assert code == 1
    assert error.splitlines()[-1].startswith("wean: stopped; the same command with --resume goes on")


def test_demonstrations_can_be_stopped_and_go_on(wean: Wean) -> None:
    command = ("demos", "small_tasks:Endless", "--policy", "random", "--episodes", "100", "--out", "slow.parquet")
    code, _, error = wean(*command, stop=signal.SIGTERM)
    assert code == 130
    assert error.splitlines()[-1] == "wean: stopped; the same command with --resume goes on"
    assert not [path for path in Path().rglob("*") if path.name.startswith(".")]
    code, _, _ = wean("demos", "FrozenLake4x4", "--episodes", "2", "--out", "slow.parquet")
    assert code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("demos", "FrozenLake4x4", "--episodes", "2", "--out", "out/lake.parquet"),
        ("eval", "random", "--task", "FrozenLake4x4", "--episodes", "2", "--out", "out"),
    ],
)
def test_two_processes_do_not_write_one_output(wean: Wean, command: tuple[str, ...]) -> None:
    with file_locked(Path("out/lake.parquet")), file_locked(Path("out/episodes.jsonl")):
        code, out, error = wean(*command)
    assert (code, out) == (1, "")
    assert "another process is writing out/" in error
    assert not Path("out").exists()
    Path("out").mkdir()
    for name in (".lake.parquet.lock", ".episodes.jsonl.lock"):  # of a process that was killed
        Path("out", name).touch()
    assert wean(*command)[0] == 0
    assert not Path("out", ".episodes.jsonl.lock").exists() or "lake" in command[-1]


def _children(pid: int) -> list[int]:
    """All processes that a process has started, with theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


_SLOW = ["eval", "random", "--task", "small_tasks:Endless", "--workers", "2", "--episodes", "4"]
_JAVA = ["demos", "scienceworld", "--tasks", "boil", "--workers", "2"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("words", [_SLOW, pytest.param(_JAVA, marks=pytest.mark.java)], ids=["task", "java"])
def test_no_process_outlives_a_command(tmp_path: Path, words: list[str], number: int) -> None:
    wanted = 5 if words is _JAVA else 3  # two workers, the resource tracker, and two Java machines
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), here])
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "wean", *words]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as parent:
        try:
            until = time.monotonic() + 120
            while len(children := _children(parent.pid)) < wanted and time.monotonic() < until:
                time.sleep(0.1)
            assert len(children) >= wanted
            time.sleep(2)
            parent.send_signal(number)
            _, error = parent.communicate(timeout=60)
            assert parent.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
            if number != signal.SIGKILL:
                assert [line for line in error.splitlines() if line.startswith("wean: stopped")]
                assert "Traceback" not in error
            until = time.monotonic() + 30
            while any(map(_alive, children)) and time.monotonic() < until:
                time.sleep(0.1)
            assert not [child for child in children if _alive(child)]
        finally:
            parent.kill()
