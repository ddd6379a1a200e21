"""A reward term enters beside the environment's reward, with a weight of its own, and is reported apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from small_tasks import RIGHT, Corridor
from wean.agents.policy import StudentPolicy
from wean.algorithms.algorithm import Update
from wean.algorithms.ppo import PPO, PPOConfig
from wean.algorithms.rollouts import Collector
from wean.algorithms.teacher_loss import Schedule
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.experiment.build import build
from wean.experiment.components import Resources
from wean.experiment.settings import resolve
from wean.students.config import StudentConfig
from wean.students.student import DenseStudent
from wean.tasks.vector import SerialTasks, Steps, Tasks


class QueryStats:
    """Pays 3 for every action left when it is chosen, and 5 for every member that has ended."""

    name = "tally"

    def __init__(self) -> None:
        self.begun: list[list[int]] = []

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        self.begun.append(list(which))

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        return 3.0 * (actions != RIGHT)

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        return 5.0 * (stepped.terminated | stepped.truncated)

    def report(self) -> dict[str, Any]:
        return {"name": self.name}

    def table(self) -> list[dict[str, Any]]:
        return []

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        self.begun.append([-1])


def _student() -> DenseStudent:
    torch.manual_seed(0)
    return DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))


def test_the_terms_rewards_are_kept_apart_from_the_environments() -> None:
    term = QueryStats()
    collector = Collector(_student(), SerialTasks([Corridor] * 3), np.random.default_rng(0), (0, 10), term)
    rollout = collector.collect(40, with_term=True)
    assert set(np.unique(rollout.rewards)) <= {0.0, 1.0}
    assert rollout.term_rewards == pytest.approx(3.0 * (rollout.actions != RIGHT) + 5.0 * rollout.ended)
    assert term.begun[0] == [0, 1, 2]
    again = [member for which in term.begun[1:] for member in which]
    assert sorted(again) == sorted(np.argwhere(rollout.ended)[:, 1].tolist())
    recent = collector.recent()
    assert 0 <= recent["rollout/ep_rew_mean"] <= 1
    assert recent["rollout/ep_term_mean"] >= 5


def test_a_term_that_is_not_at_work_is_not_asked() -> None:
    term = QueryStats()
    collector = Collector(_student(), SerialTasks([Corridor]), np.random.default_rng(0), (0, 10), term)
    assert not collector.collect(20).term_rewards.any()
    assert term.begun == []


def _learn(**settings: Any) -> tuple[float, list[dict[str, float]]]:
    student, updates = _student(), []

    def note(update: Update) -> None:
        updates.append(update.metrics)

    config = PPOConfig(total_timesteps=6000, num_envs=8, num_steps=25, **settings)
    PPO(student, SerialTasks([Corridor] * 8), config, seed=0, term=QueryStats()).learn(note)
    played = play_seeds(StudentPolicy(student, "greedy"), SerialTasks([Corridor] * 10), 20, 10_000, 1.0)
    return float(played.successes.mean()), updates


def test_the_weight_decides_who_is_obeyed() -> None:
    obeyed, updates = _learn(shaping=Schedule(kind="constant", start=1.0))
    assert obeyed == 0.0  # going left pays
    assert updates[-1]["train/shaping_weight"] == 1.0
    assert updates[-1]["rollout/ep_term_mean"] > 20 > 1 > updates[-1]["rollout/ep_rew_mean"]
    assert _learn(shaping=Schedule(kind="constant", start=0.0))[0] == 1.0


def test_a_term_is_not_asked_once_its_weight_is_zero() -> None:
    _, updates = _learn(shaping=Schedule(kind="constant", start=0.05, stop=0.4))
    weights = [metrics["train/shaping_weight"] for metrics in updates]
    assert weights == [0.05] * 12 + [0.0] * 18
    assert updates[-1]["rollout/ep_term_mean"] == 0.0  # over the last hundred episodes


def test_a_resumed_collector_goes_on_with_its_term() -> None:
    whole = Collector(_student(), SerialTasks([Corridor] * 2), np.random.default_rng(0), (0, 10), QueryStats())
    whole.collect(13, with_term=True)
    tensors, values = whole.state()
    term = QueryStats()
    resumed = Collector(_student(), SerialTasks([Corridor] * 2), np.random.default_rng(1), (0, 10), term)
    resumed.restore(tensors, values)
    one, other = whole.collect(30, with_term=True), resumed.collect(30, with_term=True)
    assert (one.term_rewards == other.term_rewards).all()
    assert term.begun[0] == [-1]
    assert whole.recent() == resumed.recent()


@pytest.mark.parametrize(
    ("method", "task", "override", "says"),
    [
        ("ppo", "SimpleDoorKey", "rewards.term=beacons", "ppo asks no language model"),
        ("bc", "SimpleDoorKey", "rewards.term=judge", "bc learns from labels, not from rewards"),
    ],
)
def test_a_term_without_a_use_is_one_clear_line(method: str, task: str, override: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build(resolve(method, task, overrides=[override]))


def test_tasks_without_sub_goals_say_so() -> None:
    overrides = [
        "num_envs=2",
        "num_steps=2",
        "total_timesteps=4",
        "evaluation.episodes=1",
        "evaluation.curve_episodes=1",
    ]
    parts = build(resolve("beacons", "FrozenLake", overrides=overrides), Resources(teacher=lambda situations: {}))
    with pytest.raises(UsageError, match=r"has no sub-goals \(no achieved\(\)\)"):
        parts.algorithm.learn()
    parts.close()


@pytest.mark.parametrize("method", ["beacons", "lmgt", "llm4teach"])
def test_each_task_has_recorded_answers(method: str) -> None:
    models = {task: resolve(method, task).model for task in ("SimpleDoorKey", "KeyCorridorS3R3", "MultiRoomN2S4")}
    rooms = "recorded:minigrid" if method == "lmgt" else "recorded:doorkey"
    assert models == {
        "SimpleDoorKey": rooms,
        "KeyCorridorS3R3": "recorded:minigrid",
        "MultiRoomN2S4": "recorded:minigrid",
    }
