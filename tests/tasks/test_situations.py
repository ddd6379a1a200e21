"""What a language model is told: exact words, keys, and the recorded answers that belong to them."""

import json
from collections.abc import Hashable
from functools import cache
from importlib import resources

import numpy as np
import pytest

from wean.errors import UsageError
from wean.llm import open_model
from wean.tasks.grid.kinds import KINDS
from wean.tasks.registration import ROOMS, make_task
from wean.tasks.situation import LazySituation, Situation
from wean.teachers.elicitation import plan_question, verbalized_plans

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


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("KeyInBox", ["nothing", "a box", "a door", "a box and a door", "a key", "a key and a door"]),
        ("RandomBoxKey", ["a box and a key", "a box, a key and a door"]),
        ("TwoDoor", ["nothing", "a key", "door1", "a key and door1", "door1 and door2", "a key, door1 and door2"]),
        ("ColoredDoorKeyRandom", ["a color1 key", "a color1 door", "a color1 key, a color2 key and a color2 door"]),
    ],
)
def test_how_boxes_numbered_doors_and_canonical_colours_are_told(name: str, seen: list[str]) -> None:
    texts = {situation.text for situation in met_by_playing(name).values()}
    assert {f"The robot has seen {things}. It holds nothing." for things in seen} <= texts


def test_all_pairs_of_colours_share_nineteen_questions() -> None:
    # By hand: own key K, other key O, door D. Seen nothing: 1; only K or only O (lying or held): 2; only D: 1;
    # K and D: 2; K and O: 3; O and D: 2 + 2 by which came first; all: 3 + 3 by whether the door has the first colour.
    situations = met_by_playing("ColoredDoorKeyRandom")
    assert len(situations) == 19
    colours = {word for s in situations.values() for word in s.text.split() if word.startswith("color")}
    assert colours == {"color1", "color2"}


def test_colours_are_named_in_the_order_of_first_sight_and_plans_are_mapped_back() -> None:
    room = make_task("ColoredDoorKeyRandom")
    firsts = set()
    for seed in range(40):
        room.reset(seed=seed)
        real: dict[str, str] = {}
        while not real or len(real) < 2:
            for x, y in ((x, y) for x in range(10) for y in range(10)):
                thing = room.grid.get(x, y)
                if thing is not None and thing.type in ("key", "door") and room.known_map().cells[x * 10 + y]:
                    number = dict(room.known_map().named[::-1])
                    name = next(name for name, cell in number.items() if cell == x * 10 + y)
                    assert real.setdefault(name.split()[0], thing.color) == thing.color
            if len(real) < 2:
                room.step(room.first_action(["explore"]))
        assert real["color1"] != real["color2"]
        firsts.add(real["color1"])
        target = next(name for name, _ in room.known_map().named if name.endswith("key"))
        while (action := room.first_action([f"go to {target}", f"pick up {target}"])) is not None:
            room.step(action)
        assert room.carrying.color == real[target.split()[0]]
        assert room.situation().text.endswith(f"It holds a {target}.")
    assert len(firsts) > 3


def test_the_map_shows_colours_as_the_words_tell_them() -> None:
    room = make_task("ColoredDoorKeyRandom")
    kinds = {"key": 5, "door": 4}
    for seed in range(20):
        observation, _ = room.reset(seed=seed)
        for _ in range(30):
            image = observation["image"]
            for name, cell in room.known_map().named:
                number, kind = name.removeprefix("color").split()
                assert tuple(image[divmod(cell, 10)][:2]) == (kinds[kind], int(number) - 1)
            action = room.first_action(["explore"])
            if action is None:
                break
            observation, *_ = room.step(action)
        name, cell = next((name, cell) for name, cell in room.known_map().named if name.endswith("key"))
        while (action := room.first_action([f"go to {name}", f"pick up {name}"])) is not None:
            observation, *_ = room.step(action)
        own = observation["image"][tuple(int(c) for c in room.agent_pos)]
        assert tuple(own[:2]) == (5, int(name[5]) - 1)


