"""Runs whose student sees its sub-goal: resumed alike, told truly, judged with the questions that it needs."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from wean.cli import app
from wean.errors import UsageError
from wean.experiment.build import build, make_network, view_of
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import resolve
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.teachers.teacher import Teacher

SMALL = (
    "total_timesteps=128",
    "num_envs=4",
    "num_steps=16",
    "student.hidden=16",
    "evaluation.curve_points=2",
    "evaluation.curve_episodes=1",
    "evaluation.episodes=1",
    "evaluation.recorded_episodes=0",
)


class Killed(Exception):
    """Stands for a kill between two updates."""


def _train(out: Path, goal: str, kill_at: int | None = None, resume: bool = False) -> dict[str, object]:
    def progress(now: Progress) -> None:
        if kill_at is not None and now.done >= kill_at:
            raise Killed

    config = resolve("beacons", "MultiRoomN2S4", seed=3, overrides=[*SMALL, f"student.goal={goal}"])
    return Runner(config, out, resume=resume, progress=progress).run()


def _untimed(value: object) -> object:
    """Drops what a clock wrote."""
    if isinstance(value, dict):
        return {
            k: _untimed(v) for k, v in value.items() if k not in ("wall_seconds", "ms_per_action", "actions_per_second")
        }
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def test_a_run_is_resumed_to_the_same_numbers_and_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train(tmp_path / "whole", "object")
    with pytest.raises(Killed):
        _train(tmp_path / "killed", "object", kill_at=64)
    resumed = _train(tmp_path / "killed", "object", resume=True)
    for name in ("final", "final_other", "curve", "references", "rewards", "advice", "llm"):
        assert _untimed(whole[name]) == _untimed(resumed[name]), name
    one, other = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["goal.words.weight"].any(), "what the sub-goals mean was learned from"
    told = [(tmp_path / name / "teacher.json").read_text() for name in ("whole", "killed")]
    assert told[0] == told[1]

    final = whole["final"]
    assert final["asking"]["questions"]["mean"] >= 1  # type: ignore[index]
    assert final["llm"]["replayed"] > 0  # type: ignore[index]
    card = (tmp_path / "whole" / "student" / "README.md").read_text()
    assert "needs its language model (or recorded answers) at work, too**: it sees the current sub-goal" in card
    assert "without any language model" not in card
    assert "needs it at work, too" in (tmp_path / "whole" / "report.html").read_text()
    monkeypatch.chdir(tmp_path / "whole")
    names: dict[str, object] = {}
    exec(card.split("```python\n")[1].split("```")[0], names)
    assert names["ended"]

    words = ["eval", str(tmp_path / "whole"), "--episodes", "1", "--json"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    result = json.loads(shown.stdout)
    assert result["length"] == final["length"]  # type: ignore[index]
    assert result["asking"] == final["asking"]  # type: ignore[index]
    assert result["llm"]["replayed"] > 0
    shown = CliRunner().invoke(app, ["demos", "MultiRoomN2S4", "--policy", str(tmp_path / "whole"), "--episodes", "1"])
    assert isinstance(shown.exception, UsageError)
    assert "demonstrations are of policies that see the task itself" in str(shown.exception)


def test_by_default_the_student_sees_the_task_itself() -> None:
    config = resolve("beacons", "SimpleDoorKey", overrides=SMALL)
    assert config.student.goal == "none"
    tasks = SerialTasks([partial(make_task, "SimpleDoorKey")])
    teacher = Teacher(lambda situations: pytest.fail("nobody is asked"))
    assert view_of(config, teacher, tasks) is tasks
    assert "goal" not in make_network(config, tasks).config


def test_what_does_not_fit_is_one_line() -> None:
    def refused(method: str, task: str, match: str, *extra: str) -> None:
        with pytest.raises(UsageError, match=match):
            build(resolve(method, task, overrides=["student.goal=object", "num_envs=1", *extra]))

    refused("ppo", "SimpleDoorKey", r"ppo asks no language model for plans.*student.goal=none")
    refused("lmgt", "SimpleDoorKey", r"lmgt asks no language model for plans")
    refused("llm4teach", "SimpleDoorKey", r"leave student.goal or student.chooses out", "student.chooses=skills")
    refused("llm4teach", "SimpleDoorKey", r"leave the advice's rules and caps alone", "advice.max_questions=3")
    refused("when2ask", "ColoredDoorKey", r"leave student.chooses and rewards.\* alone, and student.goal")
