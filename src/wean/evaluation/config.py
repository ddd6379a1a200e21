"""The settings of a run's evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from wean.config import SETTINGS
from wean.students.config import Acting


class EvaluationConfig(BaseModel):
    """How the student is evaluated, during training and after it."""

    model_config = SETTINGS

    acting: Acting = "sampled"
    """How the shipped student acts: draws, takes the most probable action, or that without going in circles."""
    curve_points: int = Field(20, ge=0, le=10_000)
    """Evaluations along the run (and checkpoints, which are taken then)."""
    curve_spacing: Literal["linear", "geometric"] = "linear"
    """Evenly, or ever farther apart from a two-hundredth of the run on: shows what learns fast."""
    curve_episodes: int = Field(100, gt=0, le=1_000_000)
    """Episodes in each of them, at most `episodes`, on seeds from 5000: never those of the final figures."""
    episodes: int = Field(500, gt=0, le=1_000_000)
    """Held-out episodes of the final figures, on seeds from 10000."""
    recorded_episodes: int = Field(3, ge=0, le=1_000)
    """How many of them the report shows step by step."""

    @property
    def episodes_on_the_way(self) -> int:
        """Episodes in each evaluation along the run."""
        return min(self.curve_episodes, self.episodes)
