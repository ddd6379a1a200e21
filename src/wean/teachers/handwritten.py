"""Answers written by a person: as a mapping that teaches, or as a file that teaches like any recorded model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from wean.errors import UsageError, WeanError
from wean.tasks.situation import Situation
from wean.teachers.elicitation import Advice, plan_question
from wean.teachers.reading import Plan


def look_up(answers: Mapping[str, Mapping[str, float]], situations: Sequence[Situation]) -> list[Advice]:
    """Advice from a mapping of situations' texts to plans with their probabilities, written as in `write_answers`.

    Raises:
        UsageError: If a plan begins with something that is not among the situation's choices.
    """
    found = []
    for situation in situations:
        plans = _plans(situation, answers.get(situation.text, {}))
        total = sum(plans.values())
        found.append(Advice(tuple((plan, weight / total) for plan, weight in plans.items() if weight > 0)))
    return found


def write_answers(path: str | Path, answers: Mapping[Situation, Mapping[str, float]]) -> None:
    """Writes a JSONL file that `recorded:PATH` opens as a language model, for the elicitation `verbalized`.

    Args:
        path: The file; one that exists is replaced.
        answers: For each situation its plans with their probabilities. A plan is an action, or skills with commas
            between them: `{"north": 0.8, "east": 0.2}`, `{"go to key, pick up key": 1.0}`.

    Raises:
        UsageError: If a plan begins with something that is not among the situation's choices.
        WeanError: If the file cannot be written.
    """
    lines = []
    for situation, weighted in answers.items():
        written = _plans(situation, weighted)
        plans = [{"skills": list(plan), "probability": probability} for plan, probability in written.items()]
        lines.append(json.dumps({"messages": plan_question(situation), "answer": json.dumps({"plans": plans})}) + "\n")
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise WeanError(f"cannot write {path} ({error.strerror}); name another file") from None


def _plans(situation: Situation, weighted: Mapping[str, float]) -> dict[Plan, float]:
    """Splits plans at their commas.

    Raises:
        UsageError: See `write_answers`.
    """
    plans: dict[Plan, float] = {}
    for plan, probability in weighted.items():
        skills = tuple(skill.strip() for skill in plan.split(","))
        place_of(situation, skills[0])
        plans[skills] = probability
    return plans


def place_of(situation: Situation, name: str) -> int:
    """The place of a name among a situation's choices, in any case.

    Raises:
        UsageError: If it is not among them.
    """
    names = [choice.lower() for choice in situation.choices]
    if name.lower() not in names:
        choices = ", ".join(situation.choices)
        raise UsageError(f"{name!r} is no choice in {situation.text!r}; there are {choices}")
    return names.index(name.lower())
