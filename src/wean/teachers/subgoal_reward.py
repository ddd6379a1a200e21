"""Words as Beacons (2410.08632): the skills of a language model's plan are sub-goals, and reaching one is rewarded.

The plan is the teacher's for the situation in which a step is taken (one question for each distinct situation), so it
is made anew as soon as there is something new to know. The task says which sub-goals were reached, from what the agent
has observed (`achieved()`). Unless the student sees its sub-goal (`wean.teachers.subgoal_tasks`), it learns from the
rewards alone and needs neither plan nor language model when it acts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.tasks.situation import Situation
from wean.tasks.vector import Steps, Tasks
from wean.teachers.elicitation import Advice

_ARTICLES = {"the", "a", "an"}
# A new thing comes in sight only so many times, while any other sub-goal could be undone and reached again.
_PAID_EVERY_TIME = "explore"


class SubgoalReward:
    """A reward term (see `wean.algorithms.rewards`): 1 for a sub-goal reached, once an episode for each.

    Sub-goals count in the order of their plan: one is paid only if all that stand before it were reached earlier in the
    episode. Where the teacher weighs several plans, each pays its share. Where there is no plan nothing is paid.

    Args:
        advise: Gives the plans for situations, e.g. `GatedTeacher.advise`.
    """

    name = "beacons"

    def __init__(self, advise: Callable[[Sequence[Situation]], list[Advice]]) -> None:
        self._advise = advise
        self._plans: dict[int, list[tuple[list[str], float]]] = {}  # of each member, where it stands
        self._achieved: dict[int, set[str]] = {}  # in this episode
        self._paid: dict[int, set[str]] = {}
        self.reached = 0
        self.unplanned = 0  # moments without a plan

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
        """What the sub-goals (N,) reached by this step pay to each member."""
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
        """What a run's summary says of the sub-goals."""
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


def _plain(skill: str) -> str:
    """A skill without the articles that language models like to add."""
    return " ".join(word for word in skill.lower().split() if word not in _ARTICLES)
