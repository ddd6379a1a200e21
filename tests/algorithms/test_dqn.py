"""DQN: targets by hand, a corridor that it must solve, what a prior changes, and runs that do not finish well."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from small_tasks import RIGHT, Corridor
from wean.agents.policy import ValuesPolicy
from wean.algorithms.dqn import DQN, DQNConfig, Exploration, next_values, td_errors
from wean.errors import WeanError
from wean.evaluation.evaluate import play_seeds
from wean.students.action_values import TableValues
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Proposals
from wean.teachers.priors import Prior

ONLINE, TARGET = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[10.0, 5.0, 7.0]])
ALL, TWO = torch.tensor([[1 / 3, 1 / 3, 1 / 3]]), torch.tensor([[0.5, 0.0, 0.5]])
SMALL = DQNConfig(
    total_timesteps=800,
    num_envs=4,
    learning_rate=0.05,
    gamma=0.9,
    learning_starts=40,
    train_frequency=2,
    batch_size=32,
    target_network_frequency=20,
)


def _prior(*weights: float) -> Prior:
    return Prior(lambda new: [Proposals(np.array(weights))] * len(new))


def _trained(config: DQNConfig = SMALL, prior: Prior | None = None, seed: int = 0) -> tuple[DQN, TableValues]:
    student = TableValues(2, rows=8)
    algorithm = DQN(student, SerialTasks([Corridor] * 4), config, prior, seed)
    algorithm.learn()
    return algorithm, student


@pytest.fixture(scope="module")
def plain() -> tuple[DQN, TableValues]:
    """DQN without a prior, seed 0."""
    return _trained()


def test_the_network_that_learns_chooses_and_the_target_values() -> None:
    assert next_values(ONLINE, TARGET, ALL, "max", 0.0).tolist() == [5.0]
    assert next_values(ONLINE, TARGET, TWO, "max", 0.0).tolist() == [7.0]  # the best action is not proposed


def test_the_posterior_backup_by_hand() -> None:
    # T = 1: e^1 and e^2 for the two proposals.
    first = 1 / (1 + math.e)
    by_hand = first * 10 + (1 - first) * 7
    assert next_values(ONLINE, TARGET, TWO, "expectation", 1.0).item() == pytest.approx(by_hand)


def test_the_kl_backup_is_the_regularised_optimum() -> None:
    # T = 2: 2 log(0.5 e^5 + 0.5 e^3.5).
    found = next_values(ONLINE, TARGET, TWO, "kl", 2.0).item()
    assert found == pytest.approx(2 * math.log(0.5 * math.exp(5) + 0.5 * math.exp(3.5)), rel=1e-6)
    # max over pi of E_pi Q' - T KL(pi || p), searched on a grid.
    share = np.linspace(1e-6, 1 - 1e-6, 10_001)
    kl = share * np.log(share / 0.5) + (1 - share) * np.log((1 - share) / 0.5)
    assert found == pytest.approx((share * 10 + (1 - share) * 7 - 2 * kl).max(), abs=1e-4)


def test_td_errors_by_hand() -> None:
    found = td_errors(
        torch.tensor([4.0, 4.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.9, 0.0]), torch.tensor([5.0, 5.0])
    )
    assert found.tolist() == pytest.approx([-1.5, 3.0])


def test_exploration_falls_linearly_and_stays() -> None:
    exploration = Exploration(start=1.0, end=0.2, until=0.5)
    assert [exploration.share(done) for done in (0, 0.25, 0.5, 1)] == pytest.approx([1, 0.6, 0.2, 0.2])


@pytest.mark.parametrize("backup", ["expectation", "kl"])
def test_a_backup_by_the_posterior_needs_a_temperature(backup: str) -> None:
    with pytest.raises(ValidationError, match="needs a temperature above 0"):
        DQNConfig(backup=backup)  # type: ignore[arg-type]
    assert DQNConfig(backup=backup, temperature=0.1).temperature == 0.1  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [False, True])
def test_solves_a_corridor_and_knows_what_it_is_worth(plain: tuple[DQN, TableValues], options: bool) -> None:
    changes = {"n_step": 3, "prioritized": 0.6, "backup": "kl", "temperature": 0.01}
    algorithm, student = _trained(SMALL.model_copy(update=changes)) if options else plain
    assert algorithm.done == 800
    played = play_seeds(ValuesPolicy(student), SerialTasks([Corridor] * 5), 10, 10_000, 1.0)
    assert played.successes.all()
    assert played.lengths.max() == 4
    cells = [student.situations.add(f"You are in cell {cell}.", ("left", "right")) for cell in range(4)]
    right = student(np.array(cells))[:, RIGHT]
    assert right.tolist() == pytest.approx([0.729, 0.81, 0.9, 1.0], abs=0.05)  # gamma^(steps left)


def test_a_prior_acts_at_once_and_rules_out_what_it_does_not_propose() -> None:
    moves: list[int] = []

    class Watched(Corridor):
        def step(self, action: int):  # type: ignore[no-untyped-def]
            moves.append(action)
            return super().step(action)

    student = TableValues(2, rows=8)
    right = DQN(student, SerialTasks([Watched] * 4), SMALL.model_copy(update={"total_timesteps": 80}), _prior(0, 1))
    right.learn()
    assert set(moves) == {RIGHT}
    # It carries the proposals, and so acts on them without the language model.
    assert play_seeds(ValuesPolicy(student), SerialTasks([Corridor]), 2, 10_000).lengths.tolist() == [4, 4]
    _, wrong = _trained(SMALL, _prior(1, 0))
    assert not play_seeds(ValuesPolicy(wrong), SerialTasks([Corridor]), 2, 10_000, 1.0).successes.any()


def test_a_wrong_prior_that_rules_nothing_out_is_overruled() -> None:
    _, student = _trained(SMALL, _prior(0.55, 0.45))
    assert play_seeds(ValuesPolicy(student), SerialTasks([Corridor]), 2, 10_000, 1.0).successes.all()


def test_a_uniform_prior_changes_nothing_and_is_asked_once_about_each_situation(plain: tuple[DQN, TableValues]) -> None:
    asked: list[str] = []

    def ask(new: Sequence[Situation]) -> list[Proposals]:
        asked.extend(situation.text for situation in new)
        return [Proposals(np.array([0.5, 0.5]))] * len(new)

    _, student = _trained(SMALL, Prior(ask))
    assert torch.equal(student.head.weight, plain[1].head.weight)
    # Never about cell 4, where the task has ended.
    assert sorted(asked) == [f"You are in cell {cell}." for cell in range(4)]


def test_the_seed_decides_the_student() -> None:
    short = SMALL.model_copy(update={"total_timesteps": 160})
    one, other, third = (_trained(short, seed=seed)[1].head.weight for seed in (3, 3, 4))
    assert one.abs().sum() > 0
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_a_loss_that_is_no_number_stops_before_it_does_harm() -> None:
    class Broken(Corridor):
        def step(self, action: int):  # type: ignore[no-untyped-def]
            observation, reward, *rest = super().step(action)
            return observation, math.nan if reward else 0.0, *rest

    student = TableValues(2, rows=8)
    algorithm = DQN(student, SerialTasks([Broken] * 4), SMALL)
    with pytest.raises(WeanError, match=r"Broken: its reward is nan in step \d+ after reset") as error:
        algorithm.learn()
    assert "\n" not in str(error.value)
    assert torch.isfinite(student.head.weight).all()