def test_doors_are_numbered_in_the_order_of_first_sight() -> None:
    room = make_task("TwoDoor", max_steps=2000)
    both = 0
    for seed in range(6):
        room.reset(seed=seed)
        first = None
        while (action := room.first_action(["explore"])) is not None:
            doors = dict(name_cell for name_cell in room.known_map().named if name_cell[0].startswith("door"))
            assert set(doors) <= {"door1", "door2"}
            assert "door1" in doors or not doors
            first = doors.get("door1") if first is None else first
            assert doors.get("door1") == first
            both += len(doors) == 2
            room.step(action)
    assert both > 6


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


@cache
def met_by_playing(name: str) -> dict[Hashable, Situation]:
    """Every situation that random skills and random primitive actions meet, boxes in the hand included."""
    # In TwoDoor long episodes instead of many: both doors are seldom seen in 150 steps.
    room = make_task(name, max_steps=1_000 if name == "TwoDoor" else 100)
    met: dict[Hashable, Situation] = {}
    for seed in range(12 if name == "TwoDoor" else 120):
        random = np.random.default_rng(seed)
        room.reset(seed=seed)
        skill, over = None, False
        while not over:
            situation = room.situation()
            met[situation.key] = situation
            if skill is None or random.random() < 0.15:
                choices = [*situation.choices, *("pick up " + c[6:] for c in situation.choices if c[:6] == "go to ")]
                # Half of the time not explore, which would see the whole room before anything is tried.
                choices = choices[int(random.random() < 0.5) :] or choices
                skill = choices[int(random.integers(len(choices)))]
            action = room.first_action([skill])
            if action is None:
                skill, action = None, int(random.choice(6, p=[0.2, 0.2, 0.3, 0.15, 0.1, 0.05]))
            _, _, terminated, truncated, _ = room.step(action)
            over = terminated or truncated
    return met


@pytest.fixture(scope="module", params=ROOMS)
def met(request: pytest.FixtureRequest) -> tuple[str, dict[Hashable, Situation]]:
    return request.param, met_by_playing(request.param)


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
    if name == "TwoDoor":
        expected = {
            "The robot has seen door1 and door2. It holds a key.": (
                "explore",
                "go to door1",
                "open door1",
                "go to door2",
                "open door2",
                "drop key",
            )
        }
    elif name == "ColoredDoorKeyRandom":
        expected = {
            "The robot has seen a color2 key and a color1 door. It holds a color1 key.": (
                "explore",
                "go to color2 key",
                "go to color1 door",
                "open color1 door",
                "drop color1 key",
            )
        }
    elif name != "ColoredDoorKey":
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
    if name in ("KeyInBox", "RandomBoxKey"):
        expected["The robot has seen a box and a door. It holds nothing."] = (
            "explore",
            "go to box",
            "open box",
            "go to door",
            "open door",
        )
        expected["The robot has seen a door. It holds a box."] = ("explore", "go to door", "open door", "drop box")
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
    least = {"ColoredDoorKey": 15, "ColoredDoorKeyRandom": 19, "KeyInBox": 10, "RandomBoxKey": 16, "TwoDoor": 9}
    assert len(situations) >= least.get(name, 6)
    with open_model("recorded:doorkey", strict=True) as model:  # strict: a question without an answer is an error
        advices = verbalized_plans(model, list(situations.values()))
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
    assert len(rows) == 80
    recorded = [row["messages"] for row in rows if name in row["tasks"]]
    for situation in situations.values():
        assert recorded.count(plan_question(situation)) == 1, situation.text


def test_lazy_words_are_built_only_when_read() -> None:
    built: list[str] = []

    def write() -> str:
        built.append("text")
        return "text of k"

    def choose() -> tuple[str, ...]:
        built.append("choices")
        return ("k",)

    lazy = LazySituation("k", "the goal", write, choose)
    assert (lazy.key, lazy.goal, built) == ("k", "the goal", [])
    assert (lazy.text, lazy.choices) == ("text of k", ("k",))
    assert built == ["text", "choices"]


@pytest.mark.parametrize(
    ("parts", "found"),
    [(("goal", "text", None), "None"), (("goal", 3, ("go",)), "3"), (("goal", "text", ("go", 1)), "1")],
)
def test_what_is_no_text_is_no_part_of_a_situation(parts, found):
    with pytest.raises(UsageError, match=rf"a situation's .* not {found};"):
        Situation(*parts)


def test_the_key_of_words_is_their_text_unless_given() -> None:
    assert Situation("goal", "a text", ()).key == "a text"
    assert Situation("goal", "a text", (), key=("a", 1)).key == ("a", 1)
