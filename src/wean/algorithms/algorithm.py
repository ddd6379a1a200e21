"""What learning rules share: their contract, a record of time and episodes, and one gradient step with its checks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.algorithms.rewards import RewardTerm
from wean.errors import WeanError

Unit = Literal["env_steps", "gradient_steps", "tokens"]
"""What progress is counted in: steps of the environment (all members counted), gradient steps, or tokens read."""


class Update(NamedTuple):
    """What one update reports: progress so far in the algorithm's unit, and measured values by name.

    Example:
        >>> Update(1_024, {"losses/value_loss": 0.1}).done
        1024
    """

    done: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Needs:
    """What a learning rule wants of the run around it.

    Attributes:
        values: Its student values actions; otherwise it is a policy network.
        demonstrations: Whether it learns from the file of demonstrations that its setting `data` names.
        rewards: Whether it has a use for rewards beside the environment's.
        view: Shows the tasks to its student in its own way, given (config, tasks, teacher, whether it learns); such a
            student needs its teacher when it acts, too. None shows them as they are.
    """

    values: bool = False
    demonstrations: bool = False
    rewards: bool = False
    view: Callable[[Any, Any, Any, bool], Any] | None = None


@dataclass(frozen=True)
class Given:
    """The parts of a run of which a learning rule is made.

    Attributes:
        config: Its settings, of its own class `Config`.
        student: What it trains, in place.
        tasks: Where it plays, `config.num_envs` of them.
        guide: The teacher or the prior, if there is one.
        demonstrations: What it learns from, if it needs any.
        term: What rewards beside the environment, if anything.
        seed: Seeds all that it draws.
    """

    config: Any
    student: Any
    tasks: Any
    guide: Any = None
    demonstrations: Any = None
    term: RewardTerm | None = None
    seed: int = 0


class Algorithm(Protocol):
    """A learning rule at work on a student, which it trains in place.

    A learning rule of one's own subclasses this and gives `Config`, `unit`, `done`, `total` and `learn`; the rest has
    defaults. docs/your-own-algorithm.md has one.

    Example:
        >>> class Nothing(Algorithm):
        ...     unit, done, total = "gradient_steps", 0, 0
        ...
        ...     def learn(self, on_update=None):
        ...         "Learns nothing."
        >>> Nothing().matching
        False

    Attributes:
        Config: The class of its settings. They have `num_envs`, and `guidance`: "advice" for a teacher's plans,
            "prior" for a prior over the actions.
        needs: What it wants of the run.
        matched: The student's success over the teacher's on the seeds for choices; set by the run, read by schedules.
    """

    Config: ClassVar[type[Any]]
    needs: ClassVar[Needs] = Needs()
    matched: float = 0.0

    @property
    def unit(self) -> Unit:
        """What `done` and `total` count."""

    @property
    def done(self) -> int:
        """Progress so far."""

    @property
    def total(self) -> int:
        """Progress at which learning ends."""

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains to the end; calls `on_update` after every update."""

    @classmethod
    def make(cls, given: Given) -> Algorithm:
        """Makes it from the parts of a run."""
        make: Callable[..., Algorithm] = cls
        return make(given.student, given.tasks, given.config, given.guide, given.seed)

    @property
    def matching(self) -> bool:
        """Whether a schedule reads `matched`."""
        return False

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return {}

    @property
    def teacher_weight(self) -> float:
        """The current weight of the teacher's guidance."""
        return 0.0

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""
        return {}, {}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""


class Stopwatch:
    """Seconds spent so far, by activity."""

    def __init__(self, *activities: str) -> None:
        self.seconds = dict.fromkeys(activities, 0.0)

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """Adds the time that its block takes."""
        started = time.perf_counter()
        yield
        self.seconds[activity] += time.perf_counter() - started


class EpisodeLog:
    """Returns and lengths of the running episodes of N members, and of the last hundred that ended."""

    def __init__(self, members: int) -> None:
        self._totals = np.zeros((3, members))  # returns, lengths, returns of a reward term
        self._finished: deque[list[float]] = deque(maxlen=100)

    def add(
        self, rewards: NDArray[np.float64], ended: NDArray[np.bool_], term_rewards: NDArray[np.float64] | None = None
    ) -> list[int]:
        """Adds one step of every member, (N,) each; returns the members whose episode ended."""
        self._totals[0] += rewards
        self._totals[1] += 1
        if term_rewards is not None:
            self._totals[2] += term_rewards
        over: list[int] = np.flatnonzero(ended).tolist()
        self._finished.extend(self._totals[:, over].T.tolist())
        self._totals[:, over] = 0
        return over

    def recent(self, with_term: bool = False) -> dict[str, float]:
        """Mean return and length of the last hundred episodes, `with_term` also the mean return of the reward term."""
        names = ["rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/ep_term_mean"][: 3 if with_term else 2]
        columns = zip(*self._finished, strict=True)
        return {name: float(np.mean(column)) for name, column in zip(names, columns, strict=False)}

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""
        return {"totals": self._totals.tolist(), "finished": list(self._finished)}

    def restore(self, values: dict[str, Any]) -> None:
        """Continues from `state`."""
        self._totals = np.array(values["totals"])
        self._finished.extend(values["finished"])


def adam(student: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam over all of a student's parameters; fused, since its step was a third of the learning time otherwise."""
    return torch.optim.Adam(student.parameters(), lr=learning_rate, eps=1e-5, fused=True)


def anneal(optimizer: torch.optim.Optimizer, learning_rate: float, done: float) -> None:
    """Sets the step size that is left after a share `done` of a run: it falls from `learning_rate` linearly to 0."""
    for group in optimizer.param_groups:
        group["lr"] = (1 - done) * learning_rate


def take_step(
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    max_grad_norm: float,
    done: int,
    unit: Unit = "gradient_steps",
) -> None:
    """Steps down the gradient of a scalar loss, scaled to the norm `max_grad_norm` at most.

    Raises:
        WeanError: If the loss or its gradient is not a number; nothing is changed then, the message has the progress.
    """
    if not torch.isfinite(loss):
        raise _not_a_number(f"loss became {float(loss.detach())}", done, unit)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    if not torch.isfinite(norm):
        raise _not_a_number(f"gradient became {float(norm)}", done, unit)
    optimizer.step()


def _not_a_number(what: str, done: int, unit: Unit) -> WeanError:
    counted = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "tokens": "tokens"}[unit]
    return WeanError(f"the {what} after {done:,} {counted}; train anew with a lower learning_rate and another --out")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments and step counts, by `optimizer.<parameter number>.<name>`."""
    return {
        f"optimizer.{index}.{name}": value.clone()
        for index, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
