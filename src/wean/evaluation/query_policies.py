"""Fixed rules for when to ask, which learned asking is compared with on the same episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.evaluation.scores import Episodes
from wean.evaluation.statistics import paired_difference
from wean.tasks.vector import Tasks
from wean.teachers.ask_or_act import ASK, NEVER_ASK, AskOrAct

Rule = Callable[[AskOrAct, Sequence[int]], NDArray[np.float64]]


class QueryPolicy(Policy):
    """A policy for `AskOrAct` that asks by a fixed rule.

    Args:
        name: Its name.
        rule: Gives for the named members the probability of asking, (len(which),); NaN is "not even if forced".
    """

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self._rule = rule

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        assert isinstance(tasks, AskOrAct)
        asking = self._rule(tasks, which)
        probabilities = np.zeros((len(which), 3))
        probabilities[:, ASK] = np.nan_to_num(asking)
        probabilities[:, NEVER_ASK] = np.isnan(asking)
        probabilities[:, 0] = 1 - probabilities.sum(1)
        return probabilities


def always() -> QueryPolicy:
    """Asks at every step."""
    return QueryPolicy("always", lambda tasks, which: np.ones(len(which)))


def at_plan_end() -> QueryPolicy:
    """Asks where the plan has nothing left to do: only what is forced."""
    return QueryPolicy("plan-end", lambda tasks, which: np.zeros(len(which)))


def at_skill_end() -> QueryPolicy:
    """Asks whenever the skill at work has nothing more to do, whatever else the plan holds."""
    return QueryPolicy("skill-end", lambda tasks, which: tasks.skill_ended(which).astype(float))


def on_change() -> QueryPolicy:
    """Asks whenever the situation's words changed since the last question."""
    return QueryPolicy("on-change", lambda tasks, which: tasks.changed(which).astype(float))


def never() -> QueryPolicy:
    """Asks for the first plan only; where that has nothing left to do, actions are random."""
    return QueryPolicy("never", lambda tasks, which: np.where(tasks.has_plan(which), np.nan, 1.0))


def at_random(share: float) -> QueryPolicy:
    """Asks by chance.

    Args:
        share: The probability at each step, beside what is forced.
    """
    return QueryPolicy("random", lambda tasks, which: np.full(len(which), share))


def query_policies(student: Episodes) -> tuple[QueryPolicy, ...]:
    """Returns what learned asking is compared with; the random rule asks as often a step as the student chose to.

    Args:
        student: The student's episodes.
    """
    chosen = sum(episode.stats["questions"] - episode.stats["forced"] for episode in student.played)
    return always(), on_change(), at_skill_end(), at_plan_end(), at_random(chosen / int(student.lengths.sum())), never()


def paired(student: Episodes, other: Episodes) -> dict[str, dict[str, float]]:
    """What a student has more of than another policy on the same episodes, with 95 % bootstrap intervals of the pairs.

    Args:
        student: The student's episodes.
        other: The other policy's, on the same seeds in the same order.

    Returns:
        The mean differences of `success`, `length` and `questions`.
    """
    questions, other_questions = ([one.stats["questions"] for one in found.played] for found in (student, other))
    differences = {
        "success": paired_difference(student.successes.astype(float), other.successes.astype(float)),
        "length": paired_difference(student.lengths, other.lengths),
        "questions": paired_difference(questions, other_questions),
    }
    return {name: difference.as_dict() for name, difference in differences.items()}
