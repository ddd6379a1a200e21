"""Any Gymnasium environment becomes a task: words, plans as action names, registration, and its errors."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from small_tasks import Corridor
from wean.errors import UsageError
from wean.tasks import DescribedTask, Situation
from wean.tasks.registration import ROOMS, make_task, task_id, task_names
from wean.tasks.vector import SerialTasks

LAKE_MOVES = ("left", "down", "right", "up")


def lake_words(env: gym.Env[Any, Any]) -> Situation:
    row, column = divmod(int(env.unwrapped.s), 4)
    return Situation("Cross the frozen lake.", f"You stand in row {row}, column {column}.", LAKE_MOVES)


def lake() -> DescribedTask:
    return DescribedTask(gym.make("FrozenLake-v1", is_slippery=False), lake_words)


def cart_words(env: gym.Env[Any, Any]) -> Situation:
    side = "left" if env.unwrapped.state[2] < 0 else "right"
    return Situation("Keep the pole upright.", f"The pole leans to the {side}.", ("push left", "push right"))


def test_frozenlake_speaks_and_takes_action_names() -> None:
    task = lake()
    task.reset(seed=0)
    assert task.situation().text == "You stand in row 0, column 0."
    for name, text in (("right", "row 0, column 1"), ("right", "row 0, column 2"), ("down", "row 1, column 2")):
        task.step(task.first_action([name]))
        assert text in task.situation().text
    task.close()


def test_a_plan_is_its_first_item_and_words_that_name_no_action_are_none() -> None:
    task = lake()
    task.reset(seed=0)
    assert [task.first_action([name]) for name in LAKE_MOVES] == [0, 1, 2, 3]
    assert task.first_action([" Right ", "down"]) == 2
    assert task.first_action(["swim", "down"]) is None
    assert task.first_action([]) is None


def test_a_plan_with_a_number_for_a_name_is_no_advice() -> None:
    task = lake()
    task.reset(seed=0)
    assert task.first_action(["2"]) is None


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_a_described_environment_keeps_gymnasiums_contract() -> None:
    check_env(DescribedTask(gym.make("FrozenLake-v1").unwrapped, lake_words), skip_render_check=True)


def test_cartpole_keeps_its_seeds_and_its_time_limit() -> None:
    task = DescribedTask(gym.make("CartPole-v1", max_episode_steps=20), cart_words)
    first, _ = task.reset(seed=4)
    assert (first == task.reset(seed=4)[0]).all()
    leans = set()
    for step in range(1, 21):
        # Pushing to the side to which the pole leans holds it for long enough.
        lean = task.situation().text.removeprefix("The pole leans to the ").removesuffix(".")
        leans.add(lean)
        _, _, terminated, truncated, _ = task.step(task.first_action([f"push {lean}"]))
        assert (terminated, truncated) == (False, step == 20)
    assert leans == {"left", "right"}
    task.close()


def test_a_described_task_can_be_made_again_from_its_spec() -> None:
    task = gym.make(lake().spec)
    task.reset(seed=0)
    assert task.get_wrapper_attr("situation")().text == "You stand in row 0, column 0."


def test_words_are_written_only_when_read() -> None:
    calls = []

    def describe(env: gym.Env[Any, Any]) -> Situation:
        calls.append(1)
        return lake_words(env)

    task = DescribedTask(gym.make("FrozenLake-v1"), describe)
    task.reset(seed=0)
    task.step(1)
    assert calls == []
    task.situation()
    assert calls == [1]


def test_only_discrete_actions_can_be_named() -> None:
    with pytest.raises(UsageError, match=r"Discrete action space, not Box"):
        DescribedTask(gym.make("Pendulum-v1"), cart_words)


def test_every_action_needs_a_name() -> None:
    task = DescribedTask(gym.make("FrozenLake-v1"), lambda _: Situation("goal", "text", ("left", "right")))
    task.reset(seed=0)
    with pytest.raises(UsageError, match=r"2 choices for 4 actions.*in order"):
        task.first_action(["right"])


def test_described_tasks_run_side_by_side() -> None:
    tasks = SerialTasks([lake, lake])
    tasks.reset([0, 1], [0, 1])
    assert tasks.first_actions([0, 1], [[["right"], ["down"]], [["up"]]]) == [[2, 1], [3]]
    stepped = tasks.step([1], [1])
    assert stepped.observations.tolist() == [4]
    assert [s.text for s in tasks.situations([1, 0])] == [
        "You stand in row 1, column 0.",
        "You stand in row 0, column 0.",
    ]


# --- registration ----------------------------------------------------------------------------------------------------


@pytest.fixture
def registered() -> Iterator[list[str]]:
    """Ids that a test registers; they are gone after it."""
    ids: list[str] = []
    yield ids
    for name in ids:
        gym.registry.pop(name, None)


def describe_corridor(env: gym.Env[Any, Any]) -> Situation:
    return Situation("Walk to the end.", f"You are in cell {env.unwrapped.cell}.", ("left", "right"))


class Silent(gym.Env[int, int]):
    """An environment without words and without a time limit in its registration."""

    observation_space = gym.spaces.Discrete(5)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self._corridor = Corridor()

    @property
    def cell(self) -> int:
        return self._corridor.cell

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        return self._corridor.reset(seed=seed)

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return self._corridor.step(action)


def test_rooms_have_short_names_and_ids() -> None:
    assert set(ROOMS) < set(task_names())
    for name in ROOMS:
        assert task_id(name) == task_id(f"wean/{name}-v0") == f"wean/{name}-v0"
        assert make_task(name).unwrapped.kind.name == make_task(f"wean/{name}-v0").unwrapped.kind.name == name
    assert task_id("CartPole-v1") == "CartPole-v1"


def test_a_room_takes_its_settings() -> None:
    room = make_task("SimpleDoorKey", max_steps=3, view_size=5, max_size=6)
    assert room.reset(seed=0)[0]["image"].shape == (6, 6, 4)
    assert [room.step(0)[3] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SimpelDoorKey", "did you mean 'SimpleDoorKey'?"),
        ("wean/LavaDorKey-v0", "did you mean 'wean/LavaDoorKey-v0'?"),
        ("CartPole-v11", "did you mean 'CartPole-v1'?"),
        ("zzzzzzzz", "`wean list tasks` shows those there are"),
    ],
)
def test_an_unknown_task_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        task_id(name)
    assert str(error.value) == f"unknown task {name!r}; {hint}"
    assert error.value.exit_code == 2


@pytest.mark.parametrize("limit", [None, 7])
def test_a_registered_described_task_keeps_its_words_with_and_without_a_time_limit(
    registered: list[str], limit: int | None
) -> None:
    registered.append("testing/Corridor-v0")
    gym.register(
        "testing/Corridor-v0",
        lambda **kwargs: DescribedTask(Silent(**kwargs), describe_corridor),
        max_episode_steps=limit,
    )
    task = make_task("testing/Corridor-v0")
    task.reset(seed=0)
    assert task.get_wrapper_attr("situation")().text == "You are in cell 0."
    assert task.get_wrapper_attr("first_action")(["right"]) == 1
    ends = [task.step(0)[3] for _ in range(limit or 10)]
    assert ends == [False] * ((limit or 10) - 1) + [True]


def test_a_wrapper_that_changes_what_is_seen_is_kept(registered: list[str]) -> None:
    registered.append("testing/Doubled-v0")
    gym.register("testing/Doubled-v0", lambda: gym.wrappers.TransformReward(Corridor(), lambda reward: 2 * reward))
    task = make_task("testing/Doubled-v0")
    task.reset(seed=0)
    assert [task.step(1)[1] for _ in range(4)] == [0, 0, 0, 2]


def test_a_task_that_speaks_by_itself_comes_without_gymnasiums_wrappers(registered: list[str]) -> None:
    registered.append("testing/Bare-v0")
    gym.register("testing/Bare-v0", Corridor)
    for name in ("SimpleDoorKey", "testing/Bare-v0"):
        task = make_task(name)
        assert task is task.unwrapped


MODULE = """
import gymnasium as gym
from small_tasks import Corridor
gym.register("testing/FromModule-v0", Corridor)
"""


def test_an_id_with_a_module_imports_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: list[str]
) -> None:
    registered.append("testing/FromModule-v0")
    (tmp_path / "my_corridor.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)  # a module in the folder where one stands, as `python -m` finds it
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    monkeypatch.delitem(sys.modules, "my_corridor", raising=False)
    assert task_id("my_corridor:testing/FromModule-v0") == "testing/FromModule-v0"
    task = make_task("my_corridor:testing/FromModule-v0")
    assert task.reset(seed=0) == (0, {})
    assert task_id("my_corridor:testing/FromModule-v0") == "testing/FromModule-v0"  # imported once, not again


def test_a_module_that_cannot_be_imported_or_registers_nothing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"'no_such_module:A-v0'.*no_such_module") as error:
        task_id("no_such_module:A-v0")
    assert "\n" not in str(error.value)
    (tmp_path / "registers_nothing.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="unknown task 'Nope-v0'"):
        task_id("registers_nothing:Nope-v0")
    (tmp_path / "falls_over.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        task_id("falls_over:A-v0")
