"""The contract of every learning rule: it learns, reports its progress, and can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

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


class Algorithm(Protocol):
    """A learning rule at work on a student, which it trains in place.

    Attributes:
        matched: The student's success over the teacher's on the seeds for choices; set by the run, read by schedules.
    """

    matched: float

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
