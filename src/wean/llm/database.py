"""The ledger's SQLite file: opening, format, transactions, and its failures in one line each."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from wean.errors import WeanError

_log = logging.getLogger("wean")

FORMAT = 1
"""Number of the file's format; a higher one was written by a newer wean and is refused."""

_APPLICATION_ID = 0x7765616E  # "wean"

_SCHEMA = """
CREATE TABLE questions(
    digest BLOB PRIMARY KEY,        -- SHA-256 of kind, model, messages, parameters
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    messages TEXT NOT NULL,         -- canonical JSON
    parameters TEXT NOT NULL        -- canonical JSON
);
CREATE TABLE answers(
    digest BLOB NOT NULL,
    sample INTEGER NOT NULL,
    answer TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    tokens_estimated INTEGER NOT NULL,
    seconds REAL NOT NULL,
    cost_usd REAL,                  -- NULL: unknown
    finish_reason TEXT,
    recorded REAL NOT NULL,         -- seconds since 1970
    provenance TEXT NOT NULL,       -- JSON; metadata, no part of the key
    PRIMARY KEY(digest, sample)
) WITHOUT ROWID;
CREATE TABLE claims(                -- questions that somebody is asking right now
    digest BLOB NOT NULL,
    sample INTEGER NOT NULL,
    owner TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY(digest, sample)
) WITHOUT ROWID;
CREATE TABLE unanswered(            -- questions that nobody could answer
    digest BLOB NOT NULL,
    sample INTEGER NOT NULL,
    reason TEXT NOT NULL,
    noted REAL NOT NULL,
    PRIMARY KEY(digest, sample)
) WITHOUT ROWID;
"""

_BUSY_SECONDS = 60.0  # how long to wait for another process's transaction


class LedgerError(WeanError):
    """The ledger's file cannot be used; the message gives the reason and the remedy."""


