"""A grid's skills as numbers and back."""

from functools import partial

import pytest

from wean.tasks.grid.kinds import KINDS
from wean.tasks.grid.words import PARTS, WORDS, numbers_of, phrase_of, thing_of
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks


@pytest.mark.parametrize("kind", KINDS)
def test_every_skill_of_every_room_comes_back_and_is_its_own(kind: str) -> None:
    skills = SerialTasks([partial(make_task, kind)]).skill_names()
    assert [phrase_of(numbers_of(skill)) for skill in skills] == list(skills)
    assert len({numbers_of(skill) for skill in skills}) == len(skills)


def test_what_language_models_write_is_read() -> None:
    assert phrase_of(numbers_of("Pick up the Green key")) == "pick up green key"
    assert phrase_of(numbers_of("go to unlocked red door")) == "go to unlocked red door"
    assert phrase_of(numbers_of("open open door")) == "open open door"
    assert phrase_of(numbers_of("drop red ball next to box")) == "drop red ball"
    assert [WORDS[number] for number in numbers_of("go to locked grey door")] == ["go to", "locked", "grey", "door"]
    assert thing_of("pick up other ball") == "other ball"
    assert thing_of("explore") == ""


@pytest.mark.parametrize("words", ["", "dance", "go to the moon", "key", "go to key red"])
def test_what_is_no_skill_is_zeros(words: str) -> None:
    assert numbers_of(words) == (0,) * PARTS
    assert phrase_of(numbers_of(words)) == ""
