"""Questions and answers as JSONL, and a model that gives the answers of such a file and is never asked live."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wean.errors import UsageError, WeanError
from wean.files import parse_json, read_lines
from wean.llm.answers import ANSWER_FIELDS, Answer, Key, Question, Sample, canonical_json, key_of
from wean.llm.retry import plain

if TYPE_CHECKING:
    from wean.llm.ledger import Ledger

SCHEMA = "wean-ledger/1"
"""Stands in every line that is written."""

_NUMBERS: dict[str, float | None] = {"prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0, "cost_usd": None}
"""Numbers of an answer, and what they are where a line lacks them."""

_LARGEST = 10**12
_MOST_SAMPLES = 10**9


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
    """The question of a line; `model` replaces the line's.

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
    if not isinstance(sample, int) or isinstance(sample, bool) or not 0 <= sample < _MOST_SAMPLES:
        raise UsageError(f'"sample" is a whole number from 0, not {sample!r:.40}')
    return sample


def parse_answer(record: Mapping[str, Any], question: Question | None = None) -> tuple[Answer, float]:
    """The answer of a line, and when it was recorded (seconds since 1970; now, where the line has no date).

    The answer to a `question` of kind "score" must have one number for each candidate.

    Raises:
        UsageError: The answer is no text, a number or date is wrong, or scores are missing.
    """
    text = record.get("answer")
    if not isinstance(text, str):
        raise UsageError('"answer" must be a text')
    if question is not None and question.kind == "score":
        _check_scores(text, question.parameters.get("candidates"))
    numbers: dict[str, Any] = {}
    for name, default in _NUMBERS.items():
        value = record.get(name, default)
        if value is not None and (
            not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LARGEST
        ):
            raise UsageError(f'"{name}" is a number from 0 to {_LARGEST}, not {value!r:.40}')
        numbers[name] = default if value is None else value
    provenance = record.get("provenance") or {}
    if not isinstance(provenance, dict):
        raise UsageError('"provenance" must be an object')
    finish = record.get("finish_reason")
    finish = plain(finish) if isinstance(finish, str) else None
    answer = Answer(
        text,
        int(numbers["prompt_tokens"]),
        int(numbers["completion_tokens"]),
        bool(record.get("tokens_estimated", True)),
        float(numbers["seconds"]),
        numbers["cost_usd"],
        finish,
        replayed=True,
        provenance={str(key): str(value) for key, value in provenance.items()},
    )
    return answer, _seconds_since_1970(record.get("recorded"))


