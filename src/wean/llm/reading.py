"""The text of an answer without the thoughts before it, and the JSON values in it, as language models write them.

Every reader of answers starts here. Thoughts are no answer: what a model names in them it may reject a line later.
JSON is read as the standard has it. Where that fails, what is clear is mended: raw line breaks, single and curly
quotes, decimal commas, comments, commas and closing brackets too many or too few. What is not clear is nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_MOST_CHARACTERS = 200_000  # from the end; what is longer is no answer to any question of ours
_MOST_NESTED = 40  # brackets; an answer needs four
_MOST_QUOTED = 1000  # characters between quotes, in JSON that needs mending
_MOST_FAILURES = 1000  # brackets of prose or of broken JSON

# Of DeepSeek-R1, Qwen3 and most others; Magistral; Seed-OSS; Kimi; Command A; Apertus; gpt-oss; Gemma; Granite.
_TAGS = "think|thinking|thoughts?|reason|reasoning|reflection|scratchpad|analysis|seed:think"
_THOUGHTS = re.compile(
    rf"(?P<open><\s*(?:{_TAGS})\b[^<>]*(?:>|$)|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|inner_prefix\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b|<\|channel>thought\b|here is my thought process:)"
    rf"|(?P<close><\s*/\s*(?:{_TAGS})\s*>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|inner_suffix\|>"
    r"|<\|channel\|>\s*final\b(?:\s*<\|message\|>)?|assistantfinal|<channel\|>|here is my response:)",
    re.IGNORECASE,
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


class Found(NamedTuple):
    """A JSON value in an answer, and the text between the value before it (or the start) and this one."""

    value: Any
    before: str


def without_thoughts(text: str) -> str:
    """The part of an answer around and after its thoughts; empty where it was cut inside them.

    Thoughts end at their closing tag, also where the opening one stood in the prompt and is missing here.
    """
    kept: list[str] = []
    place, thinking = 0, False
    text = _INVISIBLE.sub("", text)
    for tag in _THOUGHTS.finditer(text):
        if tag["close"] and not thinking:
            kept.clear()
        elif not thinking:
            kept.append(text[place : tag.start()])
        thinking = tag["open"] is not None
        place = tag.end()
    if not thinking:
        kept.append(text[place:])
    return "\n".join(kept)


def values_in(text: str) -> Iterator[Found]:
    """Yields every outermost JSON object and list of an answer, in order, thoughts left out.

    A value that was cut in its middle is left out with all that it holds; one that only lacks its last brackets counts.
    """
    text = _unquoted(without_thoughts(text)[-_MOST_CHARACTERS:].strip())
    end = failures = 0
    bracket = _BRACKET.search(text)
    while bracket and failures < _MOST_FAILURES:
        at = bracket.start()
        try:
            value, stop = _read(text, at)
        except ValueError:
            failures += 1
            bracket = _BRACKET.search(text, at + 1)
            continue
        except (_Cut, RecursionError):
            return
        yield Found(value, text[end:at])
        end = stop
        bracket = _BRACKET.search(text, end)


class _Cut(Exception):
    """The text ends in the middle of a value."""


_BRACKET = re.compile(r"[{[]")
_STANDARD = json.JSONDecoder(strict=False)


def _unquoted(text: str) -> str:
    """The text in an answer that is, as a whole, one JSON text."""
    if text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            return text
    return text


def _read(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a bracket, and the place behind it.

    Raises:
        ValueError: No value begins here.
        _Cut: One does, and the text ends within it.
    """
    try:
        return _STANDARD.raw_decode(text, at)
    except ValueError:
        reader = _MendingReader(text, at)
        return reader.value(), reader.at


