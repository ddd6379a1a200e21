"""From what a language model writes to the actions that can be taken: one stated rule, and never a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from wean.teachers.plans import objects_in, read_probability

_WORD = re.compile(r"\w+")


def project(text: str, choices: Sequence[str]) -> int | None:
    """Finds the one admissible action that a free text names.

    Case, punctuation and runs of white space do not count. The rule: the choice that the whole text equals; else, of
    the choices that occur in the text word for word, those that are no part of a longer one that occurs around them
    ("serve the bowl" says nothing of "bowl"); if exactly one such choice is left, it is the action. Otherwise there
    is none, and the text proposes nothing.

    Args:
        text: What the model wrote.
        choices: The admissible actions, no two alike.

    Returns:
        The choice's index, or None.
    """
    words, listed = _words(text), [_words(choice) for choice in choices]
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


def parse_choices(text: str, choices: Sequence[str]) -> dict[int, float]:
    """Reads probabilities of choices out of the last JSON object in an answer that names at least one of them.

    Accepts what `wean.teachers.plans.parse_plans` accepts around and inside the object: fences and prose,
    `{"choices": [{"choice": "...", "probability": 0.7}]}`, a mapping from choices to probabilities, a list of names,
    percentages. A name is projected by `project`; one that names no choice is left out.

    Args:
        text: The whole answer.
        choices: The admissible actions.

    Returns:
        Probabilities by index that sum to 1; empty if there is nothing to be read.
    """
    found: dict[int, float] = {}
    for value in objects_in(text):
        found = _weights(value, choices) or found
    return found


def _weights(value: Any, choices: Sequence[str]) -> dict[int, float]:
    listed = value.get("choices", value.get("choice", value)) if isinstance(value, dict) else None
    if isinstance(listed, dict):
        listed = [{"choice": name, "probability": weight} for name, weight in listed.items()]
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list):
        return {}
    weights: dict[int, float] = {}
    stated = False
    for item in listed:
        name = item.get("choice") if isinstance(item, dict) else item
        index = project(name, choices) if isinstance(name, str) else None
        if index is None:
            continue
        weight = read_probability(item.get("probability", item.get("p"))) if isinstance(item, dict) else None
        stated = stated or weight is not None
        weights[index] = weights.get(index, 0.0) + (weight or 0.0)
    if not stated:
        weights = dict.fromkeys(weights, 1.0)
    total = sum(weights.values())
    return {index: weight / total for index, weight in weights.items() if weight > 0}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
