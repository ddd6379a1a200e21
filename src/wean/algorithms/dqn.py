"""Double DQN over (situation, action) pairs, alone or with a language model's prior over the actions.

DQN: Mnih et al. 2015; double: van Hasselt et al. 2015 (1509.06461); n-step returns and priorities: 1511.05952,
1710.02298. The prior by direct posterior sampling: LLM priors (2410.07927). The value-based KL regulariser: LINVIT
(2402.16181). Without a prior each situation's actions are all proposed alike: plain double DQN.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from torch import Tensor

from wean.algorithms.algorithm import (
    EpisodeLog,
    Given,
    Needs,
    Stopwatch,
    Unit,
    Update,
    adam,
    load_optimizer_tensors,
    optimizer_tensors,
    take_step,
)
from wean.config import SETTINGS
from wean.data.replay import NStep, Replay, Transitions
from wean.students.action_values import ActionValues, posterior, tilted
from wean.tasks.vector import Tasks, chosen
from wean.teachers.priors import Prior

Backup = Literal["max", "expectation", "kl"]


class Exploration(BaseModel):
    """Share of the steps at which the prior alone acts (without one: the uniform distribution), falling linearly."""

    model_config = SETTINGS

    start: float = Field(1.0, ge=0, le=1)
    """Share at the first step."""
    end: float = Field(0.05, ge=0, le=1)
    """Share at `until` and after it."""
    until: float = Field(0.5, gt=0, le=1)
    """Share of the training steps after which `end` is reached."""

    def share(self, progress: float) -> float:
        """The share after `progress`, in [0, 1], of the training steps."""
        return self.start + (self.end - self.start) * min(1.0, progress / self.until)


def needs_temperature(backup: Backup, info: ValidationInfo) -> Backup:
    """Refuses a backup by a posterior when the settings before it give no temperature (a pydantic validator)."""
    if backup != "max" and info.data.get("temperature") == 0:
        raise ValueError("the posterior of this backup needs a temperature above 0, e.g. temperature=0.1")
    return backup


class DQNConfig(BaseModel):
    """Settings of DQN, with and without a prior.

    Example:
        >>> DQNConfig(backup="max").backup
        'max'
    """

    model_config = SETTINGS

    total_timesteps: int = Field(100_000, gt=0)
    """Environment steps to train for, all members counted."""
    num_envs: int = Field(8, gt=0, le=4_096)
    """Tasks stepped side by side."""
    guidance: ClassVar = "prior"
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size."""
    gamma: float = Field(0.97, ge=0, le=1)
    """Discount per step."""
    buffer_size: int = Field(50_000, gt=0, le=10_000_000)
    """Transitions kept."""
    learning_starts: int = Field(500, ge=0)
    """Environment steps before the first gradient step."""
    train_frequency: int = Field(4, gt=0, le=1_000_000_000)
    """Environment steps for each gradient step."""
    batch_size: int = Field(64, gt=0, le=1_000_000)
    """Transitions in a gradient step."""
    target_network_frequency: int = Field(200, gt=0, le=1_000_000_000)
    """Gradient steps between two copies of the network into its target."""
    n_step: int = Field(1, gt=0, le=10_000)
    """Steps whose rewards are summed before the target network values the rest."""
    prioritized: float = Field(0.0, ge=0, le=1)
    """How much the error of a transition decides how often it is drawn; 0 draws uniformly."""
    max_grad_norm: float = Field(10.0, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""
    exploration: Exploration = Exploration()
    """When the prior alone acts (without one: the uniform distribution)."""
    temperature: float = Field(0.0, ge=0, le=1e6)
    """T of the posterior p exp(Q / T) that acts otherwise, and of the backups that need one; 0 takes the best."""
    backup: Backup = "max"
    """Next value: best proposed action, posterior's expectation, or T log sum p exp(Q / T) (LINVIT)."""

    _backup_fits = field_validator("backup")(needs_temperature)


def next_values(online: Tensor, target: Tensor, prior: Tensor, backup: Backup, temperature: float) -> Tensor:
    r"""The value of a situation under the prior p.

    - `max`: Q'(b) of the best b that p proposes, by Q (1509.06461, with the maximum over the proposals only);
    - `expectation`: sum over b of q(b) Q'(b) with the posterior q = p exp(Q / T) / Z (2410.07927);
    - `kl`: T log sum over b of p(b) exp(Q'(b) / T), which is max over pi of E_pi Q' - T KL(pi || p) (2402.16181).

    Args:
        online: (B, A) Q of the network that learns.
        target: (B, A) Q' of the target network.
        prior: (B, A) p; 0 where there is no action or it is not proposed.
        backup: Which of the three.
        temperature: T; the last two need it above 0.

    Returns:
        (B,) values.
    """
    if backup == "kl":
        return temperature * torch.logsumexp(tilted(target, prior, temperature), -1)
    chances = posterior(online, prior, 0.0 if backup == "max" else temperature)
    return (chances * target).sum(-1)


def td_errors(taken: Tensor, rewards: Tensor, discounts: Tensor, following: Tensor) -> Tensor:
    """Q(s, a) - (r + discount * V'(s')).

    Args:
        taken: (B,) Q of the actions taken.
        rewards: (B,) sums of n rewards, discounted.
        discounts: (B,) gamma^n; 0 where the task ended.
        following: (B,) V', see `next_values`.
    """
    return taken - (rewards + discounts * following)


class DQN:
    """Trains a student of action values on tasks, with a prior or without.

    Example:
        >>> from wean.students.action_values import TableValues
        >>> tasks = wean.SerialTasks([lambda: wean.make("FrozenLake4x4")] * 4)
        >>> dqn = DQN(TableValues(4), tasks, DQNConfig(total_timesteps=200, num_envs=4, learning_starts=40))
        >>> dqn.learn()
        >>> dqn.done
        200

    Args:
        student: Trained in place.
        tasks: `config.num_envs` of them.
        config: Settings.
        prior: Proposes actions; None proposes all of them alike.
        seed: Seeds actions, episodes and minibatches.
        episode_seeds: Range of the episodes' reset seeds.
    """

    Config = DQNConfig
    needs = Needs(values=True)
    matching = False
    unit: Unit = "env_steps"

    def __init__(
        self,
        student: ActionValues,
        tasks: Tasks,
        config: DQNConfig,
        prior: Prior | None = None,
        seed: int = 0,
        episode_seeds: tuple[int, int] = (0, 5000),
    ) -> None:
        self.student, self.tasks, self.config, self.prior = student, tasks, config, prior
        self.matched = 0.0
        self.done = 0
        self.clock = Stopwatch("environment", "teacher", "acting", "learning")
        self.random = np.random.default_rng(seed)
        self.replay = Replay(config.buffer_size, self.random, config.prioritized)
        self.target = copy.deepcopy(student.head)
        self.optimizer = adam(student.head, config.learning_rate)
        self.updates = 0
        self._n_step = NStep(self.replay, tasks.num, config.n_step, config.gamma)
        self._episode_seeds = episode_seeds
        self._members = list(range(tasks.num))
        self._log = EpisodeLog(tasks.num)
        tasks.reset(self._members, self._draw_seeds(tasks.num))
        if prior is not None:
            student.attach_prior(prior.weights)
        self._situations = self._meet(self._members)

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.tasks, given.config, given.guide, given.seed)

    @property
    def total(self) -> int:
        """Environment steps to train for."""
        return self.config.total_timesteps

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent so far, by activity."""
        return self.clock.seconds

    @property
    def teacher_weight(self) -> float:
        """The current share of the steps at which the prior alone acts."""
        return self.config.exploration.share(self.done / self.config.total_timesteps) if self.prior else 0.0

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains until `total_timesteps`; calls `on_update` a thousand times on the way.

        Raises:
            WeanError: If a loss is no longer a number.
        """
        config = self.config
        every = max(config.total_timesteps // 1000, 1)
        metrics: dict[str, float] = {}
        while self.done < config.total_timesteps:
            before = self.done
            self._play()
            if before >= config.learning_starts:
                with self.clock("learning"):
                    for _ in range(self.done // config.train_frequency - before // config.train_frequency):
                        metrics |= self._improve()
            if on_update is not None and self.done // every > before // every:
                on_update(Update(self.done, metrics | self._log.recent()))
        self.student.detach_prior()

    def _play(self) -> None:
        """Steps every member once, stores the transitions and starts new episodes."""
        tasks, config = self.tasks, self.config
        with self.clock("acting"):
            actions = self._choose(config.exploration.share(self.done / config.total_timesteps))
        with self.clock("environment"):
            stepped = tasks.step(self._members, chosen(tasks, self._members, actions))
        following = self._situations.copy()  # after the end it does not count, and the prior is not asked about it
        going = np.flatnonzero(~stepped.terminated).tolist()
        if going:
            following[going] = self._meet(going)
        ended = stepped.terminated | stepped.truncated
        for member in self._members:
            self._n_step.add(
                member,
                int(self._situations[member]),
                int(actions[member]),
                float(stepped.rewards[member]),
                int(following[member]),
                bool(stepped.terminated[member]),
                bool(ended[member]),
            )
        self._situations = following
        over = self._log.add(stepped.rewards, ended)
        if over:
            tasks.reset(over, self._draw_seeds(len(over)))
            self._situations[over] = self._meet(over)
        self.done += tasks.num

    def _choose(self, explore: float) -> NDArray[np.int64]:
        """Draws an action (N,) of each member, from a mixture of posterior and prior with the share `explore`."""
        prior = self.student.prior(self._situations)
        with torch.no_grad():
            chances = posterior(self.student(self._situations), prior, self.config.temperature)
        edges = ((1 - explore) * chances + explore * prior).double().numpy().cumsum(1)
        draws = self.random.random((self.tasks.num, 1))
        last = self.student.num_choices(self._situations) - 1
        actions: NDArray[np.int64] = np.minimum((edges < draws * edges[:, -1:]).sum(1), last)
        return actions

    def _improve(self) -> dict[str, float]:
        """One gradient step on a batch from replay."""
        config = self.config
        if self.updates == 0:
            self.student.settle()
        beta = 0.4 + 0.6 * min(1.0, self.done / config.total_timesteps)  # as in 1511.05952
        places, batch, weights = self.replay.draw(config.batch_size, beta)
        errors = self._errors(batch)
        loss = 0.5 * (torch.from_numpy(weights) * errors.square()).mean()
        take_step(self.optimizer, loss, config.max_grad_norm, self.done, self.unit)
        self.updates += 1
        if config.prioritized:
            self.replay.set_priorities(places, errors.detach().numpy())
        if self.updates % config.target_network_frequency == 0:
            self.target.load_state_dict(self.student.head.state_dict())
        return {"train/td_loss": float(loss.detach())}

    def _errors(self, batch: Transitions) -> Tensor:
        student, config = self.student, self.config
        with torch.no_grad():
            online, target = student(batch.following), student(batch.following, self.target)
            prior = student.prior(batch.following)
            following = next_values(online, target, prior, config.backup, config.temperature)
        taken = student(batch.moments, places=batch.actions).squeeze(-1)
        return td_errors(taken, torch.from_numpy(batch.rewards), torch.from_numpy(batch.discounts), following)

    def _meet(self, which: list[int]) -> NDArray[np.int64]:
        """Numbers of the situations of the members."""
        with self.clock("teacher"):
            situations = self.tasks.situations(which)
            numbers = self.student.meet(situations)
            if self.prior is not None:
                self.prior.count(situations)
        return numbers

    def _draw_seeds(self, count: int) -> list[int]:
        return [int(seed) for seed in self.random.integers(*self._episode_seeds, size=count)]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""
        tensors = {f"target.{name}": value.clone() for name, value in self.target.state_dict().items()}
        tensors |= {f"replay.{name}": value for name, value in self.replay.state().items()}
        tensors |= optimizer_tensors(self.optimizer)
        values = {
            "random": self.random.bit_generator.state,
            "histories": self.tasks.histories(),
            "waiting": self._n_step.state(),
            "episodes": self._log.state(),
            "done": self.done,
            "updates": self.updates,
            "seconds": self.clock.seconds,
        }
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`: the tasks are brought back by replaying their actions."""
        self.target.load_state_dict({name[7:]: value for name, value in tensors.items() if name.startswith("target.")})
        self.replay.restore({name[7:]: value for name, value in tensors.items() if name.startswith("replay.")})
        load_optimizer_tensors(self.optimizer, tensors)
        self.random.bit_generator.state = values["random"]
        self.tasks.replay([(seed, actions) for seed, actions in values["histories"]])
        self._n_step.restore(values["waiting"])
        self._log.restore(values["episodes"])
        self.done, self.updates = values["done"], values["updates"]
        self.clock.seconds = dict(values["seconds"])
        self._situations = self.student.meet(self.tasks.situations(self._members))
