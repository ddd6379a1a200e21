"""A language model: opened by its name, asked in batches, with the ledger in between."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from wean.errors import UsageError, WeanError
from wean.extras import entry_points
from wean.llm.address import ModelName
from wean.llm.answers import FREE, Answer, Counts, Message, Price, Question, Sample, key_of
from wean.llm.asking import Backend, LiveAnswers, Progress
from wean.llm.budget import Budget, Refused
from wean.llm.ledger import Ledger
from wean.llm.local import LocalBackend, ScoreFunction, ScriptedBackend, import_function
from wean.llm.options import ALWAYS, LOCAL, RECORDED, SCRIPTED, check_options
from wean.llm.records import RecordedAnswers, dump_line, find_recorded

Normalisation = Literal["sum", "token", "word"]

DEFAULT_MAX_TOKENS = 512


def open_model(
    name: str,
    *,
    ledger: Ledger | None = None,
    strict: bool = False,
    budget: Budget | None = None,
    progress: Progress | None = None,
    named_in: str | Path | None = None,
    **options: Any,
) -> LanguageModel:
    """Opens a language model.

    Example:
        >>> open_model("recorded:doorkey").name
        'recorded:doorkey'

    Args:
        name: `openai:gpt-5`, `http://localhost:8000/v1#qwen3-32b`, `hf:directory-or-id-or-name`, `recorded:doorkey`,
            `recorded:/path/file.jsonl`, `scripted:module:function`, or `prefix:name` with a prefix that an installed
            package claims (entry points `wean.models`: a function from the name behind the prefix and the options to
            a `Backend`).
        ledger: Where answers are kept; default the user's (`default_ledger_path`), none for recorded answers, one in
            memory for a scripted model.
        strict: A question that recorded answers lack is an error instead of "no advice".
        budget: Limits on live answers.
        progress: Called with (answers so far, answers wanted) while a batch is being asked live.
        named_in: The file that names the model, where the user did not: its address gets no key of the environment,
            and no module that it names is imported.
        options: Fields of `ModelOptions`; an endpoint takes `api_key`, too.

    Raises:
        UsageError: The name has no known form, or an option is unknown.
        WeanError: The ledger or the recorded file cannot be opened.
    """
    name = name.full if isinstance(name, ModelName) else name
    prefix, _, rest = name.partition(":")
    if prefix == "recorded":
        check_options(name, options, RECORDED)
        return LanguageModel(find_recorded(rest, ledger, strict), ledger)
    refused = Refused(budget)
    backend = _open_backend(name, options, refused, None if named_in is None else str(named_in))
    always = {key: options[key] for key in ALWAYS if key in options}
    return _live(backend, ledger, budget, progress, in_memory=prefix == "scripted", refused=refused, always=always)


def scripted_model(
    function: Callable[[list[Message]], str] | Callable[[list[Message], int], str],
    name: str = "scripted",
    *,
    score: ScoreFunction | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
    price: Price | None = FREE,
    concurrency: int = 1,
) -> LanguageModel:
    """Makes a language model of a Python function, which takes the messages, or the messages and the sample number.

    Args:
        function: Returns the answer's text.
        name: Name and identity; with a ledger on disk, give another one when the function changes.
        score: Takes messages and candidates, returns log-probabilities; without it the model cannot score.
        ledger: Default one in memory, which is forgotten at the end.
        budget: As in `open_model`.
        progress: As in `open_model`.
        price: Price per token; None for "unknown".
        concurrency: How many calls may run at once.
    """
    backend = ScriptedBackend(function, name, score, price, concurrency)
    return _live(backend, ledger, budget, progress, in_memory=True)


class LanguageModel:
    """One language model behind the ledger; make it with `open_model` or `scripted_model`.

    Safe to use from several threads. Use it as a context manager, or call `close`, to release connections.

    Attributes:
        ledger: The ledger, or None; closed with the model if it was made for it.
    """

    def __init__(
        self,
        source: LiveAnswers | RecordedAnswers,
        ledger: Ledger | None,
        *,
        close_ledger: bool = False,
        always: Mapping[str, Any] | None = None,
    ) -> None:
        self.ledger = ledger
        self._source = source
        self._always = always or {}
        self._counts = Counts()
        self._close_ledger = close_ledger
        self._counting = threading.Lock()
        self._questions_seen: set[bytes] = set()

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What was asked so far."""
        refused = self._source.refused
        with self._counting:
            counts = replace(self._counts)
        if refused is not None and refused.count:
            counts.refused = refused.count
            counts.tokens += refused.spent.tokens
            before = counts.cost_usd if refused.priced else None
            counts.cost_usd = None if before is None else before + refused.spent.dollars
        return counts

    @property
    def name(self) -> str:
        """The name by which the model was opened, without secrets."""
        return self._source.name

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
        return list(self._source.unanswered.values())

    def save_unanswered(self, path: str | Path) -> int:
        """Writes the unanswered questions as JSONL, to be answered and used as a recorded file; returns how many."""
        rows = self.unanswered
        try:
            Path(path).write_text("".join(map(dump_line, rows)), encoding="utf-8")
        except OSError as error:
            raise WeanError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return len(rows)

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
        parameters: dict[str, Any] = {
            "temperature": _in_range("temperature", temperature, 0.0, math.inf),
            "top_p": _in_range("top_p", top_p, 0.0, 1.0),
            "max_tokens": _at_least("max_tokens", max_tokens, 1),
            "schema": schema,
            "seed": _at_least("seed", seed, 0),
            "extra": self._source.extra or None,
            **self._always,
        }
        _at_least("n", n, 1)
        _at_least("first_sample", first_sample, 0)
        numbers = range(first_sample, first_sample + n)
        questions = [Question.build("generate", self._source.ledger_name, request, parameters) for request in requests]
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
        """Log-probability of each candidate as the model's answer to its question.

        Args:
            requests: The questions, each a chat.
            candidates: For each question its candidates.
            normalisation: "sum" of the tokens' log-probabilities, or that divided by the number of tokens ("token") or
                words ("word").

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
        samples = []
        for request, texts in zip(requests, candidates, strict=True):
            if not texts or not all(isinstance(text, str) and text for text in texts):
                raise UsageError(
                    "a candidate is empty (or there is none); every candidate needs at least one character"
                )
            # The order in which candidates are named does not matter, so it is no part of the question.
            parameters = {"candidates": sorted(set(texts)), "normalisation": normalisation}
            samples.append((Question.build("score", self._source.ledger_name, request, parameters), 0))
        scores = []
        for (question, _), answer, texts in zip(samples, self._answer(samples), candidates, strict=True):
            if answer.text is None:
                raise WeanError(
                    f"{self.name} has no scores for a question; export the unanswered questions, answer "
                    "them and add them to its file, or use a local model (hf:...)"
                )
            score_of = dict(zip(question.parameters["candidates"], json.loads(answer.text), strict=True))
            scores.append([float(score_of[text]) for text in texts])
        return scores

    def close(self) -> None:
        """Releases connections and memory; a ledger that was given stays open."""
        self._source.close()
        if self._close_ledger and self.ledger is not None:
            self.ledger.close()

    def _answer(self, samples: list[Sample]) -> list[Answer]:
        found = self._source.find(samples)
        answers, met = [], set()
        with self._counting:
            for sample in samples:
                key = key_of(sample)
                answer = found[key]
                if key in met and answer.text is not None and not answer.replayed:
                    answer = replace(answer, replayed=True)  # the batch named it twice, it was asked once
                met.add(key)
                answers.append(answer)
                self._counts.add(answer)
                self._questions_seen.add(key[0])
            self._counts.distinct = len(self._questions_seen)
        return answers


def _live(
    backend: Backend,
    ledger: Ledger | None,
    budget: Budget | None,
    progress: Progress | None,
    *,
    in_memory: bool,
    refused: Refused | None = None,
    always: Mapping[str, Any] | None = None,
) -> LanguageModel:
    """A live model; `in_memory` decides where answers are kept if no ledger is given."""
    used = (Ledger(":memory:") if in_memory else Ledger()) if ledger is None else ledger
    source = LiveAnswers(backend, used, budget, progress, refused)
    return LanguageModel(source, used, close_ledger=ledger is None, always=always)


def _open_backend(name: str, options: Mapping[str, Any], refused: Refused, named_in: str | None) -> Backend:
    """The backend that a name means; wean's own prefixes come before those of installed packages."""
    prefix, _, rest = name.partition(":")
    own = {key: value for key, value in options.items() if key not in ALWAYS}
    match prefix:
        case "openai" | "http" | "https":
            from wean.llm.endpoint import EndpointBackend

            url, _, model = (None, "", rest) if prefix == "openai" else name.partition("#")
            return EndpointBackend(name, url, model, named_in=named_in, refused=refused, **options)
        case "hf":
            check_options(name, options, LOCAL)
            return LocalBackend(rest, **own)
        case "scripted":
            if named_in is not None:
                raise UsageError(
                    f"{named_in} names the model {name!r}, whose module is imported only if you name it yourself: "
                    f"--model {name}"
                )
            check_options(name, options, SCRIPTED)
            return ScriptedBackend(import_function(rest), rest, **own)
    if importer := entry_points("wean.models").get(prefix):
        backend: Backend = importer()(rest, **own)
        return backend
    shown = str(ModelName(name)).rpartition("@")[2].partition("?")[0]  # what is misspelt may be an address with secrets
    raise UsageError(
        f"{shown!r} names no model; the forms are openai:NAME, http://HOST:PORT/v1#NAME, "
        "hf:NAME-OR-PATH, recorded:NAME-OR-FILE"
    )


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
