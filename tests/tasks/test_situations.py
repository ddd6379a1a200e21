"""What a language model is told: exact words, keys, and the recorded answers that belong to them."""

import json
from collections.abc import Hashable
from functools import partial
from importlib import resources
from typing import Any

import numpy as np
import pytest

from wean.evaluation.episodes import play
from wean.evaluation.policies import RandomSkillsPolicy
from wean.llm import open_model
from wean.tasks.grid.kinds import KINDS
from wean.tasks.registration import ROOMS, make_task
from wean.tasks.situation import LazyWords, Situation, Words
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import messages, verbalized

ONE_KEY = """\
You direct a small robot in a grid room. The robot sees only the few cells in front of it, and remembers which things \
it has seen so far. Its task is to open the door. The door is locked and opens only while the robot holds the key. The \
robot can hold one thing at a time.

The robot knows these skills:
- explore: walk to where it has not looked yet
- go to X: walk next to a thing it has seen, and face it
- pick up X: pick up the thing it faces
- drop X: put down what it holds
- open X: toggle the door it faces

You are told what the robot has seen and what it holds."""


@pytest.mark.parametrize("name", ["SimpleDoorKey", "LavaDoorKey"])
def test_names_without_colours_where_there_is_one_key(name: str) -> None:
    assert KINDS[name].goal == ONE_KEY
    texts = set()
    room = make_task(name)
    for seed in range(60):
        room.reset(seed=seed)
        for action in np.random.default_rng(seed).integers(0, 4, 80).tolist():
            texts.add(room.situation().text)
            if room.step(action)[2]:
                break
    nothing = [f"The robot has seen {seen}. It holds nothing." for seen in ("nothing", "a key", "a door")]
    assert texts == {
        *nothing,
        "The robot has seen a key and a door. It holds nothing.",
        "The robot has seen nothing. It holds a key.",
        "The robot has seen a door. It holds a key.",
    }


def test_lavadoorkey_says_nothing_of_lava() -> None:
    assert KINDS["LavaDoorKey"].goal == KINDS["SimpleDoorKey"].goal
    assert KINDS["LavaDoorKey"].things == KINDS["SimpleDoorKey"].things
    spoken = [word for kind in KINDS.values() for word in (kind.goal, *kind.things)]
    assert not [word for word in spoken if "lava" in word.lower()]


def test_the_goal_of_coloreddoorkey_tells_of_two_keys() -> None:
    goal = KINDS["ColoredDoorKey"].goal
    assert "opens only while the robot holds the key of the door's colour" in goal
    assert "There are two keys of different colours in the room. The robot can hold one thing at a time." in goal
    assert goal.split("\n\n")[1:] == ONE_KEY.split("\n\n")[1:]


def test_a_key_that_was_put_down_elsewhere_is_seen_there() -> None:
    room = make_task("SimpleDoorKey")
    room.reset(seed=10_000)
    while room.carrying is None:
        seen = "go to key" in room.situation().choices
        room.step(room.first_action(["go to key", "pick up key"] if seen else ["explore"]))
    assert "drop key" in room.situation().choices
    assert "pick up key" not in room.situation().choices
    before = room.situation().text
    while room.carrying is not None:
        room.step(room.first_action(["drop key"]))
    assert before.endswith("It holds a key.")
    assert "a key" in room.situation().text
    assert room.situation().text.endswith("It holds nothing.")


# --- keys and laziness -----------------------------------------------------------------------------------------------


def met_by_random_skills(name: str, episodes: int) -> dict[Hashable, Situation]:
    """Every situation that random skills meet, read at every step of every member."""
    tasks = SerialTasks([partial(make_task, name)] * 40)
    met: dict[Hashable, Situation] = {}
    read = tasks.situations

    def watch(which: Any) -> list[Situation]:
        found = read(which)
        met.update({situation.key: situation for situation in found})
        return found

    tasks.situations = watch  # type: ignore[method-assign]
    play(RandomSkillsPolicy(7), tasks, episodes, 0)
    return met


@pytest.fixture(scope="module", params=ROOMS)
def met(request: pytest.FixtureRequest) -> tuple[str, dict[Hashable, Situation]]:
    return request.param, met_by_random_skills(request.param, 160)


