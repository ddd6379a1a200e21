"""Acting greedily without going in circles."""

import numpy as np
import pytest
import torch

from small_tasks import Corridor
from wean.agents.policy import StudentPolicy, policy_of
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.runtime.acting import NoRepeat
from wean.students.action_values import TableValues
from wean.students.config import StudentConfig
from wean.students.student import DenseStudent
from wean.tasks.vector import SerialTasks


def test_in_the_same_sight_the_next_probable_action_is_due() -> None:
    one, other = np.array([[1, 0]], np.uint8), np.array([[0, 1]], np.uint8)
    chances = np.array([0.2, 0.5, 0.3, 0.0])
    acting = NoRepeat()
    assert [acting.choose(one, chances) for _ in range(2)] == [1, 2]
    assert acting.choose(other, chances) == 1
    assert acting.choose(one, chances) == 0
    assert acting.choose(one, chances) == 1, "all that are possible were taken: from the beginning"
    assert NoRepeat().choose(one, chances) == 1, "another episode"


def _turning_back() -> DenseStudent:
    """Walks right from cell 0 and left from cell 1, a little more probably than on."""
    student = DenseStudent(5, 2, discrete=True, config=StudentConfig(hidden=8))
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(student.parameters(), 0.05)
    wanted = torch.tensor([[0.1, 0.9], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]])
    for _ in range(200):
        logits, _, _ = student(torch.arange(5)[None], student.first_state(5), torch.zeros(1, 5))
        loss = -(wanted * logits[0].log_softmax(-1)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student


def test_a_student_that_goes_in_circles_gets_out_of_them() -> None:
    student, tasks = _turning_back(), SerialTasks([Corridor] * 3)
    assert play_seeds(StudentPolicy(student, "greedy"), tasks, 6, 10_000, 1.0).successes.mean() == 0
    played = play_seeds(StudentPolicy(student, "no_repeat"), tasks, 6, 10_000, 1.0)
    assert played.successes.mean() == 1
    assert set(played.lengths.tolist()) == {7}  # 0 1 0; there left, to no avail; both were taken: right, 1 2 3 4
    actor, env = StudentPolicy(student, "no_repeat"), Corridor()
    for _ in range(2):
        actor.reset()
        observation, _ = env.reset()
        steps, ended = 0, False
        while not ended:
            observation, _, terminated, truncated, _ = env.step(actor.act(observation))
            steps, ended = steps + 1, terminated or truncated
        assert (steps, terminated) == (7, True)


def test_a_student_of_values_does_not_act_so() -> None:
    with pytest.raises(UsageError, match="acts greedy or sampled"):
        policy_of(TableValues(4), "no_repeat")
    assert isinstance(policy_of(DenseStudent(5, 2, discrete=True), "no_repeat"), StudentPolicy)
