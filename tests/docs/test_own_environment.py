"""docs/your-own-environment.md does what it says: its code is run as a user would run it."""

import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-environment.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "examples" / "own_environment.py").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
PROGRAM, USE, WRITE = "\n\n".join(PYTHON[:3]), PYTHON[3], PYTHON[4]
COMMANDS = [line for language, code in BLOCKS if not language for line in code.splitlines() if line.startswith("wean ")]


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "CI": "1", "WEAN_LEDGER": str(folder / "ledger.sqlite"), "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wean(folder: Path, line: str) -> str:
    return run(folder, str(Path(sys.executable).parent / "wean"), *shlex.split(line)[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """A folder in which the page's program was run, once for all processes that test."""
    path = tmp_path_factory.getbasetemp().parent / f"own-{testrun_uid}"
    path.mkdir(exist_ok=True)
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / "trained").exists():
            (path / "own_environment.py").write_text(PROGRAM, encoding="utf-8")
            (path / "write.py").write_text(WRITE, encoding="utf-8")
            run(path, sys.executable, "own_environment.py")
            run(path, sys.executable, "write.py")
            (path / "trained").touch()
    return path


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "runs" / "taxi" / "summary.json").read_text())
    return result


def test_the_example_is_the_page() -> None:
    docstring, _, code = EXAMPLE.partition("\n\n")
    assert docstring.startswith('"""')
    squeezed = [line for line in code.splitlines() if line]
    assert squeezed == [line for line in PROGRAM.splitlines() if line]


def test_it_takes_fewer_than_forty_lines_of_user_code() -> None:
    lines = [line for line in PROGRAM.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) < 40
    assert f"in {len(lines)} lines of your code" in PAGE
    assert max(map(len, lines)) <= 120


@pytest.mark.slow
def test_the_student_learns_far_more_than_its_teacher_knows(summary: dict[str, Any]) -> None:
    final, teacher = summary["final"]["success"], summary["references"]["teacher"]["success"]
    assert final["mean"] >= 0.9
    assert teacher["high"] < 0.5
    assert summary["references"]["random-skills"]["success"]["mean"] == 0
    assert summary["final"]["length"]["mean"] < summary["references"]["teacher"]["length"]["mean"]


@pytest.mark.slow
def test_ten_answers_are_all_that_was_asked(summary: dict[str, Any], folder: Path) -> None:
    assert (summary["advice"]["questions"], summary["llm"]["asked"], summary["unadvised"]) == (10, 0, 0)
    assert len((folder / "taxi.jsonl").read_text().splitlines()) == 10


def test_the_line_shown_is_the_line_written(folder: Path) -> None:
    (shown,) = [json.loads(code) for language, code in BLOCKS if language == "json"]
    goal = shown["messages"][0]["content"].removesuffix("...")
    rows = [json.loads(line) for line in (folder / "taxi.jsonl").read_text().splitlines()]
    (row,) = [row for row in rows if row["messages"][1] == shown["messages"][1]]
    assert row["messages"][0]["content"].startswith(goal)
    assert row["answer"] == shown["answer"]
    assert set(row) == set(shown)


def test_the_run_has_a_report_with_pictures(folder: Path) -> None:
    episodes = json.loads((folder / "runs" / "taxi" / "episodes.json").read_text())["episodes"]
    assert all(step["frame"].startswith("data:image/png") for step in episodes[0]["steps"])
    assert episodes[0]["steps"][0]["text"].startswith("The ")
    assert "town/Taxi-v0" in (folder / "runs" / "taxi" / "report.html").read_text(encoding="utf-8")


def test_the_student_drives_without_words(folder: Path) -> None:
    (folder / "use.py").write_text(USE, encoding="utf-8")
    total = float(run(folder, sys.executable, "use.py"))
    assert 0 < total <= 20


@pytest.mark.slow
def test_the_commands_work_as_they_stand(folder: Path) -> None:
    assert len(COMMANDS) == 4
    # As they stand, but for the training, which was done in full above.
    short = "total_timesteps=2048 evaluation.episodes=10 evaluation.curve_points=1"
    results = [wean(folder, line.replace("total_timesteps=100000", short)) for line in COMMANDS]
    assert sum(short in line.replace("total_timesteps=100000", short) for line in COMMANDS) == 1
    student, teacher = json.loads(results[0]), json.loads(results[1])
    assert student["schema"] == teacher["schema"] == "wean-eval/2"
    assert student["success"]["mean"] >= 0.9 > 0.5 > teacher["success"]["mean"]
    assert teacher["llm"]["replayed"] == 10
    again = json.loads((folder / "runs" / "again" / "summary.json").read_text())
    assert again["task"] == "own_environment:town/Taxi-v0"
    # Every question has its answer already, so nothing is left to be filled in.
    assert (folder / "questions.jsonl").read_text() == ""
    assert "The next stop is north." in results[3]