def test_the_words_and_what_can_be_chosen(met: tuple[str, dict[Hashable, Situation]]) -> None:
    name, situations = met
    expected = {
        "The robot has seen nothing. It holds nothing.": ("explore",),
        "The robot has seen a blue key. It holds nothing.": ("explore", "go to blue key", "pick up blue key"),
        "The robot has seen a blue door. It holds a red key.": (
            "explore",
            "go to blue door",
            "open blue door",
            "drop red key",
        ),
        "The robot has seen a red key and a blue key. It holds nothing.": (
            "explore",
            "go to red key",
            "pick up red key",
            "go to blue key",
            "pick up blue key",
        ),
        "The robot has seen a red key, a blue key and a blue door. It holds nothing.": (
            "explore",
            "go to red key",
            "pick up red key",
            "go to blue key",
            "pick up blue key",
            "go to blue door",
            "open blue door",
        ),
        "The robot has seen a red key and a blue door. It holds a blue key.": (
            "explore",
            "go to red key",
            "go to blue door",
            "open blue door",
            "drop blue key",
        ),
    }
    if name != "ColoredDoorKey":
        expected = {
            "The robot has seen nothing. It holds nothing.": ("explore",),
            "The robot has seen a key and a door. It holds nothing.": (
                "explore",
                "go to key",
                "pick up key",
                "go to door",
                "open door",
            ),
            "The robot has seen a door. It holds a key.": ("explore", "go to door", "open door", "drop key"),
        }
    said = {situation.text: situation.choices for situation in situations.values()}
    assert {text: said.get(text) for text in expected} == expected


def test_keys_are_equal_exactly_when_the_words_are(met: tuple[str, dict[Hashable, Situation]]) -> None:
    name, situations = met
    assert len({situation.text for situation in situations.values()}) == len(situations)
    room = make_task(name)
    for seed in range(30):
        room.reset(seed=seed)
        for action in np.random.default_rng(seed).integers(0, 4, 40).tolist():
            situation = room.situation()
            if situation.key in situations:
                assert situations[situation.key].text == situation.text
                assert situations[situation.key].choices == situation.choices
            if room.step(action)[2]:
                break


def test_every_situation_met_has_a_recorded_answer(met: tuple[str, dict[Hashable, Situation]]) -> None:
    name, situations = met
    assert len(situations) >= (15 if name == "ColoredDoorKey" else 6)
    with open_model("recorded:doorkey", strict=True) as model:  # strict: a question without an answer is an error
        advices = verbalized(model, list(situations.values()))
        assert model.unanswered == []
    for situation, advice in zip(situations.values(), advices, strict=True):
        assert advice.plans, situation.text
        assert sum(probability for _, probability in advice.plans) == pytest.approx(1)
        for plan, _ in advice.plans:
            assert plan[0] in situation.choices, f"{plan[0]!r} in {situation.text!r}"


def test_questions_are_those_of_the_recorded_file_to_the_letter(met: tuple[str, dict[Hashable, Situation]]) -> None:
    name, situations = met
    file = resources.files("wean.llm").joinpath("recorded", "doorkey.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 55
    recorded = [row["messages"] for row in rows if name in row["tasks"]]
    for situation in situations.values():
        assert recorded.count(messages(situation)) == 1, situation.text


def test_lazy_words_are_built_only_when_read() -> None:
    built: list[str] = []

    def write(key: Hashable) -> str:
        built.append("text")
        return f"text of {key}"

    def choose(key: Hashable) -> tuple[str, ...]:
        built.append("choices")
        return (str(key),)

    lazy = LazyWords("k", "the goal", write, choose)
    assert (lazy.key, lazy.goal, built) == ("k", "the goal", [])
    assert (lazy.text, lazy.choices) == ("text of k", ("k",))
    assert built == ["text", "choices"]


def test_the_key_of_words_is_their_text_unless_given() -> None:
    assert Words("goal", "a text", ()).key == "a text"
    assert Words("goal", "a text", (), key=("a", 1)).key == ("a", 1)
