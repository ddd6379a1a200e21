"""A student of one's own: checked in one line, and trained like a built-in one."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from small_tasks import Corridor
from wean.agents.policy import StudentPolicy
from wean.algorithms.imitation import Imitation, ImitationConfig
from wean.algorithms.ppo import PPO, PPOConfig
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.students.config import StudentConfig
from wean.students.grid import GridStudent
from wean.students.student import DenseStudent, check_student
from wean.tasks.vector import SerialTasks
from wean.teachers.teacher import Teacher

CELLS, MOVES = gym.spaces.Discrete(5), gym.spaces.Discrete(2)


class Table(nn.Module):
    """A table of logits and values; no subclass of anything of wean's."""

    num_actions, memory_size = 2, 0

    def __init__(self) -> None:
        super().__init__()
        self.logits, self.values = nn.Embedding(5, 2), nn.Embedding(5, 1)

    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.logits(observations), self.values(observations).squeeze(-1), state

    def first_state(self, members: int) -> Tensor:
        return torch.zeros(members, 0)

    @torch.inference_mode()
    def probabilities(self, observations: np.ndarray, state: Tensor, starts: np.ndarray) -> tuple[np.ndarray, Tensor]:
        return self.logits(torch.from_numpy(observations)).double().softmax(-1).numpy(), state


@pytest.mark.parametrize("recurrent", [False, True])
def test_built_in_students_pass(recurrent: bool) -> None:
    config = StudentConfig(hidden=8, recurrent=recurrent)
    check_student(DenseStudent(5, 2, discrete=True, config=config), CELLS, MOVES)
    check_student(DenseStudent(6, 3, config=config), gym.spaces.Box(-1, 1, (2, 3)), gym.spaces.Discrete(3))
    image = gym.spaces.Box(0, 2, (5, 5, 4), np.uint8)
    check_student(GridStudent(5, 5, 7, config), image, gym.spaces.Discrete(7))


def test_a_module_of_ones_own_passes_and_learns() -> None:
    torch.manual_seed(0)
    student = Table()
    check_student(student, CELLS, MOVES)
    config = PPOConfig(total_timesteps=4000, num_envs=8, num_steps=32, learning_rate=0.02)
    PPO(student, SerialTasks([Corridor] * 8), config).learn()  # type: ignore[arg-type]
    played = play_seeds(StudentPolicy(student, "greedy"), SerialTasks([Corridor]), 2, 10_000)  # type: ignore[arg-type]
    assert played.lengths.tolist() == [4, 4]


def test_a_module_of_ones_own_copies_a_teacher() -> None:
    torch.manual_seed(0)
    student = Table()
    teacher = Teacher({f"You are in cell {cell}.": {"right": 1.0} for cell in range(4)})
    config = ImitationConfig(total_timesteps=400, num_envs=4, num_steps=10, rounds=2, updates=100, learning_rate=0.05)
    Imitation(student, SerialTasks([Corridor] * 4), config, teacher).learn()  # type: ignore[arg-type]
    played = play_seeds(StudentPolicy(student, "greedy"), SerialTasks([Corridor]), 2, 10_000)  # type: ignore[arg-type]
    assert played.lengths.tolist() == [4, 4]


class NoMemorySize(Table):
    @property
    def memory_size(self) -> int:  # type: ignore[override]
        raise AttributeError


class ThreeActions(Table):
    num_actions = 3


class WrongValues(Table):
    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.logits(observations), self.values(observations), state


class Detached(Table):
    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, values, state = super().forward(observations, state, starts)
        return logits.detach(), values, state


class ActsOtherwise(Table):
    def probabilities(self, observations: np.ndarray, state: Tensor, starts: np.ndarray) -> tuple[np.ndarray, Tensor]:
        return np.tile([0.9, 0.1], (len(observations), 1)), state


class Fails(Table):
    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (NoMemorySize, "NoMemorySize has no memory_size"),
        (ThreeActions, "ThreeActions.num_actions is 3, the task has 2 actions"),
        (WrongValues, r"WrongValues's values should have shape \(3, 2\), not \(3, 2, 1\)"),
        (Detached, "Detached's logits carry no gradient"),
        (ActsOtherwise, "ActsOtherwise.probabilities differ from the softmax of its logits"),
        (Fails, r"Fails\(observations, state, starts\) fails \(RuntimeError: shapes do not fit\)"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(kind: type[Table], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        check_student(kind(), CELLS, MOVES)
    assert "\n" not in str(caught.value)


def test_a_space_that_is_not_numbered_is_refused() -> None:
    with pytest.raises(UsageError, match="Discrete action space is needed"):
        check_student(Table(), CELLS, gym.spaces.Box(0, 1, (2,)))
