"""Behaviour cloning and DAgger learn from labels alone."""

import pytest
import torch

from small_tasks import Corridor
from wean.agents.policy import StudentPolicy
from wean.algorithms.imitation import Imitation, ImitationConfig
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.students.config import StudentConfig
from wean.students.student import DenseStudent
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Advice
from wean.teachers.teacher import Teacher


def _teacher() -> Teacher:
    return Teacher(lambda situations: [Advice(((("right",), 1.0),))] * len(situations))


@pytest.mark.parametrize(("rounds", "recurrent"), [(1, False), (4, False), (4, True)])
def test_copies_the_teacher(rounds: int, recurrent: bool) -> None:
    torch.manual_seed(0)
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16, recurrent=recurrent))
    config = ImitationConfig(
        total_timesteps=800, num_envs=4, num_steps=10, rounds=rounds, updates=200, learning_rate=5e-3
    )
    algorithm = Imitation(student, SerialTasks([Corridor] * 4), config, _teacher(), seed=0)
    losses: list[float] = []
    algorithm.learn(lambda update: losses.append(update.metrics["train/teacher_loss"]))
    assert algorithm.done == 800
    assert len(losses) == rounds
    assert losses[-1] < 0.05
    played = play_seeds(StudentPolicy(student, "greedy"), SerialTasks([Corridor] * 5), 20, 10_000, 1.0)
    assert played.successes.all()
    assert played.lengths.max() == 4


def test_first_the_teacher_acts_then_the_student() -> None:
    torch.manual_seed(0)
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=16))
    # Too few gradient steps to learn anything: what is played shows who acts.
    config = ImitationConfig(total_timesteps=400, num_envs=4, num_steps=10, rounds=2, updates=2, learning_rate=1e-6)
    algorithm = Imitation(student, SerialTasks([Corridor] * 4), config, _teacher(), seed=0)
    lengths: list[float] = []
    algorithm.learn(lambda update: lengths.append(update.metrics["rollout/ep_len_mean"]))
    assert lengths[0] == 4.0
    assert lengths[1] > 5.0


def test_needs_a_teacher() -> None:
    with pytest.raises(UsageError, match="imitation needs a teacher"):
        Imitation(DenseStudent(5, 2, discrete=True), SerialTasks([Corridor]), ImitationConfig(), None)
