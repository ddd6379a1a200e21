"""Runs: resumed they give the same numbers, killed they lose nothing, and their files say what happened."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wean.errors import UsageError, WeanError
from wean.experiment.run_folder import RunFolder
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import from_yaml, resolve
from wean.students.saving import load_student

SMALL = (
    "total_timesteps=3072",
    "num_envs=8",
    "num_steps=16",
    "student.hidden=16",
    "evaluation.curve_points=4",
    "evaluation.curve_episodes=4",
    "evaluation.episodes=6",
    "evaluation.recorded_episodes=1",
)
FEW = ("total_timesteps=2048", "evaluation.curve_episodes=1", "evaluation.episodes=2")
UNTIMED = ("env_steps", "rewards", "final", "final_other", "curve", "llm", "unadvised", "references")


class Killed(Exception):
    """Stands for a kill between two updates."""


def _untimed(value: object) -> object:
    """Drops what a clock wrote."""
    if isinstance(value, dict):
        return {k: _untimed(v) for k, v in value.items() if k not in ("wall_seconds", "ms_per_action")}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _train(out: Path, method: str, *extra: str, kill_at: int | None = None, resume: bool = False) -> dict[str, object]:
    small = [item for item in SMALL if method not in ("bc", "dagger") or not item.startswith("num_steps")]

    def progress(now: Progress) -> None:
        if kill_at is not None and now.done >= kill_at:
            raise Killed

    config = resolve(method, "SimpleDoorKey", seed=3, overrides=[*small, *extra])
    return Runner(config, out, resume=resume, progress=progress).run()


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("llm4teach", ()),
        ("llm4teach", ("student.recurrent=true", "teacher.kind=matching")),
        ("kickstarting", ()),
        ("ppo", ()),
        ("dagger", ("updates=40", "rounds=4")),
        ("when2ask", ("advice.mode=sampled", *FEW)),
        pytest.param("option-ppo", FEW, marks=pytest.mark.slow),
        ("beacons", ()),
        ("lmgt", ()),
    ],
)
def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path, method: str, extra: tuple[str, ...]) -> None:
    whole = _train(tmp_path / "whole", method, *extra)
    with pytest.raises(Killed):
        _train(tmp_path / "killed", method, *extra, kill_at=1800)
    assert not (tmp_path / "killed" / "summary.json").exists()
    resumed = _train(tmp_path / "killed", method, *extra, resume=True)
    assert {k: _untimed(whole[k]) for k in UNTIMED} == {k: _untimed(resumed[k]) for k in UNTIMED}
    one, other = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    said = {"ppo": [], "option-ppo": [], "lmgt": ["judge.json"]}.get(method, ["teacher.json"])
    for file in ("metrics.jsonl", *said):
        assert (tmp_path / "whole" / file).read_text() == (tmp_path / "killed" / file).read_text()


def test_the_folder_holds_what_is_promised(tmp_path: Path) -> None:
    out = tmp_path / "run"
    summary = _train(out, "llm4teach")
    assert json.loads((out / "summary.json").read_text()) == summary
    # The command that it names makes the same settings.
    words = shlex.split(str(summary["command"]))
    assert words[:9] == ["wean", "train", "llm4teach", "--task", "SimpleDoorKey", "--seed", "3", "--out", str(out)]
    assert (
        resolve("llm4teach", "SimpleDoorKey", seed=3, overrides=words[9:]).as_yaml()
        == (out / "config.yaml").read_text()
    )
    assert summary["schema"] == "wean-run/2"
    expected = {"method", "task", "seed", "env_steps", "wall_seconds", "steps_per_second", "llm", "student_parameters"}
    assert expected | {"student_bytes", "final", "curve"} <= set(summary)
    assert summary["llm"]["asked"] == 0  # type: ignore[index]
    assert 1 <= summary["llm"]["distinct"] <= 6  # type: ignore[index]
    final = summary["final"]
    assert final["schema"] == "wean-eval/2"  # type: ignore[index]
    assert final["seed"] == 10_000  # type: ignore[index]
    assert {"task", "policy", "episodes", "success", "return", "length", "ms_per_action", "llm"} <= set(final)  # type: ignore[call-overload]
    curve = summary["curve"]
    assert [point["env_steps"] for point in curve] == [0, 768, 1536, 2304, 3072]  # type: ignore[attr-defined]
    weights = [point["teacher_weight"] for point in curve]  # type: ignore[attr-defined]
    assert weights[0] == 10
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0
    assert from_yaml((out / "config.yaml").read_text()) == resolve(
        "llm4teach", "SimpleDoorKey", seed=3, overrides=SMALL
    )
    student = load_student(out / "student")
    assert student.parameter_count() == summary["student_parameters"]
    assert "# SimpleDoorKey" in (out / "student" / "README.md").read_text()
    page = (out / "report.html").read_text()
    assert "The robot has seen nothing. It holds nothing." in page
    assert sum(1 for _ in out.glob("events.out.tfevents.*")) == 1
    assert len(list((out / "checkpoints").iterdir())) == 2
    assert len(json.loads((out / "episodes.json").read_text())["episodes"]) == 1


def test_a_finished_run_is_shown_again_and_not_overwritten(tmp_path: Path) -> None:
    first = _train(tmp_path / "run", "ppo")
    with pytest.raises(UsageError, match="already holds a run; add --resume to continue it or choose another --out"):
        _train(tmp_path / "run", "ppo")
    assert _train(tmp_path / "run", "ppo", resume=True) == first
    with pytest.raises(UsageError, match="started with other settings"):
        _train(tmp_path / "run", "ppo", "learning_rate=0.1", resume=True)


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(UsageError, match="is not empty and holds no run; choose another --out"):
        _train(tmp_path, "ppo", resume=True)
    with pytest.raises(UsageError, match="is a file; choose another --out"):
        _train(tmp_path / "thesis.tex", "ppo")
    assert (tmp_path / "thesis.tex").read_text() == "important"


@pytest.mark.parametrize("damage", ["truncate", "foreign", "other"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_still_works(tmp_path: Path, damage: str) -> None:
    out = tmp_path / "run"
    with pytest.raises(Killed):
        _train(out, "ppo", kill_at=1800)
    newest = sorted((out / "checkpoints").iterdir())[-1]
    if damage == "truncate":
        weights = newest / "state.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "foreign":
        (newest / "state.json").write_text('{"epoch": 3}')
    else:
        values = json.loads((newest / "state.json").read_text())
        del values["algorithm"]["histories"]
        (newest / "state.json").write_text(json.dumps(values))
    with pytest.raises(WeanError, match=r"checkpoint.*delete it") as caught:
        _train(out, "ppo", resume=True)
    assert "\n" not in str(caught.value)
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    assert _train(out, "ppo", resume=True)["env_steps"] == 3072


def test_resume_without_a_checkpoint_starts_fresh(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _train(tmp_path / "run", "ppo", kill_at=1)
    assert _train(tmp_path / "run", "ppo", resume=True)["env_steps"] == 3072
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["env_steps"] for line in lines]
    assert steps == sorted(set(steps))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WeanError, match=r"cannot write to .* choose another --out"):
        _train(tmp_path / "run", "ppo")


def test_a_full_disk_is_one_line_and_what_is_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Killed):
        _train(tmp_path / "run", "ppo", kill_at=1800)
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "append_metrics", full)
        with pytest.raises(WeanError, match=r"cannot write to .*No space left.*make room and add --resume"):
            _train(tmp_path / "run", "ppo", resume=True)
    assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == kept
    assert _train(tmp_path / "run", "ppo", resume=True)["env_steps"] == 3072


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_student(tmp_path: Path) -> None:
    overrides = [*SMALL, "total_timesteps=8192", "evaluation.curve_points=16"]

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "wean", "train", "llm4teach", *overrides, "--out", str(out), "--resume"]

    def reached() -> int:
        steps = (tmp_path / "killed" / "checkpoints").glob("step-*[0-9]")
        return max((int(step.name.removeprefix("step-")) for step in steps), default=0)

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        before = reached()
        process = subprocess.Popen(command(tmp_path / "killed"), stderr=subprocess.PIPE, text=True)
        deadline = time.time() + 60
        while time.time() < deadline and reached() == before and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert reached() > before
        assert process.returncode != 0, "it was over before it could be killed"
        if number != signal.SIGKILL:
            assert process.returncode == 1
            assert "--resume goes on from there" in errors
            assert "Traceback" not in errors
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    one, other = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
