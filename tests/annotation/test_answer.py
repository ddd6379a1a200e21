"""Every form of answer that is understood, and what is left of answers that are not."""

import pytest

from wean.annotation.alignment import parse_answer


def told(text: str) -> list[tuple[object, ...]]:
    return [(str(c.subgoal), c.numbers or c.actions or c.length) for c in parse_answer(text).claims]


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("1-3: navigate_to(kitchen)\n4-4: pick_up(cup)", [("navigate_to(kitchen)", (1, 3)), ("pick_up(cup)", (4, 4))]),
        ("Sure!\n```\n- 1 to 3: Navigate to (Kitchen).\n* 4: pick_up(cup)\n```", [
            ("navigate_to(kitchen)", (1, 3)), ("pick_up(cup)", (4, 4)),
        ]),
        ("find(water): 7-7", [("find(water)", (7, 7))]),
        ("1- heat(pot, stove) : {'move pot to stove', 'activate stove'}", [
            ("heat(pot, stove)", ("move pot to stove", "activate stove")),
        ]),
        ('Here: [["open(door)", 1], ["wait()", 4]]', [("open(door)", 1), ("wait()", 4)]),
        ("I cannot do that.", []),
        ("1-2: navigate_to(, kitchen)", []),
        ("[" * 5000, []),
    ],
)  # fmt: skip
def test_forms(text: str, claims: list[tuple[object, ...]]) -> None:
    assert told(text) == claims


def test_what_looks_like_a_sub_goal_and_has_no_known_form_is_told() -> None:
    reading = parse_answer("1-2: open(door)\nthen pick_up(cup) after that\nnothing here")
    assert [str(claim.subgoal) for claim in reading.claims] == ["open(door)"]
    assert reading.unreadable == ("then pick_up(cup) after that",)
