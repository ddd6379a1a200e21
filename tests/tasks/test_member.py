"""One environment behind the contract: what it gives is checked, and what fails names it and the step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import wean
from small_tasks import Corridor
from wean.errors import UsageError, WeanError
from wean.students.saving import load_student, make_student, save_student
from wean.tasks import Situation
from wean.tasks.vector import SerialTasks

ZEROS = np.zeros(3, np.float32)


class Own(gym.Env[Any, Any]):
    """Somebody's own environment, whose third step gives whatever a test wants."""

    def __init__(
        self,
        observation: Any = ZEROS,
        third: Callable[[], Any] | None = None,
        begins: Any = None,
        sees: Any = None,
        acts: Any = None,
    ) -> None:
        self.observation_space = sees or spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = acts or spaces.Discrete(3)
        self._observation, self._third, self._begins = observation, third, begins
        self.taken: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.taken = []
        return (self._observation, {}) if self._begins is None else self._begins

    def step(self, action: Any) -> Any:
        self.taken.append(action)
        if self._third is not None and len(self.taken) == 3:
            return self._third()
        return self._observation, 1.0, False, len(self.taken) == 5, {}


class WithoutSeed(Own):
    def reset(self) -> Any:  # type: ignore[override]
        return ZEROS, {}


def raising() -> Any:
    raise ValueError("the pump is\nstuck")


def gives(observation: Any = ZEROS, reward: Any = 0.0, ended: Any = False, info: Any = None) -> Callable[[], Any]:
    return lambda: (observation, reward, ended, False, {} if info is None else info)


def play(make: Callable[[], gym.Env[Any, Any]], steps: int = 3) -> None:
    tasks = SerialTasks([make])
    tasks.reset([0], [7])
    for _ in range(steps):
        tasks.step([0], [0])


