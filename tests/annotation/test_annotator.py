"""The annotator with strong and weak models: what holds is written, what can be repaired is, the rest is refused."""

from collections.abc import Callable

import pytest

from households import errand, right
from wean.annotation.annotator import Annotator, Outcome, QueryStats, RecordedAnnotator, answer_text
from wean.llm import scripted_model
from wean.llm.answers import Message

ONE = errand(1)  # open door, go, look around, pick up, go, move: sub-goals of 3, 1, 1, 1 actions


def asked(answer: str | Callable[[list[Message]], str]) -> Outcome:
    model = scripted_model(answer if callable(answer) else lambda messages: str(answer))
    return Annotator(model).annotate([(ONE, None)])[0]


def goals(outcome: Outcome) -> list[tuple[str, int]]:
    assert outcome.annotation is not None
    return [(str(goal), count) for goal, count in outcome.annotation.chunks]


RIGHT = [(str(goal), count) for goal, count in right(ONE).chunks]


def test_a_right_answer_is_written_as_it_is() -> None:
    outcome = asked(answer_text(right(ONE).chunks))
    assert goals(outcome) == RIGHT
    assert (outcome.questions, outcome.faults) == (1, {})
    assert outcome.annotation is not None
    assert (outcome.annotation.origin, outcome.annotation.model) == ("asked", "scripted:scripted")
    assert outcome.annotation.digest == ONE.digest


def test_the_question_numbers_actions_and_shows_an_example() -> None:
    heard: list[list[Message]] = []

    def answer(messages: list[Message]) -> str:
        heard.append(messages)
        return answer_text(right(ONE).chunks)

    other = errand(3)
    Annotator(scripted_model(answer)).annotate([(ONE, (other, right(other)))])
    assert [message["role"] for message in heard[0]] == ["system", "user", "assistant", "user"]
    assert heard[0][2]["content"] == answer_text(right(other).chunks)
    assert heard[0][3]["content"].endswith(
        "The 6 actions:\n1. open door to cellar\n2. go to cellar\n3. look around\n4. pick up old lamp\n"
        "5. go to attic\n6. move old lamp to red box"
    )


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        ("1-3: navigate_to(cellar)\n4-4: pick_up(old lamp)\n5-5: navigate_to(attic)\n6-9: move(old lamp, red box)",
         {"invented": 1}),
        ("4: pick_up(old lamp)\n1-3: navigate_to(cellar)\n5: navigate_to(attic)\n6: move(old lamp, red box)",
         {"order": 1}),
        ("1-2: navigate_to(cellar)\n4: pick_up(old lamp)\n5: navigate_to(attic)\n6: move(old lamp, red box)",
         {"skipped": 1}),
        ("1-3: navigate_to(cellar)\n3-4: pick_up(old lamp)\n5: navigate_to(attic)\n6: move(old lamp, red box)",
         {"overlap": 1}),
        ("1-3: navigate_to(cellar)\n4: pick_up(old lamp)\n4: hold(lamp)\n5: navigate_to(attic)\n"
         "6: move(old lamp, red box)", {"overlap": 1, "empty": 1}),
    ],
)  # fmt: skip
def test_small_faults_are_repaired_without_asking_again(answer: str, faults: dict[str, int]) -> None:
    outcome = asked(answer)
    assert goals(outcome) == RIGHT
    assert (outcome.questions, dict(outcome.faults)) == (1, faults)


def test_a_second_question_is_about_what_is_left() -> None:
    def answer(messages: list[Message]) -> str:
        if len(messages) == 2:
            return "1-3: navigate_to(cellar)\n4-4: pick_up(old lamp)"
        assert "5-6" in messages[-1]["content"]
        return "5-5: navigate_to(attic)\n6-6: move(old lamp, red box)"

    outcome = asked(answer)
    assert goals(outcome) == RIGHT
    assert outcome.questions == 2


@pytest.mark.parametrize(
    "answer", ["", "I am a small model.", "1-2: navigate_to(cellar)", '[["a(b)", 3], ["c(d)", 1]]']
)
def test_what_stays_incomplete_is_refused(answer: str) -> None:
    outcome = asked(answer)
    assert outcome.annotation is None
    assert outcome.questions == 2  # and no third one
    tally = QueryStats()
    tally.add(outcome)
    assert (tally.refused, tally.second, tally.at_once, tally.repaired) == (1, 1, 0, 0)


def test_a_limit_of_questions_leaves_out_the_second() -> None:
    outcomes = Annotator(scripted_model(lambda messages: "no")).annotate([(ONE, None), (errand(2), None)], most=3)
    assert [outcome.questions for outcome in outcomes] == [2, 1]


def test_recorded_annotations_are_for_the_very_same_actions() -> None:
    recorded = RecordedAnnotator("recorded:test", {ONE.key: right(ONE)}, [ONE])
    same, other = recorded.annotate([(errand(1), None), (errand(2), None)])
    assert same.annotation == right(ONE)
    assert (other.annotation, other.questions, other.answers) == (None, 0, ())
