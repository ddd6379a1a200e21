"""Runs of value learners and of priors: the same numbers after a kill, what they write, wrong use in one line."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from wean.cli import app
from wean.data.demonstrations import Step, write_demonstrations
from wean.errors import UsageError, WeanError
from wean.experiment.run_folder import RunFolder
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import resolve
from wean.experiment.train import load
from wean.tasks.registration import make_task

TASK = "FrozenLake4x4"
SMALL = (
    "evaluation.curve_points=6",
    "evaluation.curve_episodes=2",
    "evaluation.episodes=4",
    "evaluation.recorded_episodes=1",
)
OFFLINE = ("cql", "cql-prior", "offline-bc")
UNTIMED = ("final", "final_other", "curve", "llm", "unadvised", "references")


class Killed(Exception):
    """Stands for a kill between two updates."""


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty walks over the ice, half of them random."""
    file = tmp_path_factory.mktemp("walks") / "walks.parquet"
    words = ["demos", TASK, "--epsilon", "0.5", "--episodes", "20", "--out", str(file)]
    assert CliRunner().invoke(app, words).exit_code == 0
    return file


def _untimed(value: object) -> object:
    """Drops what a clock wrote."""
    if isinstance(value, dict):
        return {
            k: _untimed(v) for k, v in value.items() if k not in ("wall_seconds", "ms_per_action", "actions_per_second")
        }
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _train(
    out: Path,
    method: str,
    *extra: str,
    kill_at: int | None = None,
    resume: bool = False,
    task: str = TASK,
    make: Callable[[], gym.Env[Any, Any]] | None = None,
) -> dict[str, Any]:
    def progress(now: Progress) -> None:
        if kill_at is not None and now.done >= kill_at:
            raise Killed

    steps = "gradient_steps=240" if method in OFFLINE else "total_timesteps=240"
    config = resolve(method, task, seed=3, overrides=[steps, *SMALL, *extra])
    return Runner(config, out, resume=resume, progress=progress, make=make).run()


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("dqn-prior", ("learning_starts=40", "n_step=2", "prioritized=0.6", "prior.k=3")),
        ("cql-prior", ("student.values=table", "data={walks}")),
        ("ppo-prior", ("num_steps=8",)),
    ],
)
def test_a_killed_run_goes_on_to_the_same_numbers(
    tmp_path: Path, walks: Path, method: str, extra: tuple[str, ...]
) -> None:
    extra = tuple(item.format(walks=walks) for item in extra)
    whole = _train(tmp_path / "whole", method, *extra)
    with pytest.raises(Killed):
        _train(tmp_path / "killed", method, *extra, kill_at=150)
    resumed = _train(tmp_path / "killed", method, *extra, resume=True)
    unit = "gradient_steps" if method in OFFLINE else "env_steps"
    assert whole["unit"] == unit
    assert whole[unit] == resumed[unit] >= 240
    assert {k: _untimed(whole[k]) for k in UNTIMED} == {k: _untimed(resumed[k]) for k in UNTIMED}
    one, other = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    for file in ("metrics.jsonl", *(["teacher.json"] if "prior" in method else [])):
        assert (tmp_path / "whole" / file).read_text() == (tmp_path / "killed" / file).read_text()


def test_cloning_learns_from_the_same_file(tmp_path: Path, walks: Path) -> None:
    summary = _train(
        tmp_path / "run", "offline-bc", f"data={walks}", "student.values=table", "gradient_steps=60", "share=0.5"
    )
    assert summary["gradient_steps"] == summary["curve"][-1]["gradient_steps"] == 60
    assert "env_steps" not in summary, "nothing was played"
    assert summary["references"] == {}
    assert summary["llm"]["distinct"] == 0
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["train/loss"] < math.log(4)  # that of four actions alike


def test_a_run_with_a_prior_says_who_did_what_and_its_student_needs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = _train(tmp_path / "run", "dqn-prior", "learning_starts=40")
    assert set(summary["references"]) == {"teacher", "without-prior"}
    # One question for each cell of ice that was met: 11 of the 16 cells are neither hole nor goal.
    assert 5 <= summary["llm"]["distinct"] <= 11
    assert summary["llm"]["asked"] == 0
    rows = json.loads((tmp_path / "run" / "teacher.json").read_text())
    assert "You are in row 0, column 0." in (tmp_path / "run" / "report.html").read_text()
    policy, task = load(tmp_path / "run"), make_task(TASK)
    task.reset(seed=10_000)
    situation = task.unwrapped.situation()  # type: ignore[attr-defined]
    [row] = [row for row in rows["rows"] if row["text"] == situation.text]
    proposed = {plan["skills"][0] for plan in row["plans"]}
    assert situation.choices[policy.act(situation)] in proposed
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    monkeypatch.chdir(tmp_path / "run")
    names = {"task": task.unwrapped}
    exec(card.split("```python\n")[1].split("```")[0], names)
    assert names["number"] == policy.act(situation)


class Breaking(gym.Wrapper[Any, Any, Any, Any]):
    """Pays more than a squared error can hold once 200 training steps were taken."""

    steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.training = seed is not None and seed < 5000
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, *rest = self.env.step(action)
        Breaking.steps += self.training
        return observation, 1e30 if self.training and Breaking.steps > 200 else reward, *rest


