"""Training and loading from Python, with environments, teachers and students of one's own."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from small_tasks import Corridor
from wean.errors import UsageError
from wean.experiment.presets import METHODS, Method
from wean.experiment.train import load, train
from wean.report.run_files import read_summary
from wean.students.config import StudentConfig
from wean.students.student import DenseStudent
from wean.tasks.contract import describe
from wean.tasks.situation import Situation

MOVES = ("left", "down", "right", "up")
SMALL: dict[str, Any] = {
    "num_envs": 4,
    "num_steps": 16,
    "evaluation": {"curve_points": 1, "curve_episodes": 2, "episodes": 3, "recorded_episodes": 1},
}
ANSWERS = {f"You stand on tile {tile}.": {"right": 0.7, "down": 0.3} for tile in range(16)}


def lake(**kwargs: Any) -> gym.Env[Any, Any]:
    """An environment that is not registered, in words."""

    def words(env: gym.Env[Any, Any]) -> Situation:
        return Situation("Cross the lake.", f"You stand on tile {env.unwrapped.s}.", MOVES)  # type: ignore[attr-defined]

    return describe(gym.make("FrozenLake-v1", **kwargs), words)


def test_evaluations_on_the_way_play_no_more_episodes_than_the_final_one(tmp_path: Path) -> None:
    few = {"evaluation.episodes": 2, "evaluation.curve_points": 1, "evaluation.recorded_episodes": 0}
    run = train("ppo", lake, out=tmp_path / "run", total_timesteps=64, num_envs=2, num_steps=16, **few)
    assert [point["episodes"] for point in run.summary["curve"]] == [2, 2]
    assert run.summary["final"]["episodes"] == 2


def test_an_environment_and_answers_of_ones_own(tmp_path: Path) -> None:
    out, heard = tmp_path / "run", []
    run = train("llm4teach", lake, teacher=ANSWERS, out=str(out), total_timesteps=128, progress=heard.append, **SMALL)
    learnt = [now for now in heard if now.doing == "training"]
    assert (run.folder, learnt[-1].unit, learnt[-1].done, learnt[-1].total) == (out, "env_steps", 128, 128)
    assert all(now.done <= now.total for now in heard)
    evaluated = [(now.doing, now.done, now.total) for now in heard if now.unit == "episodes"]
    assert {("evaluating student (sampled)", 3, 3), ("evaluating teacher", 3, 3)} <= set(evaluated)
    assert run.summary == json.loads((out / "summary.json").read_text()) == read_summary(out)
    assert run.summary["references"]["teacher"]["episodes"] == 3
    rows = json.loads((out / "teacher.json").read_text())["rows"]
    assert {row["text"] for row in rows} <= set(ANSWERS)
    assert "frame" in json.loads((out / "episodes.json").read_text())["episodes"][0]["steps"][0]
    # The command line cannot make this environment: nothing says that it could.
    assert "wean train" not in (out / "student" / "README.md").read_text() + (out / "report.html").read_text()
    assert run.summary["command"].startswith(
        "wean.train('llm4teach',\n    make=make, # test_train.lake\n    teacher=teacher,"
    )
    policy = load(out)
    policy.reset(seed=0)
    assert policy.act(lake().reset(seed=0)[0]) in range(4)
    assert run.policy("greedy").name == "student (greedy)"
    again = train("llm4teach", lake, teacher=ANSWERS, out=out, total_timesteps=128, resume=True, **SMALL)
    assert again.summary == run.summary


def corridor(**kwargs: Any) -> gym.Env[Any, Any]:
    """An environment that does not say what success is."""
    return describe(Corridor(), lambda env: Situation("Walk right.", f"Cell {env.unwrapped.cell}.", ("left", "right")))  # type: ignore[attr-defined]


def test_no_success_is_claimed_where_the_task_does_not_say_what_it_is(tmp_path: Path) -> None:
    answers = {f"Cell {cell}.": {"right": 1.0} for cell in range(5)}
    summary = train("llm4teach", corridor, teacher=answers, out=tmp_path / "run", total_timesteps=128, **SMALL).summary
    results = [summary["final"], summary["final_other"], *summary["references"].values()]
    assert [result["success"] for result in results] == [None] * 4
    assert {point["success"] for point in summary["curve"]} == {None}
    assert summary["references"]["teacher"]["return"]["mean"] == 1
    assert json.loads((tmp_path / "run" / "episodes.json").read_text())["episodes"][0]["success"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "this task does not say what success is" in page
    assert "reached 0.9" not in page
    assert "| unknown |" in (tmp_path / "run" / "student" / "README.md").read_text()
    with pytest.raises(UsageError, match=r"does not say what success is, which teacher\.kind=matching compares"):
        train("llm4teach", corridor, teacher=answers, out=tmp_path / "no", **SMALL, **{"teacher.kind": "matching"})


def test_a_student_of_ones_own_or_its_settings(tmp_path: Path) -> None:
    few = {"total_timesteps": 64, **SMALL}
    own = DenseStudent(16, 4, discrete=True, config=StudentConfig(hidden=8))
    given = train("ppo", "FrozenLake4x4", student=own, out=tmp_path / "given", **few)
    described = train("ppo", "FrozenLake4x4", student={"hidden": 8}, out=tmp_path / "described", **few)
    assert given.summary["student_parameters"] == described.summary["student_parameters"] == own.parameter_count()
    assert "student=student" in given.summary["command"]
    assert described.summary["command"].startswith("wean train ppo --task FrozenLake4x4")


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    settings = {"total_timesteps": 64, "num_envs": 4, "num_steps": 16}
    mine = Method("mine", "PPO, and short", "me", METHODS["ppo"].learner, settings, teaches=False, home="FrozenLake4x4")
    run = train(mine, out=tmp_path / "run", evaluation=SMALL["evaluation"])
    assert (run.summary["method"], run.summary["task"], run.summary["env_steps"]) == ("mine", "FrozenLake4x4", 64)


def test_what_cannot_be_is_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ppo asks no teacher; leave teacher out"):
        train("ppo", lake, teacher=ANSWERS, out=tmp_path / "run")
    with pytest.raises(UsageError, match="no demonstrations to learn from"):
        train("cql", "FrozenLake4x4", out=tmp_path / "run", student={"values": "table"})
    assert not (tmp_path / "run").exists()