_SPACE = re.compile(r"(?:\s+|//[^\n]{0,300}|/\*[^*]{0,300}\*/|#[^\n]{0,300})*")
_CLOSING_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": '\u201d"', "\u201e": "\u201c\u201d", "\u2018": "\u2019"}
_BEHIND_QUOTE = re.compile(r"\s*(?:[,:}\]]|//|/\*|#|```|\Z|\n\s*[\"'{[\u201c])")
_CUT_SHORT = re.compile(r"[-+−\w.,%/ ]*\Z")
_BEHIND = r"(?=\s*(?:[,}\]\"'#]|//|/\*|```|\n))"
_NUMBER = re.compile(rf"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?{_BEHIND}")
_NUMBER_IN_WORDS = re.compile(rf"[-+−]?\d+(?:[.,]\d+)?\s*(?:%|/\s*\d+)?{_BEHIND}")
_WORD = re.compile(r"[^\W\d][\w-]*")
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class _MendingReader:
    """Reads one value at a place of a text, by a wider grammar than the standard's."""

    def __init__(self, text: str, at: int) -> None:
        self.at = at
        self._text = text
        self._depth = 0
        self._certain = False  # a name with a colon was read: these brackets are not those of prose

    def value(self, of_name: bool = False) -> Any:
        """The value here; decimal commas and bare words are understood behind a name and its colon."""
        sign = self._next()
        if sign in "{[":
            self._depth += 1
            if self._depth > _MOST_NESTED:
                raise _Cut
            found: Any = self._object() if sign == "{" else self._list()
            self._depth -= 1
            return found
        if sign in _CLOSING_QUOTES:
            return self._quoted()
        # A comma in a list parts two numbers; behind a colon, "0,9" can only be one.
        number = _NUMBER_IN_WORDS.match(self._text, self.at) if of_name else None
        if number := number or _NUMBER.match(self._text, self.at):
            self.at = number.end()
            return _number(number[0].strip().replace("−", "-"))
        word = _WORD.match(self._text, self.at)
        if word is None or not (of_name or word[0].lower() in _CONSTANTS):
            raise self._failure()
        self.at = word.end()
        return _CONSTANTS.get(word[0].lower(), word[0])

    def _object(self) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        while (sign := self._next(closed=bool(found))) not in "}]":
            if sign in _CLOSING_QUOTES:
                name = self._quoted()
            elif word := _WORD.match(self._text, self.at):
                name, self.at = word[0], word.end()
            else:
                raise self._failure()
            if self._next() != ":":
                raise self._failure()
            self._certain = True
            self.at += 1
            found[name] = self.value(of_name=True)
            if self._next(closed=True) == ",":
                self.at += 1
                self._next()
        self._close("}")
        return found

    def _list(self) -> list[Any]:
        self.at += 1
        found: list[Any] = []
        while (sign := self._next(closed=bool(found) and not isinstance(found[-1], str))) not in "}]":
            found.append(self.value())
            sign = self._next(closed=not isinstance(found[-1], str))
            if sign == ",":
                self._certain |= not isinstance(found[-1], int | float)
                self.at += 1
                self._next()
        self._close("]")
        return found

    def _close(self, bracket: str) -> None:
        """Steps over the closing bracket; where another one stands, or none any more, this one was forgotten."""
        if self._text.startswith(bracket, self.at):
            self.at += 1

    def _next(self, closed: bool = False) -> str:
        """The next character that counts; at the end of text or fence a closing bracket, if `closed` allows that."""
        space = _SPACE.match(self._text, self.at)
        self.at = space.end() if space else self.at
        if self.at < len(self._text) and not self._text.startswith("```", self.at):
            return self._text[self.at]
        if closed and self._certain:
            return "}"
        raise self._failure()

    def _quoted(self) -> str:
        """The text in quotes here. A quote ends it only where something may follow."""
        ends = _CLOSING_QUOTES[self._text[self.at]]
        place = self.at + 1
        letters: list[str] = []
        while place < len(self._text) and len(letters) < _MOST_QUOTED:
            letter = self._text[place]
            if letter in ends and _BEHIND_QUOTE.match(self._text, place + 1):
                self.at = place + 1
                return "".join(letters)
            if letter == "\\" and place + 1 < len(self._text):
                place += 1
                letter = _ESCAPES.get(self._text[place], self._text[place])
                if letter == "u" and re.fullmatch("[0-9a-fA-F]{4}", self._text[place + 1 : place + 5]):
                    letter = chr(int(self._text[place + 1 : place + 5], 16))
                    place += 4
            letters.append(letter)
            place += 1
        raise self._failure(at_end=True)

    def _failure(self, at_end: bool = False) -> Exception:
        """What to raise here: the value is cut, or it never was one."""
        at_end = at_end or self._text.startswith("```", self.at) or _CUT_SHORT.match(self._text, self.at) is not None
        return _Cut() if self._certain and at_end else ValueError("no value begins here")


def _number(text: str) -> int | float | str:
    """The number that a text is; "0,9", "70%" and "1/3" stay texts."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
