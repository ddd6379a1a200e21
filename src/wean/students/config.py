"""The settings of a student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from wean.config import SETTINGS
from wean.errors import UsageError

Acting = Literal["sampled", "greedy", "no_repeat"]
"""How a student acts: draws from its policy, takes the most probable action, or never the same one twice in a state."""
Goal = Literal["none", "position", "object", "language"]
"""How a student of a grid map sees its current sub-goal; see `wean.students.grid`."""


class StudentConfig(BaseModel):
    """What kind of network a student is, and how large."""

    model_config = SETTINGS

    kind: str = "auto"
    """Network: `grid` on a remembered map, `camera` on pictures, `dense` on an array; `auto` as the task declares."""
    hidden: int = Field(128, gt=0, le=8192)
    """Width of the hidden layers."""
    recurrent: bool = False
    """Gives the student a memory (a GRU)."""
    view_radius: int | None = Field(None, gt=0, le=100)
    """Cells of a grid map that the student sees to each side; none: all of a small map, at most 9."""
    border_distances: bool = False
    """Gives a student of a grid map its distances to the map's four borders."""
    object_set: bool = False
    """Gives it the set of objects on the map, wherever they are: for keys and locks that must fit."""
    reflection: bool = False
    """Makes its policy symmetric under left-right reflection: half as much to learn, at twice the work."""
    chooses: Literal["actions", "skills"] = "actions"
    """What it chooses: the task's own actions, or skills, which then run until they are over."""
    goal: Goal = "none"
    """The current sub-goal that it sees, on a grid map: none, its position, its object, or its phrase's vector."""
    values: Literal["text", "table"] = "text"
    """Where actions are valued: a small network on sentence vectors, or a table for tasks of few situations."""
    encoder: str = "minilm"
    """Sentence encoder of `values=text` and `goal=language`: `minilm` (`wean models get minilm`), or a model folder."""

    @property
    def map_options(self) -> list[str]:
        """Names of the settings that were changed and make sense on a grid map only."""
        names = {"view_radius", "border_distances", "object_set", "reflection"}
        return [name for name, value in self.model_dump(include=names).items() if value]

    def refuse_map_options(self) -> None:
        """Checks that nothing was set which makes sense on a grid map only.

        Raises:
            UsageError: It was; the message names the settings.
        """
        if self.map_options:
            names = ", ".join(f"student.{name}" for name in self.map_options)
            raise UsageError(f"{names}: only for tasks that show a grid map; leave it out")

    @classmethod
    def split(cls, values: Mapping[str, Any]) -> tuple[StudentConfig, dict[str, Any]]:
        """Takes the settings among the values of a `config.json`; returns them, and the other values."""
        settings = {name: value for name, value in values.items() if name in cls.model_fields}
        return cls(**settings), {name: value for name, value in values.items() if name not in settings}
