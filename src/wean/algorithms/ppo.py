"""Proximal policy optimisation with a teacher: plain PPO, kickstarting, LLM4Teach and PPO-Prior are one loop.

PPO: Schulman et al. 2017 (1707.06347), with generalised advantage estimation (1506.02438). The teacher's term and its
annealed weight: LLM4Teach (2311.13373); with weight 0 throughout this is plain PPO. Rewards that teach: a reward term
(`wean.algorithms.rewards`) is added to the environment's rewards with a weight of its own. The KL term from a prior
over the actions: LLM priors (2410.07927).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
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
from wean.algorithms.rewards import RewardTerm
from wean.algorithms.rollouts import Collector, Guide, Rollout, alone
from wean.algorithms.teacher_loss import Schedule, kl_to_prior, teacher_loss
from wean.config import SETTINGS
from wean.students.student import Student
from wean.tasks.vector import Tasks


class PPOConfig(BaseModel):
    """Settings of PPO; the defaults are vetted on the door-key rooms.

    Example:
        >>> PPOConfig(total_timesteps=60_000, gamma=0.9).gamma
        0.9
    """

    model_config = SETTINGS

    total_timesteps: int = Field(200_000, gt=0)
    """Environment steps to train for, all members counted."""
    num_envs: int = Field(32, gt=0, le=4_096)
    """Tasks stepped side by side."""
    num_steps: int = Field(64, gt=0, le=65_536)
    """Steps of each member between two updates."""
    learning_rate: float = Field(1e-3, gt=0, le=100)
    """Adam's step size."""
    anneal_lr: bool = True
    """Lowers the step size linearly to zero over the run."""
    gamma: float = Field(0.99, ge=0, le=1)
    """Discount per step."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Trades bias (0) against variance (1) in the advantages."""
    update_epochs: int = Field(4, gt=0)
    """Passes over each rollout."""
    num_minibatches: int = Field(4, gt=0, le=100_000)
    """Minibatches in each pass."""
    clip_coef: float = Field(0.2, gt=0, le=1e6)
    """How far a probability ratio may leave 1 before its gradient stops."""
    vf_coef: float = Field(0.5, ge=0, le=1e6)
    """Weight of the value loss."""
    ent_coef: float = Field(0.01, ge=0, le=1e6)
    """Weight of the entropy bonus; higher keeps exploring for longer."""
    max_grad_norm: float = Field(0.5, gt=0, le=1e6)
    """Gradients are scaled down to this norm."""
    target_kl: float | None = Field(None, gt=0)
    """Ends the passes over a rollout early once the policy has moved this far; None never does."""
    teacher: Schedule = Schedule()
    """Weight of the teacher's loss over the run."""
    teacher_share: Schedule = Schedule(start=0.0)
    """Share of the advised steps over the run in which the teacher acts and not the student."""
    guidance: Literal["advice", "prior"] = "advice"
    """The teacher's loss: cross-entropy against its advice, or KL(pi || prior) from a prior over the actions."""
    shaping: Schedule = Schedule()
    """Weight of the reward term over the run, where there is one (`rewards.term`)."""


