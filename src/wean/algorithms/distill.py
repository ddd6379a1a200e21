r"""Distillation of logged decisions: a student of (situation, choice) in words learns a language model's choices.

L = - 1/N sum over decisions i of w_i sum over choices c of p_i(c) log softmax_c Q(s_i, c)

p_i are the model's weights of the choices (Hinton et al. 2015, temperature 1). Where the log says what came of
decisions, w_i are the advantage weights of offline imitation (1910.00177): exp of the reward to go, less the mean of
its kind, in standard deviations, times `advantage`, at most 20, scaled to mean 1; without rewards all are 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor

from wean.algorithms.algorithm import (
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
from wean.data.decisions import Decision
from wean.students.action_values import TextValues

_UPDATES = 200  # calls of `on_update` in a run
_MOST_WEIGHT = 20.0


class DistillConfig(BaseModel):
    """Settings of distillation from logs."""

    model_config = SETTINGS

    data: str = ""
    """Decisions, as `wean logs` writes them."""
    agreement: float = Field(0.98, gt=0, lt=1)
    """Where the student is used alone it shall agree with the language model in this share of decisions at least."""
    gradient_steps: int = Field(4000, gt=0, le=10_000_000)
    """Gradient steps to train for."""
    batch_size: int = Field(64, gt=0, le=65_536)
    """Decisions in a gradient step."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size, which falls to zero."""
    max_grad_norm: float = Field(1.0, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""
    advantage: float = Field(1.0, ge=0, le=100)
    """How much decisions with a better outcome weigh, where the log has rewards; 0 weighs all alike."""
    encoder: str = "minilm"
    """The sentence encoder: `minilm`, or a model folder."""
    hidden: int = Field(64, gt=0, le=8_192)
    """Width of the student's head."""
    measurements: int = Field(5, gt=0, le=1_000)
    """How often held-out decisions are read in a run; a checkpoint is written each time."""


class Batch(NamedTuple):
    """Decisions as a student reads them.

    Attributes:
        states: (N,) numbers of situations.
        targets: (N, A) the language model's weights of the choices.
        weights: (N,) of the decisions.
    """

    states: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]

    def at(self, rows: NDArray[np.int64]) -> Batch:
        """Some of the decisions."""
        return Batch(self.states[rows], self.targets[rows], self.weights[rows])


