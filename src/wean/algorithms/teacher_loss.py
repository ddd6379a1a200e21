"""The teacher's loss and its weight: one function and one schedule, shared by PPO and imitation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from wean.config import SETTINGS


def teacher_loss(logits: Tensor, teacher: Tensor, advised: Tensor) -> Tensor:
    r"""Cross-entropy of the student against the teacher's action probabilities, where there is advice.

    L = mean over advised steps of - sum_a p(a) log pi(a): LLM4Teach's (2311.13373) and kickstarting's (1803.03835)
    teaching term; the forward KL(p || pi) up to the teacher's own entropy, which the student cannot change.

    Args:
        logits: (B, A) of the student.
        teacher: (B, A) probabilities; rows of zeros where there is no advice.
        advised: (B,) bool.

    Returns:
        A scalar; 0 where nothing was advised.
    """
    cross_entropy = -(teacher * torch.log_softmax(logits, -1)).sum(-1)
    return (cross_entropy * advised).sum() / advised.sum().clamp(min=1)


def kl_to_prior(logits: Tensor, prior: Tensor, advised: Tensor) -> Tensor:
    r"""KL(pi || p) of the student from a prior, where there is one.

    L = mean over advised steps of sum_a pi(a) (log pi(a) - log p(a)): the term of LLM priors (2410.07927, eq. 16),
    in the direction that lets the student leave out what the prior allows, and not the other way round.

    Args:
        logits: (B, A) of the student.
        prior: (B, A) probabilities; rows of zeros where there is no advice. An action of probability 0 counts as one of
            a millionth, since it would cost infinitely much; mix the prior with chance (`prior.epsilon`) instead.
        advised: (B,) bool.

    Returns:
        A scalar; 0 where nothing was advised.
    """
    log_probs = torch.log_softmax(logits, -1)
    divergence = (log_probs.exp() * (log_probs - prior.clamp(min=1e-6).log())).sum(-1)
    return (divergence * advised).sum() / advised.sum().clamp(min=1)


class Schedule(BaseModel):
    """The weight of the teacher's loss over a training run."""

    model_config = SETTINGS

    kind: Literal["linear", "cosine", "exponential", "matching", "constant"] = "linear"
    """Shape: linear, cosine or exponential decay, constant, or matching (falls as the student nears the teacher)."""
    start: float = Field(1.0, ge=0, le=1e6)
    """Weight at the first step."""
    end: float = Field(0.0, ge=0, le=1e6)
    """Weight at `until` and after it; an exponential decay to 0 passes a thousandth of `start` and is cut there."""
    until: float = Field(0.5, gt=0, le=1)
    """Share of the training steps after which the weight has reached `end`."""
    stop: float = Field(1.0, ge=0, le=1)
    """Share of the training steps after which the weight is zero, whatever the shape."""

    def weight(self, progress: float, matched: float = 0.0) -> float:
        """The weight, at least 0, at a share `progress` of the training steps in [0, 1].

        `matched` is the student's success over the teacher's on the seeds for choices, for the shape `matching`.
        """
        if progress >= self.stop and self.stop < 1:
            return 0.0
        if self.kind == "constant":
            return self.start
        if self.kind == "matching":
            return self.end + (self.start - self.end) * min(1.0, max(0.0, 1.0 - matched))
        done = min(1.0, progress / self.until)
        if self.kind == "linear":
            return self.start + (self.end - self.start) * done
        if self.kind == "cosine":
            return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * done))
        # An exponential never reaches 0: it decays to a thousandth of the start and is cut there.
        floor = self.end or self.start / 1000
        return 0.0 if done >= 1 and self.end == 0 else self.start * (floor / self.start) ** done if self.start else 0.0
