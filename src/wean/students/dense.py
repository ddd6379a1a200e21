"""A student for vectors and for numbered states."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from wean.students.student import Student


class DenseStudent(Student):
    """A multilayer perceptron over a flattened `Box` observation, or over a one-hot `Discrete` one.

    Args:
        size: Length of the flattened observation, or number of states.
        num_actions: Size of the action space.
        discrete: True where the observation is a state's number.
        hidden: Width of the two hidden layers.
        recurrent: Adds a GRU after the hidden layers.
    """

    kind: ClassVar[str] = "dense"

    def __init__(
        self, size: int, num_actions: int, discrete: bool = False, hidden: int = 64, recurrent: bool = False
    ) -> None:
        config = {
            "size": size,
            "num_actions": num_actions,
            "discrete": discrete,
            "hidden": hidden,
            "recurrent": recurrent,
        }
        super().__init__(config, hidden, num_actions, recurrent)
        self.trunk = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())

    def features(self, observations: Tensor) -> Tensor:
        """Maps observations (B, ...) or state numbers (B,) to features (B, hidden)."""
        if self.config["discrete"]:
            seen = nn.functional.one_hot(observations.long(), self.config["size"]).float()
        else:
            seen = observations.flatten(1).float()
        out: Tensor = self.trunk(seen)
        return out
