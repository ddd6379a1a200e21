"""Learning from recorded episodes alone: the loop that CQL and offline behaviour cloning share, and the latter's loss.

Offline behaviour cloning: the values become logits over the actions that each situation lists, and are fitted to the
recorded actions (Pomerleau 1991).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from wean.algorithms.algorithm import (
    Given,
    Needs,
    Stopwatch,
    Unit,
    Update,
    adam,
    anneal,
    load_optimizer_tensors,
    optimizer_tensors,
    take_step,
)
from wean.config import SETTINGS
from wean.data.demonstrations import Demonstrations
from wean.data.replay import Transitions
from wean.students.action_values import ActionValues
from wean.tasks.situation import Situation
from wean.teachers.priors import Prior

_UPDATES = 1000  # calls of `on_update` in a run


class OfflineConfig(BaseModel):
    """What every method that learns from a file has in common."""

    model_config = SETTINGS

    data: str = ""
    """The file of demonstrations; `wean demos TASK` writes one."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of its episodes, drawn by the run's seed, that are learned from."""
    gradient_steps: int = Field(10_000, gt=0)
    """Gradient steps to train for; nothing is played."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size at the start."""
    anneal_lr: bool = True
    """Let the step size fall to zero linearly: a greedy student flips between all and nothing otherwise."""
    batch_size: int = Field(64, gt=0, le=1_000_000)
    """Transitions in a gradient step."""
    max_grad_norm: float = Field(10.0, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""

    guidance: ClassVar = "prior"
    num_envs: ClassVar[int] = 1
    """One task, whose spaces the student fits; it is never stepped."""


class CloningConfig(OfflineConfig):
    """Settings of offline behaviour cloning."""


class Offline:
    """Trains a student of action values on recorded steps; a subclass gives the loss.

    Args:
        student: Trained in place.
        demonstrations: The recorded episodes; `config.share` of them are learned from.
        config: Settings.
        prior: Proposes actions; None proposes all of them alike.
        seed: Draws the episodes and the minibatches.
        gamma: Discount per step.
    """

    needs = Needs(values=True, demonstrations=True)
    matching = False
    unit: Unit = "gradient_steps"

    def __init__(
        self,
        student: ActionValues,
        demonstrations: Demonstrations,
        config: OfflineConfig,
        prior: Prior | None,
        seed: int,
        gamma: float = 1.0,
    ) -> None:
        self.student, self.prior, self._config = student, prior, config
        self.matched = 0.0
        self.done = 0
        self.clock = Stopwatch("learning", "teacher")
        self.random = np.random.default_rng(seed)
        if config.share < 1:
            demonstrations = demonstrations.subset(seed, share=config.share)
        self.data = self._transitions(demonstrations, gamma)
        student.settle()
        self.optimizer = adam(student.head, config.learning_rate)

    @property
    def total(self) -> int:
        """Gradient steps to train for."""
        return self._config.gradient_steps

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return self.clock.seconds

    @property
    def teacher_weight(self) -> float:
        """1 with a prior, which never fades; 0 without."""
        return float(self.prior is not None)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and its parts by name."""
        raise NotImplementedError(f"{type(self).__name__} must implement loss()")

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Takes `gradient_steps` gradient steps; calls `on_update` a thousand times on the way.

        Raises:
            WeanError: If a loss is no longer a number.
        """
        config = self._config
        every = max(self.total // _UPDATES, 1)
        while self.done < self.total:
            with self.clock("learning"):
                rows = self.random.integers(len(self.data.moments), size=config.batch_size)
                loss, parts = self.loss(self.data.at(rows))
                if config.anneal_lr:
                    anneal(self.optimizer, config.learning_rate, self.done / self.total)
                take_step(self.optimizer, loss, config.max_grad_norm, self.done, self.unit)
            self.done += 1
            if on_update is not None and self.done % every == 0:
                on_update(Update(self.done, {"train/loss": float(loss.detach()), **parts}))
        self.student.detach_prior()

    def _transitions(self, steps: Demonstrations, gamma: float) -> Transitions:
        """The steps as transitions between numbered situations; asks the prior about all of them."""
        if self.prior is not None:
            self.student.attach_prior(self.prior.weights)
        before = list(zip(steps.text, steps.choices, strict=True))
        after = list(zip(steps.next_text, steps.next_choices, strict=True))
        # The situation after the end of the task does not count: the prior is not asked about it.
        after = [was if over else then for was, then, over in zip(before, after, steps.terminated, strict=True)]
        situations = [Situation(steps.goal, text, choices, (text, choices)) for text, choices in (*before, *after)]
        with self.clock("teacher"):
            numbers = self.student.meet(situations)
            if self.prior is not None:
                self.prior.count(situations[: len(steps)])
        return Transitions(
            numbers[: len(steps)],
            steps.number,
            steps.reward.astype(np.float32),
            np.where(steps.terminated, 0.0, gamma).astype(np.float32),
            numbers[len(steps) :],
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student and the file."""
        values = {"random": self.random.bit_generator.state, "updates": self.done, "seconds": self.clock.seconds}
        return optimizer_tensors(self.optimizer), values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        load_optimizer_tensors(self.optimizer, tensors)
        self.random.bit_generator.state = values["random"]
        self.done, self.clock.seconds = values["updates"], dict(values["seconds"])


def columns(batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
    """Actions, rewards and discounts of a batch as tensors."""
    return torch.from_numpy(batch.actions), torch.from_numpy(batch.rewards), torch.from_numpy(batch.discounts)


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
    """Trains a student to choose as the recorded steps do; see `Offline`."""

    Config = CloningConfig

    def __init__(
        self, student: ActionValues, demonstrations: Demonstrations, config: CloningConfig, seed: int = 0
    ) -> None:
        super().__init__(student, demonstrations, config, None, seed)

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.demonstrations, given.config, given.seed)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        """See `cloning_loss`."""
        listed = self.student.prior(batch.moments, use=False) > 0
        return cloning_loss(self.student(batch.moments), columns(batch)[0], listed), {}
