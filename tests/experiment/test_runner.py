"""Runs: resumed they give the same numbers, killed they lose nothing, and their files say what happened."""

import errno
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from wean.errors import UsageError, WeanError
from wean.experiment.components import RLComponents
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import from_yaml, resolve
from wean.files import write_sums
from wean.students.saving import load_student
from wean.tasks.registration import make_task

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


def _untimed(value: object) -> object:
    """Drops what a clock wrote."""
    if isinstance(value, dict):
        return {
            k: _untimed(v) for k, v in value.items() if k not in ("wall_seconds", "ms_per_action", "actions_per_second")
        }
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _train(out: Path, method: str, *extra: str, kill_at: int | None = None, resume: bool = False) -> dict[str, object]:
    small = [item for item in SMALL if method not in ("bc", "dagger") or not item.startswith("num_steps")]

    def progress(now: Progress) -> None:
        if kill_at is not None and now.done >= kill_at:
            raise Killed

    config = resolve(method, "SimpleDoorKey", seed=3, overrides=[*small, *extra])
    return Runner(config, out, resume=resume, progress=progress).run()


def _lake(out: Path, kill_at: int | None = None, resume: bool = False, **options: Any) -> dict[str, Any]:
    """A tiny run on a lake; 12 updates, a point of the curve after every fourth."""

    def progress(now: Progress) -> None:
        if kill_at is not None and now.done >= kill_at:
            raise Killed

    config = resolve("ppo", "FrozenLake4x4", seed=3, overrides=LAKE)
    return Runner(config, out, resume=resume, progress=progress, **options).run()


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        pytest.param("llm4teach", (), marks=pytest.mark.slow),
        ("llm4teach", ("student.recurrent=true", "teacher.kind=matching", *FEW)),
        pytest.param("kickstarting", FEW, marks=pytest.mark.slow),
        ("ppo", FEW),
        pytest.param("dagger", ("updates=40", "rounds=4"), marks=pytest.mark.slow),
        ("when2ask", ("advice.mode=sampled", *FEW)),
        pytest.param("option-ppo", FEW, marks=pytest.mark.slow),
        pytest.param("beacons", FEW, marks=pytest.mark.slow),
        pytest.param("lmgt", FEW, marks=pytest.mark.slow),
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
    for folder in (out, out / "student"):  # both can be pushed to the Hub as they are
        card = ModelCard.load(folder / "README.md")
        assert card.data.library_name == "wean"
        measured = {result.metric_type: result.metric_value for result in card.data.eval_results or ()}
        assert measured["success_rate"] == round(final["success"]["mean"], 4)  # type: ignore[index]
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


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", ["cut", "flip weights", "flip values", "flip sums", "gone"])
def test_after_damage_a_run_goes_on_from_the_checkpoint_before_and_says_so(tmp_path: Path, damage: str) -> None:
    whole = _lake(tmp_path / "whole")
    out = tmp_path / "run"
    with pytest.raises(Killed):
        _lake(out, kill_at=600)
    before, newest = sorted((out / "checkpoints").iterdir())
    weights, values = newest / "state.safetensors", newest / "state.json"
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:100])
        case "flip weights":
            _flip(weights, -100)
        case "flip values":
            _flip(values, 200)
        case "flip sums":
            _flip(newest / "SHA256SUMS", 3)
        case _:
            values.unlink()
    said: list[str] = []
    config = resolve("ppo", "FrozenLake4x4", seed=3, overrides=LAKE)
    resumed = Runner(config, out, resume=True, say=said.append).run()
    assert said == [f"{newest} is damaged; going on from {before.name}"]
    assert {k: _untimed(whole[k]) for k in UNTIMED} == {k: _untimed(resumed[k]) for k in UNTIMED}


def test_without_a_whole_checkpoint_the_remedy_works(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Killed):
        _lake(out, kill_at=600)
    for checkpoint in (out / "checkpoints").iterdir():
        (checkpoint / "state.json").write_text("{")
    with pytest.raises(WeanError, match=r"damaged; delete .*checkpoints to begin anew with --resume") as caught:
        _lake(out, resume=True)
    assert "\n" not in str(caught.value)
    shutil.rmtree(out / "checkpoints")
    assert _lake(out, resume=True)["env_steps"] == 768


