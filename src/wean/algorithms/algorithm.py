"""What a run needs of any learning rule: it learns, says where it stands, and can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor

from wean.algorithms.rewards import RewardTerm

Unit = Literal["env_steps", "gradient_steps", "tokens"]
"""What a learning rule counts its progress in."""


class Update(NamedTuple):
    """What one update reports: units done so far, and metrics by name."""

    done: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Needs:
    """What a learning rule wants of the run around it.

    Attributes:
        values: Its student values actions; otherwise it is a policy network.
        rewards: Whether it has a use for rewards beside the environment's.
        view: Shows the tasks to its student in its own way, given (config, tasks, teacher, whether it learns); such a
            student needs its teacher when it acts, too. None shows them as they are.
    """

    values: bool = False
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
        term: What rewards beside the environment, if anything.
        seed: Seeds all that it draws.
    """

    config: Any
    student: Any
    tasks: Any
    guide: Any = None
    term: RewardTerm | None = None
    seed: int = 0


class Algorithm(Protocol):
    """A learning rule at work on a student, which it trains in place.

    Attributes:
        Config: The class of its settings. They have `num_envs`, and `guidance`: "advice" for a teacher's plans,
            "prior" for a prior over the actions.
        needs: What it wants of the run.
        unit: What `done` and `total` count.
        matched: The student's success over the teacher's on the seeds for choices; set by the run, read by schedules.
    """

    Config: ClassVar[type[Any]]
    needs: ClassVar[Needs]
    unit: ClassVar[Unit]
    matched: float

    @classmethod
    def make(cls, given: Given) -> Algorithm:
        """Makes it from the parts of a run."""

    @property
    def done(self) -> int:
        """Units so far."""

    @property
    def total(self) -> int:
        """Units of the whole run."""

    @property
    def seconds(self) -> dict[str, float]:
        """Where the time went."""

    @property
    def teacher_weight(self) -> float:
        """The weight of the teacher's guidance now."""

    @property
    def matching(self) -> bool:
        """Whether a schedule reads `matched`."""

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains to the end; calls `on_update` after every update."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
