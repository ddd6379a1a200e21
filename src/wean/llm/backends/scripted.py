"""A model that is a Python function: for tests, examples and hand-written teachers."""

from __future__ import annotations

import importlib
import inspect
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from wean.errors import UsageError
from wean.llm.answers import Message
from wean.llm.backends.backend import Reply
from wean.llm.prices import FREE, Price
from wean.llm.question import Sample, estimate_tokens

ScoreFunction = Callable[[list[Message], list[str]], Sequence[float]]


class ScriptedBackend:
    """Answers by calling a function in the caller's thread.

    Args:
        function: Called with the messages, or with the messages and the sample number; returns the answer.
        name: The model's name and identity; give another one when the function changes.
        score: Called with messages and candidates; returns one log-probability for each candidate.
        price: Price per token, for tests of budgets.
        concurrency: How many calls may run at once.
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

    def ask(self, samples: Sequence[Sample]) -> list[Reply]:
        """Answers each sample; what the function raises is passed on."""
        return [self._reply(*sample) for sample in samples]

    def close(self) -> None:
        """Nothing to let go of."""

    def _reply(self, question: Any, sample: int) -> Reply:
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
        return Reply(text, read, written, True, time.perf_counter() - start, cost, "stop")


def import_function(path: str) -> Callable[..., str]:
    """Finds the function that "module:function" names.

    Raises:
        UsageError: There is none.
    """
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UsageError(
            "a scripted model is made in code with scripted_model(function), or named scripted:module:function"
        )
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"scripted:{path}: {error}; name a function that can be imported") from None
    if not callable(function):
        raise UsageError(f"scripted:{path}: {attribute} is not a function; name one")
    found: Callable[..., str] = function
    return found


def _takes_two(function: Callable[..., str]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) >= 2
