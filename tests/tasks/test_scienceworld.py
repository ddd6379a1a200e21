"""ScienceWorld as a task, in a real Java machine that these tests share."""

from collections.abc import Iterator
from typing import Any

import pytest

from wean.data.shipped import shipped
from wean.errors import UsageError, WeanError
from wean.tasks.registration import make_task
from wean.tasks.scienceworld import TASKS
from wean.tasks.scienceworld_server import ServerLost
from wean.tasks.splits import FOLDS

pytestmark = pytest.mark.java
pytest.importorskip("scienceworld")


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    env = make_task("ScienceWorld", task="boil")
    yield env
    env.close()


def test_reset_gives_the_seeds_split_unless_a_variation_is_named(env: Any) -> None:
    text, info = env.reset(seed=3, options={"task": "1-1"})
    assert (env.task, env.variation, info) == ("boil", 3, {"score": 0, "moves": 0, "is_success": False})
    assert text == env.look().strip() or text in env.look()
    assert env.description.startswith("Your task is to boil")
    env.reset(seed=5_000)
    assert env.variation == 14
    env.reset(seed=10_000)
    assert env.variation == 21
    env.reset(seed=3, options={"variation": 7})
    assert env.variation == 7
    env.reset(seed=3, options={"task": "find-plant", "variation": 299})
    assert (env.task, env.variation) == ("find-plant", 299)


def test_tasks_and_splits_are_those_of_the_simulator(env: Any) -> None:
    assert set(env.server.call("getTaskNames")) == {task.name for task in TASKS}
    for task in (TASKS[0], TASKS[9], TASKS[29]):
        env.server.load(task.name, 0, "easy")
        for fold in FOLDS:
            assert env.server.call(f"getVariations{fold.capitalize()}") == list(task.variations(fold))
    for task in TASKS:
        assert env.server.call("getTaskMaxVariations", task.name) == task.count


def test_what_is_not_understood_costs_no_move_and_what_is_ambiguous_asks(env: Any) -> None:
    env.reset(options={"task": "boil", "variation": 3})
    observation, reward, terminated, truncated, info = env.step("dance the tango")
    assert "No known action" in observation
    assert (reward, terminated, truncated, info["moves"]) == (0.0, False, False, 0)
    assert "kitchen" in env.step("go to kitchen")[0]
    assert env.moves == 1
    read, unread = env.situation(), env.situation()
    choices = read.choices
    assert choices
    assert env.step("focus on orange")[0].startswith("Ambiguous request")
    assert env.situation().choices == ("0", "1")
    assert dict(env.meanings).keys() == {"0", "1"}
    assert all("orange" in meaning for meaning in env.meanings.values())
    assert read.choices == choices
    with pytest.raises(WeanError, match="past"):
        _ = unread.choices
    observation, reward, terminated, _, info = env.step("1")
    # An orange is a wrong thing: the official score is -100, which the paper counts as 0.
    assert (terminated, info["score"], info["is_success"]) == (True, 0, False)
    with pytest.raises(UsageError, match="reset the task"):
        env.step("wait")


def test_too_many_moves_truncate_and_waiting_is_many(env: Any) -> None:
    env.reset(options={"task": "find-plant", "variation": 0})
    turns = 0
    truncated = False
    while not truncated:
        _, _, terminated, truncated, info = env.step("wait")
        assert not terminated
        turns += 1
    assert (turns, info["moves"]) == (10, 110)


def test_commands_that_cost_nothing_do_not_go_on_forever(env: Any) -> None:
    env.reset(options={"task": "find-plant", "variation": 0})
    steps = 1
    while not env.step("look around")[3]:
        steps += 1
    assert steps == 200


@pytest.mark.parametrize("task", ["find-plant", "lifespan-longest-lived", "chemistry-mix", "use-thermometer"])
def test_recorded_paths_give_their_recorded_scores(env: Any, task: str) -> None:
    path = next(t for t in shipped("scienceworld").trajectories if t.task == task)
    env.reset(options={"task": task, "variation": path.variation})
    assert env.description == path.description.strip()
    total = 0.0
    for moment in path.path:
        _, reward, terminated, _, info = env.step(moment.action)
        total += reward
        assert info["score"] == moment.score
        if terminated:
            break  # some oracles go on after they are done
    assert info["is_success"]
    assert total == pytest.approx(1.0)


def test_where_chance_is_at_work_the_score_is_reached_at_another_step_perhaps(env: Any) -> None:
    path = next(t for t in shipped("scienceworld").trajectories if t.task == "power-component")
    env.reset(options={"task": path.task, "variation": path.variation})
    ends = [env.step(moment.action)[2] for moment in path.path[:-5]]
    for moment in path.path[-5:]:
        if not ends[-1]:
            ends.append(env.step(moment.action)[2])
    assert ends[-1]
    assert env.score == 100


def test_a_killed_machine_is_replaced_and_the_episode_marked(env: Any) -> None:
    env.reset(options={"task": "find-plant", "variation": 0})
    first = env.server.process.pid
    env.server.process.kill()
    _, reward, terminated, truncated, info = env.step("look around")
    assert (reward, terminated, truncated, info["lost_server"]) == (0.0, False, True, True)
    _, info = env.reset(options={"variation": 1})
    assert "lost_server" not in info
    assert env.server.process.pid != first
    assert not env.step("look around")[3]


def test_memory_stays_what_it_was(env: Any) -> None:
    env.reset(options={"task": "boil", "variation": 0})
    resident, living = env.server.memory(), env.server.live_memory()
    for variation in range(1, 7):
        env.reset(options={"task": "boil", "variation": variation})
        env.step("look around")
        assert env.situation().choices
    assert env.server.memory() < 1.2 * resident
    assert 0 < env.server.live_memory() < living + 20


def test_the_memory_of_a_killed_machine_is_lost_with_it(env: Any) -> None:
    env.reset(options={"task": "boil", "variation": 0})
    server = env.server
    server.process.kill()
    server.process.wait()
    assert server.memory() == 0
    with pytest.raises(ServerLost, match="lost, killed or out of memory"):
        server.live_memory()
    env.reset(options={"task": "boil", "variation": 0})
    assert env.server.alive


def test_a_wrong_focus_costs_a_hundred_by_the_official_rule(env: Any) -> None:
    env.score_rule = "official"
    try:
        env.reset(options={"task": "find-plant", "variation": 0})
        _, reward, terminated, _, info = env.step("focus on air")
        assert (reward, terminated, info["score"], info["is_success"]) == (-1.0, True, -100, False)
    finally:
        env.score_rule = "paper"
