"""The ledger's SQLite file: opening, format, transactions, and its failures in one line each."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wean.errors import WeanError

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

    Raises:
        LedgerError: The file cannot be opened, is no ledger, or has a newer format.
    """

    def __init__(self, path: str) -> None:
        self.path = path
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

    def __del__(self) -> None:
        # A forgotten close loses nothing; this only avoids the warning about an open connection.
        with suppress(Exception):
            if self._pid == os.getpid():
                self._connection.close()

    def _open(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        if self.path != ":memory:":
            folder = Path(self.path).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(
                    f"cannot make the ledger's folder {folder} ({error.strerror}); set WEAN_LEDGER to another file"
                ) from None
        try:
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise explain(error, self.path) from None
        try:
            self._prepare()
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from None
            raise

    def _prepare(self) -> None:
        self._check_format(self._connection)
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
