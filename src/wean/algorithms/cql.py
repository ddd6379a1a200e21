"""Conservative Q-learning from recorded episodes, alone or with a language model's prior over the actions.

Discrete CQL: Kumar et al. 2020 (2006.04779, eq. 4 with the entropy regulariser, "CQL(H)") on double DQN. With a prior
the maximum of the target and the log-sum-exp run over the proposed actions only (CQL-Prior, 2410.07927).
"""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor

from wean.algorithms.algorithm import Given
from wean.algorithms.dqn import Backup, needs_temperature, next_values, td_errors
from wean.algorithms.offline import Offline, OfflineConfig, columns
from wean.data.demonstrations import Demonstrations
from wean.data.replay import Transitions
from wean.students.action_values import ActionValues, tilted
from wean.teachers.priors import Prior


class CQLConfig(OfflineConfig):
    """Settings of CQL, with and without a prior.

    Example:
        >>> CQLConfig(data="kitchen.parquet", gradient_steps=300).cql_coef
        1.0
    """

    gamma: float = Field(0.97, ge=0, le=1)
    """Discount per step."""
    cql_coef: float = Field(1.0, ge=0, le=1e6)
    """Weight of the conservative term."""
    target_network_frequency: int = Field(200, gt=0, le=1_000_000_000)
    """Gradient steps between two copies of the network into its target."""
    temperature: float = Field(0.0, ge=0, le=1e6)
    """T of the posterior in the backups that need one."""
    backup: Backup = "max"
    """Next value: best proposed action, posterior's expectation, or T log sum p exp(Q / T) (LINVIT)."""

    _backup_fits = field_validator("backup")(needs_temperature)


def conservative_term(values: Tensor, actions: Tensor, prior: Tensor) -> Tensor:
    r"""Log sum over b of exp Q(s, b) - Q(s, a), each proposed action b counted by its prior.

    The sum is A' sum over b of p(b) exp Q(s, b), with A' the number of proposed actions: for a uniform p that is the
    plain sum over them. A recorded action that was not proposed is in it, too, counted once. Without it, as in the
    paper's release, the term has no lower bound: it pushes Q(s, a) up and the proposals down for as long as one trains.

    Args:
        values: (B, A) Q.
        actions: (B,) int64 of the data.
        prior: (B, A) p; 0 where there is no action or it is not proposed.

    Returns:
        The mean over the batch.
    """
    taken = actions.unsqueeze(-1)
    weights = prior * (prior > 0).sum(-1, keepdim=True)
    counted = weights.gather(-1, taken)
    weights = weights.scatter(-1, taken, torch.where(counted > 0, counted, 1.0))
    return (torch.logsumexp(tilted(values, weights, 1.0), -1) - values.gather(-1, taken).squeeze(-1)).mean()


class CQL(Offline):
    """Trains a student of action values on recorded steps, with a prior or without; see `Offline`.

    Example:
        >>> from pathlib import Path
        >>> from wean.data.demonstrations import Step, read_demonstrations, write_demonstrations
        >>> from wean.students.action_values import TableValues
        >>> moves = ("wait", "go")
        >>> steps = [Step(0, 0, 0, "at the door", moves, "go", 1.0, True, False, True, "inside", moves, 1)]
        >>> write_demonstrations(Path("door.parquet"), steps, task="Door", goal="Go in.", policy="expert")
        >>> cql = CQL(TableValues(2), read_demonstrations(Path("door.parquet")), CQLConfig(gradient_steps=10))
        >>> cql.learn()
        >>> cql.done
        10
    """

    Config = CQLConfig

    def __init__(
        self,
        student: ActionValues,
        demonstrations: Demonstrations,
        config: CQLConfig,
        prior: Prior | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(student, demonstrations, config, prior, seed, config.gamma)
        self.config = config
        self.target = copy.deepcopy(student.head)

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.demonstrations, given.config, given.guide, given.seed)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        """0.5 TD error squared + cql_coef * conservative term."""
        student, config = self.student, self.config
        if self.done % config.target_network_frequency == 0:
            self.target.load_state_dict(student.head.state_dict())
        actions, rewards, discounts = columns(batch)
        with torch.no_grad():
            online, target = student(batch.following), student(batch.following, self.target)
            prior = student.prior(batch.following)
            following = next_values(online, target, prior, config.backup, config.temperature)
        values = student(batch.moments)
        taken = values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        td = 0.5 * td_errors(taken, rewards, discounts, following).square().mean()
        conservative = conservative_term(values, actions, student.prior(batch.moments))
        parts = {"train/td_loss": float(td.detach()), "train/conservative": float(conservative.detach())}
        return td + config.cql_coef * conservative, parts

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Offline.state`; the target network with it."""
        tensors, values = super().state()
        return tensors | {f"target.{name}": v.clone() for name, v in self.target.state_dict().items()}, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `Offline.restore`."""
        super().restore(tensors, values)
        self.target.load_state_dict({name[7:]: value for name, value in tensors.items() if name.startswith("target.")})
