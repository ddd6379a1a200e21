"""Models that run in this process: a transformers model, by way of `wean.lm`, and a Python function."""

from __future__ import annotations

import importlib
import inspect
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from wean.errors import UsageError, own_code, shown_error
from wean.llm.answers import CUT, FREE, Answer, Message, Price, Question, Sample, estimate_tokens

if TYPE_CHECKING:
    from wean.lm.model import LocalModel

ScoreFunction = Callable[[list[Message], list[str]], Sequence[float]]
"""Takes messages and candidates; returns one log-probability for each candidate."""


class LocalBackend:
    """Generates and scores with a local transformers model, loaded when first needed."""

    concurrency = 1
    can_score = True
    price: Price | None = FREE

    def __init__(self, name: str, batch_size: int = 32, **options: Any) -> None:
        if not name:
            raise UsageError("hf: needs a directory, hub id or short name, such as hf:smollm2-135m")
        if batch_size < 1:
            raise UsageError(f"batch_size is at least 1, not {batch_size}")
        self.name = f"hf:{name}"
        self.batch_size = batch_size
        self.extra: dict[str, Any] = {}
        self._spec = name
        self._options = options
        self._loaded: LocalModel | None = None
        # One forward pass uses all cores; a second thread beside it would only take memory.
        self._lock = threading.RLock()

    @property
    def identity(self) -> str:
        """Name and digest of the weights; loads the model."""
        return self._model().identity

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Answers samples, in as few calls of the model as their parameters allow."""
        answers: dict[int, Answer] = {}
        with self._lock:
            for call in _calls(samples):
                questions = [samples[positions[0]][0] for positions in call]
                start = time.perf_counter()
                if questions[0].kind == "score":
                    answered = self._score(questions)
                else:
                    answered = self._generate(questions, len(call[0]), first=samples[call[0][0]][1])
                seconds = (time.perf_counter() - start) / sum(map(len, call))
                for positions, of_question in zip(call, answered, strict=True):
                    for position, answer in zip(positions, of_question, strict=True):
                        answers[position] = replace(
                            answer, seconds=seconds, cost_usd=0.0, provenance={"engine": _engine()}
                        )
        return [answers[position] for position in range(len(samples))]

    def close(self) -> None:
        """Releases the weights."""
        with self._lock:
            self._loaded = None

    def _generate(self, questions: list[Question], n: int, first: int) -> list[list[Answer]]:
        parameters = questions[0].parameters
        seed = parameters.get("seed")
        generated = self._model().generate(
            [question.messages for question in questions],
            n,
            temperature=parameters.get("temperature", 1.0),
            top_p=parameters.get("top_p", 1.0),
            max_tokens=parameters.get("max_tokens", 512),
            seed=None if seed is None else seed + first,
        )
        return [
            [
                Answer(
                    one.text,
                    one.prompt_tokens,
                    one.completion_tokens,
                    tokens_estimated=False,
                    finish_reason="stop" if one.ended else CUT,
                )
                for one in row
            ]
            for row in generated
        ]

    def _score(self, questions: list[Question]) -> list[list[Answer]]:
        candidates = [question.parameters["candidates"] for question in questions]
        scores = self._model().score_batch(
            [question.messages for question in questions], candidates, questions[0].parameters["normalisation"]
        )
        return [
            [Answer(json.dumps(values), estimate_tokens(question.characters + sum(map(len, texts))))]
            for question, texts, values in zip(questions, candidates, scores, strict=True)
        ]

    def _model(self) -> LocalModel:
        with self._lock:
            if self._loaded is None:
                from wean.lm.model import load_model

                self._loaded = load_model(self._spec, **self._options)
            return self._loaded


class ScriptedBackend:
    """Answers by calling a Python function in the caller's thread: for tests, examples and hand-written teachers.

    The function takes the messages, or the messages and the sample number. Name and identity should change with it.
    """

    batch_size = 1

    def __init__(
        self,
        function: Callable[..., str],
        name: str = "scripted",
        score: ScoreFunction | None = None,
        price: Price | None = FREE,
        concurrency: int = 1,
    ) -> None:
        self.name = f"scripted:{name}"
        self.identity = self.name
        self.concurrency = concurrency
        self.price = price
        self.can_score = score is not None
        self.extra: dict[str, Any] = {}
        self._function = function
        self._score = score
        self._takes_sample = _takes_two(function)

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Answers each sample.

        Raises:
            WeanError: The function fails, or gives something else.
        """
        with own_code(f"the function behind {self.name}"):
            return [self._answer(*sample) for sample in samples]

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def _answer(self, question: Question, sample: int) -> Answer:
        start = time.perf_counter()
        messages = [message.copy() for message in question.messages]
        if question.kind == "score":
            assert self._score is not None
            scores = [float(value) for value in self._score(messages, list(question.parameters["candidates"]))]
            text, written = json.dumps(scores), 0
        else:
            text = self._function(messages, sample) if self._takes_sample else self._function(messages)
            if not isinstance(text, str):
                raise UsageError(f"{self.name} must return a text, not {type(text).__name__}")
            written = estimate_tokens(len(text))
        read = estimate_tokens(question.characters)
        cost = None if self.price is None else self.price.cost(read, written)
        return Answer(text, read, written, True, time.perf_counter() - start, cost, "stop")


def import_function(path: str) -> Callable[..., str]:
    """The function that "module:function" names."""
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UsageError(
            "a scripted model is made in code with scripted_model(function), or named scripted:module:function"
        )
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is somebody's own
        raise UsageError(f"scripted:{path}: {shown_error(error)}; name a function that can be imported") from None
    if not callable(function):
        raise UsageError(f"scripted:{path}: {attribute} is not a function; name one")
    found: Callable[..., str] = function
    return found


def _calls(samples: Sequence[Sample]) -> list[list[list[int]]]:
    """For each call of the model its questions, and for each question the positions of its samples.

    All questions of a call have equally many samples.
    """
    by_question: dict[object, list[int]] = {}
    for position, (question, number) in enumerate(samples):
        # With a seed, a sample is the same whether it was asked alone or beside others, so each has its own call.
        # Without one the samples of a question are exchangeable, and share one reading of its prompt.
        seeded = number if "seed" in question.parameters else None
        by_question.setdefault((question.digest, seeded), []).append(position)
    calls: dict[object, list[list[int]]] = {}
    for positions in by_question.values():
        question, number = samples[positions[0]]
        names = ("normalisation", "temperature", "top_p", "max_tokens", "seed")
        alike = [question.kind, *map(question.parameters.get, names), len(positions)]
        calls.setdefault((*alike, number if "seed" in question.parameters else None), []).append(positions)
    return list(calls.values())


@lru_cache(maxsize=1)
def _engine() -> str:
    """Versions of the libraries: another one may round differently. Not another question, but worth knowing."""
    versions = []
    for package in ("transformers", "torch"):
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return ", ".join(versions)


def _takes_two(function: Callable[..., str]) -> bool:
    """Whether a function needs two arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) >= 2