def dump_line(record: Mapping[str, Any]) -> str:
    """One line of JSONL, with its line feed."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def _check_scores(text: str, candidates: Any) -> None:
    try:
        scores = parse_json(text)
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
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        datetime.fromtimestamp(seconds, UTC)  # near the year 9999 a zone makes dates that cannot be written again
    except (ValueError, OverflowError, OSError):
        seconds = -1.0
    if seconds < 0:
        raise UsageError(f'"recorded" is a date in ISO 8601 from 1970 to 9999, not {date!r:.40}')
    return seconds


class RecordedAnswers:
    """The answers of a JSONL file, found by the messages of a question.

    Several rows with the same messages are samples 0, 1, ... in their order, unless they carry a `sample` number.
    Sampling parameters are not compared. Rows of kind "score" are found by their candidates and normalisation too. Rows
    whose answer is null are skipped. Answers that the file lacks are looked up in the ledger, if there is one, and
    noted there as unanswered questions.

    Args:
        path: The file.
        label: The model's name in questions, without its folder.
        name: The name by which the user opened it; default "recorded:" and the label.
        ledger: The ledger or None.
        strict: A question without an answer is an error instead of an answer without text.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A row is not a question with an answer; the line is named.
    """

    def __init__(
        self, path: Path, label: str, name: str = "", ledger: Ledger | None = None, strict: bool = False
    ) -> None:
        # A file that grows stays the same model for the answers that a ledger keeps beside it.
        self.ledger_name = f"recorded:{label}"
        self.name = name or self.ledger_name
        self.can_score = False
        self.extra: dict[str, Any] = {}
        self.unanswered: dict[Key, dict[str, Any]] = {}
        self.refused = None
        self._ledger = ledger
        self._strict = strict
        self._answers: dict[tuple[str, int], Answer] = {}
        for number, record in read_lines(path, complete=True).rows:
            if record.get("answer") is None and "messages" in record:
                continue
            try:
                self._add(record)
            except UsageError as error:
                raise UsageError(f"{path}:{number}: {error}") from None
        rows = sorted([match, sample, answer.text] for (match, sample), answer in self._answers.items())
        digest = hashlib.sha256(canonical_json(rows).encode()).hexdigest()
        self.identity = f"{self.ledger_name}@{digest[:12]}"

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, samples: Sequence[Sample]) -> dict[Key, Answer]:
        """The recorded answer to each sample; one without text where there is none.

        Raises:
            WeanError: There is none and the model is strict.
        """
        found: dict[Key, Answer] = {}
        missing: dict[Key, Sample] = {}
        for sample in samples:
            answer = self._answers.get((_match(sample[0]), sample[1]))
            if answer is None:
                missing[key_of(sample)] = sample
            else:
                found[key_of(sample)] = answer
        if missing and self._ledger is not None:
            found |= self._ledger.find(missing.values())
            missing = {key: sample for key, sample in missing.items() if key not in found}
        if not missing:
            return found
        for key, sample in missing.items():
            self.unanswered.setdefault(key, question_record(sample, "not recorded"))
            found[key] = Answer(text=None, replayed=True)
        if self._ledger is not None:
            self._ledger.note_unanswered(list(missing.values()), "not recorded")
        if self._strict:
            raise WeanError(
                f"{self.name} has no answer to {len(missing)} question(s) (strict): save them with "
                "save_unanswered(), fill in the answers and add the lines to a recorded file, or name "
                "a live model"
            )
        return found

    def close(self) -> None:
        """Does nothing: the file was read whole."""

    def _add(self, record: dict[str, Any]) -> None:
        question = parse_question(record, self.ledger_name)
        match = _match(question)
        free = next(number for number in range(len(self._answers) + 1) if (match, number) not in self._answers)
        sample = parse_sample(record, default=free)
        if (match, sample) in self._answers:
            raise UsageError(f"sample {sample} of this question is there twice; remove one")
        self._answers[match, sample] = parse_answer(record, question)[0]
        self.can_score |= question.kind == "score"


def find_recorded(name: str, ledger: Ledger | None = None, strict: bool = False) -> RecordedAnswers:
    """Opens recorded answers by name ("doorkey", shipped with the package) or by the path of a JSONL file.

    Raises:
        UsageError: There is neither a shipped recording nor a file of that name; the line lists the shipped ones.
        WeanError: The file cannot be read.
    """
    shipped = shipped_recordings()
    if not name:
        raise UsageError(f"recorded: needs a name ({', '.join(shipped)}) or the path of a JSONL file")
    full_name = f"recorded:{name}"
    if name in shipped:
        with resources.as_file(resources.files("wean.llm").joinpath("recorded", f"{name}.jsonl")) as path:
            return RecordedAnswers(path, name, full_name, ledger, strict)
    path = Path(name).expanduser()
    if path.is_dir():
        raise WeanError(f"{path} is a folder; name the JSONL file in it")
    if not path.exists():
        raise UsageError(
            f"{full_name}: no such file, and the shipped recordings are {', '.join(shipped)}; "
            "name one of them or a JSONL file"
        )
    return RecordedAnswers(path, path.stem, full_name, ledger, strict)


def shipped_recordings() -> list[str]:
    """Names of the recordings that come with the package."""
    folder = resources.files("wean.llm").joinpath("recorded")
    return sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl"))


def _match(question: Question) -> str:
    """What a question and a recorded row must have in common."""
    compared: list[Any] = [question.kind, question.messages]
    if question.kind == "score":
        compared += [question.parameters.get("candidates"), question.parameters.get("normalisation")]
    return canonical_json(compared)
