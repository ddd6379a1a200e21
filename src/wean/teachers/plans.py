"""Reads plans with probabilities out of what a language model really writes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Plan = tuple[str, ...]


class Advice(NamedTuple):
    """What a teacher says of one situation.

    Attributes:
        plans: Distinct plans with probabilities that sum to 1; empty means "no advice".
        answers: The raw answers behind them, for people to read.
        tokens: Tokens read and written for them; estimated from the texts' lengths where nobody counted.
    """

    plans: tuple[tuple[Plan, float], ...]
    answers: tuple[str, ...] = ()
    tokens: int = 0


def parse_plans(text: str) -> tuple[tuple[Plan, float], ...]:
    """Reads the last JSON object in an answer that holds at least one plan.

    Accepts code fences and prose around the object, several objects (the last one that holds plans counts), `skills`
    as a list or as one string with commas, a single plan without the list, and probabilities as numbers, percentages
    or strings. They need not sum to 1: they are scaled to. Where no plan carries a positive one, all count the same.

    Args:
        text: The whole answer.

    Returns:
        Distinct plans with their probabilities, in order of first mention; empty if there is none to be read.
    """
    found: tuple[tuple[Plan, float], ...] = ()
    for value in objects_in(text):
        plans = _plans_of(value)
        if plans:
            found = plans
    return found


def last_named(text: str, key: str) -> str | None:
    """Reads the text under a key of the last JSON object in an answer that has one; None if there is none."""
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
    weights: dict[Plan, float] = {}
    stated = False
    for item in listed:
        plan = _skills(item.get("skills", item.get("plan")) if isinstance(item, dict) else item)
        weight = read_probability(item.get("probability", item.get("p"))) if isinstance(item, dict) else None
        if not plan:
            continue
        stated = stated or bool(weight)
        weights[plan] = weights.get(plan, 0.0) + (weight or 0.0)
    if not stated:
        weights = dict.fromkeys(weights, 1.0)
    total = sum(weights.values())
    return tuple((plan, weight / total) for plan, weight in weights.items() if weight > 0)


def _skills(value: Any) -> Plan:
    if isinstance(value, str):
        value = re.split(r",|;|->|\n", value)
    if not isinstance(value, list):
        return ()
    return tuple(item.strip() for item in value if isinstance(item, str) and item.strip())


def read_probability(value: Any) -> float | None:
    """Reads 0.7, "0.7", "70%" and 70; None where nothing sensible stands there."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*", value)
        if not match:
            return None
        try:
            number = float(match[1]) / (100 if match[2] else 1)
        except ValueError:
            return None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
    else:
        return None
    return number if math.isfinite(number) and 0 <= number <= 1e6 else None
