"""Claims: who is asking which question right now, so that nobody asks it a second time."""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Iterable

from wean.llm.database import Database, LedgerError
from wean.llm.question import Key


class ClaimKeeper:
    """Keeps the claims of this process alive while it is asking.

    A claim expires by itself, so that a process that vanished blocks nobody. While claims are held, a thread
    renews them three times per lifetime; a process that is known to be dead loses its claims at once.

    Args:
        database: The ledger's file.
        lifetime: Seconds after which a claim that nobody renews is void.
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

    def let_go(self, keys: Iterable[Key]) -> None:
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
                # Whoever asks learns of it when committing; at worst a question is asked twice.
                continue


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


def _machine() -> str:
    # Process numbers mean something only within one machine and one namespace (containers have their own).
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return platform.node() + namespace
