"""Normal form of texts and sub-goals, the same in training and acting."""

from __future__ import annotations

import re
from functools import lru_cache

_ARTICLE = re.compile(r"\b(?:[Tt]he|an?) +")
_PUNCTUATION = re.compile(r"\s*([^\w\s])\s*")
_CALL = re.compile(r"([a-z][a-z0-9_]*)\((.*)\)")
_ABBREVIATIONS = (
    (re.compile(r"This room is called the (.+?)\. In it, you see:"), r"\1:"),
    (re.compile(r"(?:This outside location is called the|You are in) (.+?)\. Here you see:"), r"\1:"),
    (re.compile(r"In your inventory, you see:"), ""),
    (re.compile(r" \((?:that is open|containing nothing)\)"), ""),
)
_IN_EVERY_PLACE = frozenset({"agent", "substance called air"})


@lru_cache(maxsize=1 << 16)  # the same observations come again and again
def normalize(text: str) -> str:
    """A text in lower case, without articles, with a space around every punctuation mark.

    A name is then the same tokens wherever it stands, and the words before it are more often the same: a student finds
    "red" after "focus on" in the task's description when it has generated "focus on" itself.
    """
    return " ".join(_PUNCTUATION.sub(r" \1 ", _ARTICLE.sub("", text)).lower().split())


def render_subgoal(subgoal: str) -> str:
    """A sub-goal in the words of actions: `pick_up(metal pot)` is "pick up metal pot"."""
    call = _CALL.fullmatch(subgoal.strip())
    if call is None:
        return normalize(subgoal)
    arguments = " to ".join(argument.strip() for argument in call[2].split(","))
    return normalize(f"{call[1].replace('_', ' ')} {arguments}")


def short_lines(text: str) -> list[str]:
    """The normalized lines of an observation, without set phrases and what every place has."""
    for pattern, short in _ABBREVIATIONS:
        text = pattern.sub(short, text)
    lines = map(normalize, text.splitlines())
    return [line for line in lines if line and line not in _IN_EVERY_PLACE]
