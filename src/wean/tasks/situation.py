"""What a language model is told of one moment of a task."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol


class Situation(Protocol):
    """One moment in words. Everything but `key` may be built lazily, so that nobody pays for unread words."""

    @property
    def key(self) -> Hashable:
        """Two situations with equal keys are the same question; cheap to compute."""

    @property
    def goal(self) -> str:
        """The task, its rules and what the agent can do; the same in every situation of a task."""

    @property
    def text(self) -> str:
        """What is the case now."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What a language model may choose from here: grounded skills, or admissible actions."""


@dataclass(frozen=True)
class Words:
    """A situation whose words are already there; the key is the text unless given."""

    goal: str
    text: str
    choices: tuple[str, ...]
    key: Hashable = field(default="")

    def __post_init__(self) -> None:
        if self.key == "":
            object.__setattr__(self, "key", self.text)


@dataclass(frozen=True)
class LazyWords:
    """A situation whose text and choices are built by functions of its key, when they are read."""

    key: Hashable
    goal: str
    write: Callable[[Hashable], str]
    choose: Callable[[Hashable], tuple[str, ...]]

    @property
    def text(self) -> str:
        """What is the case now."""
        return self.write(self.key)

    @property
    def choices(self) -> tuple[str, ...]:
        """What a language model may choose from here."""
        return self.choose(self.key)
