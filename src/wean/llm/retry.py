"""Failures of an endpoint: which are retried, with what pauses, and one clear line for the others."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from wean.errors import UsageError, WeanError

T = TypeVar("T")

# Vendors repeat keys, or parts of them, in their messages.
_KEY_LIKE = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|rk|gsk|xai|key|api)[-_][\w*.\-]{6,})")

_TOO_LONG = re.compile(
    r"(?i)context.{0,12}(length|window|size)|maximum.{0,20}(tokens|context)|too (long|many tokens)"
    r"|exceed.{0,40}context"
)


_LONGEST_ASKED = 120.0  # seconds of Retry-After that are waited for; more is an error


class TransientError(Exception):
    """A failure that may go away by itself; the reason has no secrets, `retry_after` is in seconds.

    `hopeless_at_first` is true for what seldom mends itself before the first success (an address that refuses
    connections is more likely misspelt than restarting), so that a wrong address fails in about a second.
    """

    def __init__(self, reason: str, retry_after: float | None = None, hopeless_at_first: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.hopeless_at_first = hopeless_at_first


class Pacer:
    """Limits how fast requests start, and holds them all while the server asks for a pause."""

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
        """Lets no request start for this long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Retrier:
    """Runs calls until they succeed, fail for good, or have failed too often; shared by the threads that ask a server.

    Args:
        where: Name of the server, for messages.
        attempts: Tries in all.
        base_seconds: Pause after the first failure; doubles each time.
        longest_pause: Upper end of a pause that we choose.
        requests_per_minute: Limit of `Pacer`; None for none.
    """

    def __init__(
        self,
        where: str,
        *,
        attempts: int = 6,
        base_seconds: float = 0.5,
        longest_pause: float = 30.0,
        requests_per_minute: float | None = None,
    ) -> None:
        self._where = where
        self._attempts = attempts
        self._base_seconds = base_seconds
        self._longest_pause = longest_pause
        self._pacer = Pacer(requests_per_minute)
        self._succeeded = False

    def pause(self, failures: int) -> float:
        """Seconds to wait after this many failures; drawn from the upper half, so that threads come back apart."""
        whole = min(self._longest_pause, self._base_seconds * 2.0 ** (failures - 1))
        return whole * random.uniform(0.5, 1.0)

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
        attempts = self._attempts
        if error.hopeless_at_first and not self._succeeded:
            attempts = min(attempts, 2)
        if failures >= attempts:
            tries = "once" if failures == 1 else f"{failures} times"
            raise WeanError(
                f"{self._where}: {error.reason} (tried {tries}); answers so far are in the ledger, so run again later"
            )
        asked = error.retry_after
        if asked is not None and asked > _LONGEST_ASKED:
            raise WeanError(
                f"{self._where}: {error.reason}; it asks to wait {asked:.0f} s: run again "
                "after that (answers so far are in the ledger)"
            )
        if asked is None:
            time.sleep(self.pause(failures))
            return
        # The server's request binds all threads, not only the one that received it; the jitter spreads their return.
        self._pacer.hold(asked)
        time.sleep(asked + random.uniform(0.0, min(1.0, 0.1 * asked + 0.01)))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a response asks to wait (`retry-after-ms`, or `retry-after` in seconds or as a date), or None."""
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


def scrub(text: str, key: str) -> str:
    """The text without keys and what looks like one: one line of at most 300 characters."""
    if key:
        text = text.replace(key, "***")
    text = " ".join(_KEY_LIKE.sub("***", text).split())
    return text if len(text) <= 300 else text[:297] + "..."


def explain_failure(
    error: Exception, where: str, model: str, key: str, served_models: Callable[[], list[str]]
) -> TransientError | WeanError:
    """Turns an exception of the `openai` SDK into one to retry or one to show."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return TransientError("no answer within the time-out")
    if isinstance(error, openai.APIConnectionError):
        return _connection_failure(error)
    if not isinstance(error, openai.APIStatusError):
        return TransientError(f"the SDK failed with {type(error).__name__}: {scrub(str(error), key)}")
    status, detail = error.status_code, scrub(_detail(error), key)
    if status == 429 and error.code == "insufficient_quota":
        return WeanError(f"{where}: the account's quota is used up ({detail}); top it up or use another key")
    if status in (408, 409, 425, 429) or status >= 500:
        asked = retry_after(error.response.headers)
        return TransientError(f"the server answered {status} ({detail})", asked)
    if status == 401:
        return WeanError(f"{where} refused the API key (401); set OPENAI_API_KEY to a valid one")
    if status == 403:
        return WeanError(f"{where} forbids this key to use {model!r} (403: {detail}); check the key's rights")
    if status == 404:
        return _not_found(where, model, detail, served_models())
    if status == 413 or _TOO_LONG.search(_detail(error)):
        return UsageError(
            f"{where}: the question is too long for {model!r} ({detail}); shorten it, lower max_tokens, or "
            "use a model with a longer context"
        )
    return UsageError(f"{where} refuses the request ({status}: {detail}); change the parameter that it names")


def _connection_failure(error: Exception) -> TransientError:
    cause = error.__cause__
    kind = type(cause).__name__ if cause is not None else ""
    if kind == "ConnectError":
        return TransientError(f"cannot be reached ({cause}); check the address and the server", None, True)
    return TransientError(f"the connection broke ({kind or 'connection error'})")


def _detail(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if message:
            return str(message)
    # Gateways answer in HTML: the status says more than its tags.
    text = str(body or error.message)
    return "an HTML page" if "<html" in text.lower() else text


def _not_found(where: str, model: str, detail: str, served: list[str]) -> WeanError:
    if model in served or (not served and "model" not in detail.lower()):
        return WeanError(f"{where} has no chat completions at this address (404); does the URL end in /v1?")
    if not served:
        return UsageError(f"{where} has no model {model!r} ({detail}); check its name")
    shown = ", ".join(served[:8]) + (", ..." if len(served) > 8 else "")
    return UsageError(f"{where} has no model {model!r}; it serves {shown}")
