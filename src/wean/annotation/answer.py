"""Reads what a language model answers: sub-goals, each with the actions that it claims.

Three forms are understood, with or without prose, list marks and code fences around them: a line with the numbers of
first and last action (the form that is asked for), a line with the actions themselves in braces, and a JSON list of
[sub-goal, number of actions].
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from wean.data.subgoals import SubGoal, parse_subgoal
from wean.errors import UsageError

_SUBGOAL = r"(?P<subgoal>[A-Za-z][\w -]*\([^()]*\))"
_RANGE_FIRST = re.compile(rf"(?P<first>\d+)(?:\s*(?:-|–|—|to)\s*(?P<last>\d+))?\s*[:.)]\s*`?{_SUBGOAL}`?")
_RANGE_LAST = re.compile(rf"{_SUBGOAL}\s*[:=(|]\s*(?P<first>\d+)\s*(?:-|–|—|to)\s*(?P<last>\d+)\)?")
_ACTIONS = re.compile(rf"{_SUBGOAL}\s*:?\s*\{{(?P<actions>.*)\}}")
_MARKS = re.compile(r"^[\s*•>-]+|[\s*,.;]+$")


class Claim(NamedTuple):
    """A sub-goal, and what it is said to consist of: exactly one of the three is there.

    Attributes:
        subgoal: The sub-goal.
        numbers: (first, last) action, counted from 1.
        actions: The actions in words.
        length: How many actions.
    """

    subgoal: SubGoal
    numbers: tuple[int, int] | None = None
    actions: tuple[str, ...] | None = None
    length: int | None = None


class Reading(NamedTuple):
    """What could be read.

    Attributes:
        claims: The sub-goals in their order.
        unreadable: Lines that look like sub-goals and have no known form.
    """

    claims: tuple[Claim, ...]
    unreadable: tuple[str, ...]


def read_answer(text: str) -> Reading:
    """Reads an answer; whatever it says, this does not fail."""
    if (counted := _counted(text)) is not None:
        return counted
    claims: list[Claim] = []
    unreadable: list[str] = []
    for raw in text.splitlines():
        line = _MARKS.sub("", raw)
        if "(" not in line:
            continue
        claim = _claim(line)
        if claim is not None:
            claims.append(claim)
        elif re.search(r"\w\(", line):
            unreadable.append(line)
    return Reading(tuple(claims), tuple(unreadable))


def _claim(line: str) -> Claim | None:
    try:
        if match := _ACTIONS.search(line):
            listed = match["actions"].strip().strip("'\"")
            actions = re.split(r"['\"]\s*,\s*['\"]|(?<!['\"]),\s*(?!['\"])", listed)
            named = tuple(action.strip().strip("'\"") for action in actions if action.strip())
            return Claim(parse_subgoal(match["subgoal"]), actions=named)
        if match := _RANGE_FIRST.fullmatch(line) or _RANGE_LAST.fullmatch(line):
            first = int(match["first"])
            return Claim(parse_subgoal(match["subgoal"]), numbers=(first, int(match["last"] or first)))
    except (UsageError, ValueError):
        return None
    return None


def _counted(text: str) -> Reading | None:
    """The last JSON list of [sub-goal, number] in a text."""
    decoder, found, at = json.JSONDecoder(), None, text.find("[")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("[", at + 1)
            continue
        except RecursionError:
            break  # thousands of brackets: nobody's list of sub-goals
        if isinstance(value, list) and value and all(_is_pair(item) for item in value):
            found = value
        at = text.find("[", max(end, at + 1))
    if found is None:
        return None
    claims, unreadable = [], []
    for name, count in found:
        try:
            claims.append(Claim(parse_subgoal(name), length=count))
        except UsageError:
            unreadable.append(str(name))
    return Reading(tuple(claims), tuple(unreadable))


def _is_pair(item: object) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], int)
        and not isinstance(item[1], bool)
    )
