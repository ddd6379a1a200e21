"""`check_task`: the tasks of wean pass, and what a user's environment lacks is named in one line."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from small_tasks import Corridor
from wean.errors import UsageError
from wean.tasks import Situation, check_task, describe
from wean.tasks.registration import make_task, task_names
from wean.tasks.situation import LazySituation

HEAVY = ("TextWorldCooking", "TextWorldTreasure", "TextWorldCoin", "ScienceWorld")


@pytest.mark.parametrize("name", [name for name in task_names() if name not in HEAVY])
def test_the_tasks_of_wean_pass(name: str) -> None:
    check_task(make_task(name))


@pytest.mark.slow
def test_textworld_passes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jericho", reason="text adventures need an extra: pip install '.[textworld]'")
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path))
    check_task(make_task("TextWorldCoin", settings={"level": 102}, horizon=6))


def test_a_described_environment_passes() -> None:
    def words(env: gym.Env[Any, Any]) -> Situation:
        side = "left" if env.unwrapped.state[2] < 0 else "right"
        return Situation("Keep the pole upright.", f"It leans to the {side}.", ("push left", "push right"))

    with pytest.warns(UserWarning, match="Box observation space"):
        check_task(describe(gym.make("CartPole-v1"), words))


class Lucky(Corridor):
    """A corridor that draws from a generator that no seed reaches."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        observation, _, *rest = super().step(action)
        return observation, float(np.random.default_rng().random()), *rest


def silent() -> gym.Env[Any, Any]:
    return gym.make("FrozenLake-v1").unwrapped


def saying(situation: Any) -> Callable[[], gym.Env[Any, Any]]:
    class Saying(Corridor):
        def situation(self) -> Any:
            return situation

    return Saying


def acting(action: Any) -> Callable[[], gym.Env[Any, Any]]:
    class Acting(Corridor):
        def first_action(self, plan: Any) -> Any:
            return action

    return Acting


class Wordless(Corridor):
    """A corridor whose plans nobody turns into actions."""

    first_action = property()  # type: ignore[assignment]


class Talker(gym.Env[str, str]):
    """A task in words that keeps half of the contract."""

    observation_space = action_space = gym.spaces.Text(20)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "hello", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "hello", 0.0, False, False, {}

    def situation(self) -> Situation:
        return Situation("Talk.", "hello", ("hello",))


class Escaping(Corridor):
    """A corridor that shows what its space does not have."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 99, {}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (silent, r"no situation\(\); add one that returns a wean.Situation"),
        (saying("a corridor"), r"situation\(\) returns str"),
        (saying(LazySituation("key", 1, lambda: "text", lambda: ("left", "right"))), "goal is no text"),
        (saying(Situation("goal", "text", ["left", "right"])), "choices are no tuple"),
        (saying(Situation("goal", "text", ())), "no choices"),
        (saying(Situation("goal", "text", ("left", "left"))), "two choices alike"),
        (saying(Situation("goal", "text", ("left", "right"), ["key"])), "key is not hashable"),
        (saying(Situation("goal", "text", ("up", "down"))), "turns none of the choices into an action"),
        (acting(7), "returns 7; return a number below 2"),
        (acting(1), "return None for what names no action"),
        (Wordless, r"no first_action\(\)"),
        (Talker, "lacks description, score"),
        (Escaping, "Gymnasium's check_env says"),
        (Lucky, r"not equivalent|its reward differs"),
    ],
)
def test_what_is_missing_or_wrong_is_named_in_one_line(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        check_task(make())
    assert "\n" not in str(refused.value)
