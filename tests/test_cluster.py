"""Work on a Ray cluster of this machine: in order, with its own errors, and once more where a process is killed."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import wean
from wean.errors import UsageError
from wean.experiment.sweep import plan_members, train_members
from wean.processes import executor, work

pytestmark = pytest.mark.slow
TINY = [
    "num_envs=4", "num_steps=16", "total_timesteps=512", "student.hidden=8", "evaluation.curve_points=3",
    "evaluation.curve_episodes=1", "evaluation.episodes=2", "evaluation.recorded_episodes=1",
]  # fmt: skip
VALUES = {
    "num_envs": 4, "num_steps": 16, "total_timesteps": 512, "student": {"hidden": 8},
    "evaluation": {"curve_points": 3, "curve_episodes": 1, "episodes": 2, "recorded_episodes": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    import ray

    os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
    yield
    ray.shutdown()


class Adder:
    """Adds to what it has, and refuses negative numbers."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __call__(self, number: int) -> int:
        if number < 0:
            raise UsageError(f"{number} is negative")
        return self._start + number

    def close(self) -> None:
        pass


def test_results_come_in_order_and_errors_are_those_of_the_work(cluster: None) -> None:
    pieces = [(number,) for number in range(8)]
    assert list(work(partial(Adder, 10), pieces, 2, "", "ray")) == list(range(10, 18))
    assert list(work(partial(Adder, 20), pieces, 2, "", "ray")) == list(range(20, 28))
    with pytest.raises(UsageError, match=r"^-1 is negative$"):
        list(work(partial(Adder, 10), [(-1,)], 2, "", "ray"))


def where() -> str:
    return str(Path.cwd())


def test_a_task_works_in_the_folder_of_its_caller(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with executor(2, kind="ray") as pool:
        assert pool.submit(where).result() == str(tmp_path)


def kill_a_task(folder: Path, killed: list[int]) -> None:
    """Kills a process of the cluster that trains in a folder, as soon as it has begun to learn."""
    until = time.monotonic() + 200
    while time.monotonic() < until and not list(folder.glob("swept/*/metrics.jsonl")):
        time.sleep(0.01)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = (process / "cwd").resolve() == folder and (process / "cmdline").read_bytes().startswith(b"ray::")
        except OSError:
            continue
        if ours:
            os.kill(int(process.name), signal.SIGKILL)
            killed.append(int(process.name))
            return


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_run_whose_process_is_killed_ends_with_the_numbers_of_a_single_one(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members = plan_members(["ppo"], ["FrozenLake4x4"], [1, 2], common=lambda method: TINY)
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_task, args=(tmp_path, killed))
    killer.start()
    assert train_members(members, Path("swept"), 2, "ray") == {}
    killer.join()
    assert killed
    for member in members:
        wean.train("ppo", "FrozenLake4x4", seed=member.config.seed, out=tmp_path / member.name, **VALUES)
        one, other = (
            (tmp_path / name / "student" / "model.safetensors").read_bytes()
            for name in (member.name, f"swept/{member.name}")
        )
        assert one == other
