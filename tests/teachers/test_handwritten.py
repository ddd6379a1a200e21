"""Hand-written answers teach like recorded ones."""

from pathlib import Path

import pytest

from wean.errors import UsageError, WeanError
from wean.llm import open_model
from wean.tasks import Situation
from wean.teachers.elicitation import verbalized_plans
from wean.teachers.handwritten import write_answers

NORTH = Situation("Drive.", "The stop is north.", ("north", "south"))
KEY = Situation("Open the door.", "A key lies there.", ("explore", "go to key"))


def test_what_is_written_is_what_the_teacher_says(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    write_answers(file, {NORTH: {"north": 0.75, "South": 0.25}, KEY: {"go to key, pick up key": 1.0}})
    with open_model(f"recorded:{file}", strict=True) as model:
        north, key = verbalized_plans(model, [NORTH, KEY])
    assert north.plans == ((("north",), 0.75), (("South",), 0.25))
    assert key.plans == ((("go to key", "pick up key"), 1.0),)


def test_a_slip_of_the_pen_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'nroth' is no choice in 'The stop is north\.'; there are north, south"):
        write_answers(tmp_path / "answers.jsonl", {NORTH: {"nroth": 1.0}})
    assert not (tmp_path / "answers.jsonl").exists()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeanError, match="name another file"):
        write_answers(tmp_path / "no" / "such" / "folder.jsonl", {NORTH: {"north": 1.0}})
