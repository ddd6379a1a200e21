"""Demonstrations in words from conversations: what the model was shown, and the action that it took."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wean.data.messages import Call, Conversation, Message
from wean.errors import UsageError
from wean.llm.reading import without_thoughts

_MARKED = re.compile(r"^\W*Action\W*\d*\W*:\W*?([^\s*`].*?)[\s*`]*$", re.MULTILINE | re.IGNORECASE)
"""The line in which ReAct's answers name their action."""
_ACTION_ARGUMENTS = ("action", "command")
"""A single argument of such a name is the action itself, whatever the tool is called."""


class Paths(NamedTuple):
    """Demonstrations as `write_paths` takes them.

    Attributes:
        rows: One object each, with `task`, `variation`, `description` and `path`.
        problems: One line for each conversation that holds none and is left out.
    """

    rows: list[dict[str, Any]]
    problems: list[str]


def paths_of(conversations: Iterable[Conversation], task: str, words: Mapping[str, str] | None = None) -> Paths:
    """Turns conversations into demonstrations.

    Where a conversation calls tools, its calls are the actions; else, where it has lines "Action: ...", those are; else
    each answer of the model is one, without its thoughts. What the model says besides is left out. The last message of
    the environment before the first action is the task in words, every later one the observation after an action.

    Args:
        conversations: What was said.
        task: Name of the task, where a conversation's `task` does not say it.
        words: How a tool's call is said as an action, by the tool's name: `{"go": "go to {location}"}`. The name and
            the values of its arguments by default.

    Raises:
        UsageError: None of them is a demonstration.
    """
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    counted: Counter[str] = Counter()
    for number, conversation in enumerate(conversations, 1):
        try:
            description, path = _path(conversation, words or {})
        except UsageError as error:
            problems.append(f"{conversation.name or f'conversation {number}'}: {error}; left out")
            continue
        told = conversation.about.get("task")
        name = told if isinstance(told, str) and told else task
        rows.append({"task": name, "variation": counted[name], "description": description, "path": path})
        counted[name] += 1
    if not rows:
        raise UsageError(problems[0] if problems else "there are no conversations; name a file that holds some")
    return Paths(rows, problems)


def action_words(call: Call, words: Mapping[str, str]) -> str:
    """A tool's call as an action in words.

    Raises:
        UsageError: `words` names an argument that the call lacks.
    """
    values = {name: _plain(value) for name, value in call.arguments.items()}
    if call.name in words:
        try:
            return _one_line(words[call.name].format(**values))
        except (KeyError, IndexError, ValueError):
            raise UsageError(
                f"{call.name} is to be said as {words[call.name]!r}, but was called with "
                f"{', '.join(values) or 'no arguments'}"
            ) from None
    if call.name == "code":
        return _one_line(values.get("content", ""))
    if len(values) == 1 and next(iter(values)) in _ACTION_ARGUMENTS:
        return _one_line(*values.values())
    return _one_line(call.name, *values.values())


def _path(conversation: Conversation, words: Mapping[str, str]) -> tuple[str, list[dict[str, Any]]]:
    """The task in words, and the steps."""
    marked = _marking(conversation.messages)
    description, path = "", list[dict[str, Any]]()
    score: float | None = None
    for message in conversation.messages:
        if message.reward is not None:
            score = (score or 0.0) + message.reward
        if message.role in ("user", "tool"):
            if not path:
                description = message.text.strip() or description
            else:
                before = path[-1]["observation"]
                path[-1]["observation"] = f"{before}\n{message.text}".strip()
                path[-1]["score"] = score
            continue
        for action in _actions(message, marked, words):
            path.append({"action": action, "observation": "", "look": "", "inventory": "", "score": score})
    if not path:
        raise UsageError("it holds no action of a model")
    if not description:
        raise UsageError("nothing is said before its first action, so that the task is unknown")
    return description, path


def _marking(messages: Sequence[Message]) -> str:
    """By what the actions of a conversation are told from other answers: `calls`, `lines` or nothing."""
    answers = [message for message in messages if message.role == "assistant"]
    if any(message.calls for message in answers):
        return "calls"
    return "lines" if any(_MARKED.search(without_thoughts(message.text)) for message in answers) else ""


def _actions(message: Message, marked: str, words: Mapping[str, str]) -> list[str]:
    if message.role != "assistant":
        return []
    if marked == "calls":
        actions = [action_words(call, words) for call in message.calls]
    else:
        text = without_thoughts(message.text)
        actions = _MARKED.findall(text)[-1:] if marked == "lines" else [_one_line(text)]
    return [action for action in map(_one_line, actions) if action]


def _plain(value: Any) -> str:
    """A value without the quotes that some logs keep around it."""
    return str(value).strip().strip("\"'")


def _one_line(*texts: str) -> str:
    return " ".join(" ".join(texts).split())