@pytest.mark.parametrize("values", [{"epoch": 3}, {"schema": "wean-checkpoint/2"}])
def test_a_checkpoint_of_something_else_is_named(tmp_path: Path, values: dict[str, object]) -> None:
    out = tmp_path / "run"
    with pytest.raises(Killed):
        _lake(out, kill_at=600)
    newest = sorted((out / "checkpoints").iterdir())[-1]
    (newest / "state.json").write_text(json.dumps(values))
    write_sums(newest, ["state.safetensors", "state.json"])
    with pytest.raises(WeanError, match=r"checkpoint.*delete it") as caught:
        _lake(out, resume=True)
    assert "\n" not in str(caught.value)
    shutil.rmtree(newest)
    assert _lake(out, resume=True)["env_steps"] == 768


# --- the first moments of a run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [[], ["checkpoints/"], ["checkpoints/", ".config.yaml.77.part"], [".lock"]])
def test_what_a_kill_in_the_first_moment_leaves_is_no_hindrance(tmp_path: Path, left: list[str]) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in left:
        (out / name).mkdir() if name.endswith("/") else (out / name).write_text("half")
    assert _lake(out)["env_steps"] == 768
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_settings_may_change_while_nothing_has_been_learned(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    other = resolve("dagger", "SimpleDoorKey", seed=3)
    (tmp_path / "run" / "config.yaml").write_text(other.as_yaml())
    assert _lake(tmp_path / "run")["method"] == "ppo"
    assert from_yaml((tmp_path / "run" / "config.yaml").read_text()).method.name == "ppo"


def test_unfinished_files_of_a_killed_process_go_on_resume(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Killed):
        _lake(out, kill_at=600)
    (out / "checkpoints" / ".writing-77").mkdir()
    (out / "student").mkdir()
    for name in (".summary.json.77.part", "student/.README.md.77.part"):
        (out / name).write_text("half")
    _lake(out, resume=True)
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("method", "task", "model", "overrides", "problem"),
    [
        ("offline-bc", None, None, ["data=nowhere.parquet"], "there is no file nowhere.parquet"),
        ("offline-bc", None, None, [], "name them with data=FILE"),
        ("dqn", None, None, ["student.encoder=/nowhere"], "no sentence encoder"),
        ("llm4teach", None, "recorded:/nowhere.jsonl", [], "no such file"),
        ("llm4teach", None, "openai:gpt-5", [], "OPENAI_API_KEY"),
        ("llm4teach", None, "http://127.0.0.1:9/v1#m", [], "cannot be reached"),
        ("llm4teach", "CartPole-v1", None, [], "no recorded answers about CartPole-v1"),
        ("ppo", "Pendulum-v1", None, [], "neither numbered"),
    ],
)
def test_a_failed_start_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    task: str | None,
    model: str | None,
    overrides: list[str],
    problem: str,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(WeanError, match=problem):
        Runner(resolve(method, task, model, 3, overrides), tmp_path / "runs" / "new").run()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(WeanError, match=problem):
        Runner(resolve(method, task, model, 3, overrides), tmp_path / "mine").run()
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_of_two_runs_in_one_folder_the_second_stops_in_a_line(tmp_path: Path) -> None:
    config = resolve("ppo", "FrozenLake4x4", seed=3, overrides=LAKE)
    caught: list[str] = []

    def second(now: Progress) -> None:
        for resume in (False, True):
            with pytest.raises(WeanError, match=r"another process is writing .*run; wait for it") as stopped:
                Runner(config, tmp_path / "run", resume=resume).run()
            caught.append(str(stopped.value))
        raise Killed

    with pytest.raises(Killed):
        Runner(config, tmp_path / "run", progress=second).run()
    assert len(caught) == 2
    assert not (tmp_path / "run" / ".lock").exists()
    assert Runner(config, tmp_path / "run", resume=True).run()["env_steps"] == 768


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
    with pytest.raises(WeanError, match=r"cannot be written .* choose another --out"):
        _train(tmp_path / "run", "ppo")


