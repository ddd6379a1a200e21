"""A student for arrays and for numbered states."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
from torch import Tensor, nn

from wean.errors import UsageError
from wean.students.config import StudentConfig
from wean.students.student import Student


class DenseStudent(Student):
    """A multilayer perceptron over a flattened `Box` observation, or over a one-hot `Discrete` one.

    Args:
        size: Length of the flattened observation, or number of states.
        num_actions: Size of the action space.
        discrete: True where the observation is a state's number.
        config: `hidden` and `recurrent` are used.
    """

    kind: ClassVar[str] = "dense"

    def __init__(
        self, size: int, num_actions: int, discrete: bool = False, config: StudentConfig | None = None
    ) -> None:
        config = config or StudentConfig(hidden=64)
        hidden, recurrent = config.hidden, config.recurrent
        saved = {"size": size, "num_actions": num_actions, "discrete": discrete}
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
        if config.map_options:
            names = ", ".join(f"student.{name}" for name in config.map_options)
            raise UsageError(f"{names}: only for tasks that show a grid map; leave it out")
        if isinstance(observation_space, gym.spaces.Discrete):
            return cls(int(observation_space.n), num_actions, True, config)
        if not isinstance(observation_space, gym.spaces.Box):
            raise UsageError(f"no student sees {observation_space}; wrap the task in gymnasium's FlattenObservation")
        return cls(int(np.prod(observation_space.shape)), num_actions, False, config)

    def features(self, observations: Tensor) -> Tensor:
        """Maps observations (B, ...) or state numbers (B,) to features (B, hidden)."""
        if self.config["discrete"]:
            seen = nn.functional.one_hot(observations.long(), self.config["size"]).float()
        else:
            seen = observations.flatten(1).float()
        out: Tensor = self.trunk(seen)
        return out
