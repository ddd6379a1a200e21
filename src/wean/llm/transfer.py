"""What a ledger holds: its statistics, and answers and questions in and out as JSONL."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from wean.errors import UsageError, WeanError
from wean.files import read_lines, replacing
from wean.llm.answers import ANSWER_FIELDS, Answer, Question, Sample, canonical_json
from wean.llm.database import FORMAT
from wean.llm.ledger import LATEST, SOUND, Ledger, insert
from wean.llm.records import (
    SCHEMA,
    answer_record,
    dump_line,
    parse_answer,
    parse_question,
    parse_sample,
    question_record,
)

_ANSWERS = f"""
SELECT q.digest, q.kind, q.model, q.messages, q.parameters, a.sample, a.answer, {", ".join(ANSWER_FIELDS)},
    a.provenance, a.recorded
FROM answers a JOIN questions q ON q.digest = a.digest WHERE ?1 IS NULL OR q.model = ?1
ORDER BY a.recorded, a.digest, a.sample
"""
_UNANSWERED = """
SELECT q.digest, q.kind, q.model, q.messages, q.parameters, u.sample, u.reason
FROM unanswered u JOIN questions q ON q.digest = u.digest WHERE ?1 IS NULL OR q.model = ?1
ORDER BY u.noted, u.digest, u.sample
"""
_WHOLE = f"""{SOUND} AND typeof(a.recorded) IN ('real', 'integer') AND a.recorded BETWEEN 0 AND {LATEST}
    AND json_valid(a.provenance) AND typeof(q.kind) = 'text' AND typeof(q.model) = 'text' AND json_valid(q.messages)"""
_STATS = f"""
SELECT q.model AS model, q.kind AS kind, count(DISTINCT a.digest) AS questions, count(*) AS answers,
    sum(a.prompt_tokens) AS prompt_tokens, sum(a.completion_tokens) AS completion_tokens,
    sum(a.tokens_estimated) AS estimated, sum(a.seconds) AS seconds, total(a.cost_usd) AS known_cost_usd,
    sum(a.cost_usd IS NULL) AS unpriced, min(a.recorded) AS first, max(a.recorded) AS last,
    json_group_array(DISTINCT json_extract(a.provenance, '$.served')) AS served,
    json_group_array(DISTINCT json_extract(a.provenance, '$.adapted')) AS adapted
