"""What goes to an endpoint and what comes back: requests adapted once to what it takes, and whole answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wean.llm.answers import Message, Question
from wean.llm.reading import without_thoughts
from wean.llm.retry import Refusal, TransientError, plain, read_refusal

Body = dict[str, Any]

_UNSUPPORTED = re.compile(
    r"(?i)unsupported|unknown|unrecogni[sz]ed|unexpected|forbidden|deprecated|invalid (?:message )?role"
    r"|not (?:\w+ ){0,2}(?:supported|permitted|allowed|enabled|implemented|recogni[sz]ed|accepted|available)"
    r"|n[o']t (?:support|accept|allow|take|have)|only .{0,60}(?:supported|allowed|accepted)|may only be|must alternate"
    r"|should be 'user' or|cannot (?:both )?be|no longer"
)
_ADAPTABLE = (0, 400, 404, 422, 500, 501)

_MOST_TOKENS = 10**12  # of a count that is believed

_ENDED: tuple[str, ...] = ("", "stop", "eos", "eos_token", "end", "end_turn", "stop_sequence", "tool_calls")
_ENDED += ("complete", "completed", "done", "finish", "finished", "function_call")
_CUT = ("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit")


# ---- requests -------------------------------------------------------------------------------------------------------


class _Change(NamedTuple):
    """One thing that a server may not take.

    Attributes:
        note: What the ledger says of an answer to a request that was changed so.
        applies: Whether a request has it.
        change: Changes a request.
        words: What a complaint about it says.
        named: Whether its name in the complaint is enough: an answer without it goes through the same reader.
        guessed: Whether it is left out, too, where the server only ever says that it failed (500).
    """

    note: str
    applies: Callable[[Body], bool]
    change: Callable[[Body], None]
    words: re.Pattern[str]
    named: bool = False
    guessed: bool = False


def _leaves_out(field: str, words: str | None = None, named: bool = False) -> _Change:
    note = f"{'schema' if field == 'response_format' else field} left out"
    pattern = re.compile(words or rf"(?i)(?<!\w){field}(?!\w)")
    return _Change(note, lambda body: field in body, lambda body: body.pop(field), pattern, named, named)


def _renames(old: str, new: str) -> _Change:
    def change(body: Body) -> None:
        body[new] = body.pop(old)

    return _Change(f"{new} for {old}", lambda body: old in body, change, re.compile(rf"(?i)(?<!\w){old}(?!\w)"))


def _merge_system(body: Body) -> None:
    body["messages"] = without_system(body["messages"])


_SYSTEM = _Change(
    "system message merged",
    lambda body: any(message["role"] == "system" for message in body["messages"]),
    _merge_system,
    re.compile(r"(?i)(?<!\w)system(?!\w)|developer|(?<!\w)roles?(?!\w)"),
    guessed=True,
)


class Request(NamedTuple):
    """The body of one request, what was changed in it, and which of that is only a guess."""

    body: Body
    notes: tuple[str, ...]
    guess: str | None = None


class Requests:
    """Writes the requests to one endpoint, and learns what it does not take; shared by the threads that ask it.

    Every change is made at most once and stays, so a request is repeated at most once for each of them.

    Args:
        model: The model's name in requests.
        limit: The name of the limit on the answer's tokens to begin with.
        extra: Further fields.
    """

    def __init__(self, model: str, limit: str, extra: Mapping[str, Any]) -> None:
        other = "max_tokens" if limit == "max_completion_tokens" else "max_completion_tokens"
        self._model, self._limit, self._extra = model, limit, extra
        self._known = (
            _renames(limit, other),
            _leaves_out("temperature"),
            _leaves_out("top_p"),
            _leaves_out("seed"),
            _SYSTEM,
            _leaves_out(
                "response_format", r"(?i)response_format|schema|grammar|structured output|json mode", named=True
            ),
        )
        self._made: set[str] = set()
        self._taken: set[str] = set()  # what the server has answered at least once
        self._lock = threading.Lock()

    def write(self, question: Question, number: int, failures: int = 0) -> Request:
        """The request for one sample of a question, whose attempts failed inside the server `failures` times."""
        body = self._plain(question, number)
        notes, guess = [], None
        with self._lock:
            made, taken = set(self._made), set(self._taken)
        for change in self._known:
            if not change.applies(body):
                continue
            if change.note not in made:
                # Some servers say nothing but 500 to what they do not take; after two of them it is tried without.
                if failures < 2 or not change.guessed or change.note in taken or guess is not None:
                    continue
                guess = change.note
            change.change(body)
            notes.append(change.note)
        if self._extra:
            body["extra_body"] = dict(self._extra)
        return Request(body, tuple(notes), guess)

    def learn(self, refusal: Refusal, sent: Request) -> bool:
        """Makes the change that a refusal asks for; True where the next request differs from the one sent."""
        if refusal.status not in _ADAPTABLE or refusal.too_long:
            return False
        complained = [(place, change) for change in self._known if (place := _place(refusal, change, sent.body)) >= 0]
        if not complained:
            return False
        _, change = min(complained, key=lambda found: found[0])
        with self._lock:
            self._made.add(change.note)
        return True

    def answered(self, sent: Request) -> None:
        """Notes that the server took a request: a guess was right, and what is in it is no reason for a failure."""
        with self._lock:
            if sent.guess is not None:
                self._made.add(sent.guess)
            self._taken |= {change.note for change in self._known if change.applies(sent.body)}

    def _plain(self, question: Question, number: int) -> Body:
        wanted = question.parameters
        body: Body = {"model": self._model, "messages": list(question.messages)}
        body |= {name: wanted[name] for name in ("temperature", "top_p") if name in wanted}
        if "max_tokens" in wanted:
            body[self._limit] = wanted["max_tokens"]
        if "seed" in wanted:
            body["seed"] = wanted["seed"] + number
        if "schema" in wanted:
            schema = {"name": "answer", "schema": wanted["schema"], "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _place(refusal: Refusal, change: _Change, body: Body) -> int:
    """Where a refusal complains about something in a request, as a place in its text; -1 where it does not."""
    if not change.applies(body):
        return -1
    unsupported = _UNSUPPORTED.search(refusal.message) or "unsupported" in refusal.code
    if change.words.search(refusal.param) and (unsupported or change.named):
        return 0
    place = 0
    for sentence in re.split(r"(?<=[.;!\n])\s+", refusal.message):
        found = change.words.search(sentence)
        if found and (change.named or _UNSUPPORTED.search(sentence)):
            return 1 + place + found.start()
        place += len(sentence)
    return -1


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The messages with each system message put before the next user message."""
    merged: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message["content"])
        elif message["role"] == "user":
            merged.append({"role": "user", "content": "\n\n".join([*waiting, message["content"]])})
            waiting = []
        else:
            merged.append(message)
    if waiting:
        merged.append({"role": "user", "content": "\n\n".join(waiting)})
    return merged


