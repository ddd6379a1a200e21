"""The one place where rewards that teach enter: a reward term beside the environment's, reported apart.

A term sees the tasks before and after each step and says a number for each member. The rollout keeps these numbers
apart from the environment's rewards; the algorithm adds them with a weight that follows a schedule, and every figure of
success and return is the environment's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from wean.tasks.vector import Steps, Tasks


class RewardConfig(BaseModel):
    """Rewards that teach, beside the environment's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    term: Literal["none", "beacons", "judge"] = "none"
    """Nothing; the sub-goals of the teacher's plans as they are reached; or a judge's rating of each action."""


class RewardTerm(Protocol):
    """A reward beside the environment's; see `wean.teachers.action_rating` and `wean.teachers.subgoal_reward`.

    Attributes:
        name: What reports call it.
    """

    name: str

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Episodes of the named members begin; their tasks have just been reset."""

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rewards (N,) for the actions (N,) that all members are about to take, or zeros."""

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        """Rewards (N,) for where the step of all members has led, or zeros; ended members are not reset yet."""

    def report(self) -> dict[str, Any]:
        """What a run's summary says of it."""

    def table(self) -> list[dict[str, Any]]:
        """What it was told of each situation, for people to read; empty where the teacher's own table says it."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        """Continues from `state`; the tasks stand where they stood."""
