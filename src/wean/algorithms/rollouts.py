"""Rollouts of a student on tasks stepped side by side, labelled by a teacher: what PPO and imitation learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wean.algorithms.algorithm import EpisodeLog, Stopwatch
from wean.algorithms.rewards import RewardTerm
from wean.students.student import Student
from wean.tasks.vector import Tasks
from wean.teachers.teacher import Guidance


class Guide(Protocol):
    """What the algorithms need of a teacher; `Teacher`, `GatedTeacher` and `Prior` are some."""

    def guide(
        self, tasks: Tasks, which: list[int], num_actions: int, student: NDArray[np.float64] | None = None
    ) -> Guidance:
        """Action probabilities for the members, and which were advised; `student` (N, A) are the student's own."""


@dataclass
class Rollout:
    """T steps of N members.

    Attributes:
        observations: (T, N, ...) acted on.
        starts: (T, N) bool, True where an episode began.
        actions: (T, N) int64 taken.
        log_probs: (T, N) float64 of those actions under the behaviour that took them.
        values: (T, N) float64 of the student's critic.
        rewards: (T, N) float64 of the environment.
        term_rewards: (T, N) float64 of the reward term, unweighted; zeros where there is none.
        ended: (T, N) bool, True where the step ended an episode.
        cut_values: (T, N) float64, the critic's value of the last observation where an episode was truncated, else 0.
        last_values: (N,) float64 of the observations after the last step.
        first_state: (N, memory_size) the student's memory before the first step.
        teacher: (T, N, A) float32 probabilities; empty where no teacher was asked.
        advised: (T, N) bool.
    """

    observations: NDArray[Any]
    starts: NDArray[np.bool_]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float64]
    values: NDArray[np.float64]
    rewards: NDArray[np.float64]
    term_rewards: NDArray[np.float64]
    ended: NDArray[np.bool_]
    cut_values: NDArray[np.float64]
    last_values: NDArray[np.float64]
    first_state: Tensor
    teacher: NDArray[np.float32]
    advised: NDArray[np.bool_]

    @classmethod
    def empty(
        cls, steps: int, observations: NDArray[Any], first_state: Tensor, num_actions: int, with_teacher: bool
    ) -> Rollout:
        """Zeros for T steps of members with observations (N, ...) and memory (N, memory_size)."""
        members, asked = len(observations), steps if with_teacher else 0
        return cls(
            observations=np.zeros((steps, *observations.shape), observations.dtype),
            starts=np.zeros((steps, members), bool),
            actions=np.zeros((steps, members), np.int64),
            log_probs=np.zeros((steps, members)),
            values=np.zeros((steps, members)),
            rewards=np.zeros((steps, members)),
            term_rewards=np.zeros((steps, members)),
            ended=np.zeros((steps, members), bool),
            cut_values=np.zeros((steps, members)),
            last_values=np.zeros(members),
            first_state=first_state.clone(),
            teacher=np.zeros((asked, members, num_actions), np.float32),
            advised=np.zeros((asked, members), bool),
        )