@pytest.mark.parametrize(
    ("third", "words"),
    [
        (raising, "step() failed in step 3 after reset(seed=7) (ValueError: the pump is stuck)"),
        (gives(reward=float("nan")), "its reward is nan in step 3 after reset(seed=7)"),
        (gives(reward=np.float64("inf")), "its reward is inf in step 3"),
        (gives(reward=None), "its reward is None in step 3"),
        (gives(reward="1.0"), "its reward is '1.0' in step 3"),
        (gives(reward=np.ones(2)), "its reward is an array of shape (2,)"),
        (gives(np.full(3, np.nan, np.float32)), "its observation is not finite (NaN or infinite) in step 3"),
        (gives(np.array([0, np.inf, 0])), "its observation is not finite"),
        (gives(np.zeros(4)), "its observation is an array of shape (4,) and type float64 in step 3"),
        (gives(None), "its observation is None in step 3"),
        (gives("hello"), "its observation is 'hello' in step 3"),
        (gives([0.0, [1.0, 2.0]]), "its observation is a list of 2 values in step 3"),
        (gives({"a": 1}), "its observation is {'a': 1} without the key 'image'"),
        (gives(ended=None), "terminated is None in step 3"),
        (gives(ended="no"), "terminated is 'no' in step 3"),
        (gives(info=[]), "its info is a list of 0 values in step 3"),
        (gives(info={"is_success": "yes"}), "info['is_success'] is 'yes' in step 3"),
        (lambda: (ZEROS, 0.0, False, {}), "step() gives a tuple of 4 values in step 3"),
        (lambda: None, "step() gives None in step 3"),
    ],
)
def test_what_a_step_gives_is_checked(third: Callable[[], Any], words: str) -> None:
    with pytest.raises(WeanError) as caught:
        play(partial(Own, third=third))
    assert str(caught.value).startswith(f"Own: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("third", "reward"),
    [(gives(reward=np.float32(2)), 2.0), (gives(reward=np.array(3)), 3.0), (gives(reward=True), 1.0)],
)
def test_rewards_are_any_numbers(third: Callable[[], Any], reward: float) -> None:
    tasks = SerialTasks([partial(Own, third=third)])
    tasks.reset([0], [7])
    assert [float(tasks.step([0], [0]).rewards[0]) for _ in range(3)][-1] == reward


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(Own, begins=ZEROS), "Own: reset() gives an array of shape (3,) and type float32 at seed 7"),
        (partial(Own, begins=(None, {})), "Own: its observation is None at seed 7"),
        (WithoutSeed, "let reset() take seed= and options="),
        (raising, "the task: make() failed (ValueError: the pump is stuck)"),
        (lambda: None, "a task is a gymnasium.Env, not None"),
        (partial(Own, sees=spaces.Box(-1, 1, ())), "gymnasium.wrappers.ReshapeObservation"),
        (partial(Own, sees=spaces.Box(-1, 1, (0, 2))), "gymnasium.wrappers.ReshapeObservation"),
        (partial(Own, sees=spaces.Tuple([spaces.Discrete(2)])), "gymnasium.wrappers.FlattenObservation"),
        (partial(Own, sees=spaces.Dict({"a": spaces.Discrete(2)})), "gymnasium.wrappers.FlattenObservation"),
        (partial(Own, sees=spaces.Graph(spaces.Discrete(2), None)), "Own: a student cannot see Graph"),
        (partial(Own, sees="all"), "Own has no observation_space, but 'all'"),
        (partial(Own, acts=spaces.Box(-1, 1, (2,))), "Own: its actions are Box(-1.0, 1.0, (2,), float32)"),
        (partial(Own, sees=spaces.Discrete(3, start=5), observation=2), "let it be one of Discrete(3, start=5)"),
    ],
)
def test_what_is_no_task_is_refused_in_one_line(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(WeanError) as caught:
        play(make)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- spaces that do not start at 0 ----------------------------------------------------------------------------------


class Signed(gym.Env[int, int]):
    """States 5 to 9; the actions -1, 0 and 1 move. 9 is the end."""

    observation_space, action_space = spaces.Discrete(5, start=5), spaces.Discrete(3, start=-1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.at, self.taken = 6, list[int]()
        return self.at, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.taken.append(action)
        self.at = min(9, max(5, self.at + action))
        return self.at, float(self.at == 9), self.at == 9, len(self.taken) == 20, {"is_success": self.at == 9}

    def best_actions(self) -> list[int]:
        return [1]


def signed_words(env: gym.Env[Any, Any]) -> Situation:
    return Situation("Reach 9.", f"You are at {env.unwrapped.at}.", ("go back", "stay", "go on"))  # type: ignore[attr-defined]


def signed() -> gym.Env[Any, Any]:
    return wean.describe(Signed(), signed_words)


def test_actions_are_places_inside_and_the_environments_own_numbers_outside() -> None:
    task = signed()
    wean.check_task(task)
    task.reset(seed=0)
    assert task.get_wrapper_attr("first_action")(["go on"]) == 1
    tasks = SerialTasks([signed])
    tasks.reset([0], [0])
    assert tasks.first_actions([0], [[("go back",), ("stay",), ("go on",), ("fly",)]]) == [[0, 1, 2, None]]
    assert tasks.best_actions([0]) == [[2]]
    assert [int(tasks.step([0], [place]).observations[0]) for place in (2, 0, 1, 2)] == [7, 6, 6, 7]
    assert wean.evaluate("expert", signed, episodes=3).lengths.mean == 3


def test_a_student_of_numbers_that_start_elsewhere_learns_acts_and_is_loaded(tmp_path: Path) -> None:
    run = wean.train(
        "ppo", signed, total_timesteps=2048, out=tmp_path / "run", seed=1, num_envs=8,
        **{"evaluation.episodes": 5, "evaluation.curve_episodes": 2},
    )  # fmt: skip
    assert wean.evaluate(wean.load(run.folder), signed, episodes=20).success.mean == 1  # type: ignore[union-attr]
    policy, env = wean.load(run.folder), signed()
    observation, _ = env.reset(seed=3)
    policy.reset(3)
    for _ in range(20):
        observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
        if terminated or truncated:
            break
    assert reward == 1


def test_the_first_numbers_are_saved_with_a_student(tmp_path: Path) -> None:
    save_student(make_student(Signed.observation_space, Signed.action_space), tmp_path)
    assert load_student(tmp_path).config["first_action"] == -1


@pytest.mark.parametrize(
    ("sees", "shown"),
    [
        (spaces.Discrete(4), np.array([4])),
        (spaces.Discrete(4, start=5), np.array([0])),
        (spaces.Box(-1, 1, (3,)), np.zeros((1, 4), np.float32)),
        (spaces.Box(0, 255, (6, 6, 4), np.uint8), np.zeros((1, 7, 7, 4), np.uint8)),
        (spaces.Box(0, 255, (6, 6, 4), np.uint8), np.zeros((1, 5, 5, 4), np.uint8)),
    ],
)
def test_a_student_refuses_what_it_was_not_made_for(sees: Any, shown: Any) -> None:
    student = make_student(sees, spaces.Discrete(2), observation="map" if sees.dtype == np.uint8 else "array")
    with pytest.raises(UsageError, match="let it play its own task"):
        student.probabilities(shown, student.first_state(1), np.ones(1, bool))


# --- success and words ----------------------------------------------------------------------------------------------


def cart_words(env: gym.Env[Any, Any]) -> Situation:
    return Situation("Keep the pole upright.", "It leans.", ("push left", "push right"))


def test_a_wrapped_environment_keeps_its_threshold_of_success() -> None:
    def make() -> gym.Env[Any, Any]:
        return wean.describe(gym.make("CartPole-v1"), cart_words)

    gym.register("own/Cart-v0", make)
    try:
        for maker in (make, partial(wean.make, "own/Cart-v0")):
            assert SerialTasks([maker]).reward_threshold == 475
            scores = wean.evaluate("random", maker, episodes=3)
            assert scores.success is not None
            assert scores.success.mean == 0
    finally:
        del gym.registry["own/Cart-v0"]


def test_a_task_without_an_end_is_refused_or_capped() -> None:
    with pytest.raises(
        UsageError, match=r"an episode of CliffWalking-v1 has not ended after 10,000 steps; .*--max-steps"
    ):
        wean.evaluate("random", "CliffWalking-v1", episodes=1)
    scores = wean.evaluate("random", "CliffWalking-v1", episodes=3, max_steps=20)
    assert scores.lengths.high <= 20
    assert scores.as_dict()["max_moves"] == 20


def test_without_a_threshold_no_success_is_claimed() -> None:
    assert wean.evaluate("random", Own, episodes=3).success is None


def test_a_description_that_fails_or_gives_something_else_is_named() -> None:
    def lost(env: gym.Env[Any, Any]) -> Situation:
        raise KeyError("where")

    def silent(env: gym.Env[Any, Any]) -> Any:
        return None

    for words, told in (
        (lost, r"lost\(\) fails to describe Own \(KeyError: 'where'\)"),
        (silent, r"silent\(\) describes Own"),
    ):
        tasks = SerialTasks([lambda words=words: wean.describe(Own(), words)])
        tasks.reset([0], [0])
        with pytest.raises(WeanError, match=told):
            tasks.situations([0])


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("situation", None, "situation() gives None"),
        ("first_action", float("inf"), "an action of its own is inf"),
        ("first_action", [[1], [2]], "an action of its own is a list"),
    ],
)
def test_what_a_method_of_its_own_gives_is_checked(name: str, given: Any, said: str) -> None:
    env = Corridor()
    setattr(env, name, lambda *_: given)
    tasks = SerialTasks([lambda: env])
    tasks.reset([0], [0])
    with pytest.raises(WeanError) as raised:
        tasks.situations([0]) if name == "situation" else tasks.first_actions([0], [[("left",)]])
    assert said in str(raised.value)
