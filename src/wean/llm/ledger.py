"""The ledger: every question that was ever asked, its answers and what they cost, in one SQLite file."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from wean.llm.answers import ANSWER_FIELDS, Answer, Key, Question, Sample, canonical_json, key_of
from wean.llm.database import Database, LedgerError
from wean.llm.records import answer_record, dump_line
from wean.llm.retry import plain

_log = logging.getLogger("wean")

_CLOCKS_APART = 5.0  # seconds that are nothing to speak of

LATEST = 253_402_300_799
"""The last second that a date can name (9999-12-31)."""

SOUND = """typeof(answer) = 'text' AND typeof(prompt_tokens) = 'integer' AND typeof(completion_tokens) = 'integer'
    AND prompt_tokens BETWEEN 0 AND 1000000000000 AND completion_tokens BETWEEN 0 AND 1000000000000
    AND typeof(seconds) IN ('real', 'integer')
    AND typeof(cost_usd) IN ('real', 'integer', 'null') AND typeof(finish_reason) IN ('text', 'null')"""
"""Whether a row of answers is whole, as far as it is replayed; a damaged one counts as no answer."""

_FIND = f"SELECT answer, {', '.join(ANSWER_FIELDS)} FROM answers WHERE digest=? AND sample=? AND {SOUND}"
_CLAIM = """SELECT owner, expires FROM claims WHERE digest=? AND sample=?
    AND typeof(owner) = 'text' AND owner LIKE '%:%:%' AND typeof(expires) IN ('real', 'integer')"""


def default_ledger_path() -> Path:
    """$WEAN_LEDGER, else `wean/ledger.sqlite` in $XDG_DATA_HOME (default ~/.local/share)."""
    if named := os.environ.get("WEAN_LEDGER"):
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "wean" / "ledger.sqlite"


@dataclass
class Claimed:
    """The result of claiming some samples."""

    answered: dict[Key, Answer] = field(default_factory=dict)
    """Answered meanwhile by another thread or process."""
    mine: list[Sample] = field(default_factory=list)
    """To be asked by the caller, and then committed or released."""
    theirs: list[Sample] = field(default_factory=list)
    """Being asked by another thread or process."""


class Ledger:
    """Answers by question and sample number; safe to share between threads, and the file between processes.

    Example:
        >>> from wean.llm import scripted_model
        >>> with Ledger(":memory:") as ledger:
        ...     model = scripted_model(lambda messages: "a key", name="seer", ledger=ledger)
        ...     question = [{"role": "user", "content": "What opens the door?"}]
        ...     first, again = model.generate([question]), model.generate([question])
        ...     model.counts.asked, model.counts.replayed
        (1, 1)

    Args:
        path: The file, or ":memory:" for one that is forgotten; default `default_ledger_path()`.
        replay_only: Nothing may be asked live: a question without a stored answer is noted and is an error.
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
        self._claims = _Claims(self.database, claim_seconds)
        self._said: set[str] = set()
        self._waiting: dict[Key, tuple[tuple[str, float], float]] = {}  # claims of others, and since when unchanged

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes get the file's name and open it themselves.
        return partial(Ledger, replay_only=self.replay_only, claim_seconds=self._claims.lifetime), (self.path,)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._claims.close()
        self.database.close()

    def find(self, samples: Iterable[Sample]) -> dict[Key, Answer]:
        """The stored answers among those to the samples, marked as replayed."""
        found = {}
        with self.database.read() as connection:
            for sample in samples:
                key = key_of(sample)
                row = connection.execute(_FIND, key).fetchone()
                if row is not None and _is_text(row[0]):
                    found[key] = _answer(row)
        return found

    def claim(self, samples: Sequence[Sample]) -> Claimed:
        """Claims samples, so that no other process asks them; the caller must commit or release those in `mine`."""
        result, free = self._sort_out(samples)
        if self.database.read_only:
            result.mine, result.theirs = [*free, *result.theirs], []
            self._say(f"the ledger {self.path} may not be written: it is replayed, and new answers are not kept")
            return result
        if not free:
            # The usual case while waiting for another process: no transaction needed to see that it is still
            # asking.
            return result
        now = time.time()
        with self.database.write() as connection:
            result, result.mine = self._sort_out(samples)
            for sample in result.mine:
                connection.execute(
                    "INSERT OR REPLACE INTO claims VALUES(?, ?, ?, ?)",
                    (*key_of(sample), self._claims.owner, now + self._claims.lifetime),
                )
        self._claims.hold(map(key_of, result.mine))
        return result

    def release(self, samples: Sequence[Sample]) -> None:
        """Gives claims up without an answer; others may ask."""
        self._claims.drop(map(key_of, samples))
        if self.database.read_only:
            return
        with self.database.write() as connection:
            connection.executemany(
                "DELETE FROM claims WHERE digest=? AND sample=? AND owner=?",
                [(*key_of(sample), self._claims.owner) for sample in samples],
            )

    def commit(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> dict[Key, Answer]:
        """Stores answers in one transaction and ends their claims; returns the answers as stored, marked as asked live.

        An answer that is already there stays. Where the file cannot take the answers (disk full, damaged) they are
        written to a JSONL file beside it or in the temporary folder, since they were paid for.

        Raises:
            LedgerError: The file could not take them; the line names the JSONL file that has them.
        """
        self._claims.drop(map(key_of, samples))
        if self.database.read_only:
            return {key_of(sample): answer for sample, answer in zip(samples, answers, strict=True)}
        now, stored = time.time(), {}
        try:
            with self.database.write() as connection:
                for sample, answer in zip(samples, answers, strict=True):
                    key = key_of(sample)
                    insert(connection, sample, answer, now)
                    connection.execute("DELETE FROM claims WHERE digest=? AND sample=?", key)
                    # Read back: where somebody else was first, this run must use what later runs will replay.
                    stored[key] = replace(_answer(connection.execute(_FIND, key).fetchone()), replayed=False)
        except LedgerError as error:
            raise LedgerError(f"{error}; {_rescue(self.path, samples, answers)}") from None
        return stored

    def note_unanswered(self, samples: Sequence[Sample], reason: str) -> None:
        """Notes unanswered questions, to be exported, answered elsewhere and imported."""
        if self.database.read_only:
            return
        with self.database.write() as connection:
            for sample in samples:
                _insert_question(connection, sample[0])
                connection.execute(
                    "INSERT OR REPLACE INTO unanswered VALUES(?, ?, ?, ?)",
                    (*key_of(sample), reason, time.time()),
                )

    def _sort_out(self, samples: Sequence[Sample]) -> tuple[Claimed, list[Sample]]:
        """Which samples are answered, which are claimed by others, and which are free."""
        now, result, free = time.time(), Claimed(), []
        with self.database.read() as connection:
            for sample in samples:
                key = key_of(sample)
                row = connection.execute(_FIND, key).fetchone()
                if row is not None and _is_text(row[0]):
                    result.answered[key] = _answer(row)
                    continue
                claim = connection.execute(_CLAIM, key).fetchone()
                if claim is None or is_void(claim[0], claim[1], now) or self._is_stale(key, claim):
                    free.append(sample)
                else:
                    result.theirs.append(sample)
        return result, free

    def _is_stale(self, key: Key, claim: tuple[str, float]) -> bool:
        """Whether a claim was not renewed while we waited for its lifetime, whatever its owner's clock says."""
        if claim[1] <= time.time() + self._claims.lifetime + _CLOCKS_APART:
            return False
        seen, since = self._waiting.get(key, (None, 0.0))
        if seen == claim:
            return time.monotonic() - since > self._claims.lifetime
        self._waiting[key] = claim, time.monotonic()
        self._say(
            "somebody whose clock is ahead of this one's asks a question of ours; without a sign of life from there, "
            f"it is asked here after {self._claims.lifetime:g} s"
        )
        return False

    def _say(self, line: str) -> None:
        """Says something once."""
        if line not in self._said:
            self._said.add(line)
            _log.warning(line)


def insert(connection: sqlite3.Connection, sample: Sample, answer: Answer, recorded: float) -> bool:
    """Stores a question with one answer, unless that is there already; returns whether it was stored."""
    key = key_of(sample)
    assert answer.text is not None, "only answers are stored"
    _insert_question(connection, sample[0])
    row = connection.execute(f"SELECT answer, {SOUND} FROM answers WHERE digest=? AND sample=?", key).fetchone()
    if row is not None and not (row[1] and _is_text(row[0])):
        connection.execute("DELETE FROM answers WHERE digest=? AND sample=?", key)
    cursor = connection.execute(
        "INSERT OR IGNORE INTO answers VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            # A model that was cut in the middle of an emoji may give half of it, which is no text to SQLite.
            plain(answer.text),
            *(getattr(answer, name) for name in ANSWER_FIELDS),
            recorded,
            plain(canonical_json(answer.provenance)),
        ),
    )
    connection.execute("DELETE FROM unanswered WHERE digest=? AND sample=?", key)
    return bool(cursor.rowcount)


