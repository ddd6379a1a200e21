"""Learning from a teacher's labels alone: behaviour cloning and DAgger are one loop with the teacher's loss.

Behaviour cloning: the teacher acts, the student imitates its labels. DAgger (Ross et al. 2011, 1011.0686): from the
second round on the student acts, the teacher labels, and every round learns from all labels so far.
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
    Unit,
    Update,
    adam,
    anneal,
    load_optimizer_tensors,
    optimizer_tensors,
    take_step,
)
from wean.algorithms.rollouts import Collector, Guide, Rollout, alone
from wean.algorithms.teacher_loss import teacher_loss
from wean.config import SETTINGS
from wean.errors import UsageError
from wean.students.student import Student
from wean.tasks.vector import Tasks


class ImitationConfig(BaseModel):
    """Settings of behaviour cloning (`rounds` 1) and DAgger.

    Example:
        >>> ImitationConfig(rounds=1).rounds  # behaviour cloning
        1
    """

    model_config = SETTINGS

    total_timesteps: int = Field(100_000, gt=0)
    """Environment steps to label, all members and rounds counted: the number of teacher labels."""
    num_envs: int = Field(64, gt=0, le=4_096)
    """Tasks stepped side by side."""
    guidance: ClassVar = "advice"
    num_steps: int = Field(16, gt=0, le=65_536)
    """Steps of each member in one segment; a recurrent student learns over one segment at a time."""
    rounds: int = Field(20, gt=0)
    """Rounds of rollouts and learning; 1 is behaviour cloning."""
    teacher_share: float = Field(0.0, ge=0, le=1)
    """Share of the teacher's actions in rollouts, from the second round on; in the first the teacher alone acts."""
    updates: int = Field(8_000, gt=0)
    """Gradient steps, spread evenly over the rounds."""
    minibatch_size: int = Field(256, gt=0, le=1_000_000)
    """Labelled steps in a gradient step."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size; lowered linearly to zero over the run."""
    max_grad_norm: float = Field(0.5, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""


class Imitation:
    """Trains a student on a teacher's labels.

    Example:
        >>> tasks = wean.SerialTasks([lambda: wean.make("FrozenLakeDry")] * 4)
        >>> student = wean.make_student(tasks.observation_space, tasks.action_space)
        >>> teacher = wean.Teacher(lambda situations: [{"right": 0.5, "down": 0.5}] * len(situations))
        >>> settings = ImitationConfig(total_timesteps=256, num_envs=4, rounds=2, updates=20)
        >>> imitation = Imitation(student, tasks, settings, teacher)
        >>> imitation.learn()
        >>> imitation.done
        256

    Args:
        student: Trained in place.
        tasks: `config.num_envs` of them.
        config: Settings.
        teacher: Labels every step.
        seed: Seeds actions, episodes and minibatches.
        episode_seeds: Episodes are reset to seeds drawn from range(*episode_seeds).

    Raises:
        UsageError: If there is no teacher.
    """

    Config = ImitationConfig
    needs = Needs()
    matching = False
    unit: Unit = "env_steps"

    def __init__(
        self,
        student: Student,
        tasks: Tasks,
        config: ImitationConfig,
        teacher: Guide | None,
        seed: int = 0,
        episode_seeds: tuple[int, int] = (0, 5000),
    ) -> None:
        if teacher is None:
            raise UsageError("imitation needs a teacher; name one with --model")
        self.student, self.config, self.teacher = student, config, teacher
        self.random = np.random.default_rng(seed)
        self.collector = Collector(student, tasks, self.random, episode_seeds)
        self.optimizer = adam(student, config.learning_rate)
        self.matched = 0.0
        self._round = 0
        self._data: dict[str, Tensor] = {}

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.tasks, given.config, given.guide, given.seed)

    @property
    def done(self) -> int:
        """Environment steps labelled so far."""
        return self.collector.env_steps

    @property
    def total(self) -> int:
        """Environment steps to train for."""
        return self.config.total_timesteps

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return self.collector.clock.seconds

    @property
    def teacher_weight(self) -> float:
        """Always 1: there is no other loss."""
        return 1.0

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Collects labels and learns for all rounds; calls `on_update` after each.

        Raises:
            WeanError: If a loss is no longer a number.
        """
        config = self.config
        while self._round < config.rounds:
            share = 1.0 if self._round == 0 else config.teacher_share
            goal = max(1, config.total_timesteps * (self._round + 1) // config.rounds)
            while self.done < goal:
                self._store(self.collector.collect(config.num_steps, self.teacher, share))
            first = config.updates * self._round // config.rounds
            last = config.updates * (self._round + 1) // config.rounds
            loss = 0.0
            with self.collector.clock("learning"):
                for update in range(first, last):
                    anneal(self.optimizer, config.learning_rate, update / config.updates)
                    loss = self._update()
            self._round += 1
            if on_update is not None:
                metrics = {"train/teacher_loss": loss, "train/teacher_weight": 1.0} | self.collector.recent()
                on_update(Update(self.done, metrics))

    def _store(self, rollout: Rollout) -> None:
        """Adds a segment to the labelled data, from whose columns minibatches are drawn."""
        new = {
            "observations": torch.from_numpy(rollout.observations),
            "starts": torch.from_numpy(rollout.starts),
            "teacher": torch.from_numpy(rollout.teacher),
            "advised": torch.from_numpy(rollout.advised),
        }
        if self.student.memory_size == 0:
            new = alone(new)
        new["memory"] = rollout.first_state.unsqueeze(0)
        for name, values in new.items():
            self._data[name] = torch.cat([self._data[name], values], 1) if name in self._data else values

    def _update(self) -> float:
        """One gradient step on a random minibatch of all labels; returns the loss."""
        steps, columns = self._data["advised"].shape
        chosen = torch.from_numpy(self.random.integers(columns, size=max(1, self.config.minibatch_size // steps)))
        recurrent = self.student.memory_size > 0
        state = self._data["memory"][0, chosen] if recurrent else self.student.first_state(len(chosen))
        logits, _, _ = self.student(self._data["observations"][:, chosen], state, self._data["starts"][:, chosen])
        loss = teacher_loss(
            logits.flatten(0, 1),
            self._data["teacher"][:, chosen].flatten(0, 1),
            self._data["advised"][:, chosen].flatten(),
        )
        take_step(self.optimizer, loss, self.config.max_grad_norm, self.done, self.unit)
        return float(loss.detach())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student, the labelled data included."""
        tensors, values = self.collector.state()
        tensors |= optimizer_tensors(self.optimizer)
        tensors |= {f"data.{name}": column.clone() for name, column in self._data.items()}
        return tensors, values | {"round": self._round}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        self.collector.restore(tensors, values)
        load_optimizer_tensors(self.optimizer, tensors)
        self._data = {name[5:]: column for name, column in tensors.items() if name.startswith("data.")}
        self._round = values["round"]
