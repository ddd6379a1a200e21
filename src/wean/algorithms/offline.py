"""Learning from a file of demonstrations alone: the loop that CQL and offline behaviour cloning share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from wean.algorithms.algorithm import Needs, Unit, Update
from wean.algorithms.optimization import adam, anneal, load_optimizer_tensors, optimizer_tensors, take_step
from wean.data.demonstrations import Demonstrations, read_demonstrations
from wean.data.replay import Transitions
from wean.errors import UsageError
from wean.students.action_values import ActionValues
from wean.tasks.situation import Situation
from wean.teachers.priors import Prior

_UPDATES = 1000  # calls of `on_update` in a run


class OfflineConfig(BaseModel):
    """What every method that learns from a file has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = ""
    """The file of demonstrations; `wean demos TASK` writes one."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of its episodes, drawn by the run's seed, that are learned from."""
    gradient_steps: int = Field(10_000, gt=0)
    """Gradient steps to train for; nothing is played."""
    guidance: ClassVar = "prior"
    num_envs: ClassVar = 1
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size at the start."""
    anneal_lr: bool = True
    """Let the step size fall to zero linearly: a greedy student flips between all and nothing otherwise."""
    batch_size: int = Field(64, gt=0)
    """Transitions in a gradient step."""
    max_grad_norm: float = Field(10.0, gt=0)
    """Gradients are scaled down to this norm."""


class Offline:
    """Trains a student of action values on recorded steps; a subclass says with which loss.

    Args:
        student: Trained in place.
        config: Settings.
        prior: Proposes actions; None leaves all of them alike.
        seed: Draws the episodes and the minibatches.
        gamma: Discount per step.

    Raises:
        UsageError: If no file is named, or it holds no demonstrations.
    """

    needs = Needs(values=True)
    unit: ClassVar[Unit] = "gradient_steps"

    def __init__(
        self, student: ActionValues, config: OfflineConfig, prior: Prior | None, seed: int, gamma: float = 1.0
    ) -> None:
        if not config.data:
            raise UsageError(
                "no demonstrations to learn from; write some with `wean demos` and name them with data=FILE"
            )
        self.student, self.prior, self._config = student, prior, config
        self.matched = 0.0
        self.done = 0
        self.seconds = {"learning": 0.0, "teacher": 0.0}
        self.random = np.random.default_rng(seed)
        demonstrations = read_demonstrations(Path(config.data))
        if config.share < 1:
            demonstrations = demonstrations.subset(seed, share=config.share)
        self.data = self._numbered(demonstrations, gamma)
        student.settle()
        self.optimizer = adam(student.head, config.learning_rate)

    @property
    def total(self) -> int:
        """Gradient steps of the whole run."""
        return self._config.gradient_steps

    @property
    def matching(self) -> bool:
        """Whether a schedule reads `matched`."""
        return False

    @property
    def teacher_weight(self) -> float:
        """1 with a prior, which never fades; 0 without."""
        return float(self.prior is not None)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and its parts by name."""
        raise TypeError(f"{type(self).__name__} does not say what it learns: implement loss()")

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Takes `gradient_steps` gradient steps; calls `on_update` a thousand times on the way.

        Raises:
            WeanError: If a loss is no longer a number.
        """
        config = self._config
        every = max(config.gradient_steps // _UPDATES, 1)
        while self.done < config.gradient_steps:
            started = time.perf_counter()
            rows = self.random.integers(len(self.data.moments), size=config.batch_size)
            loss, parts = self.loss(self.data.at(rows))
            if config.anneal_lr:
                anneal(self.optimizer, config.learning_rate, self.done / config.gradient_steps)
            take_step(self.optimizer, loss, config.max_grad_norm, self.done, self.done)
            self.done += 1
            self.seconds["learning"] += time.perf_counter() - started
            if on_update is not None and self.done % every == 0:
                on_update(Update(self.done, {"train/loss": float(loss.detach()), **parts}))
        self.student.propose = None  # from here on it acts as it is shipped

    def _numbered(self, steps: Demonstrations, gamma: float) -> Transitions:
        """The steps as transitions between numbered moments; asks the prior about all of them."""
        started = time.perf_counter()
        if self.prior is not None:
            self.student.propose = lambda new: [p.weights for p in self.prior.propose(new)]  # type: ignore[union-attr]
        before = list(zip(steps.text, steps.choices, strict=True))
        after = list(zip(steps.next_text, steps.next_choices, strict=True))
        # Where the task ended, what follows does not count: nobody is asked about it.
        after = [was if over else then for was, then, over in zip(before, after, steps.terminated, strict=True)]
        situations = [Situation(steps.goal, text, choices, (text, choices)) for text, choices in (*before, *after)]
        numbers: NDArray[np.int64] = self.student.meet(situations)
        if self.prior is not None:
            self.prior.count(situations[: len(steps)])
        self.seconds["teacher"] += time.perf_counter() - started
        return Transitions(
            numbers[: len(steps)],
            steps.number,
            steps.reward.astype(np.float32),
            np.where(steps.terminated, 0.0, gamma).astype(np.float32),
            numbers[len(steps) :],
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student and the file."""
        values = {"random": self.random.bit_generator.state, "updates": self.done, "seconds": self.seconds}
        return optimizer_tensors(self.optimizer), values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        load_optimizer_tensors(self.optimizer, tensors)
        self.random.bit_generator.state = values["random"]
        self.done, self.seconds = values["updates"], dict(values["seconds"])


def columns(batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
    """Actions, rewards and discounts of a batch as tensors."""
    return torch.from_numpy(batch.actions), torch.from_numpy(batch.rewards), torch.from_numpy(batch.discounts)
