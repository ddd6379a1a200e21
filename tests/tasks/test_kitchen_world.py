"""The kitchen's rules: recorded episodes of the original, shortest solutions, random play, and what bumps do."""

import gzip
import heapq
import json
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from wean.evaluation.statistics import wilson
from wean.tasks.kitchen import Kitchen
from wean.tasks.kitchen_world import HAND, IN_BOWL, RECIPES, World, fixed_layout, macros_of, perform
from wean.tasks.registration import make_task

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "kitchen_conformance.jsonl.gz"


# --- agreement with the original -------------------------------------------------------------------------------------


@pytest.mark.skipif(not RECORDED.exists(), reason="the episodes recorded of the original do not come with wean")
def test_recorded_episodes_of_the_original_replay_exactly() -> None:
    episodes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(RECORDED, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            episodes[row["episode"]].append(row)
    kitchen = make_task("Kitchen")
    replayed = 0
    for number, rows in episodes.items():
        kitchen.reset(seed=number)
        for row in rows:
            before = kitchen.situation()
            _, reward, terminated, truncated, info = kitchen.step(row["macro_action"])
            after = kitchen.situation()
            where = f"episode {number}, step {row['step']}"
            assert reward == pytest.approx(row["reward"], abs=1e-12), where
            assert (terminated, truncated, info["is_success"]) == (row["done"], False, row["done"]), where
            assert (before.key != after.key) is row["changed"] or row["done"], where
            assert (before.text != after.text) is (before.key != after.key), where
            replayed += 1
    assert (len(episodes), replayed) == (133, 4329)


class Solution(NamedTuple):
    macros: int
    primitive: int
    numbers: tuple[int, ...]


def solve(recipe: str, macros_first: bool) -> Solution:
    """The best solution by exhaustive search: fewest macro-actions, then primitive steps; or the other way round."""
    kind = RECIPES[recipe]
    macros = macros_of(kind)
    world = World(kind, fixed_layout(kind))
    order = count()
    queue: list[Any] = [((0, 0), next(order), (world.cook, tuple(world.place), tuple(world.chops)), ())]
    done = set()
    while queue:
        cost, _, state, path = heapq.heappop(queue)
        if state is None:
            return Solution(*(cost if macros_first else cost[::-1]), path)
        if state in done:
            continue
        done.add(state)
        for number, macro in enumerate(macros):
            world.cook, world.place, world.chops = state[0], list(state[1]), list(state[2])
            steps = perform(world, macro, 2, 200)
            then = (1, steps.steps) if macros_first else (steps.steps, 1)
            reached = None if steps.served else (world.cook, tuple(world.place), tuple(world.chops))
            total = (cost[0] + then[0], cost[1] + then[1])
            heapq.heappush(queue, (total, next(order), reached, (*path, number)))
    raise AssertionError("no solution")


@pytest.mark.parametrize(
    ("recipe", "macros", "primitive", "rewards", "discounted"),
    [
        ("tomato", 6, 28, 1.110, 0.9205),
        ("tomato-lettuce", 10, 45, 1.328, 0.9477),
        ("tomato-lettuce-onion", 16, 63, 1.506, 0.9447),
    ],
)
def test_the_shortest_solutions(recipe: str, macros: int, primitive: int, rewards: float, discounted: float) -> None:
    fewest, quickest = solve(recipe, True), solve(recipe, False)
    assert (fewest.macros, fewest.primitive) == (macros, primitive)
    assert (quickest.macros, quickest.primitive) == (macros, primitive)
    kitchen = Kitchen(recipe)
    kitchen.reset(seed=0)
    total = weighted = 0.0
    for number in quickest.numbers:
        weight = 0.99**kitchen.primitive_steps
        _, reward, terminated, _, info = kitchen.step(number)
        total, weighted = total + reward, weighted + weight * reward
    assert terminated
    assert info["is_success"]
    assert kitchen.primitive_steps == primitive
    assert total == pytest.approx(rewards, abs=5e-4)
    assert weighted == pytest.approx(discounted, abs=5e-5)


class Played(NamedTuple):
    solved: int
    macros: float
    total: float
    texts: int


def play_at_random(recipe: str, episodes: int, seed: int) -> Played:
    kitchen, random = Kitchen(recipe), np.random.default_rng(seed)
    solved = macros = 0
    total = 0.0
    keys = set()
    for episode in range(episodes):
        kitchen.reset()
        ended = False
        while not ended:
            if episode < 400:
                keys.add(kitchen.situation().key)
            _, reward, terminated, truncated, info = kitchen.step(int(random.integers(len(kitchen.actions))))
            macros += 1
            total += reward
            solved += info["is_success"]
            ended = terminated or truncated
            assert terminated == info["is_success"]
    return Played(solved, macros / episodes, total / episodes, len(keys))


@pytest.mark.parametrize(
    ("recipe", "episodes", "original", "macros", "texts"),
    [
        # Of the original: how many of 300 episodes were solved, macro-actions an episode, texts in 400 episodes.
        ("tomato", 1500, 122, 57.0, (21, 21)),
        pytest.param("tomato-lettuce", 3000, 2, 65.0, (550, 700), marks=pytest.mark.slow),
    ],
)
def test_random_play_solves_as_often_as_in_the_original(
    recipe: str, episodes: int, original: int, macros: float, texts: tuple[int, int]
) -> None:
    played = play_at_random(recipe, episodes, 1)
    ours, theirs = wilson(played.solved, episodes), wilson(original, 300)
    assert ours.low < theirs.high
    assert theirs.low < ours.high
    assert theirs.low < ours.mean < theirs.high
    assert played.macros == pytest.approx(macros, abs=2)
    assert texts[0] <= played.texts <= texts[1]


# --- the rules -------------------------------------------------------------------------------------------------------

TOMATO, LETTUCE, ONION, BOWL = range(4)
FIRST, SECOND, DELIVERY = (1, 0), (2, 0), (3, 0)


def world(**places: tuple[int, int]) -> World:
    """The tomato-lettuce kitchen with some things elsewhere; a food named `chopped_X` is chopped."""
    kind = RECIPES["tomato-lettuce"]
    made = World(kind, fixed_layout(kind))
    names = (*kind.foods, "bowl")
    for name, place in places.items():
        thing = names.index(name.removeprefix("chopped_"))
        made.place[thing] = place
        if name.startswith("chopped_"):
            made.chops[thing] = 3
    return made


def test_three_bumps_chop_and_only_an_ingredient_pays() -> None:
    for food, paid in (("tomato", 0.2), ("lettuce", 0.2), ("onion", 0.0)):
        made = world(**{food: FIRST})
        thing = made.recipe.foods.index(food)
        assert [made.bump(FIRST)[0] for _ in range(3)] == [0, 0, paid]
        assert made.is_chopped(thing)
        assert made.place[thing] == FIRST
        made.bump(FIRST)  # the next one picks it up
        assert made.place[thing] == HAND


def test_a_full_hand_neither_chops_nor_picks_up_nor_stacks() -> None:
    made = world(tomato=FIRST, lettuce=HAND)
    for cell in (FIRST, made.place[BOWL], made.place[ONION]):
        before = list(made.place)
        assert made.bump(cell) == (0.0, False)
        assert (made.place, made.chops) == (before, [0, 0, 0])


def test_only_chopped_food_meets_the_bowl() -> None:
    raw = world(tomato=FIRST, bowl=HAND)
    raw.bump(FIRST)
    assert raw.place[TOMATO] == FIRST
    into_held = world(chopped_tomato=FIRST, bowl=HAND)
    into_held.bump(FIRST)
    assert (into_held.place[TOMATO], into_held.place[BOWL]) == (IN_BOWL, HAND)
    on_board = world(chopped_tomato=HAND, bowl=FIRST)
    on_board.bump(FIRST)
    assert (on_board.place[TOMATO], on_board.place[BOWL]) == (IN_BOWL, HAND)
    on_counter = world(chopped_tomato=HAND)
    on_counter.bump(on_counter.place[BOWL])
    assert (on_counter.place[TOMATO], on_counter.place[BOWL]) == (IN_BOWL, (6, 5))


@pytest.mark.parametrize(
    ("filling", "recipe_is_met"),
    [
        ((TOMATO, LETTUCE), True),
        ((TOMATO,), False),
        ((), False),
        ((TOMATO, LETTUCE, ONION), False),
        ((LETTUCE, ONION), False),
    ],
)
def test_only_the_recipe_and_nothing_more_is_the_right_dish(filling: tuple[int, ...], recipe_is_met: bool) -> None:
    made = world(bowl=HAND)
    for food in filling:
        made.place[food], made.chops[food] = IN_BOWL, 3
    reward, served = made.bump(DELIVERY)
    assert (reward, served) == ((1.0, True) if recipe_is_met else (-0.1, False))
    if not served:
        fresh = world()
        assert (made.place, made.chops) == (fresh.place, fresh.chops)


def test_food_served_without_a_bowl_comes_back_unchopped() -> None:
    made = world(chopped_tomato=HAND)
    assert made.bump(DELIVERY) == (-0.1, False)
    assert (made.place[TOMATO], made.chops[TOMATO]) == ((0, 5), 0)
    assert made.bump(DELIVERY) == (0.0, False)  # an empty hand serves nothing


def test_a_macro_action_stops_where_the_time_ends() -> None:
    kitchen = Kitchen(horizon=11)
    kitchen.reset(seed=0)
    steps, rewards, ends = [], [], []
    for number in (0, 4, 7, 3):  # 2 + 5 + 3 steps, and one of the nine to the bowl
        _, reward, terminated, truncated, info = kitchen.step(number)
        steps.append(info["primitive_steps"])
        rewards.append(reward)
        ends.append((terminated, truncated))
    assert steps == [2, 5, 3, 1]
    assert rewards[-1] == -0.001
    assert ends == [(False, False)] * 3 + [(False, True)]
    assert kitchen.world.cook == (2, 1)
    chopping = Kitchen(horizon=9)
    chopping.reset(seed=0)
    reward = [chopping.step(number)[1] for number in (0, 4, 7)][-1]
    assert reward == pytest.approx(-0.001 - 0.00099)  # two of three bumps: no chopped tomato, no reward
    assert chopping.world.chops[TOMATO] == 2


def test_the_return_can_be_farmed_and_is_no_success() -> None:
    kitchen = Kitchen("tomato")
    kitchen.reset(seed=0)
    total, ended, steps = 0.0, False, 0
    while not ended:
        for number in (0, 2, 4, 0, 3):  # fetch, to the board, chop, pick up, serve without a bowl
            _, reward, terminated, truncated, info = kitchen.step(number)
            total += reward
            steps += info["primitive_steps"]
            assert not terminated
            assert not info["is_success"]
            ended = truncated
            if ended:
                break
    assert steps == 200
    assert total == pytest.approx(0.980, abs=5e-4)  # nearly the 1.110 of the shortest solution
