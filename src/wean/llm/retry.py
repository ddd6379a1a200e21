"""Trying again: back-off with jitter, Retry-After, and a limit on requests per minute."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from wean.errors import WeanError

T = TypeVar("T")


class TransientError(Exception):
    """Something that may go away by itself.

    Args:
        reason: What happened, without secrets.
        retry_after: Seconds that the server asked to wait; None where it did not say.
        hopeless_at_first: True for what seldom mends itself before the first success (a host that refuses to
            talk is more likely misspelt than restarting), so that a wrong address fails in about a second.
    """

    def __init__(self, reason: str, retry_after: float | None = None, hopeless_at_first: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.hopeless_at_first = hopeless_at_first


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long.

    Attributes:
        attempts: Tries in all.
        base_seconds: Pause after the first failure; doubles each time.
        longest_pause: Upper end of a pause that we choose.
        longest_asked: Longest Retry-After that is waited for; a longer one is an error that says so.
    """

    attempts: int = 6
    base_seconds: float = 0.5
    longest_pause: float = 30.0
    longest_asked: float = 120.0

    def pause(self, failures: int) -> float:
        """Seconds after so many failures; drawn from the upper half, so that threads come back apart."""
        whole = min(self.longest_pause, self.base_seconds * 2.0 ** (failures - 1))
        return whole * random.uniform(0.5, 1.0)


class Pacer:
    """Lets requests start no faster than allowed, and none while the server wants to be left alone.

    Args:
        requests_per_minute: Limit; None for none.
    """

    def __init__(self, requests_per_minute: float | None = None) -> None:
        self._gap = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Blocks until the next request may start."""
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._gap
                    return
                delay = self._next - now
            time.sleep(delay * random.uniform(1.0, 1.1))  # apart, where many wait for the same moment

    def hold(self, seconds: float) -> None:
        """Nobody starts for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Retrier:
    """Runs calls until they succeed, fail for good, or have failed too often.

    Args:
        policy: How often and how long.
        pacer: Shared by all threads that ask the same server.
        where: What is asked, for messages.
    """

    def __init__(self, policy: RetryPolicy, pacer: Pacer, where: str) -> None:
        self._policy = policy
        self._pacer = pacer
        self._where = where
        self._succeeded = False

    def run(self, call: Callable[[], T]) -> T:
        """Returns what `call` returns.

        Raises:
            WeanError: `call` raised one, or failed for the last time; the line names the last reason.
        """
        failures = 0
        while True:
            self._pacer.wait()
            try:
                result = call()
            except TransientError as error:
                failures += 1
                self._give_up_or_pause(error, failures)
            else:
                self._succeeded = True
                return result

    def _give_up_or_pause(self, error: TransientError, failures: int) -> None:
        attempts = self._policy.attempts
        if error.hopeless_at_first and not self._succeeded:
            attempts = min(attempts, 2)
        if failures >= attempts:
            tries = "once" if failures == 1 else f"{failures} times"
            raise WeanError(
                f"{self._where}: {error.reason} (tried {tries}); answers so far are in the ledger, so run again later"
            )
        asked = error.retry_after
        if asked is not None and asked > self._policy.longest_asked:
            raise WeanError(
                f"{self._where}: {error.reason}; it wants to be left alone for {asked:.0f} s: run again "
                "after that (answers so far are in the ledger)"
            )
        if asked is None:
            time.sleep(self._policy.pause(failures))
            return
        # What the server asks for binds all threads, not only the one that was told; the jitter spreads their
        # return.
        self._pacer.hold(asked)
        time.sleep(asked + random.uniform(0.0, min(1.0, 0.1 * asked + 0.01)))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a response asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.

    Returns:
        Seconds >= 0, or None where nothing readable is said.
    """
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000.0)
    except (KeyError, ValueError):
        pass
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
