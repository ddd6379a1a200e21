"""Reads a language model's answers: plans, choices with probabilities, ratings, and the action that a text names.

The last JSON object of an answer that holds something usable counts, with prose, code fences and other objects around
it; probabilities may be numbers, percentages or strings; what stays unclear is nothing, never a guess.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

Plan = tuple[str, ...]
Name = TypeVar("Name", bound=Hashable)

_WORD = re.compile(r"\w+")


class Verdict(NamedTuple):
    """Ratings -1, 0 or 1 of a situation's choices, empty where nothing could be read, and the raw answer.

    `unreadable` counts ratings that were no numbers, e.g. NaN; they count as not given.
    """

    ratings: Mapping[str, int]
    unreadable: int = 0
    answer: str = ""


def parse_plans(text: str) -> tuple[tuple[Plan, float], ...]:
    """Reads distinct plans with probabilities that sum to 1, in order of first mention; empty if there are none.

    Accepts `skills` as a list or as one string with commas, and a single plan without the list. Where no plan carries a
    positive probability, all count the same.
    """
    found: tuple[tuple[Plan, float], ...] = ()
    for value in objects_in(text):
        found = _plans_of(value) or found
    return found


def parse_choices(text: str, choices: Sequence[str]) -> dict[int, float]:
    """Reads probabilities of choices, by index, that sum to 1; empty if there are none.

    Accepts `{"choices": [{"choice": "...", "probability": 0.7}]}`, a mapping from choices to probabilities, and a list
    of names. A name counts as the choice that `project` finds for it; one without is left out. Where no probability is
    stated, all count the same.
    """
    found: dict[int, float] = {}
    for value in objects_in(text):
        found = _choices_of(value, choices) or found
    return found


def parse_ratings(text: str, choices: Sequence[str]) -> Verdict:
    """Reads ratings of choices, rounded and clipped to -1, 0 or 1; other names are passed over."""
    names = {choice.lower(): choice for choice in choices}
    verdict = Verdict({}, answer=text)
    for value in objects_in(text):
        rated = value.get("ratings", value) if isinstance(value, dict) else None
        if not isinstance(rated, dict):
            continue
        found: dict[str, int] = {}
        unreadable = 0
        for name, stated in rated.items():
            choice = names.get(name.strip().lower())
            rating = _rating(stated)
            if choice is not None and rating is not None:
                found[choice] = rating
            unreadable += choice is not None and rating is None
        if found or unreadable:
            verdict = Verdict(found, unreadable, text)
    return verdict


def last_named(text: str, key: str) -> str | None:
    """The text under a key of the last JSON object in an answer that has one; None if there is none."""
    found = None
    for value in objects_in(text):
        named = value.get(key) if isinstance(value, dict) else None
        if isinstance(named, str) and named.strip():
            found = named.strip()
    return found


def objects_in(text: str) -> Iterator[Any]:
    """Yields every outermost JSON object in a text."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        yield value
        at = text.find("{", end)


def project(text: str, choices: Sequence[str]) -> int | None:
    """The index of the one admissible action that a free text names; None if there is no such one.

    Case, punctuation and runs of white space do not count. The rule: the choice that the whole text equals; else, of
    the choices that occur in the text word for word, those that are no part of a longer one that occurs around them
    ("serve the bowl" does not name "bowl"); if exactly one such choice is left, it is the action.
    """
    words, listed = _WORD.findall(text.lower()), [_WORD.findall(choice.lower()) for choice in choices]
    exact = [index for index, choice in enumerate(listed) if choice == words]
    if exact:
        return exact[0] if len(exact) == 1 else None
    spans = [
        (start, start + len(choice), index)
        for index, choice in enumerate(listed)
        if choice
        for start in range(len(words) - len(choice) + 1)
        if words[start : start + len(choice)] == choice
    ]
    named = {
        index
        for start, end, index in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    }
    return named.pop() if len(named) == 1 else None


def read_probability(value: Any) -> float | None:
    """Reads 0.7, "0.7", "70%" and 70; None for anything else."""
    percent = 1
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*", value)
        if not match:
            return None
        value, percent = match[1], 100 if match[2] else 1
    number = _finite(value)
    return number / percent if number is not None and 0 <= number / percent <= 1e6 else None


def _finite(value: Any) -> float | None:
    """A number or a text that is one as a float; None where it is none, or not finite."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _rating(value: Any) -> int | None:
    """Reads 1, -1.0 and "+1"; None for anything else."""
    number = _finite(value)
    return None if number is None else round(max(-1.0, min(1.0, number)))


def _plans_of(value: Any) -> tuple[tuple[Plan, float], ...]:
    listed = value.get("plans", value.get("plan")) if isinstance(value, dict) else None
    if listed is None and isinstance(value, dict) and "skills" in value:
        listed = [value]
    if isinstance(listed, str | dict):
        listed = [listed]
    if not isinstance(listed, list):
        return ()
    if listed and all(isinstance(item, str) for item in listed) and "probability" in value:
        listed = [{"skills": listed}]  # {"plan": ["go to key", ...], "probability": 0.9}

    def plan_of(item: Any) -> Plan | None:
        return _skills(item.get("skills", item.get("plan")) if isinstance(item, dict) else item) or None

    weights = _weighted(listed, plan_of)
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    return tuple(_scaled(weights).items())


def _skills(value: Any) -> Plan:
    if isinstance(value, str):
        value = re.split(r",|;|->|\n", value)
    if not isinstance(value, list):
        return ()
    return tuple(item.strip() for item in value if isinstance(item, str) and item.strip())


def _choices_of(value: Any, choices: Sequence[str]) -> dict[int, float]:
    listed = value.get("choices", value.get("choice", value)) if isinstance(value, dict) else None
    if isinstance(listed, dict):
        listed = [{"choice": name, "probability": weight} for name, weight in listed.items()]
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list):
        return {}

    def index_of(item: Any) -> int | None:
        name = item.get("choice") if isinstance(item, dict) else item
        return project(name, choices) if isinstance(name, str) else None

    return _scaled(_weighted(listed, index_of))


def _weighted(listed: Sequence[Any], name_of: Callable[[Any], Name | None]) -> dict[Name, float]:
    """Sums the stated probabilities of what a list names; all 1 where none is stated."""
    weights: dict[Name, float] = {}
    stated = False
    for item in listed:
        name = name_of(item)
        if name is None:
            continue
        weight = read_probability(item.get("probability", item.get("p"))) if isinstance(item, dict) else None
        stated = stated or weight is not None
        weights[name] = weights.get(name, 0.0) + (weight or 0.0)
    return weights if stated else dict.fromkeys(weights, 1.0)


def _scaled(weights: Mapping[Name, float]) -> dict[Name, float]:
    """The positive weights, scaled to sum 1."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}
