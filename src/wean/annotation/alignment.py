"""Reads a language model's answer and aligns its sub-goals with the actions of the demonstration.

Three forms of answer are understood, with or without prose, list marks and code fences around them: a line with the
numbers of first and last action (the form that is asked for), a line with the actions themselves in braces, and a
JSON list of [sub-goal, number of actions].
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wean.data.annotations import Chunk, SubGoal, parse_subgoal
from wean.errors import UsageError
from wean.llm.reading import values_in, without_thoughts

_MOST_DIFFERENT = 25  # different actions in one sub-goal; with more, nothing was split

_SUBGOAL = r"(?P<subgoal>[A-Za-z][\w -]*\([^()]*\))"
_RANGE_FIRST = re.compile(rf"(?P<first>\d+)(?:\s*(?:-|–|—|to)\s*(?P<last>\d+))?\s*[:.)]\s*`?{_SUBGOAL}`?")
_RANGE_LAST = re.compile(rf"{_SUBGOAL}\s*[:=(|]\s*(?P<first>\d+)\s*(?:-|–|—|to)\s*(?P<last>\d+)\)?")
_ACTIONS = re.compile(rf"{_SUBGOAL}\s*:?\s*\{{(?P<actions>.*)\}}")
_MARKS = re.compile(r"^[\s*•>-]+|[\s*,.;]+$")


# --- reading the answer -------------------------------------------------------------------------------------------


class Claim(NamedTuple):
    """A sub-goal of the answer with its actions: (first, last) numbers from 1, words, or their count."""

    subgoal: SubGoal
    numbers: tuple[int, int] | None = None
    actions: tuple[str, ...] | None = None
    length: int | None = None


class ParsedAnswer(NamedTuple):
    """The readable part of an answer: sub-goals in order, and lines that look like sub-goals and have no known form."""

    claims: tuple[Claim, ...]
    unreadable: tuple[str, ...]


def parse_answer(text: str) -> ParsedAnswer:
    """Reads any answer; thoughts are no part of it."""
    lines = without_thoughts(text).splitlines()
    for found in _lists_in(text):
        if all(map(_is_pair, found)):
            return _parse_counts(found)
        if any(_parse_line(line) for line in found):
            lines = found
            break
    claims: list[Claim] = []
    unreadable: list[str] = []
    for raw in lines:
        line = _MARKS.sub("", raw)
        if "(" not in line:
            continue
        claim = _parse_line(line)
        if claim is not None:
            claims.append(claim)
        elif re.search(r"\w\(", line):
            unreadable.append(line)
    return ParsedAnswer(tuple(claims), tuple(unreadable))


def _parse_line(line: str) -> Claim | None:
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


def _lists_in(text: str) -> list[list[Any]]:
    """The JSON lists of an answer, the last one first: of [sub-goal, number] pairs, or of lines.

    Pairs that follow on each other are one list, and so are the entries of objects.
    """
    found: list[list[Any]] = []
    together = False
    for value, before in values_in(text):
        if isinstance(value, dict):
            value = next((held for held in value.values() if isinstance(held, list)), value)
        entries = [f"{key}: {held}" for key, held in value.items()] if isinstance(value, dict) else value
        entries = [entries] if _is_pair(entries) else entries
        alone = len(entries) == 1
        if together and alone and not before.strip(" \n,;-*"):
            found[-1].extend(entries)
        elif entries and (all(map(_is_pair, entries)) or all(isinstance(entry, str) for entry in entries)):
            found.append([" ".join(entry.split()) if isinstance(entry, str) else entry for entry in entries])
        together = alone and bool(found)
    return found[::-1]


def _parse_counts(pairs: Sequence[list[Any]]) -> ParsedAnswer:
    """Reads [sub-goal, number of actions] pairs."""
    claims, unreadable = [], []
    for name, count in pairs:
        try:
            claims.append(Claim(parse_subgoal(name), length=count))
        except UsageError:
            unreadable.append(str(name))
    return ParsedAnswer(tuple(claims), tuple(unreadable))


def _is_pair(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and type(item[1]) is int


# --- aligning it with the actions ---------------------------------------------------------------------------------


@dataclass
class Alignment:
    """Sub-goals over actions, perhaps with gaps.

    `of_action` has for each action the number of its sub-goal or None, never falling; `faults` counts repairs by kind.
    """

    of_action: list[int | None]
    subgoals: list[SubGoal]
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """(first, end) of every run of actions without a sub-goal, counted from 0."""
        gaps: list[tuple[int, int]] = []
        for index, number in enumerate(self.of_action):
            if number is None:
                if gaps and gaps[-1][1] == index:
                    gaps[-1] = (gaps[-1][0], index + 1)
                else:
                    gaps.append((index, index + 1))
        return gaps

    def close_single_gaps(self) -> None:
        """Gives single actions in gaps to the sub-goal before them, the first action to the one behind."""
        for first, end in self.gaps:
            if end - first > 1 or not self.subgoals:
                continue
            neighbour = self.of_action[first - 1] if first else None
            if neighbour is None and end < len(self.of_action):
                neighbour = self.of_action[end]
            if neighbour is not None:
                self.of_action[first] = neighbour
                self.faults["skipped"] += 1

    def fill_gaps(self, second: Alignment) -> None:
        """Fills the gaps with the sub-goals of a second answer, as far as they fit."""
        offset = len(self.subgoals)
        for first, end in self.gaps:
            for index in range(first, end):
                number = second.of_action[index]
                self.of_action[index] = None if number is None else offset + number
        self.subgoals += second.subgoals
        self.faults += second.faults

    def chunks(self) -> tuple[Chunk, ...] | None:
        """The sub-goals with their numbers of actions; None where an action has no sub-goal."""
        chunks: list[Chunk] = []
        before: int | None = None
        for number in self.of_action:
            if number is None:
                return None
            if number == before:
                chunks[-1] = chunks[-1]._replace(actions=chunks[-1].actions + 1)
            else:
                chunks.append(Chunk(self.subgoals[number], 1))
            before = number
        return tuple(chunks)


def align(claims: Sequence[Claim], actions: Sequence[str]) -> Alignment:
    """Aligns claimed sub-goals with the actions of a demonstration.

    Claims that name numbers are put in order; an action that two claim stays with the first; numbers behind the end are
    cut off. Claims that name actions are aligned by edit distance: skipped actions become gaps, invented ones are
    dropped. Claims that name counts hold only if these sum up. A claim without an action is dropped.
    """
    alignment = Alignment([None] * len(actions), [claim.subgoal for claim in claims])
    if any(claim.actions is not None for claim in claims):
        _by_words(alignment, claims, actions)
    elif any(claim.length is not None for claim in claims):
        _by_counts(alignment, claims)
    else:
        _by_numbers(alignment, claims)
    _drop_shapeless(alignment, actions)
    used = {number for number in alignment.of_action if number is not None}
    alignment.faults["empty"] += len(alignment.subgoals) - len(used)
    return alignment


def edit_alignment(given: Sequence[str], claimed: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (index in given, index in claimed) of equal elements under the fewest edits; both rise."""
    rows, columns = len(given), len(claimed)
    distance = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows, -1, -1):
        for column in range(columns, -1, -1):
            if row == rows or column == columns:
                distance[row][column] = rows - row + columns - column
            elif given[row] == claimed[column]:
                distance[row][column] = distance[row + 1][column + 1]
            else:
                distance[row][column] = 1 + min(distance[row + 1][column], distance[row][column + 1])
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        if given[row] == claimed[column]:
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif distance[row + 1][column] <= distance[row][column + 1]:
            row += 1
        else:
            column += 1
    return pairs


