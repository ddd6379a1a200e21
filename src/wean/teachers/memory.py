"""One question for each distinct situation: what was answered, and how often each situation was met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from wean.tasks.situation import Situation

Answer = TypeVar("Answer")
Words = tuple[Any, ...]


class AnswerMemory(Generic[Answer]):
    """Answers about situations, each distinct one asked about once.

    Args:
        ask: Maps new situations to answers, in one batch.
        words: What makes situations one question, its text first; it identifies a situation in a resumed run, too.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Situation]], Sequence[Answer]],
        words: Callable[[Situation], Words] = lambda situation: (situation.text,),
    ) -> None:
        self._ask, self._write = ask, words
        self._words: dict[Hashable, Words] = {}  # by the situations' keys, so that words are built once
        self._answers: dict[Words, Answer] = {}
        self._met: Counter[Words] = Counter()

    def answers(self, situations: Sequence[Situation]) -> list[Answer]:
        """The answer for each situation; asks about the new ones among them."""
        new = [situation for situation in situations if situation.key not in self._words]
        if new:
            written = {situation.key: self._write(situation) for situation in new}
            unasked = {written[s.key]: s for s in new if written[s.key] not in self._answers}
            if unasked:
                self._answers |= zip(unasked, self._ask(list(unasked.values())), strict=True)
            self._words |= written
        return [self._answers[self._words[situation.key]] for situation in situations]

    def count(self, situations: Sequence[Situation]) -> None:
        """Counts a meeting with each situation, after `answers`."""
        self._met.update(self._words[situation.key] for situation in situations)

    def rows(self) -> list[tuple[Words, Answer, int]]:
        """Words, answer and number of meetings of each situation, most often met first."""
        rows = [(words, answer, self._met[words]) for words, answer in self._answers.items()]
        return sorted(rows, key=lambda row: (-row[2], row[0][0]))

    def restore(self, rows: Iterable[tuple[Words, Answer, int]]) -> None:
        """Continues from `rows`, without asking again: its counts replace those since this memory was made."""
        self._met.clear()
        for words, answer, met in rows:
            self._answers[words] = answer
            self._met[words] = met
