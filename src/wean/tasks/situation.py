"""Situations of a task in words, about which a language model is asked, and numbers for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError, shown


@dataclass(frozen=True)
class Situation:
    """A state of a task in words.

    Example:
        >>> Situation("Fetch the key.", "You see a door.", ("open door", "wait")).key
        'You see a door.'

    Attributes:
        goal: The task, its rules and the agent's abilities; the same in every situation of a task.
        text: The current state.
        choices: What a language model may choose from, grounded skills or admissible actions; for numbered actions the
            names of the actions 0, 1, 2, ... in order.
        key: Situations with equal keys are one question; the text unless given.

    Raises:
        UsageError: A part is no text, or the choices are no sequence of texts.
    """

    goal: str
    text: str
    choices: tuple[str, ...]
    key: Hashable = ""

    def __post_init__(self) -> None:
        if not isinstance(self.choices, tuple | list):
            raise UsageError(f"a situation's choices are a tuple of texts, not {shown(self.choices)}; name the actions")
        for words in (self.goal, self.text, *self.choices):
            if not isinstance(words, str):
                raise UsageError(f"a situation's goal, text and choices are texts, not {shown(words)}; write words")
        if self.key == "":
            object.__setattr__(self, "key", self.text)


class LazySituation(Situation):
    """A situation whose text and choices are built on first read, by `write` and `choose`."""

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


def first_named(plan: Sequence[str], names: Sequence[str]) -> int | None:
    """The place among `names` of a plan's first item, whatever its case; None if it names none of them."""
    wanted = plan[0].strip().lower() if plan else ""
    return next((place for place, name in enumerate(names) if name.lower() == wanted), None)


class SituationIndex:
    """Numbers the distinct situations (text and choices) 0, 1, ... in the order met.

    Learners from text keep these numbers instead of words: a transition is a few integers, and each text is encoded
    once. A situation's words are built only when its key is new.

    Attributes:
        texts: The distinct texts, of situations and of choices.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._text_numbers: dict[str, int] = {}
        self._by_words: dict[tuple[int, tuple[int, ...]], int] = {}
        self._by_key: dict[Hashable, int] = {}
        self._text = np.zeros(64, np.int64)
        self._choices = np.full((64, 1), -1, np.int64)
        self._counts = np.zeros(64, np.int64)

    def __len__(self) -> int:
        return len(self._by_words)

    @property
    def width(self) -> int:
        """The greatest number of choices of a situation so far, A."""
        return self._choices.shape[1]

    @property
    def text(self) -> NDArray[np.int64]:
        """(M,) the place of each situation's text in `texts`."""
        return self._text[: len(self)]

    @property
    def choices(self) -> NDArray[np.int64]:
        """(M, A) the places of each situation's choices in `texts`, filled up with -1."""
        return self._choices[: len(self)]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(M,) the number of choices of each situation."""
        return self._counts[: len(self)]

    def of(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """The numbers (N,) of situations; new ones are added."""
        found = np.empty(len(situations), np.int64)
        for place, situation in enumerate(situations):
            number = self._by_key.get(situation.key)
            if number is None:
                number = self._by_key[situation.key] = self.add(situation.text, situation.choices)
            found[place] = number
        return found

    def add(self, text: str, choices: Sequence[str]) -> int:
        """The number of a situation in words; a new one is added."""
        words = self._number(text), tuple(self._number(choice) for choice in choices)
        if words in self._by_words:
            return self._by_words[words]
        number = self._by_words[words] = len(self._by_words)
        if number == len(self._text):
            self._text = np.concatenate([self._text, np.zeros_like(self._text)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._choices = np.concatenate([self._choices, np.full_like(self._choices, -1)])
        if len(choices) > self.width:
            more = len(choices) - self.width
            self._choices = np.pad(self._choices, ((0, 0), (0, more)), constant_values=-1)
        self._text[number], self._counts[number] = words[0], len(choices)
        self._choices[number, : len(choices)] = words[1]
        return number

    def _number(self, text: str) -> int:
        number = self._text_numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number