def alone(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """Columns (T, N, ...) as (1, T * N, ...): for a student without memory every step stands alone."""
    return {name: values.flatten(0, 1).unsqueeze(0) for name, values in columns.items()}


class Collector:
    """Steps tasks with a student, and asks a teacher at every step.

    Args:
        student: Acts by sampling from its policy.
        tasks: Stepped side by side; an ended member starts a new episode at once.
        random: Draws actions and episodes.
        episode_seeds: Episodes are reset to seeds drawn from range(*episode_seeds).
        term: Rewards beside the environment, if given.
    """

    def __init__(
        self,
        student: Student,
        tasks: Tasks,
        random: np.random.Generator,
        episode_seeds: tuple[int, int],
        term: RewardTerm | None = None,
    ) -> None:
        self.student, self.tasks, self.random, self.term = student, tasks, random, term
        self.clock = Stopwatch("environment", "teacher", "acting", "learning")
        self.env_steps = 0
        self._episode_seeds = episode_seeds
        self._members = list(range(tasks.num))
        self._observations = tasks.reset(self._members, self._draw_seeds(tasks.num))
        self._state = student.first_state(tasks.num)
        self._starts = np.ones(tasks.num, bool)
        self._log = EpisodeLog(tasks.num)
        self._begun = False

    def collect(
        self, num_steps: int, teacher: Guide | None = None, teacher_share: float = 0.0, with_term: bool = False
    ) -> Rollout:
        """Takes `num_steps` steps of every member.

        Args:
            num_steps: T.
            teacher: Asked at every step if given.
            teacher_share: Probability that an advised member takes the teacher's action instead of its own.
            with_term: Whether the reward term is computed.

        Returns:
            The rollout; its log-probabilities are those of the mixture of student and teacher that acted.
        """
        tasks, members, actions_ = self.tasks, self.tasks.num, self.student.num_actions
        rollout = Rollout.empty(num_steps, self._observations, self._state, actions_, teacher is not None)
        term = self.term if with_term else None
        if term is not None and not self._begun:
            term.begin(tasks, self._members)
            self._begun = True
        for step in range(num_steps):
            behaviour, rollout.values[step], self._state = self._act(self._observations, self._starts)
            rollout.observations[step] = self._observations
            rollout.starts[step] = self._starts
            if teacher is not None:
                with self.clock("teacher"):
                    guidance = teacher.guide(tasks, self._members, actions_, behaviour)
                rollout.teacher[step], rollout.advised[step] = guidance
                if teacher_share > 0:
                    share = teacher_share * guidance.advised[:, None]
                    behaviour = (1 - share) * behaviour + share * guidance.probabilities
            draws = self.random.random((members, 1))
            actions = np.minimum((behaviour.cumsum(-1) < draws).sum(-1), actions_ - 1)
            rollout.actions[step] = actions
            rollout.log_probs[step] = np.log(np.maximum(behaviour[self._members, actions], 1e-12))
            self._step(rollout, step, actions, term)
        _, rollout.last_values, _ = self._act(self._observations, self._starts)
        return rollout

    def recent(self) -> dict[str, float]:
        """Mean return and length of the last hundred episodes; the reward term's return apart."""
        return self._log.recent(with_term=self.term is not None)

    def _draw_seeds(self, count: int) -> list[int]:
        return [int(seed) for seed in self.random.integers(*self._episode_seeds, size=count)]

    def _step(self, rollout: Rollout, step: int, actions: NDArray[np.int64], term: RewardTerm | None) -> None:
        """Steps every member, records the step and starts new episodes."""
        tasks = self.tasks
        if term is not None:
            with self.clock("teacher"):
                rollout.term_rewards[step] = term.before(tasks, actions)
        with self.clock("environment"):
            stepped = tasks.step(self._members, actions.tolist())
        ended = stepped.terminated | stepped.truncated
        cut = stepped.truncated & ~stepped.terminated
        if cut.any():
            # A truncated episode could have gone on: the value of its last observation replaces the missing rewards.
            _, last, _ = self._act(stepped.observations, np.zeros(tasks.num, bool))
            rollout.cut_values[step] = last * cut
        rollout.rewards[step], rollout.ended[step] = stepped.rewards, ended
        if term is not None:
            with self.clock("teacher"):
                rollout.term_rewards[step] += term.after(tasks, stepped)
        self._observations, self._starts = stepped.observations, ended
        over = self._log.add(stepped.rewards, ended, rollout.term_rewards[step])
        if over:
            with self.clock("environment"):
                self._observations[over] = tasks.reset(over, self._draw_seeds(len(over)))
            if term is not None:
                with self.clock("teacher"):
                    term.begin(tasks, over)
        self.env_steps += tasks.num

    @torch.inference_mode()
    def _act(
        self, observations: NDArray[Any], starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Tensor]:
        """The student's action probabilities (N, A) and values (N,) for one step, and its memory after it."""
        with self.clock("acting"):
            logits, values, state = self.student(
                torch.from_numpy(observations[None]), self._state, torch.from_numpy(starts[None])
            )
        return logits[0].double().softmax(-1).numpy(), values[0].double().numpy(), state.clone()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a resumed run needs to go on with the same numbers: tensors, and JSON values."""
        values = {
            "random": self.random.bit_generator.state,
            "histories": self.tasks.histories(),
            "starts": self._starts.tolist(),
            "term": self.term.state() if self._begun and self.term is not None else None,
            "episodes": self._log.state(),
            "env_steps": self.env_steps,
            "seconds": self.clock.seconds,
        }
        return {"memory": self._state.clone()}, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Continues from `state`: the tasks are brought back by replaying their actions."""
        self.random.bit_generator.state = values["random"]
        self._observations = self.tasks.replay([(seed, actions) for seed, actions in values["histories"]])
        self._state = tensors["memory"]
        self._starts = np.array(values["starts"])
        self._log.restore(values["episodes"])
        if self.term is not None and values["term"] is not None:
            self.term.restore(self.tasks, values["term"])
            self._begun = True
        self.env_steps = values["env_steps"]
        self.clock.seconds = dict(values["seconds"])
