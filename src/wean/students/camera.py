"""A student that sees through a camera: a small convolutional network over the picture and the numbers beside it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wean.errors import UsageError
from wean.students.config import StudentConfig
from wean.students.student import Student

STATE_CELLS = 64  # numbers of the last channel that are read
_LEAST = 20  # pixels a side that the convolutions need


class CameraStudent(Student):
    """Three convolutions over a picture, two layers over its numbers, and one over both.

    Observations are uint8 (H, W, C + 1), as `wean.tasks.member.student_observation` makes them: the last channel holds
    numbers in [0, 1], in 255 parts, in its first cells.

    Args:
        height: Pixels.
        width: Pixels.
        channels: C, of the picture alone.
        num_actions: Size of the action space.
        config: `hidden` and `recurrent` are used.
    """

    kind: ClassVar[str] = "camera"

    def __init__(
        self, height: int, width: int, channels: int, num_actions: int, config: StudentConfig | None = None
    ) -> None:
        config = config or StudentConfig()
        if min(height, width) < _LEAST:
            raise UsageError(f"a camera student sees pictures of {_LEAST} pixels a side or more, not {height}x{width}")
        saved = {"height": height, "width": width, "channels": channels, "num_actions": num_actions}
        hidden, recurrent = config.hidden, config.recurrent
        super().__init__(saved | config.model_dump(include={"hidden", "recurrent"}), hidden, num_actions, recurrent)
        self.picture = nn.Sequential(
            nn.Conv2d(channels, 16, 4, 2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.numbers = nn.Sequential(nn.Linear(STATE_CELLS, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        with torch.no_grad():
            pixels = self.picture(torch.zeros(1, channels, height, width)).shape[1]
        self.both = nn.Sequential(nn.Linear(pixels + 64, hidden), nn.Tanh())

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> Self:
        """See `Student.from_config`."""
        config, rest = StudentConfig.split(values)
        return cls(**rest, config=config)

    @classmethod
    def for_task(
        cls, observation_space: gym.Space[Any], num_actions: int, config: StudentConfig, observation: str
    ) -> Self:
        """Makes one for a task; see `wean.students.saving.make_student`.

        Raises:
            UsageError: The task shows no pictures, or the settings name what only a grid map has.
        """
        config.refuse_map_options()
        shape = observation_space.shape or ()
        if observation != "camera" or len(shape) != 3:
            raise UsageError("student.kind=camera is for tasks that show pictures, such as NavPick; leave it out")
        return cls(shape[0], shape[1], shape[2] - 1, num_actions, config)

    def sees(self, observations: NDArray[Any]) -> bool:
        """See `Student.sees`."""
        made = (self.config["height"], self.config["width"], self.config["channels"] + 1)
        return observations.dtype == np.uint8 and observations.shape[1:] == made

    def features(self, observations: Tensor) -> Tensor:
        """Maps observations uint8 (B, H, W, C + 1) to features (B, hidden)."""
        scaled = observations.float() / 255
        seen = self.picture(scaled[..., :-1].permute(0, 3, 1, 2))
        known = self.numbers(scaled[..., -1].flatten(1)[:, :STATE_CELLS])
        out: Tensor = self.both(torch.cat([seen, known], 1))
        return out
