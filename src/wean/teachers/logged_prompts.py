"""Prompts of an agent's log as situations: where the situation and the admissible choices stand in the messages.

Without a mapping two ways of offering choices are recognised: tools whose calls can be listed (an argument with an
`enum`, or no argument at all), and a list below a line such as "The choices are:" in the last message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from wean.config import SETTINGS
from wean.data.messages import Call, Message
from wean.errors import UsageError, shown_error
from wean.files import read_yaml
from wean.llm.local import import_function
from wean.tasks.situation import Situation

Understand = Callable[[Sequence[Message]], Situation | None]

_LISTED = re.compile(
    r"^[^\n]*\b(?:choices|actions|options|commands|moves|categories|labels)\b[^\n]*:[ \t]*\n"
    r"(?P<items>(?:[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+[^\n]+(?:\n|\Z))+)",
    re.MULTILINE | re.IGNORECASE,
)
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+(.*?)[ \t]*$", re.MULTILINE)
_MOST_CHOICES = 1000
_MOST_CHARACTERS = 200_000  # of a message in which choices are looked for


class LogMapping(BaseModel):
    """Where decisions stand in a log; every field may be left out."""

    model_config = SETTINGS

    choices: tuple[str, ...] | str = ""
    """The choices themselves, or a regular expression over the last message whose group lists them, one a line."""
    situation: str = ""
    """Regular expression over the last message whose group is the situation; by default all but the choices."""
    history: int = Field(0, ge=0, le=1000)
    """How many messages before the last one belong to the situation."""
    answer: str = ""
    """Regular expression over the answer whose group names the choice; by default it is read as JSON, then as words."""
    session: str = ""
    """Where a row names its session, with dots: `metadata.thread`."""
    reward: str = ""
    """Where a row says what came of it, a number, with dots."""
    function: str = ""
    """`module:function`, which takes the messages of a prompt and gives a `wean.Situation` or None, instead."""


class Prompt(NamedTuple):
    """A prompt that asks for one of some choices.

    Attributes:
        kind: Digest of what all prompts of its kind have in common: instructions and tools.
        goal: Its instructions.
        text: The situation.
        choices: What can be chosen.
        calls: The call that each choice is, where the choices are tools.
    """

    kind: str
    goal: str
    text: str
    choices: tuple[str, ...]
    calls: tuple[Call, ...] = ()


class PromptReader:
    """Finds situation and choices in the messages of a prompt.

    Args:
        mapping: Where they stand.

    Raises:
        UsageError: A regular expression or the function of the mapping is wrong.
    """

    def __init__(self, mapping: LogMapping | None = None) -> None:
        self.mapping = mapping or LogMapping()
        self._fixed = () if isinstance(self.mapping.choices, str) else self.mapping.choices
        listed = "" if self._fixed else self.mapping.choices
        self._listed = _compiled("choices", listed if isinstance(listed, str) else "")
        self._situation = _compiled("situation", self.mapping.situation)
        self.answer = _compiled("answer", self.mapping.answer)
        self._function: Callable[..., Any] | None = (
            import_function(self.mapping.function) if self.mapping.function else None
        )

    def read(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Prompt | None:
        """The situation and choices of a prompt; None where it offers no choices that can be found.

        Raises:
            UsageError: The function of the mapping fails.
        """
        if not messages or messages[-1].role == "assistant":
            return None
        goal = "\n\n".join(message.text for message in messages if message.role == "system")
        if self._function is not None:
            return self._by_function(goal, messages)
        last = messages[-1].text[:_MOST_CHARACTERS]
        calls = listed_calls(tools)
        if calls:
            names = [_said(call, calls) for call in calls]
            return self._prompt(goal, messages, last, names, calls)
        if tools:
            return None
        if self._fixed:
            return self._prompt(goal, messages, last, self._fixed)
        if self._listed is not None:
            found = self._listed.search(last)
            names = [line.strip(" \t-*•") for line in found[1].splitlines()] if found else []
        else:
            lists = list(_LISTED.finditer(last))
            found = lists[-1] if lists else None  # one before may be of something else
            names = _ITEM.findall(found["items"]) if found else []
        if found is None:
            return None
        rest = (last[: found.start()].rstrip() + "\n" + last[found.end() :].lstrip()).strip()
        return self._prompt(goal, messages, rest, [name for name in names if name])

    def _prompt(
        self,
        goal: str,
        messages: Sequence[Message],
        text: str,
        choices: Sequence[str],
        calls: Sequence[Call] = (),
    ) -> Prompt | None:
        if not 2 <= len(choices) <= _MOST_CHOICES or len(set(choices)) < len(choices):
            return None
        if self._situation is not None:
            found = self._situation.search(messages[-1].text[:_MOST_CHARACTERS])
            if found is None:
                return None
            text = found[1].strip()
        if self.mapping.history:
            earlier = [one for one in messages[:-1] if one.role != "system"][-self.mapping.history :]
            text = "\n".join([*(one.text for one in earlier), text])
        return Prompt(_kind(goal, calls), goal, text, tuple(choices), tuple(calls))

    def _by_function(self, goal: str, messages: Sequence[Message]) -> Prompt | None:
        assert self._function is not None
        try:
            found = self._function(messages)
        except Exception as error:  # the function is somebody's own
            raise UsageError(f"{self.mapping.function}: {shown_error(error)}; mend the function") from None
        if not isinstance(found, Situation) or not 2 <= len(found.choices) <= _MOST_CHOICES:
            return None
        return Prompt(_kind(found.goal or goal, ()), found.goal or goal, found.text, tuple(found.choices))


def read_mapping(named: str | None) -> LogMapping:
    """The mapping in a YAML file, or the one of a function named `module:function`.

    Raises:
        UsageError: There is none, or it is wrong.
    """
    if named is None:
        return LogMapping()
    path = Path(named)
    if not path.exists() and ":" in named and "/" not in named:
        return LogMapping(function=named)
    if not path.is_file():
        raise UsageError(f"there is no mapping {named}; name a YAML file, or a function as module:function")
    values = read_yaml(path, "write it as docs/logs.md shows")
    try:
        return LogMapping(**(values or {}))
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "no mapping"}
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(LogMapping.model_fields)
        raise UsageError(f"{path}: {where or 'it'}: {first['msg']}; a mapping has {known}") from None


def listed_calls(tools: Sequence[Mapping[str, Any]]) -> list[Call]:
    """Every call that the declared tools allow, where that is a list; empty where a tool takes anything free."""
    calls: list[Call] = []
    for tool in tools:
        function = tool.get("function", tool)
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            return []
        schema = function.get("parameters") or {}
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        needed = schema.get("required") or () if isinstance(schema, Mapping) else ()
        enums = {name: one["enum"] for name, one in (properties or {}).items() if _is_enumerated(one)}
        if len(enums) > 1 or any(name not in enums for name in needed) or (properties and not enums):
            return []
        if not enums:
            calls.append(Call(function["name"], {}))
        for name, values in enums.items():
            calls += [Call(function["name"], {name: value}) for value in values]
    return calls if len(calls) >= 2 else []


def _is_enumerated(declared: Any) -> bool:
    values = declared.get("enum") if isinstance(declared, Mapping) else None
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)


def _said(call: Call, calls: Sequence[Call]) -> str:
    """A call in words: the value alone where only one tool is there."""
    values = [str(value) for value in call.arguments.values()]
    return values[0] if values and len({one.name for one in calls}) == 1 else " ".join([call.name, *values])


def _kind(goal: str, calls: Sequence[Call]) -> str:
    names = sorted({call.name for call in calls})
    return hashlib.sha256("\n".join([goal, *names]).encode()).hexdigest()[:12]


def _compiled(name: str, pattern: str) -> re.Pattern[str] | None:
    """A regular expression of the mapping with its group; None for none."""
    if not pattern:
        return None
    try:
        found = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise UsageError(f"{name} of the mapping is no regular expression ({error}); mend it") from None
    if found.groups < 1:
        raise UsageError(f"{name} of the mapping has no group; put what is meant in parentheses")
    return found
