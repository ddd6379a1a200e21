"""The gateway as an ASGI application: it answers, or passes on as it came, and looks at what comes back."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from wean.errors import WeanError, in_one_line
from wean.runtime.server.guard import Receive, Scope, Send
from wean.serving.gateway.chat import Asked, error_body, read_request, read_response, write_response
from wean.serving.gateway.deciding import Judge, Thought
from wean.serving.gateway.journal import Journal
from wean.serving.gateway.upstream import Response, Upstream, UpstreamError

_log = logging.getLogger("wean")
_READ = 4 << 20  # bytes of a request or an answer; what is longer is passed on unread
_DONE = b"[DONE]"


@dataclass
class _Exchange:
    """One request on its way.

    Attributes:
        asked: What it asks, where that was understood.
        thought: What the student would answer, where it is sure enough.
        began: When it came.
        waited: Seconds for which only the endpoint was waited for.
    """

    asked: Asked | None = None
    thought: Thought | None = None
    began: float = 0.0
    waited: float = 0.0


class Gateway:
    """Answers requests; see ASGI.

    Args:
        upstream: The endpoint.
        judge: The student with its audits.
        journal: Where whole answers are kept.
    """

    def __init__(self, upstream: Upstream, judge: Judge, journal: Journal) -> None:
        self.judge = judge
        self._upstream, self._journal = upstream, journal
        self._counts: Counter[str] = Counter()
        self._delays: dict[str, deque[float]] = {name: deque(maxlen=10_000) for name in ("passed", "alone")}
        self._thinking = ThreadPoolExecutor(1, "wean-gateway-student")
        self._writing = ThreadPoolExecutor(1, "wean-gateway-ledger")
        self._notes: deque[str] = deque(maxlen=20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        exchange = _Exchange(began=time.perf_counter())
        self._counts["requests"] += 1
        headers = list(scope["headers"])
        body = await _body(receive, headers)
        if scope["method"] == "POST" and scope["path"].endswith("/chat/completions") and isinstance(body, bytes):
            await self._think(exchange, body, headers)
        asked, thought = exchange.asked, exchange.thought
        if asked is not None and thought is not None:
            alone = self._tried("decide", self._alone, asked, thought)
            if alone is not None:
                self._delays["alone"].append(time.perf_counter() - exchange.began)
                await _send(send, 200, [(b"content-type", alone[0]), (b"x-wean", b"student")], alone[1])
                return
        self._counts["passed"] += 1
        await self._pass_on(exchange, scope, headers, body, send)

    async def _think(self, exchange: _Exchange, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        session = next((value for name, value in headers if name == b"x-session-id"), b"").decode("latin-1")
        exchange.asked = self._tried("read a request", read_request, body, session)
        if exchange.asked is None:
            return
        loop = asyncio.get_running_loop()
        exchange.thought = await loop.run_in_executor(
            self._thinking, self._tried, "ask the student", self.judge.consider, exchange.asked
        )

    def _alone(self, asked: Asked, thought: Thought) -> tuple[bytes, bytes] | None:
        if not self.judge.answers_alone(thought):
            return None
        message = self.judge.answer(thought)
        return write_response(asked, message, f"chatcmpl-{secrets.token_hex(12)}")

    async def _pass_on(self, exchange: _Exchange, scope: Scope, headers: Any, body: Any, send: Send) -> None:
        """Sends a request to the endpoint, and its answer to the client."""
        started = False
        asked_at = time.perf_counter()
        try:
            async with self._upstream.send(
                scope["method"], scope["path"], scope["query_string"], headers, body
            ) as response:
                exchange.waited = time.perf_counter() - asked_at
                if exchange.asked is None or response.status != 200:
                    started = True
                    await _stream(send, response)
                elif _is_streamed(response):
                    started = True
                    await self._relay(exchange, response, send)
                else:
                    await self._whole(exchange, response, send)
        except UpstreamError as error:
            self._counts["upstream_errors"] += 1
            if not started:
                await _send(send, error.status, [(b"content-type", b"application/json")], error_body(str(error)))
            # Otherwise the connection is closed by the server: the client sees a cut answer, as it was.

    async def _whole(self, exchange: _Exchange, response: Response, send: Send) -> None:
        """An answer in one piece: it is written down before the client has it."""
        parts, size = [], 0
        began = time.perf_counter()
        rest = response.parts
        async for part in rest:
            parts.append(part)
            size += len(part)
            if size > _READ:
                await _stream(send, response, parts)
                return
        exchange.waited += time.perf_counter() - began
        content = b"".join(parts)
        await self._finish(exchange, content, streamed=False)
        self._delays["passed"].append(time.perf_counter() - exchange.began - exchange.waited)
        headers = [one for one in response.headers if one[0].lower() != b"content-length"]
        await _send(send, response.status, headers, content)

    async def _relay(self, exchange: _Exchange, response: Response, send: Send) -> None:
        """A streamed answer, event by event; its end is passed on when it is written down."""
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        content, finished = bytearray(), False
        began = time.perf_counter()
        async for part in response.parts:
            if len(content) <= _READ:
                content += part
            if _DONE in part and not finished and len(content) <= _READ:
                finished = True
                exchange.waited += time.perf_counter() - began
                await self._finish(exchange, bytes(content), streamed=True)
                self._delays["passed"].append(time.perf_counter() - exchange.began - exchange.waited)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if not finished and len(content) <= _READ:
            await self._finish(exchange, bytes(content), streamed=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _finish(self, exchange: _Exchange, content: bytes, streamed: bool) -> None:
        """Writes an answer down, and compares it with the student's."""
        completed = self._tried("read an answer", read_response, content, streamed)
        asked, thought = exchange.asked, exchange.thought
        if completed is None or asked is None:
            return
        if thought is not None:
            self._tried("audit", self.judge.audit, thought, completed)
        loop = asyncio.get_running_loop()
        failures = self._counts["failures"]
        await loop.run_in_executor(
            self._writing, self._tried, "write into the ledger", self._journal.write, asked, completed, exchange.waited
        )
        self._counts["logged"] += self._counts["failures"] == failures

    def _tried(self, what: str, work: Any, *arguments: Any) -> Any:
        """What `work` gives; None where it fails: then the request goes to the endpoint as it came."""
        try:
            return work(*arguments)
        except Exception as error:  # whatever of ours fails must not keep a request from its answer
            self._counts["failures"] += 1
            # Words of other errors may hold a part of a prompt.
            told = in_one_line(str(error)) if isinstance(error, WeanError) else type(error).__name__
            note = f"could not {what}: {told}"
            if note not in self._notes:
                self._notes.append(note)
                _log.warning("the gateway %s", note)
            return None

    async def close(self) -> None:
        """Ends what is being written, and closes connections and ledger."""
        self._thinking.shutdown()
        self._writing.shutdown()
        self._journal.close()
        await self._upstream.close()

    def numbers(self) -> dict[str, Any]:
        """What the page shows (`wean-gateway/1`): no prompt, no answer, no key."""
        counts = {name: self._counts[name] for name in ("requests", "passed", "logged", "failures", "upstream_errors")}
        return {
            "schema": "wean-gateway/1",
            **counts,
            **self.judge.numbers(),
            "notes": list(self._notes),
            "delays_ms": {name: _percentiles(values) for name, values in self._delays.items()},
        }


async def _body(receive: Receive, headers: list[tuple[bytes, bytes]]) -> bytes | AsyncIterator[bytes]:
    """The whole body; where it is too long to be read, what there is of it and what follows."""
    parts, size, more = [], 0, True
    while more and size <= _READ:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    if not more or size <= _READ:
        return b"".join(parts)
    return _rest(parts, receive)


async def _rest(parts: list[bytes], receive: Receive) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    sized = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Send, response: Response, before: list[bytes] | None = None) -> None:
    """Sends an answer as it comes."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    for part in before or ():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    async for part in response.parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_streamed(response: Response) -> bool:
    kinds = [value for name, value in response.headers if name.lower() == b"content-type"]
    return any(b"text/event-stream" in kind for kind in kinds)


def _percentiles(values: deque[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p99 = np.percentile(np.array(values) * 1000, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
