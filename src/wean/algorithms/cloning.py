"""Behaviour cloning from recorded episodes: the values become logits over the actions that each situation lists."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from wean.algorithms.algorithm import Given
from wean.algorithms.offline import Offline, OfflineConfig, columns
from wean.data.replay import Transitions
from wean.students.action_values import ActionValues


class CloningConfig(OfflineConfig):
    """Settings of offline behaviour cloning."""


def cloning_loss(logits: Tensor, actions: Tensor, listed: Tensor) -> Tensor:
    """Cross-entropy of the recorded actions: mean of - log softmax(logits)[a] over the listed actions.

    Args:
        logits: (B, A).
        actions: (B,) int64 of the data.
        listed: (B, A) bool, which places hold an action.
    """
    log_probs = torch.log_softmax(logits.masked_fill(~listed, -torch.inf), -1)
    return -log_probs.gather(-1, actions.unsqueeze(-1)).mean()


class Cloning(Offline):
    """Trains a student to choose as the recorded steps do; see `Offline`.

    Args:
        student: Trained in place.
        config: Settings.
        seed: Draws the episodes and the minibatches.
    """

    Config = CloningConfig

    def __init__(self, student: ActionValues, config: CloningConfig, seed: int = 0) -> None:
        super().__init__(student, config, None, seed)

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.config, given.seed)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        """See `cloning_loss`."""
        listed = self.student.prior(batch.moments, use=False) > 0
        return cloning_loss(self.student(batch.moments), columns(batch)[0], listed), {}
