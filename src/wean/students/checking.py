"""Checks a student of one's own against the contract, in the manner of `gymnasium.utils.env_checker.check_env`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from wean.errors import UsageError
from wean.tasks.vector import num_actions

_STEPS, _MEMBERS = 3, 2
_MEMBERS_OF_A_STUDENT = ("num_actions", "memory_size", "first_state", "probabilities")


def check_student(student: Any, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
    """Checks that a student keeps the contract of `wean.students.student.Student` on observations of a task.

    PPO, imitation and evaluations take any module that passes.

    Example:
        >>> env = wean.make("FrozenLake4x4")
        >>> student = wean.make_student(env.observation_space, env.action_space)
        >>> check_student(student, env.observation_space, env.action_space)

    Args:
        student: A `Student`, or any other `nn.Module` with the same public members.
        observation_space: What it will see; a few samples are shown to it.
        action_space: `Discrete`.

    Raises:
        UsageError: In one line, what is missing, or has another shape than it should.
    """
    name, actions = type(student).__name__, num_actions(action_space)
    for member in _MEMBERS_OF_A_STUDENT:
        if not hasattr(student, member):
            raise UsageError(f"{name} has no {member}; see wean.students.student.Student")
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise UsageError(f"{name} has no trainable parameters; nothing could be learned")
    memory = student.memory_size
    if student.num_actions != actions:
        raise UsageError(f"{name}.num_actions is {student.num_actions}, the task has {actions} actions")
    observation_space.seed(0)
    samples = np.stack([observation_space.sample() for _ in range(_STEPS * _MEMBERS)])
    observations = samples.reshape(_STEPS, _MEMBERS, *samples.shape[1:])
    starts = np.zeros((_STEPS, _MEMBERS), bool)
    starts[0] = True
    state = student.first_state(_MEMBERS)
    _check(f"{name}.first_state(members)", state, (_MEMBERS, memory))
    try:
        logits, values, after = student(torch.from_numpy(observations), state, torch.from_numpy(starts))
    except UsageError:
        raise
    except Exception as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{name}(observations, state, starts) fails ({detail}); see Student.forward") from error
    _check(f"{name}'s logits", logits, (_STEPS, _MEMBERS, actions))
    _check(f"{name}'s values", values, (_STEPS, _MEMBERS))
    _check(f"{name}'s memory after a step", after, (_MEMBERS, memory))
    if not logits.requires_grad:
        raise UsageError(f"{name}'s logits carry no gradient; do not detach them in forward()")
    logits = student(torch.from_numpy(observations[:1]), state, torch.from_numpy(starts[:1]))[0]
    given, after = student.probabilities(observations[0], student.first_state(_MEMBERS), starts[0])
    _check(f"{name}.probabilities' memory", after, (_MEMBERS, memory))
    if np.shape(given) != (_MEMBERS, actions) or not np.allclose(given, logits[0].softmax(-1).detach(), atol=1e-5):
        raise UsageError(f"{name}.probabilities differ from the softmax of its logits; PPO needs them to agree")


def _check(what: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise UsageError(f"{what} should be a tensor of shape {shape}, not {type(value).__name__}")
    if tuple(value.shape) != shape:
        raise UsageError(f"{what} should have shape {shape}, not {tuple(value.shape)}")
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise UsageError(f"{what} should be finite numbers")