class Distillation:
    """Trains a student of action values on logged decisions.

    Args:
        student: Trained in place.
        config: Settings.
        learn: Decisions to learn from.
        choose: Held-out ones, on which it is measured while it learns.
        shown: The words in which the student reads a decision's situation.
        seed: Draws the minibatches.
    """

    Config = DistillConfig
    needs = Needs()
    matching = False
    matched = teacher_weight = 0.0
    unit: ClassVar[Unit] = "gradient_steps"

    def __init__(
        self,
        student: TextValues,
        config: DistillConfig,
        learn: Sequence[Decision],
        choose: Sequence[Decision],
        shown: Callable[[Decision], str],
        seed: int = 0,
    ) -> None:
        self.student, self.config, self.done = student, config, 0
        self._clock = Stopwatch("learning")
        self._random = np.random.default_rng(seed)
        self._learn = encode(student, learn, shown, advantage_weights(learn, config.advantage))
        student.settle()  # by what is learned from alone
        self._choose = encode(student, choose, shown)
        self._optimizer = adam(student.head, config.learning_rate)

    @property
    def total(self) -> int:
        """Gradient steps of the whole run."""
        return self.config.gradient_steps

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return self._clock.seconds

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Takes `gradient_steps` gradient steps.

        Raises:
            WeanError: The loss is no longer a number.
        """
        every = max(self.total // _UPDATES, 1)
        while self.done < self.total:
            with self._clock("learning"):
                anneal(self._optimizer, self.config.learning_rate, self.done / self.total)
                rows = self._random.integers(len(self._learn.states), size=self.config.batch_size)
                loss = distillation_loss(self.student, self._learn.at(rows))
                take_step(self._optimizer, loss, self.config.max_grad_norm, self.done)
                self.done += 1
            if on_update is not None and (self.done % every == 0 or self.done == self.total):
                on_update(Update(self.done, {"losses/distillation": float(loss.detach())}))

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Loss and agreement (`exact`) on the held-out decisions; empty if there are none."""
        if not len(self._choose.states):
            return {}
        logits = masked_logits(self.student, self._choose.states)
        targets = torch.from_numpy(self._choose.targets[:, : logits.shape[1]])
        chosen = targets.gather(1, logits.argmax(1, keepdim=True))[:, 0]
        right = chosen >= targets.max(1).values - 1e-6  # of choices that the model weighs alike each is its own
        loss = distillation_loss(self.student, self._choose)
        return {"loss": float(loss), "exact": float(right.float().mean())}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs: tensors, and JSON values."""
        weights = {f"student.{name}": value.clone() for name, value in self.student.head.state_dict().items()}
        values = {"done": self.done, "seconds": self.seconds, "random": self._random.bit_generator.state}
        return optimizer_tensors(self._optimizer) | weights, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        self.student.head.load_state_dict(
            {name[8:]: value for name, value in tensors.items() if name[:8] == "student."}
        )
        load_optimizer_tensors(self._optimizer, tensors)
        self._random.bit_generator.state = values["random"]
        self.done = values["done"]
        self._clock.seconds.update(values["seconds"])


def distillation_loss(student: TextValues, batch: Batch) -> Tensor:
    """The loss of the module's first lines, over a batch."""
    logits = masked_logits(student, batch.states)
    targets = torch.from_numpy(batch.targets[:, : logits.shape[1]])
    # Minus infinity times 0 is not a number.
    told = logits.log_softmax(-1).masked_fill(targets == 0, 0.0)
    return -(torch.from_numpy(batch.weights) * (targets * told).sum(-1)).mean()


def masked_logits(student: TextValues, states: NDArray[np.int64]) -> Tensor:
    """(N, A) the student's logits of the choices of N situations; minus infinity beyond the last one."""
    logits: Tensor = student(states)
    counts = torch.from_numpy(student.num_choices(states))
    return logits.masked_fill(torch.arange(logits.shape[1]) >= counts[:, None], -torch.inf)


def encode(
    student: TextValues,
    decisions: Sequence[Decision],
    shown: Callable[[Decision], str],
    weights: NDArray[np.float32] | None = None,
) -> Batch:
    """Decisions as the student reads them; situations that are new to it are added."""
    states = np.array([student.situations.add(shown(one), one.choices) for one in decisions], np.int64)
    targets = np.zeros((len(decisions), student.situations.width), np.float32)
    for row, one in zip(targets, decisions, strict=True):
        row[: len(one.weights)] = one.weights
    return Batch(states, targets, np.ones(len(decisions), np.float32) if weights is None else weights)


def advantage_weights(decisions: Sequence[Decision], temperature: float) -> NDArray[np.float32]:
    """(N,) weights of decisions by the rewards that came of them, with mean 1; see the module's first lines."""
    rewards: dict[str, float] = defaultdict(float)
    to_go = np.full(len(decisions), np.nan)
    told = {one.session for one in decisions if one.reward is not None}
    for place in sorted(range(len(decisions)), key=lambda place: -decisions[place].step):
        one = decisions[place]
        rewards[one.session] += one.reward or 0.0
        if one.session in told:
            to_go[place] = rewards[one.session]
    weights = np.ones(len(decisions))
    kinds = np.array([one.kind for one in decisions])
    for kind in set(kinds.tolist()):
        rows = (kinds == kind) & ~np.isnan(to_go)
        spread = float(np.std(to_go[rows])) if rows.any() else 0.0
        if spread > 0 and temperature > 0:
            weights[rows] = np.exp(temperature * (to_go[rows] - to_go[rows].mean()) / spread).clip(max=_MOST_WEIGHT)
    return (weights / weights.mean()).astype(np.float32) if len(weights) else weights.astype(np.float32)
