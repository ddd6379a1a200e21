"""The command line from outside: outputs, one-line errors, exit codes, start-up time."""

import json
import os
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Wean

TINY = (
    "total_timesteps=512",
    "num_envs=4",
    "num_steps=16",
    "student.hidden=8",
    "evaluation.curve_points=1",
    "evaluation.curve_episodes=2",
    "evaluation.episodes=4",
    "evaluation.recorded_episodes=0",
)


def wean(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "wean", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100", **environment},
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    done = wean("train", "llm4teach", "--task", "wean/SimpleDoorKey-v0", "--out", out, *TINY)
    assert done.returncode == 0, done.stderr
    assert "report" in done.stdout
    assert "report.html" in done.stdout
    assert not {"\r", "\x1b", "\u2501"} & set(done.stderr), "no bar without a terminal, only a line now and then"
    return out


def test_a_registered_id_is_the_same_task_as_its_short_name(run: Path) -> None:
    assert json.loads((run / "summary.json").read_text())["task"] == "SimpleDoorKey"


def test_eval_prints_one_documented_object(run: Path, command_line: Wean) -> None:
    _, out, _ = command_line("eval", str(run), "--episodes", "3", "--seed", "10000", "--json")
    result = json.loads(out)
    assert list(result) == [
        "schema", "task", "policy", "episodes", "seed", "success", "return", "length", "ms_per_action",
        "actions_per_second", "llm",
    ]  # fmt: skip
    assert result["schema"] == "wean-eval/2"
    assert (result["task"], result["policy"], result["episodes"]) == ("SimpleDoorKey", "student (sampled)", 3)
    for key in ("success", "return", "length"):
        assert result[key]["low"] <= result[key]["mean"] <= result[key]["high"]
    assert {"asked", "replayed", "distinct", "tokens", "cost_usd"} <= set(result["llm"])
    assert result["llm"]["asked"] == result["llm"]["replayed"] == 0


def test_eval_repeats_the_numbers_of_the_run(run: Path) -> None:
    result = json.loads(wean("eval", run, "--episodes", "4", "--seed", "10000", "--json").stdout)
    final = json.loads((run / "summary.json").read_text())["final"]
    assert {k: result[k] for k in ("success", "return", "length")} == {
        k: final[k] for k in ("success", "return", "length")
    }


@pytest.mark.parametrize(("who", "replayed"), [("random", 0), ("random-skills", 0), ("teacher", 6)])
def test_references_are_evaluated_like_a_run(who: str, replayed: int, command_line: Wean) -> None:
    _, out, _ = command_line("eval", who, "--task", "SimpleDoorKey", "--episodes", "20", "--json")
    result = json.loads(out)
    assert result["policy"] == who
    assert result["llm"]["replayed"] == replayed
    assert result["llm"]["asked"] == 0
    assert result["success"]["mean"] == 1.0 if who == "teacher" else result["success"]["mean"] < 0.7


def test_compare_lists_and_asks(run: Path, tmp_path: Path, command_line: Wean) -> None:
    def printed(*arguments: str) -> Any:
        return json.loads(command_line(*arguments, "--json")[1])

    assert printed("compare", str(run), str(run), "--out", "curves.html")["schema"] == "wean-compare/2"
    assert "<svg" in (tmp_path / "curves.html").read_text()
    assert "llm4teach" in command_line("list", "methods")[1]
    names = [row["name"] for row in printed("list", "tasks")["tasks"]]
    assert {"SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey"} <= set(names)
    settings = printed("list", "settings")["settings"]
    assert all(row["what"] for row in settings), "every field says what it does"
    asked = printed("ask", "SimpleDoorKey", "--episodes", "10")
    assert asked["schema"] == "wean-ask/1"
    assert all(row["advised"] for row in asked["rows"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("train", "llm4teech"), 2, "did you mean 'llm4teach'?"),
        (("train", "llm4teach", "--task", "SimpleDorKey"), 2, "did you mean 'SimpleDoorKey'?"),
        (("train", "llm4teach", "total_timestep=5"), 2, "did you mean 'total_timesteps'?"),
        (("train", "llm4teach", "advice.mod=soft"), 2, "did you mean 'advice.mode'?"),
        (("train", "ppo", "student.reach=3"), 2, "student.reach is now called student.view_radius"),
        (("train", "llm4teach", "total_timesteps"), 2, "is not key=value"),
        (("train", "llm4teach", "total_timesteps=many"), 2, "total_timesteps: input should be a valid integer"),
        (("train", "llm4teach", "gamma=1.5"), 2, "gamma: input should be less than or equal to 1, not 1.5"),
        (("train", "llm4teach", "teacher.kind=sideways"), 2, "teacher.kind: input should be"),
        (("train", "llm4teach", "gamma=[1"), 2, "the value of gamma cannot be read"),
        (("train", "llm4teach", "--seed", "-1"), 2, "seed: input should be greater than or equal to 0"),
        (("train", "llm4teach", "--model", "gpt5"), 2, "names no model; the forms are"),
        (("train", "llm4teach", "--model", "recorded:nobody"), 2, "nobody"),
        (("train", "llm4teach", "--out", "/dev/null"), 2, "is a file; choose another --out"),
        (("train", "llm4teach", "--out", "/proc/run"), 1, "/proc/run: cannot be written"),
        (("eval", "nowhere"), 2, "is no run folder"),
        (("eval", "random"), 2, "name one with --task"),
        (("eval", "random", "--task", "SimpleDoorKey", "--acting", "loud"), 2, "one of sampled, greedy, no_repeat"),
        (("eval", "random", "--task", "SimpleDoorKey", "--with", "run"), 2, "is for students in words; random is none"),
        (
            ("eval", "oracle", "--task", "ScienceWorld", "--with", "run", "--variations", "1"),
            2,
            "words; oracle is none",
        ),
        (("compare", "nowhere"), 2, "nowhere"),
        (("train", "llm4teach", "--seed", "one"), 2, "Invalid value for '--seed'"),
        (("train", "llm4teach", "--max-calls", "-1"), 2, "a budget of -1 calls makes no sense"),
        (("trian",), 2, "Did you mean 'train'?"),
        (("ledger",), 2, "Missing command; --help shows what there is"),
        (("train",), 2, "Missing argument"),
        (("list", "wishes"), 2, "there are tasks, methods, models, settings"),
        (("ask", "Nothing"), 2, "unknown task 'Nothing'"),
        (("eval", "random", "--task", ""), 2, "--task is empty; give it a value, or leave it out"),
        (("train", "llm4teach", "--model="), 2, "--model is empty; give it a value, or leave it out"),
        (("eval", "random", "--task", "SimpleDoorKey", "--seed", str(2**64)), 2, "Invalid value for '--seed'"),
        (("train", "ppo", "--seed", str(2**64)), 2, "seed: input should be less than"),
        (("train", "ppo", "--max-calls", "3"), 2, "--max-calls: ppo asks no language model"),
        (("train", "llm4teach", "--task", "MiniGrid-Empty-8x8-v0"), 2, "recorded:minigrid has no plan in 200 of the"),
        (("eval", "teacher", "--task", "KitchenRandom"), 2, "recorded:kitchen has no plan in 200 of the first 200"),
        (("list", "settings", "dqn", "no-such-word"), 2, "no settings with 'dqn no-such-word'"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_remedy(
    command_line: Wean, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended, out, error = command_line(*arguments)
    assert ended == code, error
    assert says in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert out == ""


def test_wrong_usage_from_outside() -> None:
    done = wean("train", "llm4teech")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "did you mean 'llm4teach'?" in done.stderr


def _lacking(path: Path) -> Path:
    """The recorded answers without those about keys."""
    source = resources.files("wean.llm").joinpath("recorded", "doorkey.jsonl")
    rows = [
        line
        for line in source.read_text().splitlines()
        if "seen a key" not in json.loads(line)["messages"][1]["content"]
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_situation_that_the_recorded_file_lacks(tmp_path: Path, command_line: Wean) -> None:
    model = f"recorded:{_lacking(tmp_path / 'some.jsonl')}"
    played = ("eval", "teacher", "--task", "SimpleDoorKey", "--model", model, "--episodes", "20")
    code, _, error = command_line(*played, "--strict")
    assert (code, error.count("\n")) == (1, 1)
    assert json.loads(command_line(*played, "--json")[1])["llm"]["unanswered"] == 2
    asked = command_line("ask", "SimpleDoorKey", "--model", model, "--unanswered", "open.jsonl")
    assert "(no advice)" in asked[1]
    rows = [json.loads(line) for line in (tmp_path / "open.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert all("seen a key" in row["messages"][1]["content"] for row in rows)


SCRIPTED = """
def answer(messages):
    return '{"plans": [{"skills": ["explore"]}]}'
"""


def test_a_budget_stops_a_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    (tmp_path / "teaching.py").write_text(SCRIPTED)
    command = (
        "train",
        "llm4teach",
        "--model",
        "scripted:teaching:answer",
        "--out",
        tmp_path / "run",
        *TINY,
        "--resume",
    )
    stopped = wean(*command, "--max-calls", "0", PYTHONPATH=str(tmp_path))
    assert stopped.returncode == 1
    assert "budget" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    assert wean(*command, "--max-calls", "20", PYTHONPATH=str(tmp_path)).returncode == 0
    llm = json.loads((tmp_path / "run" / "summary.json").read_text())["llm"]
    assert llm["asked"] == llm["distinct"] <= 20


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_every_terminal_can_show_what_is_printed(encoding: str, run: Path) -> None:
    done = wean("compare", run, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "SimpleDoorKey" in done.stdout
    wrong = wean("eval", "random", "--task", "Door \u2192 \u6f22", PYTHONIOENCODING=encoding)
    assert wrong.returncode == 2
    assert "unknown task 'Door " in wrong.stderr


def test_a_shell_can_complete_commands_and_options() -> None:
    done = wean(_WEAN_COMPLETE="complete_bash", COMP_WORDS="wean ev", COMP_CWORD="1")
    assert done.stdout.split() == ["eval"]
    assert wean("--version").stdout.startswith("wean ")


def test_lists_are_filtered_by_words(command_line: Wean) -> None:
    rows = json.loads(command_line("list", "settings", "dqn", "gamma", "--json")[1])["settings"]
    assert [(row["key"], row["of"]) for row in rows] == [("gamma", "DQN")]
    names = [
        row["name"] for row in json.loads(command_line("list", "tasks", "kitchen", "random", "--json")[1])["tasks"]
    ]
    assert names == ["KitchenRandom", "KitchenRandomTomato", "KitchenRandomThree"]


def test_settings_of_a_shell_hold_where_a_method_has_them(tmp_path: Path) -> None:
    few = " ".join((*TINY, "gradient_steps=7", "advice.mode=argmax"))
    done = wean("train", "ppo", "--out", tmp_path / "run", "total_timesteps=256", WEAN_SETTINGS=few)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["env_steps"] == 256


def test_help_starts_fast() -> None:
    def median(*command: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        return sorted(times)[2]

    bare = median("-c", "pass")
    assert median("-m", "wean", "--help") - bare < 0.6  # 0.3 on an idle machine; CI's are not
    assert median("-c", "import wean") - bare < 0.3


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "gymnasium", "openai", "pydantic", "transformers")
    code = f"import sys, wean.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
