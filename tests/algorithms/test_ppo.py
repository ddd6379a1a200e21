"""PPO: its equations by hand, tiny tasks it must solve, and truncation."""

import math

import numpy as np
import pytest
import torch

from small_tasks import Corridor, Recall
from wean.agents.policy import StudentPolicy
from wean.algorithms.ppo import PPO, PPOConfig, gae, ppo_losses
from wean.algorithms.rollouts import Collector
from wean.algorithms.teacher_loss import Schedule
from wean.errors import WeanError
from wean.evaluation.evaluate import play_seeds
from wean.students.config import StudentConfig
from wean.students.student import DenseStudent
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Advice
from wean.teachers.teacher import Teacher


def _met(teacher: Teacher) -> int:
    """In how many moments the teacher was asked."""
    return sum(row["met"] for row in teacher.table())


def test_advantages_by_hand() -> None:
    rewards = np.array([[1.0], [0.0], [2.0]])
    values = np.array([[0.5], [1.0], [0.0]])
    ended = np.array([[False], [True], [False]])
    found = gae(rewards, values, ended, np.array([3.0]), gamma=0.9, gae_lambda=0.8)
    last = 2.0 + 0.9 * 3.0 - 0.0  # bootstrapped from the value after the rollout
    middle = 0.0 - 1.0  # its episode ended: nothing follows
    first = (1.0 + 0.9 * 1.0 - 0.5) + 0.9 * 0.8 * middle
    assert found[:, 0] == pytest.approx([first, middle, last])


def test_losses_by_hand() -> None:
    probabilities = torch.tensor([[0.6, 0.4], [0.1, 0.9]])
    losses = ppo_losses(
        logits=torch.log(probabilities),
        values=torch.tensor([1.0, 2.0]),
        actions=torch.tensor([0, 1]),
        old_log_probs=torch.log(torch.tensor([0.4, 0.9])),
        advantages=torch.tensor([2.0, -1.0]),
        returns=torch.tensor([0.0, 2.5]),
        clip_coef=0.2,
    )
    # The first ratio, 1.5, is clipped to 1.2 since its advantage is positive; the second is 1.
    assert losses.policy.item() == pytest.approx(-(1.2 * 2.0 + 1.0 * -1.0) / 2, rel=1e-5)
    assert losses.value.item() == pytest.approx(0.5 * (1.0 + 0.25) / 2)
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)) / 2
    assert losses.entropy.item() == pytest.approx(entropy, rel=1e-5)
    assert losses.approx_kl.item() == pytest.approx((0.5 - math.log(1.5)) / 2, rel=1e-5)
    assert losses.clip_fraction.item() == pytest.approx(0.5)


def test_a_truncated_episode_is_worth_what_would_have_followed() -> None:
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=8))
    with torch.no_grad():  # a critic that says 7 everywhere, and an actor that always walks left
        for parameter in (*student.critic.parameters(), *student.actor.parameters()):
            parameter.zero_()
        student.critic.bias.fill_(7.0)
        student.actor.bias.copy_(torch.tensor([50.0, -50.0]))
    collector = Collector(student, SerialTasks([Corridor]), np.random.default_rng(0), (0, 10))
    rollout = collector.collect(12)
    assert rollout.ended[:, 0].nonzero()[0].tolist() == [9]
    assert rollout.cut_values[:, 0].tolist() == pytest.approx([0.0] * 9 + [7.0] + [0.0] * 2)
    assert rollout.starts[:, 0].nonzero()[0].tolist() == [0, 10]


def test_the_log_probability_is_that_of_who_acted() -> None:
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=8))
    teacher = Teacher(lambda situations: [Advice(((("right",), 1.0),))] * len(situations))
    collector = Collector(student, SerialTasks([Corridor] * 4), np.random.default_rng(0), (0, 10))
    rollout = collector.collect(50, teacher, teacher_share=0.5)
    right = rollout.actions == 1
    # Half a near-uniform student, half a teacher that always goes right.
    assert np.exp(rollout.log_probs[right]) == pytest.approx(0.75, abs=0.05)
    assert np.exp(rollout.log_probs[~right]) == pytest.approx(0.25, abs=0.05)
    assert right.mean() == pytest.approx(0.75, abs=0.1)


