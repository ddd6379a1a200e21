"""One moment of a task in words: what a language model is asked about."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Situation:
    """One moment of a task in words.

    Example:
        >>> Situation("Fetch the key.", "You see a door.", ("open door", "wait")).key
        'You see a door.'

    Attributes:
        goal: The task, its rules and the agent's abilities; the same in every situation of a task.
        text: What is the case now.
        choices: What a language model may choose from here, grounded skills or admissible actions. Where the choices
            are the task's numbered actions, they name the actions 0, 1, 2, ... in order.
        key: Situations with equal keys are one question; the text unless given.
    """

    goal: str
    text: str
    choices: tuple[str, ...]
    key: Hashable = ""

    def __post_init__(self) -> None:
        if self.key == "":
            object.__setattr__(self, "key", self.text)


class LazySituation(Situation):
    """A situation whose text and choices are built on first read, so that unread words cost nothing.

    Args:
        key: See `Situation`.
        goal: See `Situation`.
        write: Builds the text.
        choose: Builds the choices.
    """

    _write: Callable[[], str]
    _choose: Callable[[], tuple[str, ...]]

    def __init__(
        self, key: Hashable, goal: str, write: Callable[[], str], choose: Callable[[], tuple[str, ...]]
    ) -> None:
        # The dataclass is frozen: its fields are set beneath it.
        self.__dict__.update(key=key, goal=goal, _write=write, _choose=choose)

    @cached_property
    def text(self) -> str:
        """See `Situation`."""
        return self._write()

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """See `Situation`."""
        return self._choose()
