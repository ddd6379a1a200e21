"""A judge: what is read of its answers, what an action's rating is, and what happens without one."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_tasks import RIGHT, Corridor
from wean.algorithms.rewards import ActionRating
from wean.llm import scripted_model
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import rate, rating_question
from wean.teachers.reading import Verdict, parse_ratings

CHOICES = ("explore", "go to key", "pick up key")
SITUATION = Situation("Fetch the key.", "The robot has seen a key.", CHOICES)


@pytest.mark.parametrize(
    ("text", "ratings", "unreadable"),
    [
        ('It is near. {"ratings": {"explore": 0, "go to key": 1, "pick up key": -1}}', (0, 1, -1), 0),
        ('{"ratings": {"Go To Key": "+1", "explore": -1.0}}', (-1, 1, None), 0),
        ('{"go to key": 1}', (None, 1, None), 0),
        ('{"ratings": {"explore": 1}} no, rather {"ratings": {"explore": -1}}', (-1, None, None), 0),
        ('{"ratings": {"explore": 7, "go to key": -0.9, "pick up key": 0.2}}', (1, -1, 0), 0),
        ('{"ratings": {"explore": NaN, "go to key": 1}}', (None, 1, None), 1),
        ('{"ratings": {"explore": "good", "go to key": null, "pick up key": true}}', (None, None, None), 3),
        ('{"ratings": {"explore": Infinity}}', (None, None, None), 1),
        ('{"ratings": {"dance": 1}}', (None, None, None), 0),
        ('{"ratings": [1, 0, 1]}', (None, None, None), 0),
        ("good idea", (None, None, None), 0),
        ("", (None, None, None), 0),
    ],
)
def test_ratings_are_read_from_what_models_write(text: str, ratings: tuple[int | None, ...], unreadable: int) -> None:
    verdict = parse_ratings(text, CHOICES)
    assert tuple(verdict.ratings.get(choice) for choice in CHOICES) == ratings
    assert verdict.unreadable == unreadable


@given(st.text(alphabet='{}[]":,NaInfity0123456789.eE+- explore'))
def test_no_answer_breaks_the_reader(text: str) -> None:
    verdict = parse_ratings(text, CHOICES)
    assert set(verdict.ratings.values()) <= {-1, 0, 1}


@given(st.floats() | st.integers() | st.text() | st.none() | st.booleans() | st.lists(st.integers()))
def test_a_rating_is_minus_one_zero_or_one_whatever_was_said(value: Any) -> None:
    verdict = parse_ratings(json.dumps({"ratings": {"explore": value}}), CHOICES)
    assert set(verdict.ratings.values()) <= {-1, 0, 1}
    assert len(verdict.ratings) + verdict.unreadable == 1


def test_the_question_names_the_choices() -> None:
    system, user = rating_question(SITUATION)
    assert system["content"].startswith("Fetch the key. You judge what it does.")
    assert user["content"] == "The robot has seen a key.\n\nIt could begin:\n- explore\n- go to key\n- pick up key"


def test_each_situation_is_one_question() -> None:
    asked = []

    def answer(messages: list[Any]) -> str:
        asked.append(messages)
        return '{"ratings": {"go to key": 1}}'

    with scripted_model(answer) as model:
        verdicts = rate(model, [SITUATION, SITUATION])
    assert [dict(verdict.ratings) for verdict in verdicts] == [{"go to key": 1}] * 2
    assert asked[0] == rating_question(SITUATION)


# --- the reward shift ------------------------------------------------------------------------------------------------


def always(ratings: dict[str, int]) -> ActionRating:
    return ActionRating(lambda situations: [Verdict(ratings)] * len(situations))


def test_an_action_takes_the_rating_of_what_it_begins() -> None:
    tasks = SerialTasks([Corridor] * 2)
    tasks.reset([0, 1], [0, 0])
    judge = always({"left": -1, "right": 1})
    assert judge.before(tasks, np.array([RIGHT, 0])).tolist() == [1.0, -1.0]


def test_an_action_that_begins_several_skills_takes_the_best_and_one_that_begins_none_is_not_judged() -> None:
    tasks = SerialTasks([lambda: make_task("SimpleDoorKey")])
    tasks.reset([0], [1])
    towards = tasks.first_actions([0], [[("explore",)]])[0][0]
    assert towards is not None
    other = next(action for action in range(7) if action != towards)
    rated = always({"explore": -1, " explore ": 1})  # two skills with one first action
    assert rated.before(tasks, np.array([towards])).tolist() == [1.0]
    assert always({"explore": -1}).before(tasks, np.array([other])).tolist() == [0.0]


def test_each_distinct_situation_is_asked_once_and_kept_by_a_resumed_run() -> None:
    asked: list[str] = []

    def ask(situations: list[Situation]) -> list[Verdict]:
        asked.extend(situation.text for situation in situations)
        return [Verdict({"right": 1}, 0, "go on")] * len(situations)

    tasks = SerialTasks([Corridor] * 3)
    tasks.reset([0, 1, 2], [0, 0, 0])
    judge = ActionRating(ask)  # type: ignore[arg-type]
    for _ in range(4):
        judge.before(tasks, np.array([RIGHT] * 3))
    assert asked == ["You are in cell 0."]
    resumed = ActionRating(ask)  # type: ignore[arg-type]
    resumed.restore(tasks, json.loads(json.dumps(judge.state())))
    assert resumed.before(tasks, np.array([RIGHT, 0, 0])).tolist() == [1.0, 0.0, 0.0]
    assert asked == ["You are in cell 0."]
    assert resumed.table()[0]["met"] == 15


@pytest.mark.parametrize("said", ['{"ratings": {"left": NaN, "right": NaN}}', "I like it here.", ""])
def test_without_a_readable_rating_the_shift_is_zero_said_once_and_counted(said: str) -> None:
    tasks = SerialTasks([Corridor] * 2)
    tasks.reset([0, 1], [0, 0])
    with scripted_model(lambda _: said) as model:
        judge = ActionRating(lambda situations: rate(model, situations))
        with pytest.warns(UserWarning, match="no readable rating"):
            shifts = judge.before(tasks, np.array([RIGHT, 0]))
        for _ in range(2):  # a second warning would be an error here
            tasks.step([0, 1], [RIGHT, 0])
            shifts = judge.before(tasks, np.array([RIGHT, 0]))
            assert shifts.tolist() == [0.0, 0.0]
    report = judge.report()
    assert (report["situations"], report["unrated_situations"], report["unrated_moments"]) == (3, 3, 6)
    assert report["unreadable_ratings"] == (6 if "NaN" in said else 0)
    assert not any(math.isnan(shift) for shift in shifts)
