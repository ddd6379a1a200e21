"""The contract of a student, and the simplest one: a multilayer perceptron for arrays and for numbered states."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import UsageError, shown_error
from wean.students.config import StudentConfig
from wean.tasks.vector import num_actions


class Student(nn.Module):
    """A policy and a value network for numeric observations and a `Discrete` action space.

    A subclass sets `kind` and implements `features`; everything after the features is here: an optional GRU, a policy
    head and a value head. Algorithms also take any other `nn.Module` with the same public members (`num_actions`,
    `memory_size`, `forward`, `first_state`, `probabilities`); `check_student` names what one lacks. To be saved with a
    run, a student also needs `kind` and `config`, and to be loaded, `from_config` and an entry point; see
    `wean.students.saving`.

    Example:
        >>> class Linear(Student):
        ...     kind = "linear"
        ...
        ...     def features(self, observations: Tensor) -> Tensor:
        ...         return observations.float()
        >>> student = Linear({"size": 4}, width=4, num_actions=2)

    Args:
        config: Constructor arguments of the subclass, JSON values; written to `config.json`.
        width: Size of the vector that `features` returns.
        num_actions: Size A of the action space.
        recurrent: Puts a GRU of the same width between features and heads.

    Attributes:
        kind: The `type` in `config.json`.
        memory_size: M, numbers that are remembered from one step to the next; 0 for a feed-forward student.
    """

    kind: ClassVar[str]

    def __init__(self, config: dict[str, Any], width: int, num_actions: int, recurrent: bool = False) -> None:
        super().__init__()
        self.config = config
        self.num_actions = num_actions
        self.memory_size = width if recurrent else 0
        self.memory = nn.GRU(width, width) if recurrent else None
        actor, critic = nn.Linear(width, num_actions), nn.Linear(width, 1)
        # A near-uniform first policy explores; the usual choice for PPO's policy head.
        nn.init.orthogonal_(actor.weight, 0.01)
        nn.init.zeros_(actor.bias)
        nn.init.orthogonal_(critic.weight, 1.0)
        nn.init.zeros_(critic.bias)
        self.actor: nn.Module = actor
        self.critic: nn.Module = critic

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Self:
        """Makes a new student of the class from its `config`."""
        return cls(**values)

    def features(self, observations: Tensor) -> Tensor:
        """Maps observations (B, ...) to features (B, width)."""
        raise NotImplementedError(f"{type(self).__name__} must implement features(), or forward() as a whole")

    def allowed(self, observations: Tensor) -> Tensor | None:
        """Which actions are admissible, (B, A) bool, read from the observations (B, ...); None where all are."""
        return None

    def sees(self, observations: NDArray[Any]) -> bool:
        """Whether observations (N, ...) are such as it was made for; here all are."""
        return True

    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the student over T steps of N members.

        Args:
            observations: (T, N, ...) as the tasks give them.
            state: (N, memory_size) memory before the first step; (N, 0) for a feed-forward student.
            starts: (T, N) bool, True where an episode begins (the memory is cleared there).

        Returns:
            Logits (T, N, A), values (T, N) and the memory (N, memory_size) after the last step.
        """
        steps, members = observations.shape[:2]
        seen = self.features(observations.flatten(0, 1)).view(steps, members, -1)
        if self.memory is not None:
            outputs = []
            for step in range(steps):
                state = state * ~starts[step].unsqueeze(-1)
                output, after = self.memory(seen[step : step + 1], state.unsqueeze(0))
                state = after[0]
                outputs.append(output)
            seen = torch.cat(outputs)
        logits = self.actor(seen)
        allowed = self.allowed(observations.flatten(0, 1))
        if allowed is not None:
            # A large number and not infinity: 0 * log 0 in the entropy would not be a number.
            logits = logits.masked_fill(~allowed.view_as(logits), -1e9)
        return logits, self.critic(seen).squeeze(-1), state

    def first_state(self, members: int) -> Tensor:
        """The memory (members, memory_size) at the start of an episode."""
        return torch.zeros(members, self.memory_size)

    @torch.inference_mode()
    def probabilities(
        self, observations: NDArray[Any], state: Tensor, starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], Tensor]:
        """Action probabilities (N, A) for one step of N members, and their memory after it.

        Raises:
            UsageError: The observations are none that it was made for.
        """
        if not self.sees(observations):
            shown = f"an observation of shape {observations.shape[1:]} and type {observations.dtype}"
            made = ", ".join(
                f"{name} {self.config[name]}" for name in ("width", "height", "size") if name in self.config
            )
            raise UsageError(
                f"{shown} is none that this student sees (it was made for {made}); let it play its own task"
            )
        logits, _, state = self(
            torch.from_numpy(observations).unsqueeze(0), state, torch.from_numpy(starts).unsqueeze(0)
        )
        return logits[0].double().softmax(-1).numpy(), state

    def parameter_count(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


class DenseStudent(Student):
    """A multilayer perceptron over a flattened `Box` observation, or over a one-hot `Discrete` one.

    Args:
        size: Length of the flattened observation, or number of states.
        num_actions: Size of the action space.
        discrete: True where the observation is a state's number.
        start: The number of the first state.
        config: `hidden` and `recurrent` are used.
    """

    kind: ClassVar[str] = "dense"

    def __init__(
        self, size: int, num_actions: int, discrete: bool = False, config: StudentConfig | None = None, start: int = 0
    ) -> None:
        config = config or StudentConfig(hidden=64)
        hidden, recurrent = config.hidden, config.recurrent
        saved = {"size": size, "num_actions": num_actions, "discrete": discrete, **({"start": start} if start else {})}
        self._start = start
        super().__init__(saved | config.model_dump(include={"hidden", "recurrent"}), hidden, num_actions, recurrent)
        self.trunk = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Self:
        """See `Student.from_config`."""
        config, rest = StudentConfig.split(values)
        return cls(**rest, config=config)

    @classmethod
    def for_task(
        cls, observation_space: gym.Space[Any], num_actions: int, config: StudentConfig, observation: str
    ) -> Self:
        """Makes one for a task; see `wean.students.saving.make_student`."""
        config.refuse_map_options()
        if isinstance(observation_space, gym.spaces.Discrete):
            return cls(int(observation_space.n), num_actions, True, config, int(observation_space.start))
        if not isinstance(observation_space, gym.spaces.Box):
            raise UsageError(f"no student sees {observation_space}; wrap the task in gymnasium's FlattenObservation")
        return cls(int(np.prod(observation_space.shape)), num_actions, False, config)

    def sees(self, observations: NDArray[Any]) -> bool:
        """See `Student.sees`."""
        if not self.config["discrete"]:
            return bool(np.prod(observations.shape[1:]) == self.config["size"])
        places = observations - self._start
        return observations.ndim == 1 and bool(((places >= 0) & (places < self.config["size"])).all())

    def features(self, observations: Tensor) -> Tensor:
        """Maps observations (B, ...) or state numbers (B,) to features (B, hidden)."""
        if self.config["discrete"]:
            seen = nn.functional.one_hot(observations.long() - self._start, self.config["size"]).float()
        else:
            seen = observations.flatten(1).float()
        out: Tensor = self.trunk(seen)
        return out


_STEPS, _MEMBERS = 3, 2
_MEMBERS_TO_SAVE = ("kind", "config")
_MEMBERS_OF_A_STUDENT = ("num_actions", "memory_size", "first_state", "probabilities")


def check_student(
    student: Any, observation_space: gym.Space[Any], action_space: gym.Space[Any], *, saved: bool = False
) -> None:
    """Checks that a student keeps the contract of `Student` on a task's observations; algorithms take one that does.

    Example:
        >>> env = wean.make("FrozenLake4x4")
        >>> student = wean.make_student(env.observation_space, env.action_space)
        >>> check_student(student, env.observation_space, env.action_space)

    Args:
        student: The student.
        observation_space: What it sees.
        action_space: Its actions.
        saved: Whether it also needs what it is saved by.

    Raises:
        UsageError: In one line, what is missing, or has another shape than it should.
    """
    name, actions = type(student).__name__, num_actions(action_space)
    for member in (*_MEMBERS_OF_A_STUDENT, *(_MEMBERS_TO_SAVE if saved else ())):
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
        detail = shown_error(error, 1_000)
        raise UsageError(f"{name}(observations, state, starts) fails ({detail}); see Student.forward") from error
    _check(f"{name}'s logits", logits, (_STEPS, _MEMBERS, actions))
    _check(f"{name}'s values", values, (_STEPS, _MEMBERS))
    _check(f"{name}'s memory after a step", after, (_MEMBERS, memory))
    if not (torch.isfinite(logits).all() and torch.isfinite(values).all()):
        raise UsageError(f"{name}'s logits or values are not finite (NaN or infinite); mend its forward()")
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
