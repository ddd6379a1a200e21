"""What a gateway writes into the ledger: every whole answer of the language model, with its session, time and price."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from wean.llm.answers import Answer, Message, Question, canonical_json, find_price
from wean.llm.ledger import Ledger
from wean.serving.gateway.chat import Asked, Completed

_ROLES = {"developer": "system", "tool": "user", "function": "user"}
_LEFT_OUT = ("messages", "stream", "stream_options", "metadata", "user", "session_id", "model")


class Journal:
    """Writes answers into a ledger, each as a sample of its own of its question.

    Args:
        ledger: Where they go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()

    def write(self, asked: Asked, completed: Completed, seconds: float) -> float | None:
        """Writes one answer; returns its price in dollars, if it is known.

        Raises:
            WeanError: The ledger cannot take it; the line names the file that has it instead.
            UsageError: The question cannot be kept.
        """
        usage = completed.usage
        read, written = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        price = find_price(str(asked.body.get("model") or completed.model))
        cost = price.cost(read, written) if price is not None and usage else None
        messages: list[Any] = [_plain(message) for message in asked.body["messages"]]
        parameters = {name: value for name, value in asked.body.items() if name not in _LEFT_OUT}
        question = Question.build("generate", str(asked.body.get("model") or "unknown"), messages, parameters)
        answer = Answer(
            _answer_text(completed.message),
            read,
            written,
            not usage,
            seconds,
            cost,
            completed.finish_reason,
            provenance={"served": completed.model, **({"session": asked.session} if asked.session else {})},
        )
        with self._lock:
            self._ledger.commit([(question, self._next(question))], [answer])
        return cost

    def close(self) -> None:
        """Closes the ledger."""
        self._ledger.close()

    def _next(self, question: Question) -> int:
        with self._ledger.database.read() as connection:
            row = connection.execute("SELECT max(sample) FROM answers WHERE digest=?", (question.digest,)).fetchone()
        return 0 if row[0] is None else int(row[0]) + 1


def _plain(message: Mapping[str, Any]) -> Message:
    """A message as a ledger keeps it: what is more than a text is kept as JSON."""
    role, content = str(message.get("role")), message.get("content")
    if not isinstance(content, str) or message.get("tool_calls"):
        content = canonical_json({name: value for name, value in message.items() if name != "role"})
    found: Any = {"role": _ROLES.get(role, role), "content": content}
    plain: Message = found
    return plain


def _answer_text(message: Mapping[str, Any]) -> str:
    if message.get("tool_calls"):
        return json.dumps({"role": "assistant", "tool_calls": message["tool_calls"]}, ensure_ascii=False)
    content = message.get("content")
    return content if isinstance(content, str) else canonical_json(content)
