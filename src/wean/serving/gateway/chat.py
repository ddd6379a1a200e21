"""OpenAI's chat protocol as a gateway reads and writes it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wean.data.messages import Conversation, Message, parse_conversation
from wean.errors import UsageError
from wean.files import parse_json


class Asked(NamedTuple):
    """A request for a chat completion.

    Attributes:
        body: As JSON values.
        conversation: Its messages and tools.
        session: Whom it belongs to; empty where it does not say.
    """

    body: Mapping[str, Any]
    conversation: Conversation
    session: str

    @property
    def can_be_decided(self) -> bool:
        """Whether one plain answer is wanted, as a student can give it."""
        body = self.body
        return body.get("n") in (None, 1) and not body.get("logprobs") and body.get("tool_choice") != "none"


class Completed(NamedTuple):
    """A whole answer of the language model.

    Attributes:
        message: As the protocol has it.
        usage: Tokens, where the server counted them.
        model: Who answered.
        finish_reason: Why it ended.
    """

    message: Mapping[str, Any]
    usage: Mapping[str, Any]
    model: str
    finish_reason: str | None


def read_request(content: bytes, session: str) -> Asked | None:
    """The request in a body; None where it cannot be understood, and is only passed on."""
    try:
        body = parse_json(content.decode())
        conversation = parse_conversation({"messages": body["messages"], "tools": body.get("tools")})
    except (UsageError, ValueError, KeyError, TypeError, AttributeError):
        return None
    metadata = body.get("metadata")
    named = [session, body.get("session_id"), metadata.get("session_id") if isinstance(metadata, Mapping) else None]
    return Asked(body, conversation, next((str(name) for name in [*named, body.get("user")] if name), ""))


def read_response(content: bytes, streamed: bool) -> Completed | None:
    """The answer in a response's body; None where it is no whole answer."""
    try:
        return _streamed(content) if streamed else _whole(parse_json(content.decode()))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def as_message(completed: Completed) -> Message:
    """An answer as logs have it.

    Raises:
        UsageError: It cannot be read.
    """
    return parse_conversation({"messages": [completed.message]}).messages[0]


def write_response(asked: Asked, message: Mapping[str, Any], name: str) -> tuple[bytes, bytes]:
    """Content type and body of an answer that a student gives, streamed if the client wants that."""
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    about = {"id": name, "created": int(time.time()), "model": asked.body.get("model") or "student"}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if not asked.body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        body = {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
        return b"application/json", json.dumps(body).encode()
    about["object"] = "chat.completion.chunk"
    calls = [{"index": number, **call} for number, call in enumerate(message.get("tool_calls") or ())]
    delta = {"role": "assistant", "content": message.get("content"), **({"tool_calls": calls} if calls else {})}
    chunks: list[dict[str, Any]] = [
        {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]
    if (asked.body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**about, "choices": [], "usage": usage})
    events = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
    return b"text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode()


def error_body(message: str) -> bytes:
    """An error as the protocol has it."""
    return json.dumps({"error": {"message": message, "type": "gateway_error", "code": None, "param": None}}).encode()


def _whole(body: Mapping[str, Any]) -> Completed | None:
    choice = body["choices"][0]
    if len(body["choices"]) != 1 or not isinstance(choice["message"], Mapping):
        return None
    return Completed(
        choice["message"], body.get("usage") or {}, str(body.get("model", "")), choice.get("finish_reason")
    )


def _streamed(content: bytes) -> Completed | None:
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    usage: Mapping[str, Any] = {}
    model, reason = "", None
    for event in _events(content):
        usage = event.get("usage") or usage
        model = str(event.get("model") or model)
        for choice in event.get("choices") or ():
            if choice.get("index"):
                return None
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            _add_calls(calls, delta.get("tool_calls") or ())
            reason = choice.get("finish_reason") or reason
    if reason is None:
        return None
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text)}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return Completed(message, usage, model, reason)


def _events(content: bytes) -> Iterator[Mapping[str, Any]]:
    for line in content.decode().splitlines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data and data != "[DONE]":
            yield parse_json(data)


def _add_calls(calls: dict[int, dict[str, Any]], parts: Sequence[Mapping[str, Any]]) -> None:
    """Adds the parts of tool calls that a chunk has."""
    for part in parts:
        known = calls.setdefault(
            int(part.get("index", 0)), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        known["id"] = part.get("id") or known["id"]
        function = part.get("function") or {}
        for name in ("name", "arguments"):
            known["function"][name] += function.get(name) or ""
