"""Who decides when to ask, judged: rules to compare with, and questions and tokens beside the success."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.skill_react import AgentQueryStats
from wean.evaluation.episodes import Episodes
from wean.evaluation.statistics import bootstrap_mean, paired_difference
from wean.tasks.vector import Tasks
from wean.teachers.ask_or_act import ASK, NEVER_ASK, AskOrAct, QueryStats

Rule = Callable[[AskOrAct, Sequence[int]], NDArray[np.float64]]


class AskingRule:
    """A policy for `AskOrAct` that asks by a rule.

    Args:
        name: Its name.
        rule: Gives for the named members the probability of asking, (len(which),); NaN is "not even if forced".
    """

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self._rule = rule

    def begin(self, episodes: int) -> None:
        """See `Policy.begin`."""

    def act(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.act`."""
        assert isinstance(tasks, AskOrAct)
        asking = self._rule(tasks, which)
        probabilities = np.zeros((len(which), 3))
        probabilities[:, ASK] = np.nan_to_num(asking)
        probabilities[:, NEVER_ASK] = np.isnan(asking)
        probabilities[:, 0] = 1 - probabilities.sum(1)
        return probabilities


def always() -> AskingRule:
    """Asks at every step."""
    return AskingRule("always", lambda tasks, which: np.ones(len(which)))


def at_plan_end() -> AskingRule:
    """Asks where the plan has nothing left to do: only what is forced."""
    return AskingRule("plan-end", lambda tasks, which: np.zeros(len(which)))


def at_skill_end() -> AskingRule:
    """Asks whenever the skill at work has nothing more to do, whatever else the plan holds."""
    return AskingRule("skill-end", lambda tasks, which: tasks.skill_ended(which).astype(float))


def on_change() -> AskingRule:
    """Asks whenever the situation's words changed since the last question."""
    return AskingRule("on-change", lambda tasks, which: tasks.changed(which).astype(float))


def never() -> AskingRule:
    """Asks for the first plan only; where that has nothing left to do, actions are random."""
    return AskingRule("never", lambda tasks, which: np.where(tasks.has_plan(which), np.nan, 1.0))


def at_random(share: float) -> AskingRule:
    """Asks by chance.

    Args:
        share: The probability at each step, beside what is forced.
    """
    return AskingRule("random", lambda tasks, which: np.full(len(which), share))


def rules(student: Sequence[QueryStats], steps: int) -> tuple[AskingRule, ...]:
    """Who learned asking is compared with; the random rule asks as often a step as the student chose to.

    Args:
        student: What the student asked in each of its episodes.
        steps: How many steps they took together.
    """
    chosen = sum(tally.questions - tally.forced for tally in student)
    return always(), on_change(), at_skill_end(), at_plan_end(), at_random(chosen / steps), never()


def paired(
    student: Episodes, asked: Sequence[QueryStats], other: Episodes, other_asked: Sequence[QueryStats]
) -> dict[str, dict[str, float]]:
    """What a student has more of than another policy on the same episodes, with 95 % bootstrap intervals of the pairs.

    Args:
        student: The student's episodes.
        asked: What it asked in each.
        other: The other policy's, on the same seeds in the same order.
        other_asked: What that one asked.

    Returns:
        The mean differences of `success`, `length` and `questions`.
    """
    questions, other_questions = ([tally.questions for tally in found] for found in (asked, other_asked))
    differences = {
        "success": paired_difference(student.successes.astype(float), other.successes.astype(float)),
        "length": paired_difference(student.lengths, other.lengths),
        "questions": paired_difference(questions, other_questions),
    }
    return {name: difference.as_dict() for name, difference in differences.items()}


def query_stats_report(query_stats: Sequence[QueryStats] | Sequence[AgentQueryStats]) -> dict[str, dict[str, float]]:
    """Means per episode with 95 % bootstrap intervals, as summaries and `wean-eval/1` carry them."""
    return {
        name: bootstrap_mean([getattr(stats, name) for stats in query_stats]).as_dict()
        for name in query_stats[0]._fields
    }
