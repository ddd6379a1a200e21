"""The contract of every learning rule: it learns, reports its progress, and can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor

from wean.algorithms.rewards import RewardTerm

Unit = Literal["env_steps", "gradient_steps", "tokens"]
"""What progress is counted in: steps of the environment (all members counted), gradient steps, or tokens read."""


class Update(NamedTuple):
    """What one update reports.

    Attributes:
        done: Progress so far, in the algorithm's unit.
        metrics: Measured values by name.
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

    Attributes:
        Config: The class of its settings. They have `num_envs`, and `guidance`: "advice" for a teacher's plans,
            "prior" for a prior over the actions.
        needs: What it wants of the run.
        matched: The student's success over the teacher's on the seeds for choices; set by the run, read by schedules.
    """

    Config: ClassVar[type[Any]]
    needs: ClassVar[Needs]
    matched: float

    @classmethod
    def make(cls, given: Given) -> Algorithm:
        """Makes it from the parts of a run."""

    @property
    def matching(self) -> bool:
        """Whether a schedule reads `matched`."""

    @property
    def unit(self) -> Unit:
        """What `done` and `total` count."""

    @property
    def done(self) -> int:
        """Progress so far, in `unit`."""

    @property
    def total(self) -> int:
        """Progress at which learning ends, in `unit`."""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""

    @property
    def teacher_weight(self) -> float:
        """The current weight of the teacher's guidance."""

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains to the end; calls `on_update` after every update."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