def is_void(owner: str, expires: float, now: float) -> bool:
    """Whether a claim no longer counts: it expired, or its process on this machine has ended."""
    if expires < now:
        return True
    machine, pid, _ = owner.rsplit(":", 2)
    # Elsewhere than on POSIX, signal 0 is not a question but a Ctrl-C.
    if machine != _machine() or not pid.isdecimal() or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class _Claims:
    """The claims of this process, kept alive while it is asking.

    A claim expires by itself, so that a process that vanished blocks nobody. While claims are held, a thread renews
    them three times per lifetime; a process that is known to be dead loses its claims at once.
    """

    def __init__(self, database: Database, lifetime: float) -> None:
        self.lifetime = lifetime
        self._database = database
        self._thread: threading.Thread | None = None
        self._reset()

    @property
    def owner(self) -> str:
        """This process's name in the table of claims."""
        self._after_fork()
        return self._owner

    def hold(self, keys: Iterable[Key]) -> None:
        """Starts renewing these claims."""
        self._after_fork()
        with self._lock:
            self._held.update(keys)
            if self._held and (self._thread is None or not self._thread.is_alive()):
                self._wake.clear()
                self._thread = threading.Thread(target=self._renew, name="wean-ledger-claims", daemon=True)
                self._thread.start()

    def drop(self, keys: Iterable[Key]) -> None:
        """Stops renewing these claims."""
        with self._lock:
            self._held.difference_update(keys)

    def close(self) -> None:
        """Ends the renewing thread."""
        with self._lock:
            self._held.clear()
        self._wake.set()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._owner = f"{_machine()}:{self._pid}:{secrets.token_hex(4)}"
        self._held: set[Key] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = None

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def _renew(self) -> None:
        while not self._wake.wait(self.lifetime / 3):
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
            try:
                with self._database.write() as connection:
                    connection.execute(
                        "UPDATE claims SET expires=? WHERE owner=?",
                        (time.time() + self.lifetime, self._owner),
                    )
            except LedgerError:
                # The asking thread learns of it when it commits; at worst a question is asked twice.
                continue


def _machine() -> str:
    # Process numbers mean something only within one machine and one namespace (containers have their own).
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return platform.node() + namespace


def _is_text(answer: str) -> bool:
    """Whether no byte of a stored text is damaged."""
    return answer.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in answer)


def _answer(row: tuple[Any, ...]) -> Answer:
    text, prompt, completion, estimated, seconds, cost, finish = row
    return Answer(text, prompt, completion, bool(estimated), seconds, cost, finish, replayed=True)


def _insert_question(connection: sqlite3.Connection, question: Question) -> None:
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


def _rescue(path: str, samples: Sequence[Sample], answers: Sequence[Answer]) -> str:
    """Writes answers that the ledger could not take to a JSONL file; returns the sentence for the user."""
    lines = "".join(dump_line(answer_record(sample, answer)) for sample, answer in zip(samples, answers, strict=True))
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
