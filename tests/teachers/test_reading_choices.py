"""From an answer to an action: the projection rule, and nothing is ever guessed."""

import pytest

from wean.teachers.reading import parse_choices, project

CHOICES = ("pick up the tomato", "pick up the bowl", "go to the first cutting board", "chop", "chop nothing")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("pick up the tomato", 0),
        ("Pick up   the TOMATO.", 0),
        ("I would go to the first cutting board, since it is free.", 2),
        ("chop", 3),
        ("Now chop nothing at all", 4),  # the longer choice, not the shorter one inside it
        ("chop the tomato", 3),
        ("pick up the bowl, yes: pick up the bowl", 1),
        ("pick up the tomato or pick up the bowl", None),  # two are named
        ("chop nothing, or rather chop", None),
        ("I would pick the tomato", None),  # no choice, word for word
        ("chopping", None),
        ("", None),
        ("...", None),
    ],
)
def test_an_answer_names_one_choice_or_none(text: str, index: int | None) -> None:
    assert project(text, CHOICES) == index


def test_choices_that_differ_in_case_alone_are_not_told_apart() -> None:
    assert project("go", ("Go", "go")) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            '{"choices": [{"choice": "chop", "probability": 0.6}, {"choice": "pick up the bowl", "probability": 0.2}]}',
            {3: 0.75, 1: 0.25},
        ),
        ('Chop it.\n```json\n{"choices": {"chop": "60%", "pick up the bowl": "20%"}}\n```', {3: 0.75, 1: 0.25}),
        ('{"choices": ["chop", "pick up the tomato"]}', {3: 0.5, 0: 0.5}),
        ('{"choice": "Chop."}', {3: 1.0}),
        ('{"chop": 0.3, "pick up the bowl": 0.1}', {3: 0.75, 1: 0.25}),
        # What is no choice is left out, and the rest scaled up.
        ('{"choices": [{"choice": "fly", "probability": 0.9}, {"choice": "chop", "probability": 0.1}]}', {3: 1.0}),
        ('{"choices": [{"choice": "chop", "probability": 1}]} or {"choices": ["fly"]}', {3: 1.0}),
        ('{"choices": [{"choice": "chop", "probability": 0}]}', {}),
        ('{"choices": []}', {}),
        ("chop", {}),
        ("", {}),
    ],
)
def test_probabilities_are_read_from_the_last_object_that_names_a_choice(
    answer: str, expected: dict[int, float]
) -> None:
    assert parse_choices(answer, CHOICES) == pytest.approx(expected)