@pytest.mark.parametrize("at", ["metrics.jsonl", "state.safetensors", "SHA256SUMS", "model.safetensors", "summary"])
def test_a_full_disk_is_one_line_and_what_is_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with pytest.raises(Killed):
        _lake(tmp_path / "run", kill_at=600)
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if at in path.name and mode[0] in "wa":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(WeanError, match=r"cannot write to .*No space left.*make room and add --resume") as caught:
            _lake(tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)
    assert sorted((tmp_path / "run" / "checkpoints").iterdir())[0] in kept or at in ("model.safetensors", "summary")
    assert _lake(tmp_path / "run", resume=True)["env_steps"] == 768


def test_files_have_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        _lake(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"model.safetensors", "state.safetensors", "report.html", "summary.json"} <= set(modes)
    assert set(modes.values()) == {0o640}, modes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("within", ["learning", "an evaluation"])
def test_a_signal_stops_a_run_in_one_line_and_it_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, within: str
) -> None:
    whole = _lake(tmp_path / "whole")
    measure = RLComponents.measure

    def stopped(components: RLComponents, curve: Sequence[Any]) -> Any:
        if within == "an evaluation" and len(curve) == 2:
            os.kill(os.getpid(), number)
        return measure(components, curve)

    def progress(now: Progress) -> None:
        if within == "learning" and now.done == 512 - 64:  # at the next update the curve has a point
            os.kill(os.getpid(), number)

    config = resolve("ppo", "FrozenLake4x4", seed=3, overrides=LAKE)
    with monkeypatch.context() as patched:
        patched.setattr(RLComponents, "measure", stopped)
        with pytest.raises(WeanError, match=r"^stopped.*--resume goes on") as caught:
            Runner(config, tmp_path / "run", progress=progress).run()
    assert "\n" not in str(caught.value)
    resumed = _lake(tmp_path / "run", resume=True)
    assert {k: _untimed(whole[k]) for k in UNTIMED} == {k: _untimed(resumed[k]) for k in UNTIMED}


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_student(tmp_path: Path) -> None:
    overrides = [*SMALL, "total_timesteps=4096", "evaluation.curve_points=8", "evaluation.curve_episodes=1"]

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


def test_of_several_processes_the_first_alone_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _lake(tmp_path / "whole")
    with pytest.raises(Killed):
        _lake(tmp_path / "run", kill_at=500)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    monkeypatch.setenv("RANK", "1")
    second = _lake(tmp_path / "run", resume=True)
    assert {k: _untimed(whole[k]) for k in UNTIMED} == {k: _untimed(second[k]) for k in UNTIMED}
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_task_that_does_not_repeat_its_episodes_is_told_when_a_run_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    drawn = random.Random(0)

    class Drifting(gym.Wrapper[Any, Any, Any, Any]):
        """A lake whose first tile nobody seeds."""

        def reset(self, **how: Any) -> Any:
            observation, info = self.env.reset(**how)
            return (drawn.randrange(16), info) if drawn.random() < 0.9 else (observation, info)

    for make in (None, lambda: Drifting(make_task("FrozenLake4x4"))):
        out = tmp_path / f"run-{make is None}"
        with pytest.raises(Killed):
            _lake(out, kill_at=300, make=make)
        _lake(out, resume=True, make=make, say=said.append)
    (note,) = said
    assert note.startswith("goes on from the last checkpoint (256 environment steps); the task does not repeat")


def test_a_folder_that_is_taken_away_ends_the_run_in_one_line(tmp_path: Path) -> None:
    def progress(now: Progress) -> None:
        if now.done >= 192:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    config = resolve("ppo", "FrozenLake4x4", seed=3, overrides=LAKE)
    with pytest.raises(WeanError, match="was taken away while the run was at work; train anew"):
        Runner(config, tmp_path / "run", progress=progress).run()
