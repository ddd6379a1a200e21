"""Failures of an endpoint: which are retried, with what pauses, and one clear line for the others."""

from __future__ import annotations

import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

from wean.errors import UsageError, WeanError

T = TypeVar("T")

# Vendors repeat keys, or parts of them, in their messages.
_KEY_LIKE = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|pk|rk|gsk|xai|key|api)[-_][\w*.\-]{6,})")

_TOO_LONG = re.compile(
    r"(?i)context.{0,12}(length|window|size)|(maximum|at most).{0,30}(tokens|context)|too (long|large|many tokens)"
    r"|exceed.{0,40}(context|limit)|input tokens|must be <="
)

_LONGEST_ASKED = 120.0  # seconds of Retry-After that are waited for; more is an error


class TransientError(Exception):
    """A failure that may go away by itself.

    Attributes:
        reason: What happened, without secrets.
        retry_after: Seconds that the server asks to wait.
        hopeless_at_first: True for what seldom mends itself before the first success (an address that refuses
            connections is more likely misspelt than restarting), so that a wrong address fails in about a second.
        most_attempts: Tries in all for what seldom mends itself.
    """

    def __init__(
        self,
        reason: str,
        retry_after: float | None = None,
        hopeless_at_first: bool = False,
        most_attempts: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.hopeless_at_first = hopeless_at_first
        self.most_attempts = most_attempts


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
        attempts = min(self._attempts, error.most_attempts or self._attempts)
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


def scrub(text: str, *secrets: str) -> str:
    """The text without secrets and what looks like a key: one line of at most 300 characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = " ".join(_KEY_LIKE.sub("***", plain(text)).split())
    return text if len(text) <= 300 else text[:297] + "..."


def plain(text: str) -> str:
    """The text without half characters (lone surrogates), which no file, terminal or database takes."""
    return text.encode("utf-8", "replace").decode()


class Refusal(NamedTuple):
    """An error as an endpoint words it, in the status of its response or inside one that says 200.

    Attributes:
        status: The HTTP status, or the code that stands for one; 0 where there is none.
        message: The server's words.
        code: Its code in words, such as "insufficient_quota".
        param: The field that it complains about.
        retry_after: Seconds that it asks to wait.
        usage: What it says of tokens.
    """

    status: int
    message: str
    code: str = ""
    param: str = ""
    retry_after: float | None = None
    usage: Any = None

    @property
    def too_long(self) -> bool:
        """Whether the question, or the answer that was asked for, is too long."""
        return self.status == 413 or self.code == "context_length_exceeded" or bool(_TOO_LONG.search(self.message))


# Codes in words, and the status that servers send with them.
_STATUS_OF = {
    "rate_limit": 429,
    "insufficient": 402,
    "billing": 402,
    "context_length_exceeded": 400,
    "invalid_request": 400,
    "bad_request": 400,
    "unsupported": 400,
    "invalid_api_key": 401,
    "authentication": 401,
    "unauthorized": 401,
    "permission": 403,
    "forbidden": 403,
    "model_not_found": 404,
    "not_found": 404,
    "overloaded": 529,
    "unavailable": 503,
    "server_error": 500,
    "internal": 500,
}


_ERRORS = ("error", "errors", "detail", "base_resp")


def read_refusal(body: Any, status: int = 0, headers: Mapping[str, str] | None = None) -> Refusal:
    """Reads an error from the body of a response: OpenAI's form, or what gateways and other servers make of it."""
    usage, found = None, body
    for _ in range(4):  # a list of errors, an error in an error, ...
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            usage = usage or found.get("usage")
            found = next((found[name] for name in _ERRORS if found.get(name) and name != found.get("object")), found)
    fields = found if isinstance(found, dict) else {"message": found}
    said = (fields.get(name) for name in ("message", "msg", "detail", "status_msg", "title"))
    message = str(next((text for text in said if text), fields if any(fields.values()) else "no reason given"))
    if "loc" in fields:  # FastAPI's way: the field stands beside the message
        message = f"{'.'.join(map(str, fields['loc'] or ''))}: {message}"
    # Gateways answer in HTML: the status says more than its tags.
    message = "an HTML page" if "<html" in message.lower() else message
    words = [str(fields[name]) for name in ("code", "type", "status") if fields.get(name) is not None]
    if not status:
        numbers = [int(word) for word in words if word.isascii() and word.isdecimal() and len(word) == 3]
        named = [number for word in words for part, number in _STATUS_OF.items() if part in word.lower()]
        status = next((number for number in [*numbers, *named] if 400 <= number < 600), 0)
    code = next((word for word in words if not word.isdecimal()), "")
    return Refusal(status, message, code, str(fields.get("param") or ""), retry_after(headers or {}), usage)


def explain_refusal(
    refusal: Refusal, where: str, model: str, secrets: Sequence[str], served_models: Callable[[], list[str]]
) -> TransientError | WeanError:
    """Turns a server's error into one to retry or one to show."""
    status, detail = refusal.status, scrub(refusal.message, *secrets)
    if status == 402 or (status == 429 and refusal.code.startswith("insufficient")):
        return WeanError(f"{where}: the account's quota is used up ({detail}); top it up or use another key")
    if status == 0:
        return TransientError(f"the server answered with an error ({detail})")
    if status in (408, 409, 425, 429) or status >= 500:
        return TransientError(f"the server answered {status} ({detail})", refusal.retry_after)
    if status == 401:
        return WeanError(f"{where} refused the API key (401: {detail}); set OPENAI_API_KEY to a valid one")
    if status == 403:
        return WeanError(f"{where} forbids this key to use {model!r} (403: {detail}); check the key's rights")
    if status == 404:
        return _not_found(where, model, detail, served_models())
    if refusal.too_long:
        return UsageError(
            f"{where}: the question is too long for {model!r} ({detail}); shorten it, lower max_tokens, or "
            "use a model with a longer context"
        )
    return UsageError(f"{where} refuses the request ({status}: {detail}); change the parameter that it names")


def explain_connection(error: Exception, secrets: Sequence[str]) -> TransientError | WeanError:
    """Turns a failure to connect, to send or to receive into one to retry or one to show."""
    cause = error.__cause__ or error
    kind = type(cause).__name__
    if found := explain_environment(cause):
        return found
    if kind in ("ConnectError", "ProxyError"):
        proxy = _proxies()
        reason = scrub(str(cause), *secrets) + (f"; {' and '.join(proxy)} names a proxy" if proxy else "")
        return TransientError(f"cannot be reached ({reason}); check the address and the server", None, True)
    return TransientError(f"the connection broke ({kind})")


def explain_environment(error: BaseException) -> UsageError | None:
    """The line for a failure that a variable of the environment causes: certificates or a proxy; else None."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):
            return UsageError(f"{name} names {path}, which does not exist; mend or unset that variable")
        if path and isinstance(error, ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return UsageError(f"{name} names {path}, which holds no certificates; mend or unset that variable")
    kind = type(error).__name__
    if (names := _proxies()) and (isinstance(error, ImportError | ValueError) or "URL" in kind or "Protocol" in kind):
        socks = isinstance(error, ImportError) or any(os.environ[name].lower().startswith("socks") for name in names)
        remedy = "pip install socksio for a SOCKS proxy, or unset it" if socks else "mend or unset it"
        return UsageError(f"the proxy that {' or '.join(names)} names cannot be used; {remedy}")
    return None


def _proxies() -> list[str]:
    """The variables that name proxies."""
    wanted = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    return [name for name in (*wanted, *map(str.lower, wanted)) if os.environ.get(name)]


def _not_found(where: str, model: str, detail: str, served: list[str]) -> WeanError:
    if model in served or (not served and "model" not in detail.lower()):
        return WeanError(f"{where} has no chat completions at this address (404); does the URL end in /v1?")
    if not served:
        return UsageError(f"{where} has no model {model!r} ({detail}); check its name")
    shown = ", ".join(served[:8]) + (", ..." if len(served) > 8 else "")
    return UsageError(f"{where} has no model {model!r}; it serves {shown}")