def _success(student: DenseStudent, make: type, episodes: int = 50) -> float:
    tasks = SerialTasks([make] * 10)
    return float(play_seeds(StudentPolicy(student, "greedy"), tasks, episodes, 10_000, 1.0).successes.mean())


def test_solves_the_corridor_without_a_teacher() -> None:
    torch.manual_seed(0)
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))
    config = PPOConfig(total_timesteps=6000, num_envs=8, num_steps=32)
    PPO(student, SerialTasks([Corridor] * 8), config, seed=0).learn()
    assert _success(student, Corridor) == 1.0


@pytest.mark.parametrize("recurrent", [True, False])
def test_only_a_student_with_a_memory_solves_recall(recurrent: bool) -> None:
    torch.manual_seed(0)
    student = DenseStudent(1, 2, config=StudentConfig(hidden=16, recurrent=recurrent))
    config = PPOConfig(total_timesteps=16_000, num_envs=16, num_steps=24, learning_rate=3e-3)
    PPO(student, SerialTasks([Recall] * 16), config, seed=0).learn()
    success = _success(student, Recall, 100)
    assert success > 0.95 if recurrent else success < 0.7


def test_a_teacher_is_followed_while_its_weight_lasts_and_not_asked_after() -> None:
    torch.manual_seed(0)
    asked = []

    def ask(situations: list[object]) -> list[Advice]:
        asked.extend(situations)
        return [Advice(((("left",), 1.0),))] * len(situations)  # a bad teacher

    teacher = Teacher(ask)  # type: ignore[arg-type]
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))
    schedule = Schedule(kind="constant", start=20.0, stop=0.5)
    config = PPOConfig(total_timesteps=4000, num_envs=8, num_steps=25, teacher=schedule)
    algorithm = PPO(student, SerialTasks([Corridor] * 8), config, teacher, seed=0)
    weights, met = [], []
    algorithm.learn(lambda update: (weights.append(update.metrics["train/teacher_weight"]), met.append(_met(teacher))))  # type: ignore[func-returns-value]
    assert weights == [20.0] * 10 + [0.0] * 10
    assert met[9] == met[-1] == 2000
    assert len(asked) == len({s.key for s in asked}) <= 5  # type: ignore[attr-defined]


def test_a_teacher_plays_its_share_even_without_a_weight() -> None:
    torch.manual_seed(0)
    teacher = Teacher(lambda situations: [Advice(((("right",), 1.0),))] * len(situations))
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))
    with torch.no_grad():
        student.actor.bias.copy_(torch.tensor([9.0, 0.0]))  # would go left
    config = PPOConfig(
        total_timesteps=4000,
        num_envs=8,
        num_steps=25,
        teacher=Schedule(start=0.0),
        teacher_share=Schedule(kind="constant", start=1.0, stop=0.5),
    )
    algorithm = PPO(student, SerialTasks([Corridor] * 8), config, teacher, seed=0)
    rows: list[dict[str, float]] = []
    algorithm.learn(lambda update: rows.append(update.metrics))
    assert [row.get("train/teacher_share") for row in rows] == [1.0] * 10 + [None] * 10
    assert rows[0]["rollout/ep_rew_mean"] == 1.0
    assert rows[0]["rollout/ep_len_mean"] == 4.0
    assert _met(teacher) == 2000


def test_a_loss_that_is_no_number_stops_with_one_line() -> None:
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=8))
    config = PPOConfig(total_timesteps=1000, num_envs=2, num_steps=8)
    algorithm = PPO(student, SerialTasks([Corridor] * 2), config, seed=0)
    with torch.no_grad():
        student.critic.bias.fill_(float("nan"))
    with pytest.raises(WeanError, match=r"^the loss became nan after 16 environment steps; train anew with .*$"):
        algorithm.learn()


def test_the_same_seed_gives_the_same_numbers() -> None:
    def run(seed: int) -> list[dict[str, float]]:
        torch.manual_seed(seed)
        student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))
        rows: list[dict[str, float]] = []
        config = PPOConfig(total_timesteps=1024, num_envs=4, num_steps=32)
        PPO(student, SerialTasks([Corridor] * 4), config, seed=seed).learn(lambda update: rows.append(update.metrics))
        return rows

    assert run(3) == run(3)
    assert run(3) != run(4)
