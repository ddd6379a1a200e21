"""Reading plans out of what language models really write."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wean.teachers.reading import parse_plans

GO = ("go to key", "pick up key")


@pytest.mark.parametrize(
    ("text", "plans"),
    [
        ('{"plans": [{"skills": ["explore"], "probability": 1.0}]}', {("explore",): 1.0}),
        ('Let me think {about it}.\n{"plans": [{"skills": ["explore"], "probability": 1}]}', {("explore",): 1.0}),
        ('```json\n{"plans": [{"skills": ["explore"], "probability": 1.0}]}\n```\nHope it helps!', {("explore",): 1.0}),
        # Several objects: the last one that holds plans counts.
        ('{"plans": [{"skills": ["drop key"]}]} or {"plans": [{"skills": ["explore"]}]}', {("explore",): 1.0}),
        ('{"plans": [{"skills": ["explore"]}]} {"note": "done"} {"plans": []}', {("explore",): 1.0}),
        # Probabilities as percentages, strings, or not summing to 1.
        (
            '{"plans": [{"skills": ["a"], "probability": "75%"}, {"skills": ["b"], "probability": "25 %"}]}',
            {("a",): 0.75, ("b",): 0.25},
        ),
        (
            '{"plans": [{"skills": ["a"], "probability": 60}, {"skills": ["b"], "probability": 40}]}',
            {("a",): 0.6, ("b",): 0.4},
        ),
        (
            '{"plans": [{"skills": ["a"], "probability": 0.9}, {"skills": ["b"], "probability": 0.9}]}',
            {("a",): 0.5, ("b",): 0.5},
        ),
        # Missing or senseless ones.
        ('{"plans": [{"skills": ["a"]}, {"skills": ["b"]}]}', {("a",): 0.5, ("b",): 0.5}),
        (
            '{"plans": [{"skills": ["a"], "probability": 0}, {"skills": ["b"], "probability": 0}]}',
            {("a",): 0.5, ("b",): 0.5},
        ),
        # One that cannot be read, or that only some plans have, never leaves all the weight to the rest.
        ('{"plans": [{"skills": ["a"], "probability": -1}, {"skills": ["b"], "probability": 0.2}]}', {}),
        ('{"plans": [{"skills": ["a"], "probability": NaN}, {"skills": ["b"], "probability": 0.2}]}', {}),
        ('{"plans": [{"skills": ["a"], "probability": "who knows"}, {"skills": ["b"], "probability": 0.2}]}', {}),
        ('{"plans": [{"skills": ["a"]}, {"skills": ["b"], "probability": 0.2}]}', {}),
        # The same plan twice is one plan.
        (
            '{"plans": [{"skills": ["a"], "probability": 0.5}, {"skills": ["a"], "probability": 0.25}, '
            '{"skills": ["b"], "probability": 0.25}]}',
            {("a",): 0.75, ("b",): 0.25},
        ),
        # Other shapes of the same thing.
        ('{"plans": [{"skills": "go to key, pick up key", "probability": 1}]}', {GO: 1.0}),
        ('{"plan": ["go to key", "pick up key"], "probability": 0.9}', {GO: 1.0}),
        ('{"skills": ["go to key", "pick up key"]}', {GO: 1.0}),
        ('{"plans": [["go to key", "pick up key"], ["explore"]]}', {GO: 0.5, ("explore",): 0.5}),
        ('{"plans": {"skills": [" go to key ", "", "pick up key"]}}', {GO: 1.0}),
        # Nothing to be read is no advice, never an arbitrary plan.
        ("I would explore.", {}),
        ("", {}),
        ('{"plans": []}', {}),
        ('{"plans": [{"skills": []}]}', {}),
        ('{"plans": [{"skills": [3, null]}]}', {}),
        ('{"plans": "', {}),
        ('{"plans": 7}', {}),
        ('[{"skills": ["a"]}', {("a",): 1.0}),
    ],
)
def test_what_models_write(text: str, plans: dict[tuple[str, ...], float]) -> None:
    assert dict(parse_plans(text)) == pytest.approx(plans)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    _check(parse_plans(text))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["plans", "plan", "skills", "probability", "p", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_json, st.text(max_size=20), st.text(max_size=20))
def test_any_json_is_read_without_an_error(value: object, before: str, after: str) -> None:
    _check(parse_plans(before + json.dumps(value) + after))


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["explore", "go to key", "open door"]), min_size=1, max_size=3),
            st.floats(0.01, 1.0),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_well_formed_answer_comes_back_scaled(plans: list[tuple[list[str], float]]) -> None:
    text = json.dumps({"plans": [{"skills": skills, "probability": p} for skills, p in plans]})
    total = sum(p for _, p in plans)
    expected: dict[tuple[str, ...], float] = {}
    for skills, p in plans:
        expected[tuple(skills)] = expected.get(tuple(skills), 0.0) + p / total
    assert dict(parse_plans(f"Thinking...\n{text}")) == pytest.approx(expected)


def _check(plans: tuple[tuple[tuple[str, ...], float], ...]) -> None:
    assert all(plan and all(skill == skill.strip() and skill for skill in plan) for plan, _ in plans)
    assert len({plan for plan, _ in plans}) == len(plans)
    if plans:
        assert sum(p for _, p in plans) == pytest.approx(1.0)
        assert all(p > 0 for _, p in plans)
