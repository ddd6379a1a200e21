"""Conversations: the messages between a language model and its environment, read from the formats that logs come in.

A row of a file (JSON, JSONL, `.gz` too, or Parquet) is one conversation in one of these forms:

| form | how it is told |
|---|---|
| OpenAI, TRL | `messages`, with `role`, `content`, and `tool_calls` where the model called tools |
| a logged request | `request` with its `messages`, and `response` as an OpenAI-compatible server answers |
| a ledger's line | `messages` and the `answer` to them |
| TRL, prompt and completion | `prompt` and `completion`, as lists of messages or as texts |
| ShareGPT | `conversations`, with `from` and `value` |
| agent-data-protocol | `content`, a list of actions and observations with `class_`; see arXiv:2510.24702 |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from wean.errors import UsageError, WeanError, shown
from wean.files import is_number, parse_json, read_json, read_lines

Role = Literal["system", "user", "assistant", "tool"]

_FORMS = "messages, request and response, prompt and completion, conversations, or content of the agent-data-protocol"
_SHAREGPT: Mapping[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
_OTHER_ROLES: Mapping[str, Role] = {"developer": "system", "function": "tool", "ipython": "tool", "environment": "tool"}


class Call(NamedTuple):
    """A tool that the model called.

    Attributes:
        name: Of the tool.
        arguments: By name; empty where the model wrote none that can be read.
    """

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks: `assistant` is the model, `user` and `tool` are its environment.
        text: What is said; empty where the model only calls tools.
        calls: The tools that the model calls.
        thoughts: What the model thought apart from its text.
        reward: The reward that belongs to the turn, where the log has one.
    """

    role: Role
    text: str
    calls: tuple[Call, ...] = ()
    thoughts: str = ""
    reward: float | None = None


@dataclass(frozen=True)
class Conversation:
    """One episode of a language model and its environment, or one question and its answer.

    Attributes:
        messages: The turns in their order, at least one.
        name: Its `id` in the log; empty where it has none.
        tools: Declarations of the tools that the model could call, as the log has them.
        about: The other fields of its row, such as time and price; the `usage` of a response is among them.
        is_request: Whether it is one request with its answer, the last message; the turns before it are its prompt.
    """

    messages: tuple[Message, ...]
    name: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    is_request: bool = False


class Conversations(NamedTuple):
    """What a file holds.

    Attributes:
        found: The conversations in their order.
        problems: One line for each row that holds none and is left out.
    """

    found: list[Conversation]
    problems: list[str]


def read_conversations(path: Path) -> Conversations:
    """Reads the conversations of a file in any of the forms above; rows that hold none become problems.

    Raises:
        WeanError: The file cannot be read.
        UsageError: It is no JSON, or holds no conversation at all.
    """
    found: list[Conversation] = []
    problems: list[str] = []
    for place, row in _rows(path):
        try:
            found.append(parse_conversation(row))
        except UsageError as error:
            problems.append(f"{place}: {error}; left out")
    if not found:
        why = problems[0] if problems else f"{path} is empty"
        raise UsageError(f"{path} holds no conversation ({why}); a row has {_FORMS}")
    return Conversations(found, problems)


def parse_conversation(row: Mapping[str, Any]) -> Conversation:
    """The conversation in one row of a log.

    Raises:
        UsageError: The row has none of the forms, or a message cannot be read.
    """
    row = {name: value for name, value in row.items() if value is not None}
    match row:
        case {"messages": list(messages), "answer": str(text)}:
            told = {**row, "tools": _tools_of(row)}
            turns = [*_chat(messages), _ledger_answer(text)]
            return replace(_conversation(turns, told, ("messages", "tools", "answer")), is_request=True)
        case {"messages": list(messages)}:
            answered = _answer(row)
            found = _conversation(_chat(messages) + answered, row, ("messages", "tools", "response", "choices"))
            return replace(found, is_request=bool(answered))
        case {"request": {"messages": list(messages)} as request, "response": Mapping() as response}:
            usage = {"usage": response["usage"]} if response.get("usage") else {}
            about = {**request, **row, **usage}
            found = _conversation(_chat(messages) + _answer(row), about, ("messages", "tools", "request", "response"))
            return replace(found, is_request=True)
        case {"prompt": list() | str() as prompt, "completion": list() | str() as completion}:
            turns = _side(prompt, "user") + _side(completion, "assistant")
            return replace(_conversation(turns, row, ("prompt", "completion")), is_request=isinstance(completion, str))
        case {"conversations": list(turns)}:
            return _conversation([_sharegpt(turn) for turn in turns], row, ("conversations",))
        case {"content": list(items)}:
            return _conversation([_protocol(item) for item in items], row, ("content",))
    raise UsageError(f"a row needs {_FORMS}")


def _conversation(messages: list[Message], row: Mapping[str, Any], used: Sequence[str]) -> Conversation:
    if not messages:
        raise UsageError("the conversation has no messages")
    name = next((str(row[key]) for key in ("id", "custom_id", "conversation_id", "session") if key in row), "")
    tools = row.get("tools", ())
    if isinstance(tools, str):  # TRL's data sets keep tools as JSON
        tools = _json_or(tools, [])
    told = [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list | tuple) else []
    return Conversation(tuple(messages), name, told, {key: value for key, value in row.items() if key not in used})


# --- one message of each form ----------------------------------------------------------------------------------------


def _chat(messages: Sequence[Any]) -> list[Message]:
    return [_openai(message) for message in messages]