FROM answers a JOIN questions q ON q.digest = a.digest WHERE {_WHOLE} GROUP BY q.model, q.kind ORDER BY q.model, q.kind
"""
_KNOWN = "(SELECT digest FROM questions)"
_SUMMED = ("questions", "answers", "prompt_tokens", "completion_tokens", "seconds", "known_cost_usd", "unpriced")


def ledger_stats(ledger: Ledger) -> dict[str, Any]:
    """Statistics of a ledger (schema "wean-ledger/1"): totals, and the same for each model and kind of call.

    `known_cost_usd` counts the answers whose price is known; `cost_usd` is None as soon as one is not. `bytes` includes
    the log that is not yet merged. More than one name under `served` hints at a model that moved; `adapted` says what
    its endpoint did not take. `damaged` rows are counted there alone. Dates are in ISO 8601.
    """
    with ledger.database.read() as connection:
        cursor = connection.execute(_STATS)
        names = [column[0] for column in cursor.description]
        models = [_with_cost(dict(zip(names, row, strict=True))) for row in cursor]
        rows = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
        unanswered = connection.execute("SELECT count(*) FROM unanswered").fetchone()[0]
        claims = connection.execute("SELECT count(*) FROM claims WHERE expires > ?", (time.time(),)).fetchone()[0]
    for model in models:
        model["first"], model["last"] = (
            datetime.fromtimestamp(model[name], UTC).isoformat(timespec="seconds") for name in ("first", "last")
        )
        for name in ("served", "adapted"):
            model[name] = sorted(str(value) for value in json.loads(model[name]) if value)
    files = (Path(ledger.path), Path(f"{ledger.path}-wal"))
    return {
        "schema": SCHEMA,
        "path": ledger.path,
        "format": FORMAT,
        "bytes": sum(file.stat().st_size for file in files if file.is_file()),
        **_with_cost({name: sum(model[name] for model in models) for name in _SUMMED}),
        "unanswered": unanswered,
        "being_asked": claims,
        "damaged": rows - sum(model["answers"] for model in models),
        "models": models,
    }


@dataclass
class Imported:
    """The result of an import."""

    added: int = 0
    """Answers that are new in the ledger."""
    kept: int = 0
    """Answers to questions that the ledger had answered before; its own stay."""
    open: int = 0
    """Lines whose answer is still null."""
    unmatched: int = 0
    """Lines without parameters whose question is not noted as unanswered."""


class Exported(NamedTuple):
    """The number of lines that were written, and of damaged rows that were left out."""

    written: int
    damaged: int


def export_lines(ledger: Ledger, out: TextIO, model: str | None = None, *, unanswered: bool = False) -> Exported:
    """Writes the answers of a ledger (or of one model identity), oldest first; damaged rows are left out.

    The file can be imported, or used as a recorded model. With `unanswered` it has the unanswered questions
    instead, with `answer` null, to be filled in and imported.
    """
    written = damaged = 0
    with ledger.database.read() as connection:
        for row in connection.execute(_UNANSWERED if unanswered else _ANSWERS, (model,)):
            try:
                line = dump_line(question_record(_sample(row), str(row[6])) if unanswered else _answer_record(row))
                line.encode()
            except (UsageError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
                damaged += 1
            else:
                out.write(line)
                written += 1
        if model is None:
            table = "unanswered" if unanswered else "answers"
            damaged += connection.execute(f"SELECT count(*) FROM {table} WHERE digest NOT IN {_KNOWN}").fetchone()[0]
    return Exported(written, damaged)


def import_answers(ledger: Ledger, path: Path, model: str | None = None) -> Imported:
    """Takes the answers of a JSONL file in, all or none.

    A line with `parameters` (as exports have them) gives exactly the question that it answers; `model` takes the place
    of its model. A line with messages alone, such as one written by hand, answers the noted unanswered questions (of
    `model`, if given) with those messages; several lines with the same messages are samples 0, 1, ...

    Raises:
        WeanError: The file cannot be read.
        UsageError: A line is not a question with an answer; it is named, and nothing was imported.
    """
    result = Imported()
    answers: list[tuple[Sample, Answer, float]] = []
    with ledger.database.read() as connection:
        noted = _noted_by_messages(connection, model)
    met: Counter[tuple[str, str]] = Counter()
    for number, record in read_lines(path, complete=True).rows:
        try:
            if record.get("answer") is None and "messages" in record:
                result.open += 1
                continue
            if "parameters" in record:
                question = parse_question(record, model)
                answers.append(((question, parse_sample(record)), *parse_answer(record, question)))
                continue
            answer, recorded = parse_answer(record)
            question = parse_question(record, model="any")  # here only kind and messages count
            place = question.kind, canonical_json(question.messages)
            sample = parse_sample(record, default=met[place])
            met[place] += 1
            matches = [match for match in noted.get(place, ()) if match[1] == sample]
            result.unmatched += not matches
            answers.extend((match, answer, recorded) for match in matches)
        except UsageError as error:
            raise UsageError(f"{path}:{number}: {error} (nothing was imported)") from None
    with ledger.database.write() as connection:
        result.added = sum(insert(connection, *entry) for entry in answers)
    result.kept = len(answers) - result.added
    return result


@contextmanager
def open_output(file: str, *, force: bool = False) -> Iterator[TextIO]:
    """Opens "-" (standard output) or a file that appears, whole, only when everything was written.

    Raises:
        UsageError: The file exists, and may not be replaced (`force`).
        WeanError: It cannot be written.
    """
    if file == "-":
        yield sys.stdout
        return
    path = Path(file)
    if path.exists() and not force:
        raise UsageError(f"{path} exists; name another file, or replace it with --force")
    try:
        with replacing(path) as draft, draft.open("w", encoding="utf-8") as out:
            yield out
    except OSError as error:
        raise WeanError(f"{path} cannot be written ({error.strerror or error}); name another file") from None


def _with_cost(numbers: dict[str, Any]) -> dict[str, Any]:
    return numbers | {"cost_usd": None if numbers["unpriced"] else numbers["known_cost_usd"]}


def _sample(row: tuple[Any, ...]) -> Sample:
    """The sample in the first columns of a row of `_ANSWERS` or `_UNANSWERED`.

    Raises:
        ValueError: The row is damaged: the question is not the one of its digest. (Or another error of reading it.)
    """
    digest, kind, model, messages, parameters, number = row[:6]
    question = Question.build(kind, model, json.loads(messages), json.loads(parameters))
    if question.digest != digest:
        raise ValueError("another question")
    return question, number


def _answer_record(row: tuple[Any, ...]) -> dict[str, Any]:
    """The line of an answer; an error for a damaged row."""
    fields: dict[str, Any] = dict(zip(ANSWER_FIELDS, row[7:-2], strict=True))
    fields["tokens_estimated"] = bool(fields["tokens_estimated"])
    record = answer_record(_sample(row), Answer(row[6], provenance=json.loads(row[-2]), **fields), recorded=row[-1])
    parse_answer(record)  # what could not be imported again is damaged
    return record


def _noted_by_messages(connection: sqlite3.Connection, model: str | None) -> dict[tuple[str, str], list[Sample]]:
    noted: dict[tuple[str, str], list[Sample]] = {}
    for row in connection.execute(_UNANSWERED, (model,)):
        noted.setdefault((row[1], row[3]), []).append(_sample(row))
    return noted
