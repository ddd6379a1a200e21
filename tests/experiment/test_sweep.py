"""Sweeps: which runs they have, what a folder refuses, and that killed ones end with the numbers of single runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import wean
from wean.errors import UsageError, WeanError
from wean.experiment.settings import resolve
from wean.experiment.sweep import Member, plan_members, sweep, train_members
from wean.processes import locked

TINY = [
    "num_envs=4", "num_steps=16", "total_timesteps=512", "student.hidden=8", "evaluation.curve_points=3",
    "evaluation.curve_episodes=1", "evaluation.episodes=2", "evaluation.recorded_episodes=1",
]  # fmt: skip

VALUES: dict[str, Any] = {
    "num_envs": 4, "num_steps": 16, "total_timesteps": 512, "student": {"hidden": 8},
    "evaluation": {"curve_points": 3, "curve_episodes": 1, "episodes": 2, "recorded_episodes": 1},
}  # fmt: skip


def tiny(method: str) -> Sequence[str]:
    return TINY


def test_every_value_meets_every_other_where_the_method_has_it() -> None:
    members = plan_members(
        ["llm4teach", "ppo"], ["SimpleDoorKey"], [1, 2], settings={"teacher.until": [0.2, 0.4], "gamma": [0.9]}
    )
    assert [one.name for one in members] == [
        "llm4teach-SimpleDoorKey-teacher.until=0.2-gamma=0.9-1",
        "llm4teach-SimpleDoorKey-teacher.until=0.4-gamma=0.9-1",
        "ppo-SimpleDoorKey-gamma=0.9-1",
        "llm4teach-SimpleDoorKey-teacher.until=0.2-gamma=0.9-2",
        "llm4teach-SimpleDoorKey-teacher.until=0.4-gamma=0.9-2",
        "ppo-SimpleDoorKey-gamma=0.9-2",
    ]
    assert members[1].config == resolve(
        "llm4teach", "SimpleDoorKey", seed=1, overrides=["teacher.until=0.4", "gamma=0.9"]
    )


def test_each_method_has_its_own_task_and_model_by_default() -> None:
    members = plan_members(["ppo", "dqn-prior"], seeds=[3], model="recorded:kitchen")
    assert [(one.name, one.config.model and str(one.config.model)) for one in members] == [
        (f"ppo-{resolve('ppo').task}-3", None),
        (f"dqn-prior-{resolve('dqn-prior').task}-3", "recorded:kitchen"),
    ]


def _finished(folder: Path, seed: int) -> Member:
    """A run that needs no training any more."""
    config = resolve("ppo", "FrozenLake4x4", seed=seed, overrides=TINY)
    wean.train("ppo", "FrozenLake4x4", seed=seed, out=folder / str(seed), **VALUES)
    return Member(str(seed), config)


def test_a_finished_sweep_is_compared_and_bears_no_other_arguments(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").touch()
    with pytest.raises(UsageError, match="holds no sweep"):
        sweep([], tmp_path / "other", 1, arguments={})
    out.mkdir()
    arguments = {"seeds": (1, 2)}
    (out / "sweep.json").write_text(
        json.dumps({"schema": "wean-sweep/1", "arguments": {"seeds": [1, 2]}, "runs": ["1", "2"]})
    )
    members = [_finished(out, 1), _finished(out, 2)]
    found = sweep(members, out, 1, arguments=arguments)
    assert [(group.method, len(group.runs)) for group in found.groups] == [("ppo", 2)]
    assert "FrozenLake4x4" in (out / "compare.html").read_text()
    with pytest.raises(UsageError, match="other arguments"):
        sweep(members, out, 1, arguments={"seeds": [1, 2, 3]})
    with locked(out / ".lock", "it"), pytest.raises(WeanError, match="another process is writing"):
        sweep(members, out, 1, arguments=arguments)
    told = []
    assert train_members(members, out, 1, progress=told.append) == {}
    assert [(now.done, now.total) for now in told] == [(2, 2)]
    with pytest.raises(UsageError, match="started with other settings"):
        train_members([Member("1", members[1].config)], out, 1)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_numbers_whoever_fails(tmp_path: Path) -> None:
    members = plan_members(["ppo"], ["FrozenLake4x4"], [1, 2], common=tiny)
    config = resolve("llm4teach", "SimpleDoorKey", model="recorded:kitchen", overrides=TINY)
    start_and_kill(tmp_path / "swept")
    failed = train_members([*members, Member("bad", config)], tmp_path / "swept", 2)
    assert list(failed) == ["bad"]
    assert "has no plan" in str(failed["bad"])
    for member in members:
        wean.train("ppo", "FrozenLake4x4", seed=member.config.seed, out=tmp_path / "single" / member.name, **VALUES)
    assert numbers(tmp_path / "swept") == numbers(tmp_path / "single")


def start_and_kill(folder: Path) -> None:
    """Kills a sweep when a run has begun to learn."""
    command = [sys.executable, "-m", "wean", "sweep", "ppo", "--tasks", "FrozenLake4x4", "--seeds", "1-2"]
    with subprocess.Popen(
        [*command, "--workers", "2", "--out", folder], env={**os.environ, "WEAN_SETTINGS": " ".join(TINY)}
    ) as process:
        while not list(folder.glob("*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)


def numbers(folder: Path) -> dict[str, bytes]:
    """What the runs of a folder have learned."""
    return {path.parent.parent.name: path.read_bytes() for path in folder.glob("*/student/model.safetensors")}
