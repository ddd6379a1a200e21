"""Reads a language model's answers: plans, choices with probabilities, ratings, and the action that a text names.

The last JSON object or list of an answer that holds something usable counts, with prose, code fences and other objects
around it; probabilities may be numbers, percentages or words; what stays unclear is nothing, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from wean.llm.reading import values_in, without_thoughts

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

    Accepts `skills` as a list or as one string with commas, a single plan without the list, a list of plans without the
    object around it, and one plan a line. Where no plan carries a positive probability, all count the same; where a
    plan's probability cannot be read, or only some plans state one, nothing is read.
    """
    found: tuple[tuple[Plan, float], ...] = ()
    for value in _answers_in(text, _is_plan):
        plans = _plans_of(value)
        found = found if plans is None else plans
    return found


def parse_choices(text: str, choices: Sequence[str]) -> dict[int, float]:
    """Reads probabilities of choices, by index, that sum to 1; empty if there are none.

    Accepts `{"choices": [{"choice": "...", "probability": 0.7}]}`, a mapping from choices to probabilities, a list of
    names or of choices, and one choice a line. A name counts as the choice that `project` finds for it; one without is
    left out. Where no probability is stated, all count the same; where one cannot be read, or only some are stated,
    nothing is read.
    """
    found: dict[int, float] = {}
    for value in _answers_in(text, _is_choice):
        weights = _choices_of(value, choices)
        found = found if weights is None else weights
    return found


def parse_ratings(text: str, choices: Sequence[str]) -> Verdict:
    """Reads ratings of choices, rounded and clipped to -1, 0 or 1; other names are passed over."""
    names = {_plain(choice): choice for choice in choices}
    verdict = Verdict({}, answer=text)
    for value in _answers_in(text, _is_rating):
        found: dict[str, int] = {}
        unreadable = 0
        for name, stated in _ratings_of(value):
            choice = names.get(_plain(name))
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
    for value in _answers_in(text, lambda value: key in value):
        for item in value if isinstance(value, list) else [value]:
            named = _under(item, key)
            if isinstance(named, str) and named.strip():
                found = " ".join(named.split())
    return found


def project(text: str, choices: Sequence[str]) -> int | None:
    """The index of the one admissible action that a free text names; None if there is no such one.

    Thoughts, case, punctuation and runs of white space do not count. The rule: the choice that the whole text equals;
    else, of the choices that occur in the text word for word, those that are no part of a longer one that occurs around
    them ("serve the bowl" does not name "bowl"); if exactly one such choice is left, it is the action.
    """
    words = _WORD.findall(without_thoughts(text).lower())
    listed = [_WORD.findall(choice.lower()) for choice in choices]
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
    """Reads 0.7, "0,7", "70%", 70, "7/10", "about 0.7" and words such as "likely"; None for anything else."""
    if isinstance(value, str):
        value = _probability_in_words(value)
    number = _finite(value)
    return number if number is not None and 0 <= number <= 1e6 else None


_PROBABILITIES = {
    **dict.fromkeys(("certain", "certainly", "sure", "definite", "always", "one"), 1.0),
    **dict.fromkeys(("very high", "very likely", "very probable", "almost certain", "highly likely"), 0.9),
    **dict.fromkeys(("high", "likely", "probable", "probably"), 0.75),
    **dict.fromkeys(("medium", "moderate", "even", "half", "possible", "maybe", "50/50", "fifty-fifty"), 0.5),
    **dict.fromkeys(("low", "unlikely", "improbable"), 0.25),
    **dict.fromkeys(("very low", "very unlikely", "highly unlikely", "almost impossible"), 0.1),
    **dict.fromkeys(("impossible", "never", "none", "zero"), 0.0),
}
_STATED = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|circa|ca\.|~|≈|p\s*=)?\s*"
    r"(?P<number>(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?)"
    r"\s*(?:(?P<percent>%|percent|per cent|pct)|(?:/|out of|in)\s*(?P<of>[1-9]\d*))?\s*(?:\(.*\))?"
)


def _probability_in_words(text: str) -> float | None:
    text = " ".join(text.lower().split())
    if text in _PROBABILITIES:
        return _PROBABILITIES[text]
    stated = _STATED.fullmatch(text)
    number = _finite(stated["number"]) if stated else None
    if stated is None or number is None:
        return None
    return number / (100 if stated["percent"] else _finite(stated["of"]) or 1)