def _openai(message: Any) -> Message:
    """A message as OpenAI's protocol has it, also in TRL's spelling: arguments as objects, calls without `function`."""
    if not isinstance(message, Mapping):
        raise UsageError(f"a message is an object with role and content, not {shown(message)}")
    thoughts = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking") or ""
    calls = message.get("tool_calls") or ()
    if isinstance(message.get("function_call"), Mapping):  # before tools
        calls = [message["function_call"]]
    if not isinstance(calls, list | tuple):
        raise UsageError(f"tool_calls is a list, not {shown(calls)}")
    return Message(
        _role(message.get("role"), _OTHER_ROLES),
        _text(message.get("content")),
        tuple(_call(call) for call in calls),
        thoughts if isinstance(thoughts, str) else "",
        _reward(message),
    )


def _role(told: Any, others: Mapping[str, Role]) -> Role:
    if told in get_args(Role):
        return cast(Role, told)
    if isinstance(told, str) and told in others:
        return others[told]
    raise UsageError(f"a message's role is one of {', '.join(get_args(Role))}, not {shown(told)}")


def _text(content: Any) -> str:
    """The text of a message: a text, or parts of which all are text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | Mapping)]
    if len(texts) < len(parts) or not all(isinstance(text, str) for text in texts):
        raise UsageError("a message holds more than text, such as a picture")
    return "\n".join(cast(list[str], texts))


def _call(call: Any) -> Call:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError(f"a tool call has a function with a name, not {shown(call)}")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json_or(arguments, {})
    known = arguments if isinstance(arguments, Mapping) else {}
    return Call(function["name"], {key: value for key, value in known.items() if value is not None})


def _json_or(text: str, otherwise: Any) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return otherwise


def _reward(row: Mapping[str, Any]) -> float | None:
    reward = row.get("reward")
    return float(reward) if is_number(reward) else None


def _answer(row: Mapping[str, Any]) -> list[Message]:
    """What the server answered, where the log has it beside the question."""
    response = row.get("response", row)
    choices = response.get("choices") if isinstance(response, Mapping) else None
    if not choices:
        return []
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise UsageError("choices of a response is a list of objects with a message")
    return [_openai(choices[0].get("message"))]


def _tools_of(row: Mapping[str, Any]) -> Any:
    """The tools of a ledger's line, which stand among its parameters."""
    parameters = row.get("parameters")
    return parameters.get("tools", ()) if isinstance(parameters, Mapping) else row.get("tools", ())


def _ledger_answer(text: str) -> Message:
    """The answer in a ledger's line; calls of tools stand there as the JSON of their message."""
    called = _json_or(text, None) if text.startswith("{") and "tool_calls" in text else None
    is_call = isinstance(called, Mapping) and called.get("role") == "assistant" and "tool_calls" in called
    return _openai(called) if is_call else Message("assistant", text)


def _side(side: Any, role: Role) -> list[Message]:
    return [Message(role, side)] if isinstance(side, str) else _chat(side)


def _sharegpt(turn: Any) -> Message:
    if not isinstance(turn, Mapping):
        raise UsageError(f"a turn is an object with from and value, not {shown(turn)}")
    return Message(_role(turn.get("from"), _SHAREGPT), _text(turn.get("value")), reward=_reward(turn))


def _protocol(item: Any) -> Message:
    """An action or observation of the agent-data-protocol."""
    if not isinstance(item, Mapping):
        raise UsageError(f"content holds objects with class_, not {shown(item)}")
    reward = _reward(item)
    thoughts = "\n".join(text for text in (item.get("reasoning_content"), item.get("description")) if text)
    match item:
        case {"class_": "text_observation", "content": str(text)}:
            source = item.get("source", "environment")
            # What another agent says is part of this one's surroundings.
            return Message("tool" if source == "environment" else "user", text, reward=reward)
        case {"class_": "web_observation"}:
            page = item.get("axtree") or item.get("html")
            if isinstance(page, str):
                return Message("tool", page, reward=reward)
        case {"class_": "message_action", "content": str(text)}:
            return Message("assistant", text, (), thoughts, reward)
        case {"class_": "api_action", "function": str(name), "kwargs": Mapping() as arguments}:
            return Message("assistant", "", (Call(name, arguments),), thoughts, reward)
        case {"class_": "code_action", "content": str(code)}:
            call = Call("code", {"language": str(item.get("language", "")), "content": code})
            return Message("assistant", "", (call,), thoughts, reward)
    raise UsageError(f"{shown(item.get('class_'))} with these fields is nothing in words of the agent-data-protocol")


# --- files -----------------------------------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file, each with the place that names it in a message."""
    if path.suffix == ".parquet":
        yield from ((f"{path}: row {number}", row) for number, row in enumerate(_parquet(path), 1))
    elif path.suffix == ".json":
        try:
            value = read_json(path, "give a file of conversations")
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"there is no file {path}; check the name") from None
        rows = value if isinstance(value, list) else [value]
        for number, row in enumerate(rows, 1):
            if not isinstance(row, Mapping):
                raise UsageError(f"{path}: conversation {number} is no JSON object; mend or remove it")
            yield f"{path}: conversation {number}", row
    else:
        yield from ((f"{path}:{number}", row) for number, row in read_lines(path).rows)


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; check the name") from None
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        raise WeanError(f"{path} is damaged or no Parquet file ({type(error).__name__}); get it again") from None
    return rows
