"""The language model that everybody sees: questions in, answers out, with the ledger in between."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from wean.errors import UsageError, WeanError
from wean.llm.answers import Answer, Counts, Message
from wean.llm.asking import Asker, Progress
from wean.llm.backends.backend import Backend
from wean.llm.backends.recorded import RecordedAnswers
from wean.llm.budget import Budget
from wean.llm.ledger import Ledger
from wean.llm.question import Key, Question, Sample, key_of
from wean.llm.records import dump_line, question_record

Normalisation = Literal["sum", "token", "word"]

DEFAULT_MAX_TOKENS = 512


class LanguageModel:
    """One language model behind the ledger; make it with `open_model` or `scripted_model`.

    Safe to use from several threads. Use it as a context manager, or call `close`, to let go of connections.

    Args:
        source: A live model, or recorded answers.
        ledger: Where live answers are kept. A recorded model needs none; given one, it looks there too for
            answers that its file lacks, and notes there what nobody answered.
        strict: A question that a recorded model lacks is an error instead of an answer without text.
        budget: Limits on live answers.
        progress: Called with (answers there, answers wanted) while a batch is being asked live.
        name: Shown instead of the source's own name.
        close_ledger: Whether closing the model closes the ledger too (it was made for this model).

    Attributes:
        counts: What was asked so far.
        ledger: The ledger, or None.
    """

    def __init__(
        self,
        source: Backend | RecordedAnswers,
        *,
        ledger: Ledger | None,
        strict: bool = False,
        budget: Budget | None = None,
        progress: Progress | None = None,
        name: str | None = None,
        close_ledger: bool = False,
    ) -> None:
        self.counts = Counts()
        self.ledger = ledger
        self._source = source
        self._strict = strict
        self._recorded = source if isinstance(source, RecordedAnswers) else None
        self._name = name or (source.label if isinstance(source, RecordedAnswers) else source.name)
        self._asker: Asker | None = None
        if not isinstance(source, RecordedAnswers):
            if ledger is None:
                raise UsageError("a live model needs a ledger; give it Ledger() or Ledger(':memory:')")
            if budget is not None and budget.dollars and source.price is None:
                raise UsageError(
                    f"the price of {source.name} is unknown, so a budget in dollars cannot be kept: add the "
                    "price to your prices.yaml (docs/models.md), or give the budget in tokens or calls"
                )
            self._asker = Asker(ledger, source, budget, progress)
        self._close_ledger = close_ledger
        self._counting = threading.Lock()
        self._questions_seen: set[bytes] = set()
        self._unanswered: dict[Key, dict[str, Any]] = {}

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name by which the model was opened."""
        return self._name

    @property
    def identity(self) -> str:
        """Name and revision, or a digest of weights or of the recorded answers; never a path or port."""
        return self._source.identity

    @property
    def can_score(self) -> bool:
        """Whether `score` works."""
        return self._source.can_score

    @property
    def unanswered(self) -> list[dict[str, Any]]:
        """Questions that a recorded model lacked, in the order met; JSON rows with `answer` null."""
        return list(self._unanswered.values())

    def save_unanswered(self, path: str | Path) -> int:
        """Writes the unanswered questions as JSONL, to be answered and used as a recorded file; returns how
        many.

        Raises:
            WeanError: The file cannot be written.
        """
        try:
            Path(path).write_text("".join(map(dump_line, self.unanswered)), encoding="utf-8")
        except OSError as error:
            raise WeanError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return len(self._unanswered)

    def generate(
        self,
        requests: Sequence[Sequence[Message]],
        n: int = 1,
        *,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = DEFAULT_MAX_TOKENS,
        schema: dict[str, Any] | None = None,
        seed: int | None = None,
        first_sample: int = 0,
    ) -> list[list[Answer]]:
        """Asks each question n times.

        Args:
            requests: The questions, each a chat. Equal questions of a batch are asked once.
            n: Answers for each.
            temperature: Sampling temperature, >= 0; None leaves it to the model.
            top_p: Nucleus, in (0, 1]; None leaves it to the model.
            max_tokens: Longest answer; None leaves it to the model.
            schema: JSON schema of the answer; enforced where the endpoint offers it.
            seed: Seed of the sampling, where the model honours one; sample number i uses seed + i.
            first_sample: Number of the first sample. A caller that stops early asks with n=1 and
                first_sample=0, 1, 2, ... and gets what n=3 would have given.

        Returns:
            For each question its n answers. A recorded model (not strict) has answers whose text is None.

        Raises:
            UsageError: A parameter is out of range.
            WeanError: A live model failed, a budget is used up, or strict and not recorded.
        """
        parameters = {
            "temperature": _in_range("temperature", temperature, 0.0, math.inf),
            "top_p": _in_range("top_p", top_p, 0.0, 1.0),
            "max_tokens": _at_least("max_tokens", max_tokens, 1),
            "schema": schema,
            "seed": _at_least("seed", seed, 0),
            "extra": (self._asker.backend.extra or None) if self._asker is not None else None,
        }
        _at_least("n", n, 1)
        _at_least("first_sample", first_sample, 0)
        numbers = range(first_sample, first_sample + n)
        questions = [Question.build("generate", self._key_name, request, parameters) for request in requests]
        if seed is None:
            flat = self._answer([(question, number) for question in questions for number in numbers])
            return [flat[i * n : (i + 1) * n] for i in range(len(questions))]
        # With a seed a local model answers all questions' first samples together, then the second ones.
        flat = self._answer([(question, number) for number in numbers for question in questions])
        return [flat[i :: len(questions)] for i in range(len(questions))]

    def score(
        self,
        requests: Sequence[Sequence[Message]],
        candidates: Sequence[Sequence[str]],
        normalisation: Normalisation = "sum",
    ) -> list[list[float]]:
        """Log-probability of each candidate as the model's answer.

        Args:
            requests: The questions, each a chat.
            candidates: For each question its candidates.
            normalisation: "sum" of the tokens' log-probabilities, or that divided by the number of tokens
                ("token") or words ("word").

        Returns:
            For each question one number (natural logarithm, <= 0) per candidate, in the order given.

        Raises:
            UsageError: The model cannot score, or a candidate is empty.
            WeanError: The model failed, or recorded answers lack a question.
        """
        if not self.can_score:
            raise UsageError(
                f"{self.name} cannot score candidates; use a local model (hf:...), or the elicitation "
                '"samples" or "verbalized"'
            )
        if normalisation not in ("sum", "token", "word"):
            raise UsageError(f"normalisation is sum, token or word, not {normalisation!r}")
        if len(requests) != len(candidates):
            raise UsageError(f"{len(requests)} questions need as many lists of candidates, not {len(candidates)}")
        samples, orders = [], []
        for request, texts in zip(requests, candidates, strict=True):
            if not texts or not all(isinstance(text, str) and text for text in texts):
                raise UsageError(
                    "a candidate is empty (or there is none); every candidate needs at least one character"
                )
            # The order in which candidates are named does not matter, so it is no part of the question.
            distinct = sorted(set(texts))
            orders.append(_positions(texts, distinct))
            parameters = {"candidates": distinct, "normalisation": normalisation}
            samples.append((Question.build("score", self._key_name, request, parameters), 0))
        scores = []
        for answer, order in zip(self._answer(samples), orders, strict=True):
            if answer.text is None:
                raise WeanError(
                    f"{self.name} has no scores for a question; export the unanswered questions, answer "
                    "them and add them to its file, or use a local model (hf:...)"
                )
            values = json.loads(answer.text)
            scores.append([float(values[position]) for position in order])
        return scores

    def close(self) -> None:
        """Lets go of connections and memory; a ledger that was given stays open for whoever made it."""
        if self._asker is not None:
            self._asker.backend.close()
        if self._close_ledger and self.ledger is not None:
            self.ledger.close()

    @property
    def _key_name(self) -> str:
        # A recorded file that grows stays the same model for the answers that a ledger keeps beside it.
        return self._recorded.label if self._recorded is not None else self._source.identity

    def _answer(self, samples: list[Sample]) -> list[Answer]:
        if self._asker is not None:
            found = self._asker.answers(samples)
        else:
            found = self._look_up(samples)
        answers, met = [], set()
        with self._counting:
            for sample in samples:
                key = key_of(sample)
                answer = found[key]
                if key in met and answer.text is not None and not answer.replayed:
                    answer = replace(answer, replayed=True)  # the batch named it twice, it was asked once
                met.add(key)
                answers.append(answer)
                self.counts.add(answer)
                self._questions_seen.add(key[0])
            self.counts.distinct = len(self._questions_seen)
        return answers

    def _look_up(self, samples: list[Sample]) -> dict[Key, Answer]:
        assert self._recorded is not None
        found, missing = {}, {}
        for sample in samples:
            answer = self._recorded.find(*sample)
            if answer is None:
                missing[key_of(sample)] = sample
            else:
                found[key_of(sample)] = answer
        if missing and self.ledger is not None:
            found |= self.ledger.find(missing.values())
            missing = {key: sample for key, sample in missing.items() if key not in found}
        if missing:
            for key, sample in missing.items():
                self._unanswered.setdefault(key, question_record(sample, "not recorded"))
                found[key] = Answer(text=None, replayed=True)
            if self.ledger is not None:
                self.ledger.note_unanswered(list(missing.values()), "not recorded")
            if self._strict:
                raise WeanError(
                    f"{self.name} has no answer to {len(missing)} question(s) (strict): save them with "
                    "save_unanswered(), fill in the answers and add the lines to a recorded file, or name "
                    "a live model"
                )
        return found


def _positions(texts: Sequence[str], distinct: list[str]) -> list[int]:
    index = {text: position for position, text in enumerate(distinct)}
    return [index[text] for text in texts]


def _in_range(name: str, value: float | None, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
        raise UsageError(f"{name} must be between {low:g} and {high:g}, not {value!r}")
    return float(value)


def _at_least(name: str, value: int | None, low: int) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
        raise UsageError(f"{name} must be a whole number from {low}, not {value!r}")
    return value
