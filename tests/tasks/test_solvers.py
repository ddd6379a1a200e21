"""What is best in every moment: kitchens against exhaustive search, lakes against their optimum, vectors of tasks."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from small_tasks import Corridor
from wean.errors import UsageError
from wean.tasks.frozen_lake import FrozenLake, Moves, solve
from wean.tasks.kitchen import Kitchen, shared_solver, solver_of
from wean.tasks.kitchen_world import World, perform
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.tasks.workers import WorkerTasks


def left_in(kitchen: Kitchen) -> int:
    """The macro-actions of a shortest solution from here."""
    return solver_of(kitchen.world, kitchen.sight).left(kitchen.world)


@pytest.mark.parametrize(
    ("name", "actions", "primitive"), [("KitchenTomato", 6, 28), ("Kitchen", 10, 45), ("KitchenThree", 16, 63)]
)
def test_the_papers_kitchens_take_as_many_actions_as_exhaustive_search_finds(
    name: str, actions: int, primitive: int
) -> None:
    kitchen = make_task(name)
    random = np.random.default_rng(0)
    fewest = set()
    for episode in range(30):
        kitchen.reset(seed=episode)
        assert left_in(kitchen) == actions
        for left in reversed(range(actions)):
            _, _, terminated, truncated, _ = kitchen.step(int(random.choice(kitchen.best_actions())))
            assert (terminated, truncated) == (left == 0, False)
            assert left == 0 or left_in(kitchen) == left
        fewest.add(kitchen.primitive_steps)
    assert min(fewest) >= primitive


def breadth_first(kitchen: Kitchen) -> tuple[int, list[int]]:
    """Macro-actions to the dish from here, and with which of them one fewer are left; by plain forward search."""

    def copy(world: World) -> World:
        other = World(world.recipe, world.layout)
        other.cook, other.place, other.chops = world.cook, list(world.place), list(world.chops)
        return other

    def state(world: World) -> Any:
        return world.cook, tuple(world.place), tuple(world.chops)

    ring = [(kitchen.world, -1)]
    seen: dict[Any, int] = {}
    depth, firsts = 0, set[int]()
    while not firsts:
        depth += 1
        following = {}
        for world, first in ring:
            for number, macro in enumerate(kitchen.actions):
                after = copy(world)
                begun = number if first < 0 else first
                if perform(after, macro, kitchen.sight, 1000).served:
                    firsts.add(begun)
                elif seen.setdefault(state(after), depth) == depth:
                    following[state(after), begun] = after
        ring = [(world, begun) for (_, begun), world in following.items()]
    return depth, sorted(firsts)


@pytest.mark.parametrize("name", ["KitchenTomato", "KitchenRandomTomato", "KitchenRandom"])
def test_the_solver_is_a_plain_search_from_any_moment_of_any_kitchen(name: str) -> None:
    kitchen, random = make_task(name), np.random.default_rng(4)
    asked = 0
    for seed in range(3 if name == "KitchenRandom" else 25):
        kitchen.reset(seed=seed)
        for _ in range(int(random.integers(25))):
            if kitchen.step(int(random.integers(len(kitchen.actions))))[2]:
                kitchen.reset(seed=seed)
        found = breadth_first(kitchen)
        assert (left_in(kitchen), kitchen.best_actions()) == found
        asked += len(found[1])
    assert asked


@pytest.mark.slow
def test_the_solver_is_a_plain_search_in_the_large_kitchens() -> None:
    for name in ("Kitchen", "KitchenRandom", "KitchenRandomThree"):
        kitchen, random = make_task(name), np.random.default_rng(5)
        for seed in range(15):
            kitchen.reset(seed=seed)
            for _ in range(int(random.integers(25))):
                kitchen.step(int(random.integers(8)))
            assert (left_in(kitchen), kitchen.best_actions()) == breadth_first(kitchen)


def test_random_kitchens_share_searches() -> None:
    shared_solver.cache_clear()
    kitchen = make_task("KitchenRandom")
    for seed in range(25):
        kitchen.reset(seed=seed)
        assert len(kitchen.best_actions()) >= 1
    assert shared_solver.cache_info().currsize < 10


def test_the_best_moves_of_a_lake_reach_its_optimum() -> None:
    for name in ("FrozenLake", "FrozenLakeDry", "FrozenLake4x4"):
        lake = make_task(name)
        best, horizon = solve(lake.lake, lake.horizon).moves, lake.horizon
        for pick in ("first", "last"):
            values = np.zeros(best.shape[1])
            for left in range(1, horizon + 1):
                # The chance of the goal if the first, or the last, of the best moves is always taken.
                moves = best[left].argmax(1) if pick == "first" else 3 - best[left, :, ::-1].argmax(1)
                values = np.array(
                    [
                        sum(p * (r + (0 if ended else values[to])) for p, to, r, ended in lake.lake.P[s][int(moves[s])])
                        for s in range(best.shape[1])
                    ]
                )
            assert values == pytest.approx(solve(lake.lake, horizon).success[-1], abs=1e-6)


def test_on_dry_ice_the_best_moves_are_the_shortest_way() -> None:
    lake = FrozenLake("8x8", slippery=False)
    lake.reset(seed=0)
    assert lake.best_actions() == [Moves.down, Moves.right]
    moves = 0
    ended = False
    while not ended:
        _, _, ended, _, info = lake.step(lake.best_actions()[-1])
        moves += 1
    assert (moves, info["is_success"]) == (14, True)


def test_with_few_steps_left_only_what_still_arrives_is_best() -> None:
    lake = FrozenLake("4x4", slippery=False, horizon=6)
    lake.reset(seed=0)
    assert lake.best_actions() == [Moves.down, Moves.right]
    lake.step(Moves.right)
    assert lake.best_actions() == [Moves.right], "a step back would be too late"


def test_a_new_lake_has_best_moves_of_its_own() -> None:
    lake = make_task("FrozenLakeRandom")
    found = []
    for seed in range(5):
        lake.reset(seed=seed)
        assert lake.best_actions() == np.flatnonzero(solve(lake.lake, 200).moves[200, 0]).tolist()
        found.append(lake.best_actions())
    assert len({str(best) for best in found}) > 1


def test_vectors_of_tasks_know_what_is_best_and_how_long_it_took() -> None:
    makers = [partial(make_task, name) for name in ("Kitchen", "FrozenLake", "KitchenRandom")]
    lake = make_task("FrozenLake")
    lake.reset(seed=1)
    workers = WorkerTasks(makers, workers=2)
    try:
        for tasks in (SerialTasks(makers), workers):
            for member in range(3):
                tasks.reset([member], [member])
            assert tasks.best_actions([1, 0]) == [lake.best_actions(), [0, 1]]
            assert tasks.step([1], [0]).primitive_steps.tolist() == [1]
            assert tasks.step([0, 2], [0, 6]).primitive_steps[0] == 2
    finally:
        workers.close()


def test_a_task_without_a_solver_has_no_expert() -> None:
    tasks = SerialTasks([Corridor])
    tasks.reset([0], [0])
    with pytest.raises(UsageError, match=r"has no expert \(no best_actions\(\)\); let another policy play it"):
        tasks.best_actions([0])
