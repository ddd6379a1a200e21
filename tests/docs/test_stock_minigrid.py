"""examples/stock_minigrid.py is short, its teacher is right, and it runs as a user would run it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from wean.agents.references import TeacherPolicy
from wean.evaluation.evaluate import play_seeds
from wean.llm import open_model
from wean.tasks.grid.words import stock_situation
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.teachers.teacher import Teacher, write_answers

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "stock_minigrid.py"


def test_a_describer_and_a_teacher_take_fewer_than_forty_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 40


def test_its_teacher_knows_every_situation_and_brings_the_robot_home(tmp_path: Path) -> None:
    user = runpy.run_path(str(EXAMPLE))
    answers = {stock_situation(user["MISSION"], set(seen), None): plans for seen, plans in user["PLANS"].items()}
    write_answers(tmp_path / "answers.jsonl", answers)
    with open_model(f"recorded:{tmp_path / 'answers.jsonl'}", strict=True) as model:
        teacher = Teacher(model)
        tasks = SerialTasks([lambda: make_task(user["TASK"])] * 20)
        played = play_seeds(TeacherPolicy(teacher), tasks, 20, 10_000)
    assert played.successes.all()
    assert {row["text"] for row in teacher.table()} <= {s.text for s in answers}


@pytest.mark.slow
def test_it_trains_a_student(tmp_path: Path) -> None:
    environment = {**os.environ, "CI": "1", "WEAN_LEDGER": str(tmp_path / "ledger.sqlite")}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"'mean': ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) > 0.9


def test_the_page_shows_it_to_the_letter() -> None:
    page = (ROOT / "docs" / "tasks" / "minigrid.md").read_text(encoding="utf-8")
    assert EXAMPLE.read_text(encoding="utf-8").strip() in page
