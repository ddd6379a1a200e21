"""Every reader takes an answer as models give it: thoughts, lists, lines, fences, and JSON that is almost JSON."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wean.annotation.alignment import parse_answer
from wean.llm.reading import values_in, without_thoughts
from wean.teachers.reading import last_named, parse_choices, parse_plans, parse_ratings, project, read_probability

CHOICES = ("go to key", "pick up key", "open door", "explore")
_CASES = Path(__file__).parents[3] / "shared" / "cases" / "answers.jsonl"

# Raw answers, and what each of them says about two skills; A and B are the objects of one skill each.
_TWO = {"go to key": 0.9, "explore": 0.1}
_SAID = [
    ("list at the top", "[A, B]", _TWO),
    ("one a line", "A\nB", _TWO),
    ("bullets", "- A\n- B", _TWO),
    ("labels", "Plan 1: A\n2. B", _TWO),
    ("commas", "A,\nB,", _TWO),
    ("a fenced list", "Sure:\n```json\n[A,\n B]\n```", _TWO),
    ("a draft, then another", "B\nNo, that takes too long, so rather:\n[A, B]", _TWO),
    ("comments", "[A, // first\nB # then\n]", _TWO),
    ("trailing commas", "[A, B,]", _TWO),
    ("no comma", "[A\nB]", _TWO),
    ("the last bracket missing", "[A, B", _TWO),
    ("a fence in its place", "```\n[A, B\n```", _TWO),
    ("the wrong bracket", "[A, B}", _TWO),
    ("doubled braces", "{A}, {B}", _TWO),
    ("cut behind a comma", "[A,", {}),
    ("cut in a name", '[A, {"', {}),
    ("cut in a number", '[A, {"probability": 0.', {}),
    ("no answer", "I cannot tell.", {}),
]
_WRITTEN = [
    ("as JSON", '{"NAME": "go to key", "NUMBER": NINE}', '{"NAME": "explore", "NUMBER": ONE}'),
    ("in single quotes", "{'NAME': 'go to key', 'NUMBER': NINE}", "{'NAME': 'explore', 'NUMBER': ONE}"),
    ("in curly quotes", "{“NAME”: “go to key”, “NUMBER”: NINE}", "{“NAME”: “explore”, “NUMBER”: ONE}"),
    ("with bare names", '{NAME: "go to key", NUMBER: NINE}', '{NAME: "explore", NUMBER: ONE}'),
    ("with commas too many", '{"NAME": "go to key", "NUMBER": NINE,}', '{"NAME": "explore", "NUMBER": ONE,}'),
    ("on lines without commas", '{"NAME": "go to key"\n "NUMBER": NINE\n}', '{"NUMBER": ONE\n "NAME": "explore"\n}'),
    ("the other way round", '{"NUMBER": NINE, "NAME": "Go to key"}', '{"NUMBER": ONE, "NAME": "Explore"}'),
]
_THOUGHTS = [
    ("closed", "<think>Perhaps {draft}? No.</think>\n{said}", True),
    ("closed, in capitals", "<THINK>\n{draft}\n</THINK>{said}", True),
    ("closing tag alone", "Perhaps {draft}? The door is locked.\n</think>\n\n{said}", True),
    ("twice", "<think>{draft}</think>\nHm. <think>{draft}</think> {said}", True),
    ("one within another", "<think>{draft} <think>{draft}</think> {draft}</think>{said}", True),
    ("thinking", "<thinking>{draft}</thinking>{said}", True),
    ("before and behind", "{said}\n<think>{draft}</think>", True),
    ("Magistral's", "[THINK]{draft}[/THINK]{said}", True),
    (
        "harmony",
        "<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{said}",
        True,
    ),
    ("harmony, tokens left out", "analysis{draft} So be it.assistantfinal{said}", True),
    ("Gemma's", "<|channel>thought\n{draft}<channel|>{said}", True),
    ("cut", "<think>\nOkay. {draft} But wait", False),
    ("cut within the tag", "{nothing}<think", False),
    ("an answer only in them", "<think>{draft}</think>\nI cannot tell.", False),
    ("cut a second time", "<think>{draft}</think><think>{said}", False),
]


def written(shape: str, parts: tuple[str, str], name: str, number: str, nine: str, one: str) -> str:
    """An answer of a shape, with the objects of its two skills."""
    words = {"NAME": name, "NUMBER": number, "NINE": nine, "ONE": one}
    for letter, part in zip("AB", parts, strict=True):
        for word, told in words.items():
            part = part.replace(word, told)
        shape = re.sub(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", lambda _, told=part: told, shape)
    return shape


@pytest.mark.parametrize("parts", [(first, second) for _, first, second in _WRITTEN], ids=[w[0] for w in _WRITTEN])
@pytest.mark.parametrize(("shape", "expected"), [(shape, said) for _, shape, said in _SAID], ids=[s[0] for s in _SAID])
def test_plans_choices_and_ratings_are_found_in_the_same_shapes(
    shape: str, expected: dict[str, float], parts: tuple[str, str]
) -> None:
    plans = parse_plans(written(shape, parts, "skills", "probability", "0.9", "0.1"))
    assert {name.lower(): weight for (name,), weight in plans} == pytest.approx(expected)
    chosen = parse_choices(written(shape, parts, "choice", "probability", "0,9", "10%"), CHOICES)
    assert {CHOICES[index]: weight for index, weight in chosen.items()} == pytest.approx(expected)
    rated = parse_ratings(written(shape, parts, "skill", "rating", "+1", "-1"), CHOICES).ratings
    assert rated == {name: 1 if name == "go to key" else -1 for name in expected}


def test_raw_line_breaks_are_spaces() -> None:
    assert parse_plans('{"plans": [{"skills": ["go to\n  key"], "probability": 1}]}') == ((("go to key",), 1.0),)
    assert parse_choices('{"choices": [{"choice": "go to\nkey", "probability": 1}]}', CHOICES) == {0: 1.0}
    assert parse_ratings('{"ratings": {"go to\nkey": -1}}', CHOICES).ratings == {"go to key": -1}


@pytest.mark.parametrize(("shape", "answers"), [(t[1], t[2]) for t in _THOUGHTS], ids=[t[0] for t in _THOUGHTS])
def test_thoughts_are_no_answer_to_any_reader(shape: str, answers: bool) -> None:
    def told(draft: str, said: str) -> str:
        return shape.replace("{draft}", draft).replace("{said}", said).replace("{nothing}", "")

    plan = '{"plans": [{"skills": ["%s"], "probability": 1}]}'
    assert parse_plans(told(plan % "open door", plan % "go to key")) == (((("go to key",), 1.0),) if answers else ())
    choice = '{"choices": {"%s": 1}}'
    assert parse_choices(told(choice % "open door", choice % "go to key"), CHOICES) == ({0: 1.0} if answers else {})
    rating = '{"ratings": {"%s": 1}}'
    verdict = parse_ratings(told(rating % "open door", rating % "go to key"), CHOICES)
    assert verdict.ratings == ({"go to key": 1} if answers else {})
    command = '{"command": "%s"}'
    assert last_named(told(command % "open door", command % "go to key"), "command") == (
        "go to key" if answers else None
    )
    assert project(told("open door", "go to key"), CHOICES) == (0 if answers else None)
    claims = parse_answer(told("1-2: open(door)", "\n1-2: find(key)\n")).claims
    assert [str(claim.subgoal) for claim in claims] == (["find(key)"] if answers else [])


@pytest.mark.parametrize(
    ("stated", "number"),
    [
        (0.7, 0.7), ("0.7", 0.7), ("0,7", 0.7), (",5", 0.5), ("70%", 0.7), ("70 %", 0.7), ("72,5 %", 0.725),
        ("70 percent", 0.7), ("7/10", 0.7), ("7 out of 10", 0.7), ("1 in 4", 0.25), ("about 0.7", 0.7),
        ("~70%", 0.7), ("0.7 (quite sure)", 0.7), ("Very likely", 0.9), ("high", 0.75), ("medium", 0.5),
        ("50/50", 0.5), ("low", 0.25), ("certain", 1.0), ("impossible", 0.0), ("1e-1", 0.1),
        ("-0.5", None), (-1, None), ("0.6-0.8", None), ("who knows", None), (True, None), (None, None),
        (float("nan"), None), (float("inf"), None), ("1" * 5000, None), ("", None),
    ],
)  # fmt: skip
def test_probabilities_are_numbers_and_words(stated: object, number: float | None) -> None:
    assert read_probability(stated) == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    "numbers", ['"0,9" "0,1"', "0,9 0,1", '"90%" "10%"', "90% 10%", '"90,0 %" "10,0 %"', "9/10 1/10", ".9 .1", "90 10"]
)
def test_probabilities_are_read_however_they_are_written(numbers: str) -> None:
    first, second = numbers.replace('" "', '"|"').split("|") if '" "' in numbers else numbers.split()
    shape = (
        '{{"plans": [{{"skills": ["go to key"], "probability": {}}}, {{"probability": {}, "skills": ["explore"]}}]}}'
    )
    expected = {("go to key",): 0.9, ("explore",): 0.1}
    assert dict(parse_plans(shape.format(first, second))) == pytest.approx(expected)


def test_words_for_probabilities_weigh_plans() -> None:
    text = '{"plans": [{"skills": ["go to key"], "probability": "high"}, {"skills": ["explore"], "probability": low}]}'
    assert dict(parse_plans(text)) == pytest.approx({("go to key",): 0.75, ("explore",): 0.25})


def test_a_list_of_names_is_a_list_of_choices_but_neither_one_plan_nor_many() -> None:
    assert parse_choices('["go to key", "explore"]', CHOICES) == {0: 0.5, 3: 0.5}
    assert parse_plans('["go to key", "explore"]') == ()


def test_objects_within_a_list_or_a_text_are_opened() -> None:
    whole = '{"plans": [{"skills": ["go to key"], "probability": 1}]}'
    assert parse_plans(f"[{whole}]") == parse_plans(json.dumps(whole)) == parse_plans(whole)
    assert parse_plans('{"plans": {"go to key": 1, "explore": 0}}') == ((("go to key",), 1.0),)


def test_commands_are_read_whole() -> None:
    assert last_named('{"command": "open\n  door"}', "command") == "open door"
    assert last_named("{'command': 'open bob's door'}", "command") == "open bob's door"
    assert last_named('{"command": "say "hello" to bob"}', "command") == 'say "hello" to bob'
    assert last_named('{"command": "open', "command") is None
    assert last_named('[{"command": "open door"}]', "command") == "open door"


@pytest.mark.parametrize(
    "text",
    [
        '[["find(key)", 2], ["open(door)", 1]]',
        '["find(key)", 2]\n["open(door)", 1]',
        '{"subgoals": [["find(key)", 2], ["open(door)", 1],]}',
        '<think>[["wait()", 3]]</think>\n```json\n[["find(key)", 2], ["open(door)", 1]]\n```',
        '["1-2: find(key)", "3-3: open(door)"]',
        '{"1-2": "find(key)", "3": "open(door)"}',
        '{"1-2": "find(key)"}\n{"3": "open(door)"}',
        '{"subgoals": ["1-2: find(key)", "3: open(\ndoor)"]}',
    ],
)
def test_annotations_are_found_in_json(text: str) -> None:
    claims = parse_answer(text).claims
    assert [str(claim.subgoal) for claim in claims] == ["find(key)", "open(door)"]
    assert [claim.length or claim.numbers for claim in claims] in ([2, 1], [(1, 2), (3, 3)])


@pytest.mark.skipif(not _CASES.is_file(), reason="the recorded answers lie beside a clone, and not in it")
def test_recorded_cases() -> None:
    for line in _CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        assert _as_recorded(case) == case["expected"], case


def _as_recorded(case: dict[str, Any]) -> Any:
    choices = case["choices"]
    if case["reader"] == "plans":
        return [[list(plan), pytest.approx(weight)] for plan, weight in parse_plans(case["answer"])]
    if case["reader"] == "choices":
        found = parse_choices(case["answer"], choices)
        return {choices[index]: pytest.approx(weight) for index, weight in found.items()}
    assert case["reader"] == "project"
    return project(case["answer"], choices)


@given(st.text(alphabet="{}[]\"',:0.9%ab\\n\n<think>/`-( )", max_size=120))
def test_no_text_breaks_a_reader(text: str) -> None:
    assert without_thoughts(text) == without_thoughts(without_thoughts(text)) or "<" in text or "[" in text
    for plans in (parse_plans(text), parse_plans(f'{{"plans": [{text}')):
        assert not plans or sum(weight for _, weight in plans) == pytest.approx(1)
    parse_choices(text, CHOICES)
    parse_ratings(text, CHOICES)
    parse_answer(text)


@pytest.mark.parametrize(
    "piece", ["[", "{", '{"a":', '{"', "{'x", "{/*", "{//", "[1,", "[[1],", "<think>", "\u201c{", "`{`"]
)
def test_hostile_answers_are_read_in_bounded_time(piece: str) -> None:
    started = time.process_time()
    list(values_in(piece * (100_000 // len(piece))))
    assert time.process_time() - started < 5
