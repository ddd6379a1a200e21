"""The kitchen as a task: Gymnasium's contract, seeds and splits, words, choices, what a student sees."""

import re
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wean.errors import UsageError
from wean.tasks.kitchen import Kitchen
from wean.tasks.kitchen_world import HAND, IN_BOWL, RECIPES, World, access, layout_number
from wean.tasks.registration import make_task, task_names
from wean.tasks.splits import split_of_number, split_of_seed
from wean.tasks.vector import SerialTasks, Tasks
from wean.tasks.workers import WorkerTasks

KITCHENS = tuple(name for name in task_names() if name.startswith("Kitchen"))
RANDOM = tuple(name for name in KITCHENS if "Random" in name)
PAGE = (Path(__file__).parents[2] / "docs" / "tasks" / "kitchen.md").read_text(encoding="utf-8")

# --- Gymnasium's contract --------------------------------------------------------------------------------------------


def test_there_are_fixed_and_random_kitchens() -> None:
    assert KITCHENS == (
        "Kitchen", "KitchenTomato", "KitchenThree", "KitchenRandom", "KitchenRandomTomato", "KitchenRandomThree",
    )  # fmt: skip
    recipes = [make_task(name).recipe.name for name in KITCHENS]
    assert recipes == ["tomato-lettuce", "tomato", "tomato-lettuce-onion"] * 2
    assert make_task("Kitchen", recipe="tomato", sight=None).recipe.name == "tomato"


@pytest.mark.parametrize("name", KITCHENS)
@pytest.mark.filterwarnings("ignore:.*different seeds.*")  # a fixed kitchen begins alike under every seed
def test_gymnasiums_checker_accepts_every_kitchen(name: str) -> None:
    check_env(make_task(name), skip_render_check=True)


@pytest.mark.parametrize("name", KITCHENS)
def test_the_same_seed_and_actions_give_the_same_episode(name: str) -> None:
    def play() -> list[Any]:
        kitchen, random = make_task(name), np.random.default_rng(5)
        log: list[Any] = [kitchen.reset(seed=12_345)[0].tobytes()]
        for _ in range(40):
            observation, *rest = kitchen.step(int(random.integers(len(kitchen.actions))))
            log.append((observation.tobytes(), rest, kitchen.situation().text, kitchen.situation().choices))
        return log

    assert play() == play()