def _breaking() -> Breaking:
    Breaking.steps = 0
    return Breaking(make_task(TASK))


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(WeanError, match=r"the loss became (inf|nan) after 2\d\d environment steps; ") as error:
        _train(
            tmp_path / "run", "dqn", "total_timesteps=400", "learning_starts=40", make=lambda: Breaking(make_task(TASK))
        )
    assert "\n" not in str(error.value)
    found = RunFolder(tmp_path / "run").load_checkpoint(print)
    assert found is not None
    weights = [value for name, value in found[0].items() if name.startswith("student.head")]
    assert weights
    assert all(torch.isfinite(value).all() for value in weights)


def _without_rewards(walks: Path, out: Path) -> Path:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(walks).drop_columns(["reward"]), out)
    return out


def _with_a_jump(walks: Path, out: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(walks)
    place, actions = table.column_names.index("action"), table["action"].to_pylist()
    column = pa.array([*actions[:-1], "jump"], table.schema.types[place])
    pq.write_table(table.set_column(place, table.schema.field(place), column), out)
    return out


def _empty(walks: Path, out: Path) -> Path:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(walks).slice(0, 0), out)
    return out


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_without_rewards, "lacks the column reward"),
        (_with_a_jump, "the action 'jump' in row .* is not among its choices: left, down, right, up"),
        (_empty, "no steps|no rows|empty"),
        (lambda walks, out: out, "there is no file .* `wean demos TASK --out"),
    ],
)
def test_a_file_that_is_not_right_is_one_line(
    tmp_path: Path, walks: Path, make: Callable[[Path, Path], Path], says: str
) -> None:
    file = make(walks, tmp_path / "bad.parquet")
    with pytest.raises(UsageError, match=says) as error:
        _train(tmp_path / "run", "cql", f"data={file}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "task", "extra", "says"),
    [
        ("cql", TASK, (), "no demonstrations to learn from; write some with `wean demos` and name them with data=FILE"),
        ("dqn", "SimpleDoorKey", (), "the choices of SimpleDoorKey are skills and not its actions"),
        ("ppo-prior", "SimpleDoorKey", (), "the choices of SimpleDoorKey are skills and not its actions"),
        ("cql", TASK, ("total_timesteps=9",), "total_timesteps is now called gradient_steps"),
        ("dqn", TASK, ("backup=kl",), "needs a temperature above 0"),
        ("dqn", TASK, ("prioritized=2",), "prioritized: .* less than or equal to 1"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, method: str, task: str, extra: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        _train(tmp_path / "run", method, *extra, task=task)
    assert "\n" not in str(error.value)


def test_a_file_is_learned_from_and_judged_on_its_own_task(tmp_path: Path, walks: Path) -> None:
    assert resolve("offline-bc", data=walks).task == TASK
    with pytest.raises(UsageError, match=f"walks.parquet is of {TASK} and not of FrozenLake; leave the task out"):
        _train(tmp_path / "run", "cql", f"data={walks}", "student.values=table", task="FrozenLake")
    step = Step(0, 0, 0, "At the door.", ("open", "leave"), "open", 1.0, True, False, True, "Inside.", ())
    write_demonstrations(tmp_path / "own.parquet", [step], task="Tickets", goal="Get in.", policy="me")
    with pytest.raises(UsageError, match=r"own\.parquet is of Tickets, which is no task here"):
        resolve("offline-bc", data=tmp_path / "own.parquet")
    with pytest.raises(UsageError, match=r"own\.parquet is of Tickets and not of KitchenRandom"):
        _train(
            tmp_path / "run", "cql", f"data={tmp_path / 'own.parquet'}", "student.values=table", task="KitchenRandom"
        )


@pytest.mark.parametrize(
    ("method", "task", "model", "says"),
    [
        ("llm4teach", "SimpleDoorKey", "recorded:kitchen", "recorded:kitchen has no plan in 200 of the first 200 "
         "moments of SimpleDoorKey; name recorded:doorkey with --model"),
        ("llm4teach", "MiniGrid-Empty-8x8-v0", None, "answer the questions that `wean ask MiniGrid-Empty-8x8-v0 "
         "--model recorded:minigrid --unanswered FILE` writes"),
        ("ppo-prior", "FrozenLake4x4", "recorded:kitchen", "; name recorded:frozenlake with --model"),
        ("lmgt", "KeyInBox", None, "recorded:minigrid has no rating in .* name a model that can be asked"),
    ],
)  # fmt: skip
def test_a_teacher_without_answers_stops_a_run_before_it_trains(
    tmp_path: Path, method: str, task: str, model: str | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as error:
        Runner(resolve(method, task, model, overrides=["student.hidden=8"]), tmp_path / "run").run()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_the_prior_is_judged_by_its_own_success_and_its_support() -> None:
    words = [
        "eval",
        "prior",
        "--task",
        TASK,
        "--model",
        "recorded:frozenlake",
        "--episodes",
        "20",
        "--support",
        "--json",
    ]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0
    found = json.loads(ran.stdout)
    assert found["policy"] == "prior"
    assert found["llm"]["unanswered"] == 0
    assert found["support"]["moments"] >= found["support"]["unsupported"] >= 0
    assert found["support"]["moments"] == pytest.approx(20 * found["length"]["mean"])
    assert np.isfinite(found["success"]["mean"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["eval", "prior", "--task", "FrozenLakeDry"], "no recorded answers about FrozenLakeDry come with wean"),
        (["eval", "random", "--task", TASK, "--support"], "--support is for a prior"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], says: str) -> None:
    ran = CliRunner().invoke(app, words)
    assert isinstance(ran.exception, UsageError) or says in ran.output
    assert says in str(ran.exception) + ran.output
