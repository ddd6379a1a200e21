"""What answers about situations, and the memory of its answers: one question for each distinct situation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from wean.llm.model import LanguageModel, open_model
from wean.tasks.situation import Situation

Answer = TypeVar("Answer")
Words = tuple[Any, ...]
Ask = Callable[[Sequence[Situation]], Sequence[Answer]]
Written = Mapping[str, Mapping[str, float]]
"""Answers by the texts of situations: plans or choices with their probabilities."""


def source_of(
    model: str | LanguageModel | Written | Ask[Answer],
    elicit: Callable[[LanguageModel, Sequence[Situation]], Sequence[Answer]],
    look_up: Callable[[Written, Sequence[Situation]], Sequence[Answer]],
) -> tuple[LanguageModel | None, Ask[Answer]]:
    """Opens what answers about situations.

    Args:
        model: The name of a language model as in `wean.llm.open_model` (`openai:...`, a URL, `hf:...`,
            `recorded:...`), one that is open, a mapping from the texts of situations to answers with their
            probabilities, or a function from new situations to answers.
        elicit: How a language model is asked.
        look_up: How a mapping is read.

    Returns:
        The language model, if there is one, and a function from new situations to answers.
    """
    opened = open_model(model) if isinstance(model, str) else model
    if isinstance(opened, LanguageModel):
        return opened, partial(elicit, opened)
    return None, partial(look_up, opened) if isinstance(opened, Mapping) else opened


class AnswerMemory(Generic[Answer]):
    """Answers about situations, each distinct one asked about once.

    Args:
        ask: Maps new situations to answers, in one batch.
        words: What makes situations one question, its text first; it identifies a situation in a resumed run, too.
    """

    def __init__(
        self,
        ask: Ask[Answer],
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
