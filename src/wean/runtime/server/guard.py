"""Checks of every request before it is handled: token and host, size, content type, and time."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from .limits import Limits
from .metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ACT = "/act"
OPEN = frozenset({"/", "/health", "/docs", "/openapi.json"})
"""What needs no token: whether the server lives, and pages that are the same for everybody."""
_CLOSE = (b"connection", b"close")


class Guard:
    """An ASGI application before another one.

    Args:
        app: The other one; it is given the whole body in one message.
        act: Answers `POST /act`, without the way through FastAPI, which takes as long as the student.
        limits: The server's bounds.
        metrics: Counts the answers.
        paths: The paths that are counted by name.
        token: What a client must name as `Authorization: Bearer TOKEN`; None for no such need.
        hosts: Values of `Host` that are served; None for any. A page of another site that has a name of its own lead to
            this machine is kept out so.
    """

    def __init__(
        self,
        app: App,
        act: App,
        limits: Limits,
        metrics: Metrics,
        paths: Collection[str],
        token: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._app, self._act, self._limits, self._metrics = app, act, limits, metrics
        self._paths = frozenset(paths)
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        known = path if path in self._paths else "/sessions/..." if path.startswith("/sessions/") else "other"

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(known, message["status"])
            await send(message)

        headers = dict(scope["headers"])
        refused = self._refused(method, path, headers)
        if refused is None:
            body = await self._body(receive, headers)
            if body is None:
                return
            if len(body) <= self._limits.body_bytes:
                app = self._act if path == ACT and method == "POST" else self._app
                await app(scope, _given(body, receive), counting)
                return
            refused = self._too_large()
        await answer(counting, *refused, close=True)

    def _refused(self, method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """The status and reason of a refusal that needs no look at the body; None for none."""
        if self._hosts is not None and _name(headers.get(b"host", b"")) not in self._hosts:
            return 400, "this server is for its own machine; name it 127.0.0.1, or serve with a token"
        if not self._allowed(method, path, headers.get(b"authorization", b"")):
            return 401, "the token is missing or wrong; send Authorization: Bearer TOKEN"
        if method == "POST":
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                return 415, "the body is JSON; send Content-Type: application/json"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self._limits.body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> tuple[int, str]:
        return 413, f"the body is too large; send at most {self._limits.body_bytes} bytes"

    def _allowed(self, method: str, path: str, authorization: bytes) -> bool:
        if self._authorization is None or (method == "GET" and path in OPEN):
            return True
        return hmac.compare_digest(authorization, self._authorization)

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes | None:
        """The whole body, or more of it than is allowed; None where the client went away.

        How long it may take is for the connection to know, see `running.py`.
        """
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return b""
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body", False) and len(body) <= self._limits.body_bytes:
            message = await receive()
            body += message.get("body", b"")
        return None if message["type"] == "http.disconnect" else body


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, and then whatever comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return messages.pop() if messages else await receive()

    return given


def _name(host: bytes) -> str:
    """The name in a `Host` header, without its port."""
    text = host.decode("latin-1").lower()
    return text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]


async def answer(send: Send, status: int, told: Any, close: bool = False) -> None:
    """Sends JSON: an object, or a refusal's reason as `{"error": ...}`."""
    body = json.dumps({"error": told} if isinstance(told, str) else told, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if close:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
