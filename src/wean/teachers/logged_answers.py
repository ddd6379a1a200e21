"""Answers of an agent's log as weights over choices, and choices written as an answer of the same form.

| form | the answer |
|---|---|
| `tool` | a call of a tool |
| `choices` | `{"choices": [{"choice": "go left", "probability": 0.8}, ...]}` |
| `json:NAME` | an object with the choice under a name: `{"action": "go left"}` |
| `line:...{choice}...` | a line around the choice, as in `Action: go left` |
| `text` | the choice alone |
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from wean.data.messages import Message
from wean.llm.reading import values_in, without_thoughts
from wean.teachers.logged_prompts import Prompt
from wean.teachers.reading import last_named, parse_choices, project

TOOL, TEXT, CHOICES, _JSON, _LINE = "tool", "text", "choices", "json:", "line:"

_NAMES = ("action", "choice", "answer", "command", "label", "category", "decision")
_MARKED = re.compile(r"^(\W*Action\W*\d*\W*:[ \t]*)([^\s*`].*?)[\s*`]*$", re.MULTILINE | re.IGNORECASE)
_TOLD = 0.005  # choices that are less probable are left out of a written answer


class ReadAnswer(NamedTuple):
    """An answer that was understood.

    Attributes:
        weights: Of the choices, with sum 1.
        form: How it was written.
    """

    weights: tuple[float, ...]
    form: str


def read_answer(message: Message, prompt: Prompt, pattern: re.Pattern[str] | None = None) -> ReadAnswer | None:
    """Reads an answer to a prompt; None where it names no choice, or more than one without saying how probable.

    Args:
        message: The answer.
        prompt: What it answers.
        pattern: Whose group names the choice, instead of the usual forms.
    """
    if prompt.calls:
        return _read_call(message, prompt)
    text = without_thoughts(message.text)
    if pattern is not None:
        found = pattern.search(text)
        return None if found is None else _one(project(found[1], prompt.choices), prompt, _line(found, 1))
    weights = parse_choices(text, prompt.choices)
    if weights:
        row = tuple(weights.get(place, 0.0) for place in range(len(prompt.choices)))
        return ReadAnswer(row, _form_of(text))
    for name in _NAMES:
        named = last_named(text, name)
        place = None if named is None else project(named, prompt.choices)
        if place is not None:
            return _one(place, prompt, _JSON + name)
    marked = list(_MARKED.finditer(text))
    if marked and (place := project(marked[-1][2], prompt.choices)) is not None:
        return _one(place, prompt, _line(marked[-1], 2))
    return _one(project(text, prompt.choices), prompt, TEXT)


def write_answer(form: str, prompt: Prompt, weights: Sequence[float]) -> dict[str, Any]:
    """The assistant's message, as OpenAI's protocol has it, that gives the most probable choice in a form.

    Args:
        form: From `read_answer`.
        prompt: What is answered.
        weights: Of the choices; `choices` lists those that are not improbable.
    """
    best = max(range(len(weights)), key=lambda place: weights[place])
    choice = prompt.choices[best]
    if form == TOOL:
        call = prompt.calls[best]
        function = {"name": call.name, "arguments": json.dumps(dict(call.arguments), ensure_ascii=False)}
        called = {"id": "call_0", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [called]}
    if form == CHOICES:
        told = sorted(zip(weights, prompt.choices, strict=True), key=lambda one: -one[0])
        listed = [{"choice": name, "probability": round(weight, 3)} for weight, name in told if weight >= _TOLD]
        text = json.dumps({"choices": listed}, ensure_ascii=False)
    elif form.startswith(_JSON):
        text = json.dumps({form.removeprefix(_JSON): choice}, ensure_ascii=False)
    elif form.startswith(_LINE):
        text = form.removeprefix(_LINE).replace("{choice}", choice)
    else:
        text = choice
    return {"role": "assistant", "content": text}


def _read_call(message: Message, prompt: Prompt) -> ReadAnswer | None:
    if len(message.calls) != 1:
        return None
    made = message.calls[0]
    for place, call in enumerate(prompt.calls):
        if call.name == made.name and all(made.arguments.get(name) == value for name, value in call.arguments.items()):
            return _one(place, prompt, TOOL)
    return None


def _one(place: int | None, prompt: Prompt, form: str) -> ReadAnswer | None:
    if place is None:
        return None
    return ReadAnswer(tuple(float(place == other) for other in range(len(prompt.choices))), form)


def _form_of(text: str) -> str:
    """Of an answer in JSON that `parse_choices` understood."""
    values = [found.value for found in values_in(text)]
    last = values[-1] if values else None
    named = {str(key).lower() for key in last} if isinstance(last, dict) else set()
    return f"{_JSON}choice" if "choice" in named and "choices" not in named else CHOICES


def _line(found: re.Match[str], group: int) -> str:
    """The text around a group of a match, as a form."""
    whole, start = found[0], found.start()
    before, after = whole[: found.start(group) - start], whole[found.end(group) - start :]
    return f"{_LINE}{before.lstrip()}{{choice}}{after.rstrip()}"
