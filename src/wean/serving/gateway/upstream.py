"""The language model's endpoint behind a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import httpcore

from wean.errors import UsageError

Headers = Sequence[tuple[bytes, bytes]]

# Of one connection, or of how a body was sent; a compressed answer could not be read for the audits.
_OF_A_CONNECTION = frozenset(
    b"host connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade "
    b"content-length accept-encoding x-session-id".split()
)
_CONNECT_SECONDS = 10.0


class UpstreamError(Exception):
    """The endpoint did not answer; one line, and the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Response(NamedTuple):
    """The beginning of an answer, and what follows.

    Attributes:
        status: Of HTTP.
        headers: Those that a client is given.
        parts: The body as it comes; raises UpstreamError where it is cut.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    parts: AsyncIterator[bytes]


class Upstream:
    """Sends requests on as they came.

    Args:
        url: Of the endpoint, as clients would name it without a gateway.
        seconds: In which it must go on answering.

    Raises:
        UsageError: The address is none.
    """

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url} is no address of an endpoint; write e.g. https://api.openai.com/v1")
        if parts.username or parts.password or parts.query:
            raise UsageError("an address with a key in it would be shown; let the clients send their own")
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._origin, self._path = f"{parts.scheme}://{host}{port}", parts.path.rstrip("/")
        self._host = f"{host}{port}".encode()
        self._timeout = {"connect": _CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": seconds}
        self._pool = httpcore.AsyncConnectionPool(max_connections=1000, max_keepalive_connections=100)

    @asynccontextmanager
    async def send(
        self, method: str, path: str, query: bytes, headers: Headers, body: bytes | AsyncIterator[bytes]
    ) -> AsyncIterator[Response]:
        """Sends a request on, and gives the answer as it comes.

        Raises:
            UpstreamError: There is none.
        """
        # A client that names /v1 itself, as well as an upstream that does, mean the same place.
        prefix = self._path
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            prefix = ""
        target = (prefix + path).encode() + (b"?" + query if query else b"")
        sent = [(b"host", self._host), *(one for one in headers if one[0].lower() not in _OF_A_CONNECTION)]
        length = next((value for name, value in headers if name.lower() == b"content-length"), None)
        if isinstance(body, bytes):
            length = str(len(body)).encode() if body or length else None
        if length is not None:
            sent.append((b"content-length", length))
        elif not isinstance(body, bytes):
            sent.append((b"transfer-encoding", b"chunked"))
        try:
            async with self._pool.stream(
                method, self._origin + target.decode("latin-1"), headers=sent, content=body or None,
                extensions={"timeout": self._timeout},
            ) as answer:  # fmt: skip
                kept = [one for one in answer.headers if one[0].lower() not in _OF_A_CONNECTION]
                yield Response(answer.status, kept, _parts(answer))
        except _FAILURES as error:
            raise _explained(error) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()


async def _parts(answer: httpcore.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_stream():
            yield part
    except _FAILURES as error:
        raise _explained(error) from None


_FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _explained(error: Exception) -> UpstreamError:
    if isinstance(error, httpcore.TimeoutException):
        return UpstreamError(504, f"the endpoint did not answer in time ({type(error).__name__}); try again")
    return UpstreamError(502, f"the endpoint could not be reached or broke off ({type(error).__name__}); try again")
