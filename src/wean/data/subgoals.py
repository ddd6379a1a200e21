"""A sub-goal, `navigate_to(kitchen)`: a verb and its arguments, and how many actions it takes."""

from __future__ import annotations

import re
from typing import NamedTuple

from wean.errors import UsageError

_FORM = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*(?:[ _-]+[A-Za-z0-9]+)*)\s*\(([^()]*)\)\s*")


class SubGoal(NamedTuple):
    """What a few consecutive actions achieve together.

    Attributes:
        verb: One word, or words with underscores between them, in lower case.
        arguments: Names of things and places, in lower case; there may be none.
    """

    verb: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.verb}({', '.join(self.arguments)})"


class Chunk(NamedTuple):
    """A sub-goal with its share of a demonstration.

    Attributes:
        subgoal: What is achieved.
        actions: How many consecutive actions achieve it, at least 1.
    """

    subgoal: SubGoal
    actions: int


def parse_subgoal(text: str) -> SubGoal:
    """Reads `verb(argument, argument)`; "Navigate to (Kitchen)" is brought into that form.

    Args:
        text: One sub-goal and nothing else.

    Raises:
        UsageError: It has another form, or an argument is empty.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text.strip()!r} is no sub-goal; write verb(argument, argument)")
    verb = re.sub(r"[ _-]+", "_", match[1]).lower()
    inner = " ".join(match[2].split()).lower()
    arguments = tuple(argument.strip().strip("'\"") for argument in inner.split(",")) if inner else ()
    if not all(arguments):
        raise UsageError(f"{text.strip()!r} has an empty argument; write verb(argument, argument)")
    return SubGoal(verb, arguments)
