"""A server on a port: uvicorn, with a time for everything that a client does."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..folder import PolicyError
from .guard import App
from .limits import Limits

TOKEN_VARIABLE = "WEAN_SERVE_TOKEN"
_HEADER_BYTES = 32_768
_ENDING_SECONDS = 3
_TOO_SLOW_BODY = b'{"error":"the request did not arrive in time; send it at once"}'
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_TOO_SLOW_BODY), _TOO_SLOW_BODY)
)


def run(app: App, host: str, port: int, limits: Limits, say: Callable[[str], None]) -> None:
    """Serves until the process is told to end.

    Args:
        app: The guarded application.
        host: The address to listen at.
        port: The port; 0 takes a free one.
        limits: The server's bounds.
        say: Called with the address when the server can be reached.

    Raises:
        PolicyError: The port is taken, or the address is not this machine's.
    """
    listening = listen(host, port)
    config = uvicorn.Config(
        app,
        http=cast(Any, partial(Timed, limits)),  # called for every connection
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.idle_seconds,
        backlog=min(limits.connections, 2048),
        timeout_graceful_shutdown=_ENDING_SECONDS,
    )
    name, number = listening.getsockname()[:2]
    say(f"http://{f'[{name}]' if ':' in name else name}:{number}")
    server = uvicorn.Server(config)
    log = logging.getLogger("uvicorn.error")

    def matters(record: logging.LogRecord) -> bool:
        # Whoever ends the server knows that it cuts the requests in flight: no traceback for each, but other faults.
        cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        return not (server.should_exit and (cut or record.getMessage().startswith("Cancel ")))

    log.addFilter(matters)
    try:
        server.run(sockets=[listening])
    finally:
        log.removeFilter(matters)
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        PolicyError: The port is taken, or the address is not this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
        raise PolicyError(f"cannot listen at {host}:{port} ({reason}); choose another --port or --host") from None


def token(file: Path | None) -> str | None:
    """The bearer token: the first line of a file, else of the environment variable; None where there is neither.

    Raises:
        PolicyError: It is empty, cannot be read, or is not made of printable ASCII.
    """
    if file is None:
        found = os.environ.get(TOKEN_VARIABLE)
        where = TOKEN_VARIABLE
    else:
        where = str(file)
        try:
            found = file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, ValueError):
            raise PolicyError(f"{where} cannot be read; write the token into it, in one line") from None
    if found is None:
        return None
    if not found or not all("!" <= letter <= "~" for letter in found):
        raise PolicyError(f"the token of {where} is empty, or has other signs than letters, digits and punctuation")
    return found


class Timed(HttpToolsProtocol):
    """The reading of HTTP by uvicorn, for clients that may be slow or without end.

    uvicorn times a connection only between two requests. Here it is also timed while a request arrives and while its
    answer is fetched, and headers have a size.

    Args:
        limits: The server's bounds.
        *given: As uvicorn gives it.
        **named: As uvicorn gives it.
    """

    def __init__(self, limits: Limits, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limits = limits
        self._alarm: asyncio.TimerHandle | None = None
        self._header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._wait(self._limits.read_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._alarm is not None:
            self._alarm.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._header_bytes = 0
        if self.cycle is None or self.cycle.response_complete:
            self._wait(self._limits.read_seconds, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """A piece of its path."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self._count(name + value)
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """It has arrived."""
        super().on_message_complete()
        if not self.pipeline:
            self._wait(self._limits.idle_seconds, self.transport.abort)  # the answer must be fetched

    def on_response_complete(self) -> None:
        """It is answered."""
        self._wait(self._limits.idle_seconds, self.transport.abort)
        super().on_response_complete()

    def _count(self, more: bytes) -> None:
        self._header_bytes += len(more)
        if self._header_bytes > _HEADER_BYTES:
            raise ValueError("the headers are too large")  # which the parser turns into a refusal

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_later(seconds, then)

    def _too_slow(self) -> None:
        """Refuses a request that does not arrive; a connection without any, or with half an answer, is cut."""
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self.scope is not None and not answering:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
