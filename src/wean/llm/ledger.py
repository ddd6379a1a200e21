"""The ledger: every question that was ever asked, its answers and what they cost, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wean.llm.answers import Answer
from wean.llm.backends.backend import Reply
from wean.llm.claims import ClaimKeeper, is_void
from wean.llm.database import Database, LedgerError
from wean.llm.question import Key, Question, Sample, canonical_json, key_of
from wean.llm.records import answer_record, dump_line

_FIND = (
    "SELECT answer, prompt_tokens, completion_tokens, tokens_estimated, seconds, cost_usd, finish_reason "
    "FROM answers WHERE digest=? AND sample=?"
)


def default_ledger_path() -> Path:
    """$WEAN_LEDGER, else `wean/ledger.sqlite` in $XDG_DATA_HOME (default ~/.local/share)."""
    if named := os.environ.get("WEAN_LEDGER"):
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "wean" / "ledger.sqlite"


@dataclass
class Claimed:
    """What came of claiming some samples.

    Attributes:
        answered: Those that somebody had answered meanwhile.
        mine: Those that the caller now has to ask, and then to commit or release.
        theirs: Those that another thread or process is asking right now.
    """

    answered: dict[Key, Answer] = field(default_factory=dict)
    mine: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)


class Ledger:
    """Answers by question and sample number; safe to share between threads, and the file between processes.

    Args:
        path: The file, or ":memory:" for one that is forgotten; default `default_ledger_path()`.
        replay_only: Nothing may be asked live: a question without a stored answer is noted and stops with an
            error.
        claim_seconds: After this long the claim of a process that shows no sign of life is void.

    Raises:
        LedgerError: The file cannot be opened, is damaged, no ledger, or of a newer format.
    """

    def __init__(
        self, path: str | Path | None = None, *, replay_only: bool = False, claim_seconds: float = 60.0
    ) -> None:
        self.path = str(path if path is not None else default_ledger_path())
        self.replay_only = replay_only
        self.database = Database(self.path)
        self._claims = ClaimKeeper(self.database, claim_seconds)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes get the file's name and open it themselves.
        return _reopen, (self.path, self.replay_only, self._claims.lifetime)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._claims.close()
        self.database.close()

    def find(self, samples: Iterable[Sample]) -> dict[Key, Answer]:
        """Looks stored answers up; those that there are, marked as replayed."""
        found = {}
        with self.database.read() as connection:
            for sample in samples:
                key = key_of(sample)
                row = connection.execute(_FIND, key).fetchone()
                if row is not None:
                    found[key] = _answer(row)
        return found

    def claim(self, samples: Sequence[Sample]) -> Claimed:
        """Claims samples, so that nobody else asks them; whoever gets `mine` must commit or release them."""
        result = Claimed()
        open_ = self._sort_out(samples, result)
        if not open_:
            # The usual case while waiting for another process: no transaction needed to see that it is still
            # asking.
            return result
        result.theirs.clear()
        result.answered.clear()
        now = time.time()
        with self.database.write() as connection:
            for sample in self._sort_out(samples, result):
                connection.execute(
                    "INSERT OR REPLACE INTO claims VALUES(?, ?, ?, ?)",
                    (*key_of(sample), self._claims.owner, now + self._claims.lifetime),
                )
                result.mine.append(sample)
        self._claims.hold(map(key_of, result.mine))
        return result

    def release(self, samples: Sequence[Sample]) -> None:
        """Gives claims up without an answer; others may ask."""
        self._claims.let_go(map(key_of, samples))
        with self.database.write() as connection:
            connection.executemany(
                "DELETE FROM claims WHERE digest=? AND sample=? AND owner=?",
                [(*key_of(sample), self._claims.owner) for sample in samples],
            )

    def commit(self, samples: Sequence[Sample], replies: Sequence[Reply]) -> dict[Key, Answer]:
        """Stores answers in one transaction and ends their claims.

        An answer that is already there stays: the first one counts. Where the file cannot take the answers
        (disk full, damaged) they are written to a JSONL file beside it or in the temporary folder, for they
        were paid for.

        Returns:
            The answers as stored, marked as asked live.

        Raises:
            LedgerError: The file could not take them; the line names the JSONL file that has them.
        """
        self._claims.let_go(map(key_of, samples))
        now, stored = time.time(), {}
        try:
            with self.database.write() as connection:
                for sample, reply in zip(samples, replies, strict=True):
                    key = key_of(sample)
                    insert_question(connection, sample[0])
                    insert_answer(connection, key, reply, now)
                    connection.execute("DELETE FROM claims WHERE digest=? AND sample=?", key)
                    # Read back: where somebody else was first, this run must use what later runs will replay.
                    stored[key] = replace(_answer(connection.execute(_FIND, key).fetchone()), replayed=False)
        except LedgerError as error:
            raise LedgerError(f"{error}; {_rescue(self.path, samples, replies)}") from None
        return stored

    def note_unanswered(self, samples: Sequence[Sample], reason: str) -> None:
        """Notes questions that nobody could answer, to be exported, answered elsewhere and imported."""
        with self.database.write() as connection:
            for sample in samples:
                insert_question(connection, sample[0])
                connection.execute(
                    "INSERT OR REPLACE INTO unanswered VALUES(?, ?, ?, ?)",
                    (*key_of(sample), reason, time.time()),
                )

    def _sort_out(self, samples: Sequence[Sample], into: Claimed) -> list[Sample]:
        """Puts answered and claimed samples into `into`; returns those that are free."""
        now, free = time.time(), []
        with self.database.read() as connection:
            for sample in samples:
                key = key_of(sample)
                row = connection.execute(_FIND, key).fetchone()
                if row is not None:
                    into.answered[key] = _answer(row)
                    continue
                claim = connection.execute(
                    "SELECT owner, expires FROM claims WHERE digest=? AND sample=?", key
                ).fetchone()
                if claim is None or is_void(claim[0], claim[1], now):
                    free.append(sample)
                else:
                    into.theirs.append(sample)
        return free


def _reopen(path: str, replay_only: bool, claim_seconds: float) -> Ledger:
    return Ledger(path, replay_only=replay_only, claim_seconds=claim_seconds)


def _answer(row: tuple[Any, ...]) -> Answer:
    text, prompt, completion, estimated, seconds, cost, finish = row
    return Answer(text, prompt, completion, bool(estimated), seconds, cost, True, finish)


def insert_question(connection: sqlite3.Connection, question: Question) -> None:
    """Stores a question unless it is there."""
    connection.execute(
        "INSERT OR IGNORE INTO questions VALUES(?, ?, ?, ?, ?)",
        (
            question.digest,
            question.kind,
            question.model,
            canonical_json(question.messages),
            canonical_json(question.parameters),
        ),
    )


def insert_answer(connection: sqlite3.Connection, key: Key, reply: Reply, recorded: float) -> bool:
    """Stores one answer unless there is one; returns whether it was stored."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO answers VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            # A model that was cut in the middle of an emoji may give half of it, which is no text to SQLite.
            reply.text.encode("utf-8", "replace").decode(),
            reply.prompt_tokens,
            reply.completion_tokens,
            int(reply.tokens_estimated),
            reply.seconds,
            reply.cost_usd,
            reply.finish_reason,
            recorded,
            canonical_json(reply.provenance),
        ),
    )
    connection.execute("DELETE FROM unanswered WHERE digest=? AND sample=?", key)
    return bool(cursor.rowcount)


def _rescue(path: str, samples: Sequence[Sample], replies: Sequence[Reply]) -> str:
    """Writes answers that the ledger could not take to a JSONL file; returns what to tell the user."""
    lines = "".join(dump_line(answer_record(sample, reply)) for sample, reply in zip(samples, replies, strict=True))
    folders = [Path(tempfile.gettempdir())]
    if path != ":memory:":
        folders.insert(0, Path(path).parent)
    for folder in folders:
        file = folder / f"wean-rescued-{os.getpid()}.jsonl"
        try:
            _append_whole(file, lines.encode())
        except OSError:
            continue
        return f"the last {len(samples)} answer(s) are in {file}: run `wean ledger import {file}` afterwards"
    return f"the last {len(samples)} answer(s) could not be written anywhere and will be asked again"


def _append_whole(file: Path, content: bytes) -> None:
    """Appends all of it or nothing: half a line would spoil the file for the import."""
    with file.open("ab") as stream:
        before = stream.tell()
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(before)
            raise