class Database:
    """One connection to a ledger's file, shared by the threads of a process, and safe to use after a fork.

    The file is created, with its folder, where it is missing.

    Attributes:
        path: The file, or ":memory:".
        read_only: Whether it may not be written; it is read all the same.

    Raises:
        LedgerError: The file cannot be opened, is no ledger, or has a newer format.
    """

    _connection: sqlite3.Connection
    _closed: bool

    def __init__(self, path: str) -> None:
        self.path = path
        self.read_only = False
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._inherited: list[sqlite3.Connection] = []
        self._open()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; readers never wait for writers of other processes."""
        if self._pid != os.getpid():
            # After a fork the parent's connection must neither be used nor closed here, so it is only kept.
            self._inherited.append(self._connection)
            self._open()
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise explain(error, self.path) from None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end, or rolled back where anything is raised inside."""
        with self.read() as connection, _transaction(connection):
            yield connection

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self._pid == os.getpid():
            with self._lock:
                self._connection.close()
                if not self._closed:
                    self._closed = True
                    _count(self.path, -1)
                if self._copy is not None:
                    self._copy.cleanup()

    def __del__(self) -> None:
        # A forgotten close loses nothing; this only avoids the warning about an open connection.
        with suppress(Exception):
            self.close()

    def _open(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed = False
        if self.path != ":memory:":
            folder = Path(self.path).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(
                    f"cannot make the ledger's folder {folder} ({error.strerror}); set WEAN_LEDGER to another file"
                ) from None
        self.read_only = self.path != ":memory:" and _may_only_be_read(Path(self.path))
        log = _Log.of(self.path) if _count(self.path, 1) == 1 else _Log()
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            _count(self.path, -1)
            raise explain(error, self.path) from None
        try:
            self._prepare()
            lost = not self.read_only and log.lost(self._connection, self.path)
        except BaseException as error:
            self._connection.close()
            _count(self.path, -1)
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from None
            raise
        if lost:
            _log.warning(
                "the ledger %s: its log (%s-wal) was cut or damaged, and the answers that were stored last are gone; "
                "they will be asked again, unless you bring that file back from a copy",
                self.path,
                self.path,
            )

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            return sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        log = Path(f"{self.path}-wal")
        path, mode = Path(self.path).absolute(), "mode=ro"
        if not os.access(path.parent, os.W_OK, effective_ids=_EFFECTIVE):
            # SQLite reads a log only beside an index, which it cannot make here.
            mode = "mode=ro&immutable=1"
            if log.exists() and log.stat().st_size:
                self._copy = tempfile.TemporaryDirectory(prefix="wean-ledger-")
                path = Path(shutil.copy(path, self._copy.name))
                shutil.copy(log, self._copy.name)
                mode = "mode=rw"
        return sqlite3.connect(
            f"{path.as_uri()}?{mode}", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True
        )

    def _prepare(self) -> None:
        # A text with damaged bytes is told from others by the half characters that this makes of them.
        self._connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        self._check_format(self._connection)
        if self.read_only:
            return
        self._use_write_ahead_log()
        # NORMAL survives the death of the process at any moment; only a power cut may cost the last
        # transactions.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
            return
        with _transaction(self._connection) as connection:
            # Another process may have made the tables meanwhile.
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={FORMAT}")

    def _check_format(self, connection: sqlite3.Connection) -> None:
        # One transaction: another process that is just making the tables must be seen wholly or not at all.
        connection.execute("BEGIN")
        try:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.execute("ROLLBACK")
        if tables and application != _APPLICATION_ID:
            raise LedgerError(f"{self.path} is a database but no ledger; set WEAN_LEDGER to another file")
        if version > FORMAT:
            raise LedgerError(
                f"the ledger {self.path} has format {version}, this wean knows formats up to {FORMAT}; "
                "upgrade wean, or set WEAN_LEDGER to another file"
            )

    def _use_write_ahead_log(self) -> None:
        # Switching the journal needs the file alone for a moment and does not wait for it, so we do.
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(0.02)


_EFFECTIVE = os.access in os.supports_effective_ids


def _may_only_be_read(path: Path) -> bool:
    """Whether a file is there and cannot be written, or nothing can be written beside it."""
    places = (path, path.parent)
    return path.is_file() and not all(os.access(place, os.W_OK, effective_ids=_EFFECTIVE) for place in places)


_open_here: Counter[str] = Counter()
_counting = threading.Lock()


def _count(path: str, change: int) -> int:
    """Counts the connections of this process to a file."""
    with _counting:
        _open_here[path] += change
        return _open_here[path]


class _Log(NamedTuple):
    """What the files beside a database say of its write-ahead log before it is opened.

    They may only be read where this process has no connection to it: closing a file ends all locks that the process
    holds on it, and other processes would take the index away under the connection.

    Attributes:
        salts: Those of the log's header; another log has others.
        held: Frames up to the last commit, as the index has it; without an index all that belong to the log.
        frames: Frames in the log that belong to it, a torn one included.
        merged: Frames of which the database has got the content already.
    """

    salts: bytes = b""
    held: int = 0
    frames: int = 0
    merged: int = 0

    @classmethod
    def of(cls, path: str) -> _Log:
        """Reads them."""
        # The index first: meanwhile the log may only grow.
        index = _beginning(f"{path}-shm", 100)
        salts, frames = b"", 0
        with suppress(OSError), open(f"{path}-wal", "rb") as stream:
            header = stream.read(32)
            page, salts = int.from_bytes(header[8:12], "big"), header[16:24]
            while page and (frame := stream.read(24)):
                frames += frame[8:16] == salts or len(frame) < 16
                stream.seek(page, os.SEEK_CUR)
        if len(index) < 100 or index[:48] != index[48:96] or not index[12]:
            return cls(salts, frames, frames)
        if salts and index[32:40] != salts:  # another process began the log anew just now
            return cls()
        (held,), (merged,) = struct.unpack("=I", index[16:20]), struct.unpack("=I", index[96:100])
        return cls(salts, held, frames, merged)

    def lost(self, connection: sqlite3.Connection, path: str) -> bool:
        """Whether the database, now that it is open, knows less than its log held."""
        if self.held <= self.merged or self.frames < self.held:
            return self.held > self.merged
        _, known, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # Another process may have begun the log anew meanwhile.
        return 0 <= known < self.held and _beginning(f"{path}-wal", 32)[16:24] == self.salts


def _beginning(path: str, size: int) -> bytes:
    with suppress(OSError), open(path, "rb") as stream:
        return stream.read(size)
    return b""


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


_DAMAGED = (
    "it is damaged or no SQLite file; move it aside and run `wean ledger import` with your last export "
    "(`sqlite3 FILE .recover` may save more)"
)
_NOT_WRITABLE = "it may not be written; mend its permissions, or set WEAN_LEDGER to another file"
_HELD = "another process holds it; end that process or try again"
_EXPLANATIONS = {
    sqlite3.SQLITE_FULL: "its disk is full; free some space and run again (every committed answer is kept)",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_PERM: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check its folder, or set WEAN_LEDGER to another file",
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
}


def explain(error: sqlite3.Error, path: str) -> LedgerError:
    """Turns an error of SQLite into one line with its remedy."""
    other = f"SQLite reports: {error}; check the disk, or set WEAN_LEDGER to another file"
    return LedgerError(f"cannot use the ledger {path}: {_EXPLANATIONS.get(_code(error), other)}")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 for an error of the Python module itself."""
    extended: int = getattr(error, "sqlite_errorcode", -1)
    return extended & 0xFF if extended >= 0 else -1
