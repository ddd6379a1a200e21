"""The one place where rewards that teach enter: reward terms beside the environment's, reported apart.

A term sees the tasks before and after each step and gives a number for each member. The rollout keeps these numbers
apart from the environment's rewards; the algorithm adds them with a weight that follows a schedule, and every figure of
success and return is the environment's alone.

`SubgoalReward` is that of Words as Beacons (2410.08632): the skills of a language model's plan are sub-goals, and
reaching one is rewarded. `ActionRating` is that of LMGT (2409.04744): the language model rates every action.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from wean.config import SETTINGS
from wean.tasks.situation import Situation
from wean.tasks.vector import Steps, Tasks
from wean.teachers.elicitation import Advice
from wean.teachers.reading import Verdict
from wean.teachers.teacher import AnswerMemory

_ARTICLES = {"the", "a", "an"}
# A new thing comes in sight only so many times, while any other sub-goal could be undone and reached again.
_PAID_EVERY_TIME = "explore"


class RewardConfig(BaseModel):
    """Rewards that teach, beside the environment's."""

    model_config = SETTINGS

    term: Literal["none", "beacons", "judge"] = "none"
    """Nothing; the sub-goals of the teacher's plans as they are reached; or a judge's rating of each action."""


class RewardTerm(Protocol):
    """A reward beside the environment's; reports use its name."""

    name: str

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Episodes of the named members begin; their tasks have just been reset."""

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rewards (N,) for the actions (N,) that all members are about to take, or zeros."""

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        """Rewards (N,) for where the step of all members has led, or zeros; ended members are not reset yet."""

    def report(self) -> dict[str, Any]:
        """Figures for a run's summary."""

    def table(self) -> list[dict[str, Any]]:
        """The answers for each situation, for people to read; empty where the teacher's own table holds them."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        """Continues from `state`; the tasks stand where they stood."""


class SubgoalReward:
    """1 for a sub-goal reached, once an episode for each.

    The plan is the teacher's for the situation in which a step is taken (one question for each distinct situation), so
    there is a new plan as soon as something new is observed. The task reports which sub-goals were reached, from what
    the agent has observed (`achieved()`). Unless the student sees its sub-goal (`wean.teachers.subgoal_tasks`), it
    learns from the rewards alone and needs neither plan nor language model when it acts.

    Sub-goals count in the order of their plan: one is paid only if all that stand before it were reached earlier in the
    episode. Where the teacher weighs several plans, each pays its share. Where there is no plan nothing is paid.
    """

    name = "beacons"

    def __init__(self, advise: Callable[[Sequence[Situation]], list[Advice]]) -> None:
        self._advise = advise
        self._plans: dict[int, list[tuple[list[str], float]]] = {}  # of each member, for its current situation
        self._achieved: dict[int, set[str]] = {}  # in this episode
        self._paid: dict[int, set[str]] = {}
        self.reached = 0
        self.unplanned = 0  # steps without a plan

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Forgets what was paid to the named members, and makes their first plans."""
        tasks.achieved(which)  # from here on the task watches what a step achieves
        for member in which:
            self._achieved[member], self._paid[member] = set(), set()
        self._plan(tasks, which)

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Nothing: a sub-goal is rewarded when it is reached."""
        return np.zeros(tasks.num)

    def after(self, tasks: Tasks, stepped: Steps) -> NDArray[np.float64]:
        """What the sub-goals reached by this step pay to each member, (N,)."""
        rewards = np.zeros(tasks.num)
        members = list(range(tasks.num))
        for member, achieved in zip(members, tasks.achieved(members), strict=True):
            self._achieved[member].update(achieved)
            for goal in achieved:
                pays = sum(share for plan, share in self._plans[member] if self._is_next(member, goal, plan))
                if pays and goal not in self._paid[member]:
                    rewards[member] += pays
                    self.reached += 1
                    if goal != _PAID_EVERY_TIME:
                        self._paid[member].add(goal)
        going = ~(stepped.terminated | stepped.truncated)
        self._plan(tasks, np.flatnonzero(going).tolist())
        return rewards

    def _plan(self, tasks: Tasks, which: Sequence[int]) -> None:
        for member, advice in zip(which, self._advise(tasks.situations(which)), strict=True):
            self._plans[member] = [([_plain(skill) for skill in plan], share) for plan, share in advice.plans]
            self.unplanned += not advice.plans

    def _is_next(self, member: int, goal: str, plan: Sequence[str]) -> bool:
        return goal in plan and self._achieved[member].issuperset(plan[: plan.index(goal)])

    def report(self) -> dict[str, Any]:
        """See `RewardTerm.report`."""
        return {"name": self.name, "reached": self.reached, "unplanned_moments": self.unplanned}

    def table(self) -> list[dict[str, Any]]:
        """Nothing: the teacher's own table shows the plans."""
        return []

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "members": [
                [member, plans, sorted(self._achieved[member]), sorted(self._paid[member])]
                for member, plans in self._plans.items()
            ],
            "reached": self.reached,
            "unplanned": self.unplanned,
        }

    def restore(self, tasks: Tasks, state: dict[str, Any]) -> None:
        """Continues from `state`, without asking again."""
        tasks.achieved(range(tasks.num))
        for member, plans, achieved, paid in state["members"]:
            self._plans[member] = [(plan, share) for plan, share in plans]
            self._achieved[member], self._paid[member] = set(achieved), set(paid)
        self.reached, self.unplanned = state["reached"], state["unplanned"]


class ActionRating:
    """The rating of the action that each member is about to take: +1 for a good one, -1 for a bad one, 0 otherwise.

    LMGT asks about every pair of state and action. In a task with skills one question a situation does: it rates every
    skill that could begin there, and a primitive action takes the best rating of the skills that it begins.

    Each distinct situation is asked about once. Without a rating the shift is 0, with one warning and a count.
    """

    name = "judge"

    def __init__(self, ask: Callable[[Sequence[Situation]], list[Verdict]]) -> None:
        self._ask = ask
        self._memory = AnswerMemory(self._ask_new)
        self.unrated = 0  # steps at which nothing was rated
        self._complained = False

    def begin(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Nothing is kept from one episode to the next."""

    def before(self, tasks: Tasks, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rating (N,) of each member's action in its situation: -1, 0 or 1."""
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
        """See `RewardTerm.report`."""
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


def _plain(skill: str) -> str:
    """A skill without the articles that language models like to add."""
    return " ".join(word for word in skill.lower().split() if word not in _ARTICLES)