def _by_numbers(alignment: Alignment, claims: Sequence[Claim]) -> None:
    numbered = [(claim.numbers or (0, 0), claim.subgoal) for claim in claims]
    firsts = [numbers[0] for numbers, _ in numbered]
    if firsts != sorted(firsts):
        alignment.faults["order"] += 1
        numbered.sort(key=lambda entry: entry[0])
        alignment.subgoals = [subgoal for _, subgoal in numbered]
    length, reached = len(alignment.of_action), 0
    for number, ((first, last), _) in enumerate(numbered):
        if last > length or first < 1:
            alignment.faults["invented"] += 1
        if first <= reached:
            alignment.faults["overlap"] += 1
        start, end = max(first - 1, reached), min(last, length)
        alignment.of_action[start:end] = [number] * max(0, end - start)
        reached = max(reached, end)


def _by_words(alignment: Alignment, claims: Sequence[Claim], actions: Sequence[str]) -> None:
    claimed = [(_normalize(action), number) for number, claim in enumerate(claims) for action in claim.actions or ()]
    pairs = edit_alignment([_normalize(action) for action in actions], [words for words, _ in claimed])
    for index, place in pairs:
        alignment.of_action[index] = claimed[place][1]
    alignment.faults["invented"] += len(claimed) - len(pairs)


def _by_counts(alignment: Alignment, claims: Sequence[Claim]) -> None:
    counts = [claim.length or 0 for claim in claims]
    if any(count < 0 for count in counts) or sum(counts) != len(alignment.of_action):
        alignment.faults["sum"] += 1  # where the mistake is cannot be known: all actions stay open
        return
    alignment.of_action[:] = [number for number, count in enumerate(counts) for _ in range(count)]


def _drop_shapeless(alignment: Alignment, actions: Sequence[str]) -> None:
    """Takes the actions from a sub-goal that covers a whole demonstration."""
    for number in set(alignment.of_action) - {None}:
        mine = [index for index, of in enumerate(alignment.of_action) if of == number]
        if len({actions[index] for index in mine}) > _MOST_DIFFERENT:
            alignment.faults["too few"] += 1
            for index in mine:
                alignment.of_action[index] = None


def _normalize(action: str) -> str:
    return " ".join(action.lower().split())