def test_worker_processes_give_the_numbers_of_this_process() -> None:
    makers = [partial(make_task, name) for name in ("KitchenRandom", "Kitchen", "KitchenRandom")]

    def play(tasks: Tasks) -> list[Any]:
        random = np.random.default_rng(2)
        everyone = [0, 1, 2]
        log: list[Any] = [tasks.reset(everyone, [3, 4, 10_005]).tolist()]
        for _ in range(30):
            actions: list[Any] = random.integers(8, size=3).tolist()
            # A text goes through as a number does.
            actions[0] = tasks.situations([0])[0].choices[actions[0]]
            *columns, infos = tasks.step(everyone, actions)
            log += [*(column.tolist() for column in columns), list(infos)]
            log.append([(s.key, s.goal, s.text, s.choices) for s in tasks.situations(everyone)])
        log.append(tasks.histories())
        return log

    workers = WorkerTasks(makers, workers=2)
    try:
        assert play(workers) == play(SerialTasks(makers))
    finally:
        workers.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "soup"}, r"no recipe 'soup'; there are tomato, tomato-lettuce, tomato-lettuce-onion"),
        ({"horizon": 0}, r"horizon must be at least 1"),
        ({"sight": 0}, r"sight must be at least 1 cell, or None"),
        ({"render_mode": "human"}, r"renders 'rgb_array', not 'human'"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        Kitchen(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("action", [8, -1, "sing", ""])
def test_an_action_that_is_not_there_names_those_that_are(action: int | str) -> None:
    kitchen = make_task("Kitchen")
    kitchen.reset(seed=0)
    with pytest.raises(UsageError, match=r"take 0 to 7, or one of: pick up the tomato, .*chop nothing$"):
        kitchen.step(action)
    assert kitchen.primitive_steps == 0


def test_a_picture_shows_what_has_changed() -> None:
    kitchen = make_task("Kitchen", render_mode="rgb_array")
    kitchen.reset(seed=0)
    pictures = [kitchen.render()]
    for number in (0, 4, 7, 3, 0):
        kitchen.step(number)
        pictures.append(kitchen.render())
    assert all(picture.shape == (224, 224, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert all((one != other).any() for one, other in pairwise(pictures))
    assert Kitchen().render() is None


# --- random kitchens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANDOM)
def test_things_stand_on_distinct_counter_cells_that_can_be_reached(name: str) -> None:
    kitchen = make_task(name)
    places, cooks = set(), set()
    for seed in range(300):
        kitchen.reset(seed=seed)
        layout = kitchen.world.layout
        used = (*layout.foods, layout.bowl, *layout.boards, layout.delivery)
        assert len(set(used)) == len(used)
        for cell in used:
            reached = access(cell)
            assert abs(cell[0] - reached[0]) + abs(cell[1] - reached[1]) == 1
            assert all(1 <= at <= 5 for at in reached)
        assert all(1 <= at <= 5 for at in layout.cook)
        places |= {(kind, cell) for kind, cell in zip("abcdefgh", used, strict=False)}
        cooks.add(layout.cook)
    assert len(cooks) == 25
    assert len(places) == 20 * len(used)  # everything is met everywhere


PLANS = {
    "tomato": "get tomato, go to board, chop, get tomato, get bowl, deliver",
    "tomato-lettuce": "get tomato, go to first board, chop, get lettuce, go to second board, chop, get bowl, "
    "get lettuce, get tomato, deliver",
    "tomato-lettuce-onion": "get tomato, go to first board, chop, get lettuce, go to second board, chop, get bowl, "
    "get lettuce, get tomato, go to second board, get onion, go to first board, chop, get onion, go to second board, "
    "deliver",
}


@pytest.mark.parametrize("name", KITCHENS)
@pytest.mark.parametrize("first", [0, 5_000, 10_000])
def test_one_plan_solves_every_kitchen_in_time(name: str, first: int) -> None:
    kitchen = make_task(name)
    numbers = {macro.name: number for number, macro in enumerate(kitchen.actions)}
    longest = 0
    for seed in range(first, first + (200 if name in RANDOM else 1)):
        kitchen.reset(seed=seed)
        for macro in PLANS[kitchen.recipe.name].split(", "):
            _, _, terminated, truncated, info = kitchen.step(numbers[macro])
        assert (terminated, truncated, info["is_success"]) == (True, False, True), seed
        longest = max(longest, kitchen.primitive_steps)
    assert longest < 160


@pytest.mark.parametrize("name", RANDOM)
def test_kitchens_of_training_choosing_and_final_seeds_are_disjoint(name: str) -> None:
    kitchen = make_task(name)
    drawn: dict[str, set[Any]] = {"training": set(), "choosing": set(), "final": set()}
    for first in (0, 4_800, 5_000, 9_800, 10_000, 1_000_000):
        for seed in range(first, first + 200):
            kitchen.reset(seed=seed)
            layout = kitchen.world.layout
            assert split_of_number(layout_number(layout)) == split_of_seed(seed)
            used = (*layout.foods, layout.bowl, *layout.boards, layout.delivery)
            drawn[split_of_seed(seed)].add(frozenset(used))
    training, choosing, final = drawn.values()
    assert all(len(kitchens) > 300 for kitchens in drawn.values())
    assert not training & choosing
    assert not training & final
    assert not choosing & final
    kitchen.reset(seed=10_000)
    for _ in range(50):  # without a seed, on from the last one
        kitchen.reset()
        assert split_of_number(layout_number(kitchen.world.layout)) == "final"


# --- words -----------------------------------------------------------------------------------------------------------


def situations(name: str, episodes: int) -> dict[Any, Any]:
    kitchen, random = make_task(name), np.random.default_rng(0)
    met = {}
    for seed in range(episodes):
        kitchen.reset(seed=seed)
        ended = False
        while not ended:
            situation = kitchen.situation()
            met[situation.key] = situation
            _, _, terminated, truncated, _ = kitchen.step(int(random.integers(len(kitchen.actions))))
            ended = terminated or truncated
    return met


@pytest.mark.parametrize("name", ["Kitchen", "KitchenTomato", "KitchenRandom", "KitchenRandomThree"])
def test_keys_are_equal_exactly_when_the_words_are_and_choices_are_distinct(name: str) -> None:
    met = situations(name, 60)
    assert len(met) >= 20
    assert len({situation.text for situation in met.values()}) == len(met)
    assert len({hash(key) for key in met}) == len(met)
    for situation in met.values():
        assert len(set(situation.choices)) == len(situation.choices) == len(make_task(name).actions)
        assert situation.goal == next(iter(met.values())).goal
    assert len({situation.choices for situation in met.values()}) > 5, "the lists change"


def test_the_tomato_salad_in_words() -> None:
    kitchen = make_task("KitchenTomato")
    kitchen.reset(seed=0)
    said = [kitchen.situation().text]
    # One text action after the other, in any case of letters.
    for action in (
        "pick up the tomato", "put the tomato on the cutting board", "Chop the tomato", " pick up the tomato ",
        "put the tomato into the bowl and pick the bowl up",
    ):  # fmt: skip
        kitchen.step(action)
        said.append(kitchen.situation().text)
    assert said == [
        "On the counter there is a tomato. The cook holds nothing.",
        "The cook holds an unchopped tomato.",
        "On the cutting board there is an unchopped tomato. The cook stands at the cutting board and holds nothing.",
        "On the cutting board there is a chopped tomato. The cook stands at the cutting board and holds nothing.",
        "The cook stands at the cutting board and holds a chopped tomato.",
        "The cook holds a bowl with chopped tomato.",
    ]
    assert kitchen.step("serve the bowl")[4]["is_success"]


def test_choices_say_what_each_action_means_here() -> None:
    kitchen = make_task("Kitchen")
    kitchen.reset(seed=0)
    assert kitchen.situation().choices == (
        "pick up the tomato", "pick up the lettuce", "pick up the onion", "pick up the bowl",
        "go to the first cutting board", "go to the second cutting board", "go to the hatch", "chop nothing",
    )  # fmt: skip
    for number in (0, 4, 7, 3):
        kitchen.step(number)
    assert kitchen.situation().choices == (
        "put the tomato into the bowl", "put the lettuce into the bowl", "put the onion into the bowl",
        "pick up the bowl", "put the bowl on the first cutting board", "put the bowl on the second cutting board",
        "serve the bowl", "chop nothing",
    )  # fmt: skip
    kitchen.step(5)
    kitchen.step(4)
    assert kitchen.situation().text == (
        "On the first cutting board there is a chopped tomato. On the second cutting board there is an empty bowl. "
        "The cook stands at the first cutting board and holds nothing."
    )
    kitchen.step("pick up the tomato")
    assert "put the tomato into the bowl on the second cutting board" in kitchen.situation().choices


def test_plans_begin_with_a_choice_or_with_nothing() -> None:
    kitchen = make_task("Kitchen")
    kitchen.reset(seed=0)
    assert [kitchen.first_action([choice]) for choice in kitchen.situation().choices] == list(range(8))
    assert kitchen.first_action(["Go to the hatch ", "chop nothing"]) == 6
    assert kitchen.first_action(["chop the tomato"]) is None
    assert kitchen.first_action([]) is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_goal_names_the_dish_and_the_onion_that_is_no_part_of_it(recipe: str) -> None:
    goal = Kitchen(recipe).goal
    dish = " and ".join(f"chopped {food}" for food in recipe.split("-")).replace("tomato and", "tomato,", 1)
    if recipe != "tomato-lettuce-onion":
        dish = dish.replace("tomato,", "tomato and")
    assert f"a bowl that contains {dish}, and nothing else" in goal
    assert ("an onion" in goal) is (recipe != "tomato")
    assert ("only of what is near" in goal) is True
    assert "only of what is near" not in Kitchen(recipe, sight=None).goal


# --- what a student sees ---------------------------------------------------------------------------------------------


def test_things_out_of_sight_are_zeros_and_untold() -> None:
    near, far = Kitchen(sight=2), Kitchen(sight=None)
    seen, whole = near.reset(seed=0)[0], far.reset(seed=0)[0]
    assert seen.shape == whole.shape == near.observation_space.shape == (38,)
    assert near.situation().text == (
        "On the counter there are a tomato, a lettuce and an onion. The cook holds nothing."
    )
    assert "an onion and a bowl" in far.situation().text
    foods, bowl, boards = np.split(seen, [24, 30])
    assert (foods.reshape(3, 8)[:, 0] == 1).all()
    assert not bowl.any()
    assert not boards[:6].any()  # boards and delivery
    assert boards[6:] == pytest.approx([1 / 6, 4 / 6])
    assert whole[24] == 1
    assert whole[28:30] == pytest.approx([1, 5 / 6])
    assert (seen[seen != 0] == whole[seen != 0]).all()


def test_numbers_follow_a_thing_through_the_kitchen() -> None:
    kitchen = Kitchen("tomato", sight=None)
    seen = [kitchen.reset(seed=0)[0][:7]]
    seen += [kitchen.step(number)[0][:7] for number in (0, 2, 4, 0, 1)]
    # On the counter, on the board, in the hand, in the bowl, chopped, row, column.
    assert np.round(np.array(seen) * 6).tolist() == [
        [6, 0, 0, 0, 0, 0, 5],
        [0, 0, 6, 0, 0, 1, 5],
        [0, 6, 0, 0, 0, 1, 0],
        [0, 6, 0, 0, 6, 1, 0],
        [0, 0, 6, 0, 6, 1, 1],
        [0, 0, 0, 6, 6, 5, 5],
    ]


@pytest.mark.parametrize("name", RANDOM)
def test_with_the_whole_kitchen_in_sight_the_numbers_are_the_whole_state(name: str) -> None:
    kitchen, random = make_task(name), np.random.default_rng(1)
    known: dict[bytes, Any] = {}
    for seed in range(20):
        observation, _ = kitchen.reset(seed=seed)
        ended = False
        while not ended:
            world: World = kitchen.world
            state = (world.layout, world.cook, tuple(world.place), tuple(world.chops))
            assert known.setdefault(observation.tobytes(), state)[1:] == state[1:]
            assert all(place in (HAND, IN_BOWL, *world.layout.boards) or world.is_at_start(thing)
                       for thing, place in enumerate(world.place)), "nothing is left on a counter"  # fmt: skip
            observation, _, terminated, truncated, _ = kitchen.step(int(random.integers(len(kitchen.actions))))
            assert kitchen.observation_space.contains(observation)
            ended = terminated or truncated


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_code_on_the_page_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    said: list[Any] = []
    exec(code, {"print": said.append})
    assert [str(line) for line in said] == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_every_kitchen_and_the_goal_are_on_the_page() -> None:
    for name in KITCHENS:
        assert f"| `{name}` | `wean/{name}-v0` |" in PAGE
    flat = " ".join(PAGE.replace("\n>", " ").split())
    for paragraph in Kitchen().goal.split("\n\n"):
        assert paragraph in flat
