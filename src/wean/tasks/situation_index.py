"""Numbers for the moments of a task: every distinct situation, and every text in it, is kept once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from wean.tasks.situation import Situation


class SituationIndex:
    """Numbers each distinct situation (its text and its choices) 0, 1, ... in the order met.

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
        """The most choices that any situation so far offered, A."""
        return self._choices.shape[1]

    @property
    def text(self) -> NDArray[np.int64]:
        """(M,) for each moment the place of its text in `texts`."""
        return self._text[: len(self)]

    @property
    def choices(self) -> NDArray[np.int64]:
        """(M, A) for each moment the places of its choices in `texts`, filled up with -1."""
        return self._choices[: len(self)]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(M,) how many choices each moment has."""
        return self._counts[: len(self)]

    def of(self, situations: Sequence[Situation]) -> NDArray[np.int64]:
        """Gives the numbers (N,) of situations; new ones are added."""
        found = np.empty(len(situations), np.int64)
        for place, situation in enumerate(situations):
            number = self._by_key.get(situation.key)
            if number is None:
                number = self._by_key[situation.key] = self.add(situation.text, situation.choices)
            found[place] = number
        return found

    def add(self, text: str, choices: Sequence[str]) -> int:
        """Gives the number of a situation in words; a new one is added."""
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
