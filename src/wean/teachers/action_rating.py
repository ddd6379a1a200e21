"""A language model as judge: it rates what the student could begin, and the rating shifts the student's reward.

LMGT (2409.04744) asks about every pair of state and action: +1 for a good one, -1 for a bad one, 0 otherwise. In a task
with skills one question a situation does: it rates every skill that could begin there, and a primitive action takes the
best rating of the skills that it begins.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.tasks.situation import Situation
from wean.tasks.vector import Steps, Tasks
from wean.teachers.memory import AnswerMemory
from wean.teachers.reading import Verdict


class ActionRating:
    """A reward term (see `wean.algorithms.rewards`): the rating of the action that each member is about to take.

    Each distinct situation is asked about once; every later meeting is answered from memory. Where the judge gave no
    rating the shift is 0, which is said once and counted.

    Args:
        ask: Maps new situations to verdicts, e.g. `partial(rate, model)`.
    """

    name = "judge"

    def __init__(self, ask: Callable[[Sequence[Situation]], list[Verdict]]) -> None:
        self._ask = ask
        self._memory = AnswerMemory(self._ask_new)
        self.unrated = 0  # moments in which nothing was rated
        self._complained = False

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Nothing is kept from one episode to the next."""

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rating (N,) of each member's action where it stands: -1, 0 or 1."""
        members = list(range(tasks.num))
        situations = tasks.situations(members)
        verdicts = self._memory.answers(situations)
        self._memory.count(situations)
        self.unrated += sum(not verdict.ratings for verdict in verdicts)
        plans = [[(choice,) for choice in verdict.ratings] for verdict in verdicts]
        firsts = tasks.first_actions(members, plans)
        shifts = np.zeros(tasks.num)
        for member, (verdict, first) in enumerate(zip(verdicts, firsts, strict=True)):
            rated = zip(verdict.ratings.values(), first, strict=True)
            shifts[member] = max((rating for rating, action in rated if action == actions[member]), default=0)
        return shifts

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        """Nothing: an action is judged when it is chosen."""
        return np.zeros(tasks.num)

    def _ask_new(self, situations: Sequence[Situation]) -> list[Verdict]:
        """Asks; warns once where something was not rated."""
        verdicts = self._ask(situations)
        if not self._complained and any(verdict.unreadable or not verdict.ratings for verdict in verdicts):
            self._complained = True
            warnings.warn("the judge gave no readable rating; the reward is not shifted there", stacklevel=2)
        return verdicts

    def report(self) -> dict[str, Any]:
        """What a run's summary says of the judge."""
        rows = self.table()
        return {
            "name": self.name,
            "situations": len(rows),
            "unrated_situations": sum(not row["ratings"] for row in rows),
            "unreadable_ratings": sum(row["unreadable"] for row in rows),
            "unrated_moments": self.unrated,
        }

    def table(self) -> list[dict[str, Any]]:
        """Every situation met, most often first, with its ratings: for people to read."""
        return [
            {
                "text": text,
                "ratings": dict(verdict.ratings),
                "unreadable": verdict.unreadable,
                "met": met,
                "answer": verdict.answer,
            }
            for (text,), verdict, met in self._memory.rows()
        ]

    def state(self) -> dict[str, Any]:
        """What a resumed run needs: the table with every answer."""
        return {"rows": self.table(), "unrated": self.unrated, "complained": self._complained}

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        self.unrated, self._complained = state["unrated"], state["complained"]
        self._memory.restore(
            ((row["text"],), Verdict(row["ratings"], row["unreadable"], row["answer"]), row["met"])
            for row in state["rows"]
        )
