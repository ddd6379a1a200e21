"""The JSONL form of questions and answers: one line each, for export, import and recorded models."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wean.errors import UsageError
from wean.llm.answers import ANSWER_FIELDS, Answer, Question, Sample

SCHEMA = "wean-ledger/1"
"""Stands in every line that is written."""

_NUMBERS: dict[str, float | None] = {"prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0, "cost_usd": None}
"""Numbers of an answer, and what they are where a line lacks them."""


def question_record(sample: Sample, reason: str | None = None) -> dict[str, Any]:
    """The line of a question without an answer; `answer` is null, to be filled in."""
    question, number = sample
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": question.kind,
        "model": question.model,
        "messages": list(question.messages),
        "parameters": dict(question.parameters),
        "sample": number,
        "answer": None,
    }
    return record if reason is None else record | {"reason": reason}


def answer_record(sample: Sample, answer: Answer, recorded: float | None = None) -> dict[str, Any]:
    """The line of a question and its answer; `recorded` is in seconds since 1970, default now."""
    when = datetime.fromtimestamp(time.time() if recorded is None else recorded, UTC)
    return question_record(sample) | {
        "answer": answer.text,
        **{name: getattr(answer, name) for name in ANSWER_FIELDS},
        "recorded": when.isoformat(timespec="milliseconds"),
        "provenance": answer.provenance,
    }


def parse_question(record: Mapping[str, Any], model: str | None = None) -> Question:
    """The question of a line; `model` takes the place of the line's, and missing `parameters` are none.

    Raises:
        UsageError: Something is missing or has the wrong type.
    """
    identity = model if model is not None else record.get("model")
    if not isinstance(identity, str) or not identity:
        raise UsageError('"model" is missing; add it, or name the model with --model')
    kind = record.get("kind", "generate")
    if kind not in ("generate", "score"):
        raise UsageError(f'"kind" is "generate" or "score", not {kind!r}')
    messages, parameters = record.get("messages"), record.get("parameters", {})
    if not isinstance(messages, list) or not isinstance(parameters, dict):
        raise UsageError('"messages" must be a list of messages and "parameters" an object')
    return Question.build(kind, identity, messages, parameters)


def parse_sample(record: Mapping[str, Any], default: int = 0) -> int:
    """The sample number of a line, a whole number from 0."""
    sample = record.get("sample", default)
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 0:
        raise UsageError(f'"sample" is a whole number from 0, not {sample!r}')
    return sample


def parse_answer(record: Mapping[str, Any], question: Question | None = None) -> tuple[Answer, float]:
    """The answer of a line, and when it was recorded (seconds since 1970; now, where the line has no date).

    The answer to a `question` of kind "score" must have one number for each candidate.

    Raises:
        UsageError: The answer is not a text, a number or date is none, or scores are missing.
    """
    text = record.get("answer")
    if not isinstance(text, str):
        raise UsageError('"answer" must be a text')
    if question is not None and question.kind == "score":
        _check_scores(text, question.parameters.get("candidates"))
    numbers: dict[str, Any] = {}
    for name, default in _NUMBERS.items():
        value = record.get(name, default)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value < 0):
            raise UsageError(f'"{name}" is a number from 0, not {value!r}')
        numbers[name] = default if value is None else value
    provenance = record.get("provenance") or {}
    if not isinstance(provenance, dict):
        raise UsageError('"provenance" must be an object')
    finish = record.get("finish_reason")
    answer = Answer(
        text,
        int(numbers["prompt_tokens"]),
        int(numbers["completion_tokens"]),
        bool(record.get("tokens_estimated", True)),
        float(numbers["seconds"]),
        numbers["cost_usd"],
        finish if isinstance(finish, str) else None,
        replayed=True,
        provenance={str(key): str(value) for key, value in provenance.items()},
    )
    return answer, _seconds_since_1970(record.get("recorded"))


def dump_line(record: Mapping[str, Any]) -> str:
    """One line of JSONL, with its line feed."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def _check_scores(text: str, candidates: Any) -> None:
    try:
        scores = json.loads(text)
    except ValueError:
        scores = None
    matching = isinstance(scores, list) and isinstance(candidates, list) and len(scores) == len(candidates)
    if not matching or not all(isinstance(score, int | float) for score in scores):
        raise UsageError('the "answer" of a score is a JSON list with one number for each of its "candidates"')


def _seconds_since_1970(date: Any) -> float:
    if not isinstance(date, str):
        return time.time()
    try:
        when = datetime.fromisoformat(date)
    except ValueError:
        raise UsageError(f'"recorded" is a date in ISO 8601, not {date!r}') from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