class Losses(NamedTuple):
    """Parts of PPO's loss, each a scalar tensor."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor


def ppo_losses(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    returns: Tensor,
    clip_coef: float,
) -> Losses:
    r"""The clipped surrogate (1707.06347, eq. 7), the squared value error (eq. 9) and the entropy.

    policy = - mean min(r A, clip(r, 1 - c, 1 + c) A) with r = pi(a) / pi_old(a).

    Args:
        logits: (B, A) of the student now.
        values: (B,) of the student now.
        actions: (B,) int64 taken.
        old_log_probs: (B,) of those actions under the policy that took them.
        advantages: (B,), normalised by the caller if wanted.
        returns: (B,) targets of the value.
        clip_coef: c.

    Returns:
        The parts; `approx_kl` is the low-variance estimate mean((r - 1) - log r).
    """
    log_probs = torch.log_softmax(logits, -1)
    log_ratio = log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1) - old_log_probs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
    policy = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    value = 0.5 * (values - returns).square().mean()
    entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
    with torch.no_grad():
        approx_kl = (ratio - 1 - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > clip_coef).float().mean()
    return Losses(policy, value, entropy, approx_kl, clip_fraction)


def gae(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    ended: NDArray[np.bool_],
    last_values: NDArray[np.float64],
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float64]:
    """Generalised advantage estimates (1506.02438, eq. 16).

    A truncated episode is not a failure: the caller adds gamma * V(last observation) to its last reward.

    Args:
        rewards: (T, N).
        values: (T, N) of the observations acted on.
        ended: (T, N) True where the step ended an episode.
        last_values: (N,) of the observations after the last step.
        gamma: Discount.
        gae_lambda: Trades bias against variance.

    Returns:
        (T, N) advantages.
    """
    advantages = np.zeros_like(rewards)
    running = np.zeros_like(last_values)
    following = last_values
    for step in range(len(rewards) - 1, -1, -1):
        alive = ~ended[step]
        delta = rewards[step] + gamma * following * alive - values[step]
        running = delta + gamma * gae_lambda * alive * running
        advantages[step] = running
        following = values[step]
    return advantages


class PPO:
    """Trains a student on tasks, with a teacher or without.

    Example:
        >>> tasks = wean.SerialTasks([lambda: wean.make("FrozenLake4x4")] * 4)
        >>> student = wean.make_student(tasks.observation_space, tasks.action_space)
        >>> ppo = PPO(student, tasks, PPOConfig(total_timesteps=256, num_envs=4), seed=1)
        >>> ppo.learn()
        >>> ppo.done
        256

    Args:
        student: Trained in place.
        tasks: `config.num_envs` of them.
        config: Settings.
        teacher: Guides while the schedule's weight is positive; None for plain PPO.
        seed: Seeds actions, episodes and minibatches.
        episode_seeds: Episodes are reset to seeds drawn from range(*episode_seeds).
        term: Rewards beside the environment while the schedule `shaping` is positive.
    """

    Config: ClassVar[type[PPOConfig]] = PPOConfig
    needs = Needs(rewards=True)
    unit: Unit = "env_steps"

    def __init__(
        self,
        student: Student,
        tasks: Tasks,
        config: PPOConfig,
        teacher: Guide | None = None,
        seed: int = 0,
        episode_seeds: tuple[int, int] = (0, 5000),
        term: RewardTerm | None = None,
    ) -> None:
        self.student, self.config, self.teacher = student, config, teacher
        self.random = np.random.default_rng(seed)
        self.collector = Collector(student, tasks, self.random, episode_seeds, term)
        self.optimizer = adam(student, config.learning_rate)
        self.matched = 0.0  # the caller's measure for the schedule "matching"

    @classmethod
    def make(cls, given: Given) -> Self:
        """See `Algorithm.make`."""
        return cls(given.student, given.tasks, given.config, given.guide, given.seed, term=given.term)

    @property
    def matching(self) -> bool:
        """Whether a schedule reads `matched`."""
        return self.teacher is not None and self.config.teacher.kind == "matching"

    @property
    def done(self) -> int:
        """Environment steps so far, all members counted."""
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
        """The current weight of the teacher's loss."""
        return self._now(self.config.teacher) if self.teacher is not None else 0.0

    @property
    def teacher_share(self) -> float:
        """The current share of the advised steps in which the teacher acts."""
        return min(1.0, self._now(self.config.teacher_share)) if self.teacher is not None else 0.0

    @property
    def shaping_weight(self) -> float:
        """The current weight of the reward term."""
        return self._now(self.config.shaping) if self.collector.term is not None else 0.0

    def _now(self, schedule: Schedule) -> float:
        return schedule.weight(self.done / self.config.total_timesteps, self.matched)

    def learn(self, on_update: Callable[[Update], None] | None = None) -> None:
        """Trains until `total_timesteps`; calls `on_update` after every update.

        Raises:
            WeanError: If a loss is no longer a number.
        """
        config = self.config
        while self.done < config.total_timesteps:
            if config.anneal_lr:
                anneal(self.optimizer, config.learning_rate, self.done / config.total_timesteps)
            weight, share, shaping = self.teacher_weight, self.teacher_share, self.shaping_weight
            teacher = self.teacher if weight > 0 or share > 0 else None
            rollout = self.collector.collect(config.num_steps, teacher, share, with_term=shaping > 0)
            with self.collector.clock("learning"):
                metrics = self._improve(rollout, weight, shaping)
            metrics |= self.collector.recent() | {"train/teacher_weight": weight}
            if share > 0:
                metrics["train/teacher_share"] = share
            if self.collector.term is not None:
                metrics["train/shaping_weight"] = shaping
            if on_update is not None:
                on_update(Update(self.done, metrics))

    def _improve(self, rollout: Rollout, weight: float, shaping: float) -> dict[str, float]:
        """Takes `update_epochs` passes over a rollout; returns the metrics of the last minibatch."""
        config = self.config
        rewards = rollout.rewards + shaping * rollout.term_rewards + config.gamma * rollout.cut_values
        advantages = gae(rewards, rollout.values, rollout.ended, rollout.last_values, config.gamma, config.gae_lambda)
        returns = advantages + rollout.values
        data = self._tensors(rollout, advantages, returns, with_teacher=weight > 0)
        columns = data["actions"].shape[1]
        memory = rollout.first_state if self.student.memory_size else self.student.first_state(columns)
        for _ in range(config.update_epochs):
            order = self.random.permutation(columns)
            for chosen in np.array_split(order, min(config.num_minibatches, columns)):
                index = torch.from_numpy(chosen)
                batch = {name: values[:, index] for name, values in data.items()}
                loss, parts = self._loss(batch, memory[index], weight)
                take_step(self.optimizer, loss, config.max_grad_norm, self.done, self.unit)
            if config.target_kl is not None and float(parts["train/approx_kl"]) > config.target_kl:
                break
        metrics = {name: float(part.detach()) for name, part in parts.items()}
        variance = returns.var()
        metrics["train/explained_variance"] = float(1 - advantages.var() / variance) if variance else 0.0
        if weight > 0:
            metrics["train/advised_share"] = float(rollout.advised.mean())
        return metrics

    def _tensors(
        self, rollout: Rollout, advantages: NDArray[np.float64], returns: NDArray[np.float64], with_teacher: bool
    ) -> dict[str, Tensor]:
        """What minibatches are drawn from: columns (T, N, ...), or (1, T * N, ...) for a feed-forward student."""
        scaled = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        data = {
            "observations": torch.from_numpy(rollout.observations),
            "starts": torch.from_numpy(rollout.starts),
            "actions": torch.from_numpy(rollout.actions),
            "log_probs": torch.from_numpy(rollout.log_probs).float(),
            "advantages": torch.from_numpy(scaled).float(),
            "returns": torch.from_numpy(returns).float(),
        }
        if with_teacher:
            data |= {"teacher": torch.from_numpy(rollout.teacher), "advised": torch.from_numpy(rollout.advised)}
        return data if self.student.memory_size else alone(data)

    def _loss(self, batch: dict[str, Tensor], state: Tensor, weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Policy + vf_coef value - ent_coef entropy + weight teacher's loss; with its parts for the metrics."""
        config = self.config
        logits, values, _ = self.student(batch["observations"], state, batch["starts"])
        batch = {name: column.flatten(0, 1) for name, column in batch.items()}
        logits = logits.flatten(0, 1)
        losses = ppo_losses(
            logits,
            values.flatten(),
            batch["actions"],
            batch["log_probs"],
            batch["advantages"],
            batch["returns"],
            config.clip_coef,
        )
        loss = losses.policy + config.vf_coef * losses.value - config.ent_coef * losses.entropy
        parts = {f"train/{name}": part for name, part in losses._asdict().items()}
        if weight > 0:
            loss_of = teacher_loss if config.guidance == "advice" else kl_to_prior
            parts["train/teacher_loss"] = loss_of(logits, batch["teacher"], batch["advised"])
            loss = loss + weight * parts["train/teacher_loss"]
        return loss, parts

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs beside the student: tensors, and JSON values."""
        tensors, values = self.collector.state()
        tensors |= optimizer_tensors(self.optimizer)
        return tensors, values | {"matched": self.matched}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`."""
        self.collector.restore(tensors, values)
        load_optimizer_tensors(self.optimizer, tensors)
        self.matched = values["matched"]
