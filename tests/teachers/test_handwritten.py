"""Hand-written answers teach like recorded ones."""

from pathlib import Path

import pytest

from wean.errors import UsageError, WeanError
from wean.llm import open_model
from wean.tasks import Situation
from wean.teachers.elicitation import verbalized_plans
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher, write_answers

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


HALL = Situation("Get out.", "You are in a hall.", ("Go north", "wait"))


def test_a_mapping_is_a_teacher_and_a_prior() -> None:
    answers = {HALL.text: {"go north": 3.0, "wait": 1.0}}
    [advice] = Teacher(answers).advise([HALL])
    assert advice.plans == ((("go north",), 0.75), (("wait",), 0.25))
    assert Prior(answers).weights([HALL])[0].tolist() == [0.75, 0.25]
    other = Situation("Get out.", "You are lost.", ("wait",))
    assert Teacher(answers).advise([other])[0].plans == ()
    assert Prior(answers).weights([other])[0].tolist() == [0.0]


def test_a_mapping_with_a_wrong_choice_is_one_line() -> None:
    wrong = {HALL.text: {"fly": 1.0}}
    for ask in (Teacher(wrong).advise, Prior(wrong).propose):
        with pytest.raises(UsageError, match=r"'fly' is no choice in 'You are in a hall\.'; there are Go north, wait"):
            ask([HALL])


def test_a_file_is_a_teacher_by_its_name(tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.jsonl", {HALL: {"Go north": 1.0}})
    teacher = Teacher(f"recorded:{tmp_path / 'answers.jsonl'}")
    assert teacher.advise([HALL])[0].plans == ((("Go north",), 1.0),)
    assert teacher.model is not None
    assert teacher.model.counts.replayed == 1
