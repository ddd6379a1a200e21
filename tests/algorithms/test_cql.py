"""CQL and cloning from a file: terms by hand, a corridor to be learned from bad walks, and what a prior changes."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from small_tasks import Corridor
from wean.agents.policy import ValuesPolicy
from wean.algorithms.cql import CQL, CQLConfig, conservative_term
from wean.algorithms.offline import Cloning, CloningConfig, Offline, cloning_loss
from wean.data.demonstrations import Step, read_demonstrations, write_demonstrations
from wean.errors import WeanError
from wean.evaluation.evaluate import play_seeds
from wean.students.action_values import TableValues
from wean.tasks.vector import SerialTasks
from wean.teachers.elicitation import Proposals
from wean.teachers.priors import Prior

BOTH = ("left", "right")


def _walks(path: Path, episodes: int = 40, chance_right: float = 0.6) -> Path:
    """Walks of a drunkard in the corridor."""
    random, rows = np.random.default_rng(0), []
    for episode in range(episodes):
        task, walk, ended = Corridor(), [], False
        task.reset(seed=episode)
        while not ended:
            before = task.situation().text
            action = int(random.random() < chance_right)
            _, reward, terminated, truncated, _ = task.step(action)
            ended = terminated or truncated
            walk.append((before, BOTH[action], reward, terminated, truncated, task.situation().text))
        success = bool(walk[-1][2] > 0)
        rows += [
            Step(episode, i, episode, text, BOTH, action, reward, over, cut, success, after, BOTH, i + 1)
            for i, (text, action, reward, over, cut, after) in enumerate(walk)
        ]
    write_demonstrations(path, rows, task="Corridor", goal="Walk to the end of the corridor.", policy="random")
    return path


def _cql(file: Path, prior: Prior | None = None, **changes: object) -> CQL:
    settings = {"gradient_steps": 400, "learning_rate": 0.03, "gamma": 0.9, "target_network_frequency": 20}
    return CQL(TableValues(2, rows=8), read_demonstrations(file), CQLConfig(**{**settings, **changes}), prior)  # type: ignore[arg-type]


def _cloning(file: Path, prior: Prior | None = None, **changes: object) -> Cloning:
    settings = {"gradient_steps": 200, "learning_rate": 0.03, **changes}
    return Cloning(TableValues(2, rows=8), read_demonstrations(file), CloningConfig(**settings))  # type: ignore[arg-type]


def _solves(algorithm: Offline) -> bool:
    return bool(play_seeds(ValuesPolicy(algorithm.student), SerialTasks([Corridor]), 2, 10_000).lengths.max() == 4)


def test_the_conservative_term_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0]])
    plain = conservative_term(values, torch.tensor([0]), torch.tensor([[1 / 3, 1 / 3, 1 / 3]]))
    assert plain.item() == pytest.approx(math.log(math.e + math.e**2 + 1) - 1)
    # Over the proposals alone; and over the action of the data, so that the term cannot fall below 0.
    proposed = conservative_term(values, torch.tensor([0]), torch.tensor([[0.5, 0.0, 0.5]]))
    assert proposed.item() == pytest.approx(math.log(math.e + 1) - 1)
    outside = conservative_term(values, torch.tensor([1]), torch.tensor([[0.5, 0.0, 0.5]]))
    assert outside.item() == pytest.approx(math.log(math.e + math.e**2 + 1) - 2)
    # Two proposals, one of them drawn three times of four: 2 (3/4 e + 1/4 e^2).
    weighed = conservative_term(values, torch.tensor([0]), torch.tensor([[0.75, 0.25, 0.0]]))
    assert weighed.item() == pytest.approx(math.log(2 * (0.75 * math.e + 0.25 * math.e**2)) - 1)


def test_the_cloning_loss_leaves_out_places_without_an_action() -> None:
    logits = torch.tensor([[0.0, math.log(3), 50.0], [1.0, 1.0, 1.0]])
    listed = torch.tensor([[True, True, False], [True, True, True]])
    found = cloning_loss(logits, torch.tensor([1, 0]), listed)
    assert found.item() == pytest.approx((-math.log(0.75) - math.log(1 / 3)) / 2)


def test_one_batch_has_the_loss_of_its_parts(tmp_path: Path) -> None:
    algorithm = _cql(_walks(tmp_path / "walks.parquet"), cql_coef=2.0)
    table = torch.tensor([[0.5, 1.0]] * 8)
    algorithm.student.head.load_state_dict({"weight": table})
    algorithm.target.load_state_dict({"weight": table * 3})
    algorithm.done = 1  # not the step at which the target is copied
    moved = np.flatnonzero((algorithm.data.actions == 1) & (algorithm.data.discounts > 0))[:1]
    loss, parts = algorithm.loss(algorithm.data.at(moved))
    # Q(s, right) = 1; the target values the better action at 3: 0.5 (1 - 0.9 * 3)^2 + 2 (log(e^0.5 + e) - 1).
    assert parts["train/td_loss"] == pytest.approx(0.5 * 1.7**2, rel=1e-5)
    assert parts["train/conservative"] == pytest.approx(math.log(math.exp(0.5) + math.e) - 1, rel=1e-5)
    assert loss.item() == pytest.approx(parts["train/td_loss"] + 2 * parts["train/conservative"], rel=1e-5)


def test_cql_learns_the_way_from_a_drunkard(tmp_path: Path) -> None:
    # In cell 2 he went back more often than on: cloning him does not arrive.
    algorithm = _cql(_walks(tmp_path / "walks.parquet"), cql_coef=0.1)
    assert len(algorithm.data.moments) > 150
    algorithm.learn()
    assert algorithm.done == 400
    assert _solves(algorithm)


def test_cloning_does_as_was_done(tmp_path: Path) -> None:
    for chance_right, solved in ((0.8, True), (0.4, False)):
        algorithm = _cloning(_walks(tmp_path / f"{chance_right}.parquet", chance_right=chance_right))
        algorithm.learn()
        assert _solves(algorithm) is solved


def test_the_prior_rules_out_what_it_does_not_propose(tmp_path: Path) -> None:
    file = _walks(tmp_path / "walks.parquet")
    for weights, solved in (((1.0, 0.0), False), ((0.0, 1.0), True)):
        asked = []

        def ask(new, weights=weights, asked=asked):  # type: ignore[no-untyped-def]
            asked.extend(situation.text for situation in new)
            return [Proposals(np.array(weights))] * len(new)

        algorithm = _cql(file, Prior(ask), gradient_steps=20)
        algorithm.learn()
        assert _solves(algorithm) is solved
        # Once for each situation, and never about the end.
        assert sorted(asked) == [f"You are in cell {cell}." for cell in range(4)]


@pytest.mark.parametrize("make", [_cql, _cloning])
def test_a_share_of_the_episodes_drawn_by_the_seed(make: Callable[..., Offline], tmp_path: Path) -> None:
    file = _walks(tmp_path / "walks.parquet")
    few = {"share": 0.1, "gradient_steps": 30}
    whole, tenth, again = make(file), make(file, **few), make(file, **few)
    assert 0 < len(tenth.data.moments) < len(whole.data.moments) / 4
    assert tenth.data.rewards.tolist() == again.data.rewards.tolist()
    for algorithm in (tenth, again):
        algorithm.learn()
    assert torch.equal(*(next(a.student.head.parameters()) for a in (tenth, again)))


def test_a_loss_that_is_no_number_names_the_batch(tmp_path: Path) -> None:
    algorithm = _cql(_walks(tmp_path / "walks.parquet"))
    torch.nn.init.constant_(next(algorithm.student.head.parameters()), float("inf"))
    with pytest.raises(
        WeanError, match=r"the loss became (inf|nan) after 0 gradient steps; train anew with a lower learning_rate"
    ) as error:
        algorithm.learn()
    assert "\n" not in str(error.value)