# ---- responses ------------------------------------------------------------------------------------------------------


class Completion(NamedTuple):
    """A chat completion as it was read.

    Attributes:
        text: The answer.
        finish: Why the model stopped, in the server's word.
        served: The model that the server names.
        usage: What it says of tokens.
        thought: Whether thoughts came beside the answer.
        fault: What makes it no whole answer, "cut" for one that ended at a limit; empty for a whole one.
    """

    text: str
    finish: str
    served: str
    usage: Any
    thought: bool = False
    fault: str = ""


def read_completion(content: bytes) -> Completion | Refusal:
    """Reads the body of a response: a completion, whole or not, or an error that came with the status of a success.

    Raises:
        TransientError: It is neither.
    """
    try:
        response = json.loads(content)
    except (ValueError, RecursionError):
        raise TransientError("the server sent broken JSON") from None
    if not isinstance(response, dict):
        raise TransientError("the server sent an answer without choices")
    choices = response.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if response.get("error") or (choice is None and any(response.get(k) for k in ("errors", "detail", "base_resp"))):
        return read_refusal(response)
    if not isinstance(choice, dict):
        if not response.get("choices") and (response.get("message") or response.get("object") == "error"):
            return read_refusal(response)
        raise TransientError("the server sent an answer without choices")
    if choice.get("error"):
        return read_refusal({"error": choice["error"], "usage": response.get("usage")})
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = choice.get("finish_reason")
    finish = plain(finish) if isinstance(finish, str) else ""
    text = plain(_text(message.get("content")) or _text(message.get("refusal")))
    thought = any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    served = response.get("model")
    read = Completion(text, finish, served if isinstance(served, str) else "", response.get("usage"), thought)
    word = finish.lower()
    if word in _CUT:
        return read._replace(fault="cut")
    if word not in _ENDED:
        return read._replace(fault=f"it ended with {finish!r}")
    if not without_thoughts(text).strip():
        return read._replace(
            fault="thoughts without an answer" if thought or text.strip() else "an answer without text"
        )
    return read


def _text(content: Any) -> str:
    """The text of a message's content; some vendors send parts, and reasoning is not the answer."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type", "text") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def served_something_else(asked: str, served: str) -> bool:
    """Whether a server answered with another model than the one asked for.

    Snapshots ("gpt-5" served as "gpt-5-2025-08-07"), router prefixes ("openai/gpt-5"), paths and tags
    ("qwen3" served as "qwen3:latest") are the same model; no name at all is taken on trust.
    """
    if not served:
        return False
    ours, theirs = _bare(asked), _bare(served)
    longer, shorter = (ours, theirs) if len(ours) >= len(theirs) else (theirs, ours)
    if not longer.startswith(shorter):
        return True
    rest = longer[len(shorter) :]
    return not re.fullmatch(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{4,8}|latest|preview)|:.*|\.gguf)?", rest)


def token_counts(usage: Any) -> tuple[int, int, int] | None:
    """Tokens read, written, and read from the vendor's cache; None where the server did not count."""
    if not isinstance(usage, dict):
        return None
    read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if read is None or written is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return read, written, cached if cached is not None and cached <= read else 0


def _count(value: Any) -> int | None:
    """A number of tokens, or None for what cannot be one."""
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _bare(name: str) -> str:
    return re.split(r"[/\\]", name.lower())[-1]