def _finite(value: Any) -> float | None:
    """A number or a text that is one as a float; None where it is none, or not finite."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value.replace(",", ".").replace("−", "-") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _rating(value: Any) -> int | None:
    """Reads 1, -1.0 and "+1"; None for anything else."""
    number = _finite(value)
    return None if number is None else round(max(-1.0, min(1.0, number)))


# --- the shapes of an answer -----------------------------------------------------------------------------------------

_BETWEEN = re.compile(r"(?:\W|\d|_|\b(?:plan|option|choice|skill|and|or)\b)*", re.IGNORECASE)
_PROBABILITY = ("probability", "p", "prob", "confidence", "likelihood")


def _answers_in(text: str, is_part: Callable[[dict[str, Any]], bool]) -> Iterator[Any]:
    """Yields the answers in a text, one of which it means; parts that follow on each other are one answer, a list."""
    parts: list[dict[str, Any]] = []
    for value, before in values_in(text):
        part = isinstance(value, dict) and is_part(value)
        if parts and not (part and _BETWEEN.fullmatch(before)):
            yield parts
            parts = []
        if part:
            parts.append(value)
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not is_part(value[0]):
            yield value[0]
        else:
            yield value
    if parts:
        yield parts


def _under(value: Any, *names: str) -> Any:
    """What a mapping holds under the first of some names that it has, in whatever case."""
    if not isinstance(value, dict):
        return None
    lowered = {key.strip().lower(): held for key, held in value.items()}
    return next((lowered[name] for name in names if name in lowered), None)


def _is_plan(value: dict[str, Any]) -> bool:
    return _under(value, "plans") is None and _under(value, "skills", "skill", "plan") is not None


def _is_choice(value: dict[str, Any]) -> bool:
    return _under(value, "choices") is None and (len(value) == 1 or isinstance(_under(value, "choice"), str))


def _is_rating(value: dict[str, Any]) -> bool:
    return _under(value, "ratings") is None and (len(value) == 1 or _under(value, "rating") is not None)


def _plans_of(value: Any) -> tuple[tuple[Plan, float], ...] | None:
    """The plans of one answer, none where they are unclear; None where it holds no plan."""
    listed = value
    if isinstance(value, dict):
        listed = _under(value, "plans")
        if listed is None:
            listed = [value]
    elif isinstance(value, list) and any(isinstance(item, str) for item in value):
        return None  # one plan of some skills, or some plans of one?
    if isinstance(listed, dict) and _under(listed, "skills", "skill", "plan") is None:
        listed = [{"skills": name, "probability": stated} for name, stated in listed.items()]
    if isinstance(listed, str | dict):
        listed = [listed]
    if not isinstance(listed, list):
        return None
    weights = _weighted(_items(listed), _plan_of)
    if weights is None:
        return ()
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    return tuple(_scaled(weights).items()) or None


def _items(listed: Sequence[Any]) -> Iterator[Any]:
    """The plans of a list; one that is a list of plans itself, under "plan", is opened."""
    for item in listed:
        inner = _under(item, "plan")
        if isinstance(inner, list) and any(isinstance(of_inner, dict | list) for of_inner in inner):
            yield from inner
        elif isinstance(inner, dict):
            yield {**item, **inner}
        else:
            yield item


def _plan_of(item: Any) -> Plan | None:
    skills = _under(item, "skills", "skill", "plan") if isinstance(item, dict) else item
    if isinstance(skills, str):
        skills = re.split(r",|;|->|→|\n", skills)
    if not isinstance(skills, list):
        return None
    return tuple(" ".join(skill.split()) for skill in skills if isinstance(skill, str) and skill.strip()) or None


def _choices_of(value: Any, choices: Sequence[str]) -> dict[int, float] | None:
    """The weights of one answer, none where they are unclear; None where it names no choice."""
    listed = value
    if isinstance(value, dict):
        listed = next((held for held in (_under(value, "choices"), _under(value, "choice")) if held is not None), value)
        if isinstance(listed, str):
            listed = [value if _under(value, "choices") is None else listed]
    if not isinstance(listed, list):
        listed = [listed]

    def index_of(item: Any) -> int | None:
        name = _under(item, "choice") if isinstance(item, dict) else item
        return project(name, choices) if isinstance(name, str) else None

    weights = _weighted(_pairs_apart(listed, "choice", "probability"), index_of)
    return {} if weights is None else _scaled(weights) or None


def _ratings_of(value: Any) -> Iterator[tuple[str, Any]]:
    """The names and ratings of one answer."""
    rated = _under(value, "ratings") if isinstance(value, dict) else value
    rated = value if rated is None else rated
    for item in _pairs_apart(rated if isinstance(rated, list) else [rated], "name", "rating"):
        name = _under(item, "name", "skill", "choice")
        if isinstance(name, str):
            yield name, _under(item, "rating")


def _pairs_apart(listed: Sequence[Any], name: str, number: str) -> Iterator[Any]:
    """The items of a list, mappings from names to numbers taken apart into one item a name."""
    for item in listed:
        if isinstance(item, dict) and _under(item, "choice", "rating") is None:
            yield from ({name: key, number: held} for key, held in item.items())
        else:
            yield item


def _weighted(listed: Iterable[Any], name_of: Callable[[Any], Name | None]) -> dict[Name, float] | None:
    """Sums the stated probabilities of what a list names; all 1 where none is stated, None where they are unclear."""
    weights: dict[Name, float] = {}
    stated = missing = False
    for item in listed:
        name = name_of(item)
        if name is None:
            continue
        given = _under(item, *_PROBABILITY)
        weight = None if given is None else read_probability(given)
        if given is not None and weight is None:
            return None
        stated, missing = stated or weight is not None, missing or weight is None
        weights[name] = weights.get(name, 0.0) + (weight or 0.0)
    if stated and missing:
        return None
    return weights if stated else dict.fromkeys(weights, 1.0)


def _scaled(weights: Mapping[Name, float]) -> dict[Name, float]:
    """The positive weights, scaled to sum 1."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}


def _plain(name: str) -> str:
    return " ".join(name.lower().split())
