"""What a run needs of any learning rule: it learns, says where it stands, and can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Update(NamedTuple):
    """What one update reports: environment steps so far, and metrics by name."""

    env_steps: int
    metrics: dict[str, float]


class Algorithm(Protocol):
    """A learning rule at work on a student, which it trains in place.

    Attributes:
        matched: The student's success over the teacher's on the seeds for choices; set by the run, read by schedules.
    """

    matched: float

    @property
    def env_steps(self) -> int:
        """Environment steps so far, all members counted."""

    @property
    def seconds(self) -> dict[str, float]:
        """Where the time went."""

    @property
    def teacher_weight(self) -> float:
        """The weight of the teacher's guidance now."""

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains to the end; calls `on_update` after every update."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
