"""Decisions from an agent's logs: files of messages, and ledgers."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from wean.data.decisions import Decision
from wean.data.messages import Conversation, Conversations, read_conversations
from wean.errors import UsageError
from wean.files import is_number
from wean.llm.answers import find_price
from wean.llm.ledger import Ledger
from wean.llm.transfer import export_lines
from wean.teachers.logged_answers import read_answer
from wean.teachers.logged_prompts import LogMapping, PromptReader

SHIPPED = {"kitchen": "kitchen_agent.jsonl.gz"}
"""Logs that come with wean, by name.

`kitchen`: an agent in KitchenRandom that asks a large language model in every step, 800 episodes.
"""

_SESSIONS = ("session", "session_id", "conversation_id", "thread_id", "trace_id", "episode", "episode_id")
_WITHIN = ("metadata", "provenance")
_SECONDS = ("seconds", "latency", "latency_s", "duration", "duration_s", "elapsed")
_DOLLARS = ("cost_usd", "cost", "price", "price_usd")
_REWARDS = ("reward", "outcome", "score")
_SQLITE = b"SQLite format 3\x00"


@dataclass
class Found:
    """What was found in logs.

    Attributes:
        decisions: In the order of the logs.
        passed_over: How many rows and answers hold no decision that can be used, by reason.
        problems: One line for each row that could not be read at all.
        without_session: How many decisions name no session; those on one situation count as a session of their own.
    """

    decisions: list[Decision] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    without_session: int = 0


def read_logs(paths: Iterable[Path], mapping: LogMapping | None = None) -> Found:
    """Reads the decisions in logs: message logs, ledgers (SQLite, or exported), and the agent-data-protocol.

    Args:
        paths: Files, or names in `SHIPPED`; a file of such a name takes precedence.
        mapping: Where situation, choices and answer stand.

    Raises:
        UsageError: A file holds no conversation, or nothing in the logs is a decision; the line says why.
        WeanError: A file cannot be read.
    """
    reader, found = PromptReader(mapping), Found()
    for path in paths:
        conversations = _conversations(path)
        found.problems += conversations.problems
        _add(found, conversations.found, reader, path.name)
    if not found.decisions:
        why = ", ".join(f"{count} {reason}" for reason, count in found.passed_over.most_common())
        raise UsageError(
            f"there is no decision in these logs ({why or 'no answer of a model'}); say where situation, choices and "
            "answer stand with --mapping"
        )
    return found


def decisions_of(conversations: Iterable[Conversation], mapping: LogMapping | None = None) -> Found:
    """The decisions in conversations; see `read_logs`."""
    found = Found()
    _add(found, conversations, PromptReader(mapping), "log")
    return found


def _conversations(path: Path) -> Conversations:
    if str(path) in SHIPPED and not path.exists():
        recorded = resources.files("wean.data").joinpath("recorded")
        with resources.as_file(recorded.joinpath(SHIPPED[str(path)])) as shipped:
            return read_conversations(shipped)
    if not _is_sqlite(path):
        return read_conversations(path)
    with tempfile.TemporaryDirectory(prefix="wean-logs-") as folder:
        lines = Path(folder) / "ledger.jsonl"
        with Ledger(path) as ledger, lines.open("w", encoding="utf-8") as out:
            written = export_lines(ledger, out)
        if not written.written:
            raise UsageError(f"the ledger {path} holds no answers; name another log")
        read = read_conversations(lines)
    damaged = [f"{path}: {written.damaged} damaged rows; left out"] if written.damaged else []
    return read._replace(problems=[*damaged, *read.problems])


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _add(found: Found, conversations: Iterable[Conversation], reader: PromptReader, name: str) -> None:
    steps: Counter[str] = Counter()
    met: set[bytes] = set()
    for number, conversation in enumerate(conversations, 1):
        about = conversation.about
        session = _session(about, reader.mapping.session)
        turns = [place for place, one in enumerate(conversation.messages) if one.role == "assistant"]
        if conversation.is_request:
            turns = turns[-1:] if conversation.messages[-1].role == "assistant" else []
        elif session is None and len(turns) > 1:
            session = conversation.name or f"{name}:{number}"
        made = list(_decisions(conversation, turns, reader, found.passed_over, met, session))
        for place, decision in enumerate(made):
            found.without_session += session is None
            owner = session if session is not None else _situation(decision)
            reward = decision.reward
            if reward is None and place == len(made) - 1:
                reward = _number(about, (reader.mapping.reward,) if reader.mapping.reward else _REWARDS)
            found.decisions.append(replace(decision, session=owner, step=steps[owner], reward=reward))
            steps[owner] += 1


def _decisions(
    conversation: Conversation,
    turns: Iterable[int],
    reader: PromptReader,
    passed_over: Counter[str],
    met: set[bytes],
    session: str | None,
) -> Iterator[Decision]:
    """The decisions in the answers at some turns; `session` and `step` are still to be set."""
    seconds, dollars, tokens = _costs(conversation.about)
    for turn in turns:
        before = conversation.messages[:turn]
        if any(one.role == "assistant" for one in before):
            # Logs of whole conversations have the earlier turns once for each later one.
            digest = hashlib.sha256(repr((session, conversation.messages[: turn + 1])).encode()).digest()
            if digest in met:
                passed_over["repeated earlier turns"] += 1
                continue
            met.add(digest)
        prompt = reader.read(before, conversation.tools)
        if prompt is None:
            passed_over["answers to prompts without choices"] += 1
            continue
        answer = read_answer(conversation.messages[turn], prompt, reader.answer)
        if answer is None:
            passed_over["answers that name none of the choices"] += 1
            continue
        after = [one.reward for one in conversation.messages[turn : turn + 2] if one.reward is not None]
        reward = sum(after) if after else None
        known = (prompt.kind, answer.form, prompt.goal, prompt.text, prompt.choices, answer.weights)
        yield Decision("", 0, *known, reward, seconds, dollars, tokens)


def _costs(about: Mapping[str, Any]) -> tuple[float | None, float | None, int | None]:
    """Seconds, dollars and tokens of a request, as far as its row says."""
    usage = about.get("usage") or {}
    read = _number(usage, ("prompt_tokens", "input_tokens")) if isinstance(usage, Mapping) else None
    written = _number(usage, ("completion_tokens", "output_tokens")) if isinstance(usage, Mapping) else None
    if read is None and not about.get("tokens_estimated", True):
        read, written = _number(about, ("prompt_tokens",)), _number(about, ("completion_tokens",))
    dollars = _number(about, _DOLLARS)
    model = about.get("model")
    if dollars is None and read is not None and written is not None and isinstance(model, str):
        price = find_price(model)
        dollars = None if price is None else price.cost(int(read), int(written))
    seconds = _number(about, _SECONDS)
    if seconds is None and (millis := _number(about, ("latency_ms", "duration_ms"))) is not None:
        seconds = millis / 1000
    return seconds, dollars, None if read is None or written is None else int(read + written)


def _session(about: Mapping[str, Any], named: str) -> str | None:
    if named:
        value = _under(about, named)
        return None if value is None else str(value)
    for name in _SESSIONS:
        for path in (name, *(f"{outer}.{name}" for outer in _WITHIN)):
            value = _under(about, path)
            if isinstance(value, str | int) and str(value):
                return str(value)
    return None


def _situation(decision: Decision) -> str:
    words = "\n".join((decision.kind, decision.text, *decision.choices))
    return f"situation {hashlib.sha256(words.encode()).hexdigest()[:12]}"


def _number(about: Mapping[str, Any], names: Iterable[str]) -> float | None:
    for name in names:
        value = _under(about, name)
        if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
            value = float(value)
        if is_number(value):
            return float(value)
    return None


def _under(about: Any, path: str) -> Any:
    """What a row holds under a name with dots; None where there is nothing."""
    for name in path.split("."):
        about = about.get(name) if isinstance(about, Mapping) else None
    return about
