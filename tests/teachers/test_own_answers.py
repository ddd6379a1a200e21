"""Answers from somebody's own function or mapping: what they are, and one line for what they are not."""

from typing import Any

import pytest

from wean.errors import WeanError
from wean.llm import scripted_model
from wean.tasks.situation import Situation
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher

HERE = Situation("Walk.", "You are here.", ("left", "right"))


def fails(situations: Any) -> Any:
    raise KeyError("mine\nis broken")


@pytest.mark.parametrize("kind", [Teacher, Prior])
def test_a_function_that_raises_is_named_in_one_line(kind: Any) -> None:
    source = kind(fails)
    with pytest.raises(WeanError, match=r"^the function that answers failed \(KeyError: [^\n]*\); mend it$") as raised:
        (source.advise if kind is Teacher else source.propose)([HERE])
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("kind", [Teacher, Prior])
@pytest.mark.parametrize(
    "given",
    [None, 3, "right", [], [None], ["right"], [{"right": -1}], [{"right": float("nan")}], [{"right": "x"}], [{3: 1}]],
)
def test_an_answer_that_is_none_is_one_line(kind: Any, given: Any) -> None:
    source = kind(lambda situations: given)
    with pytest.raises(WeanError, match="; let it") as raised:
        (source.advise if kind is Teacher else source.propose)([HERE])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [Teacher, Prior])
def test_what_answers_nothing_is_refused(kind: Any) -> None:
    with pytest.raises(WeanError, match="3 answers nothing; give the name of a language model"):
        kind(3)


def test_an_empty_answer_is_no_advice() -> None:
    assert Teacher(lambda situations: [{} for _ in situations]).advise([HERE])[0].plans == ()


def test_a_scripted_model_that_raises_is_named() -> None:
    with pytest.raises(WeanError, match=r"the function behind scripted:mine failed \(KeyError"):
        scripted_model(fails, "mine").generate([[{"role": "user", "content": "Where?"}]])
