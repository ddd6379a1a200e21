"""Answers and questions in and out of a ledger, as JSONL."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from wean.errors import UsageError, WeanError
from wean.llm.backends.backend import Reply
from wean.llm.ledger import Ledger, insert_answer, insert_question
from wean.llm.question import Question, Sample, canonical_json
from wean.llm.records import (
    ANSWER_COLUMNS,
    answer_record,
    check_scores,
    dump_line,
    parse_question,
    parse_reply,
    parse_sample,
    question_record,
    read_jsonl,
    reply_of,
)


@dataclass
class Imported:
    """What an import did with the lines of a file.

    Attributes:
        added: Answers that are new in the ledger.
        kept: Answers to questions that the ledger had answered before; its own stay.
        open: Lines whose answer is still null.
        unmatched: Lines without parameters whose question nobody noted as unanswered.
    """

    added: int = 0
    kept: int = 0
    open: int = 0
    unmatched: int = 0


def export_answers(ledger: Ledger, out: TextIO, model: str | None = None) -> int:
    """Writes every answer, oldest first; the file can be imported, or used as a recorded model.

    Args:
        ledger: Where they are; it may be in use.
        out: Where they go.
        model: Only this model identity's.

    Returns:
        How many lines were written.
    """
    query = (
        f"SELECT q.digest, q.kind, q.model, q.messages, q.parameters, a.sample, {ANSWER_COLUMNS} "
        "FROM answers a JOIN questions q ON q.digest = a.digest WHERE ?1 IS NULL OR q.model = ?1 "
        "ORDER BY a.recorded, a.digest, a.sample"
    )
    written = 0
    with ledger.database.read() as connection:
        for row in connection.execute(query, (model,)):
            out.write(dump_line(answer_record(_sample(row[:6]), reply_of(row[6:]), row[-2])))
            written += 1
    return written


def export_unanswered(ledger: Ledger, out: TextIO, model: str | None = None) -> int:
    """Writes every question that nobody could answer, with `answer` null, to be filled in and imported.

    Args:
        ledger: Where they were noted.
        out: Where they go.
        model: Only this model identity's.

    Returns:
        How many lines were written.
    """
    written = 0
    with ledger.database.read() as connection:
        for row in connection.execute(_UNANSWERED + " ORDER BY u.noted, u.digest, u.sample", (model,)):
            out.write(dump_line(question_record(_sample(row[:6]), row[6])))
            written += 1
    return written


def import_answers(ledger: Ledger, path: Path, model: str | None = None) -> Imported:
    """Takes the answers of a JSONL file in, all or none.

    A line with `parameters` (as exports have them) says exactly which question it answers. A line with
    messages alone, such as one written by hand, answers the noted unanswered questions with those messages;
    several lines with the same messages are samples 0, 1, ...

    Args:
        ledger: Where they go.
        path: The file.
        model: Takes the place of the lines' model; for lines with messages alone, only that model's questions
            count.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A line is not a question with an answer; it is named, and nothing was imported.
    """
    result = Imported()
    answers: list[tuple[Sample, Reply, float]] = []
    with ledger.database.read() as connection:
        noted = _noted_by_messages(connection, model)
    met: Counter[tuple[str, str]] = Counter()
    for number, record in read_jsonl(path):
        try:
            if record.get("answer") is None and "messages" in record:
                result.open += 1
                continue
            reply, recorded = parse_reply(record)
            if "parameters" in record:
                sample_of = parse_question(record, model)
                if sample_of[0].kind == "score":
                    check_scores(reply.text, sample_of[0].parameters)
                answers.append((sample_of, reply, recorded))
                continue
            place = _messages_key(record)
            sample = parse_sample(record, default=met[place])
            met[place] += 1
            matches = [match for match in noted.get(place, ()) if match[1] == sample]
            result.unmatched += not matches
            answers.extend((match, reply, recorded) for match in matches)
        except UsageError as error:
            raise UsageError(f"{path}:{number}: {error} (nothing was imported)") from None
    with ledger.database.write() as connection:
        for sample_of, reply, recorded in answers:
            insert_question(connection, sample_of[0])
            if insert_answer(connection, (sample_of[0].digest, sample_of[1]), reply, recorded):
                result.added += 1
            else:
                result.kept += 1
    return result


@contextmanager
def open_output(file: str, *, force: bool = False) -> Iterator[TextIO]:
    """Opens "-" (standard output) or a file that appears, whole, only when everything was written.

    Args:
        file: The name.
        force: Whether a file of that name may be replaced.

    Raises:
        UsageError: The file exists.
        WeanError: It cannot be written.
    """
    if file == "-":
        yield sys.stdout
        return
    path = Path(file)
    if path.exists() and not force:
        raise UsageError(f"{path} exists; name another file, or replace it with --force")
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with draft.open("w", encoding="utf-8") as out:
                yield out
            draft.replace(path)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    except OSError as error:
        raise WeanError(f"{path} cannot be written ({error.strerror or error}); name another file") from None


_UNANSWERED = (
    "SELECT q.digest, q.kind, q.model, q.messages, q.parameters, u.sample, u.reason "
    "FROM unanswered u JOIN questions q ON q.digest = u.digest WHERE (?1 IS NULL OR q.model = ?1)"
)


def _sample(row: tuple[Any, ...]) -> Sample:
    digest, kind, model, messages, parameters, sample = row
    return Question(kind, model, tuple(json.loads(messages)), json.loads(parameters), digest), sample


def _noted_by_messages(connection: sqlite3.Connection, model: str | None) -> dict[tuple[str, str], list[Sample]]:
    noted: dict[tuple[str, str], list[Sample]] = {}
    for row in connection.execute(_UNANSWERED, (model,)):
        noted.setdefault((row[1], row[3]), []).append(_sample(row[:6]))
    return noted


def _messages_key(record: dict[str, Any]) -> tuple[str, str]:
    # Built like a question, so that what is not a chat is refused here too; the model does not matter for
    # this key.
    (question, _) = parse_question(record | {"sample": 0}, model="any")
    return question.kind, canonical_json(question.messages)
