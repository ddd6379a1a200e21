"""Policies without training: chance, experts, the teacher or the prior alone, and fixed rules for when to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.errors import UsageError, did_you_mean
from wean.runtime.acting import one_hot
from wean.tasks.splits import Case
from wean.tasks.vector import Tasks, has_numbered_actions, num_actions
from wean.teachers.ask_or_act import ASK, NEVER_ASK, AskOrAct
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher


class RandomPolicy(Policy):
    """Uniform over the actions, or in a text task over the admissible ones."""

    name = "random"

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        counts = action_counts(tasks, which)
        probabilities = np.zeros((len(which), max(counts)))
        for row, count in zip(probabilities, counts, strict=True):
            row[:count] = 1 / count
        return probabilities


class RandomTextPolicy(Policy):
    """Uniform over the admissible actions of a text task; the draws of an episode are seeded with its variation."""

    name = "random"

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._random = [np.random.default_rng(case.variation) for case in members]

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`; gives up where nothing is admissible."""
        lists = [situation.choices for situation in tasks.situations(which)]
        return [
            choices[int(self._random[index].integers(len(choices)))] if choices else None
            for index, choices in zip(which, lists, strict=True)
        ]


class RandomSkillsPolicy(Policy):
    """Random skills from the situation's choices: how much do the skills alone do?

    A drawn skill is kept until it has nothing more to do or the situation changes, so that a walk arrives.
    """

    name = "random-skills"

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._held: dict[int, tuple[object, str]] = {}

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`; uniform where no skill can act."""
        situations, actions = tasks.situations(which), num_actions(tasks.action_space)
        plans = []
        for member, situation, draw in zip(which, situations, draws, strict=True):
            # The held skill first, then the others in random order: whichever can act first does.
            order = np.random.default_rng(int(draw * 2**53)).permutation(len(situation.choices))
            names = [situation.choices[i] for i in order]
            key, skill = self._held.get(member, (None, ""))
            if key == situation.key:
                names = [skill, *(name for name in names if name != skill)]
            plans.append([(name,) for name in names])
        firsts = tasks.first_actions(which, plans)
        probabilities = np.full((len(which), actions), 1 / actions)
        for row, (member, situation, plan, found) in enumerate(zip(which, situations, plans, firsts, strict=True)):
            for name, action in zip(plan, found, strict=True):
                if action is not None:
                    self._held[member] = (situation.key, name[0])
                    probabilities[row] = one_hot(np.array([action]), actions)[0]
                    break
        return probabilities


class ExpertPolicy(Policy):
    """Uniform over the best actions that the task's solver finds from all there is to know; over all where none is."""

    name = "expert"

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities` and `Tasks.best_actions`."""
        best = tasks.best_actions(which)
        if not has_numbered_actions(tasks):
            lists = [situation.choices for situation in tasks.situations(which)]
            best = [[choices.index(text) for text in texts] for choices, texts in zip(lists, best, strict=True)]
        counts = action_counts(tasks, which)
        probabilities = np.zeros((len(which), max(counts)))
        for row, numbers, count in zip(probabilities, best, counts, strict=True):
            among = numbers or range(count)
            row[list(among)] = 1 / len(among)
        return probabilities


class ExplorerPolicy(Policy):
    """The task's scripted explorer, which knows no more than what the agent has observed: a fair reference."""

    name = "explorer"

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        return one_hot(np.array(tasks.scripted_actions(which)), num_actions(tasks.action_space))


class ReplayPolicy(Policy):
    """Repeats the actions of demonstrations, by task and variation; gives an episode up where they end."""

    name = "oracle"

    def __init__(self, actions: Mapping[tuple[str, int], Sequence[Any]]) -> None:
        self._actions = actions

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`.

        Raises:
            UsageError: There is no demonstration of a member's variation.
        """
        lacking = next((case for case in members if (case.task, case.variation) not in self._actions), None)
        if lacking is not None:
            raise UsageError(f"no demonstration of {lacking.task} {lacking.variation}; make one with `wean demos`")
        self._left = [iter(self._actions[case.task, case.variation]) for case in members]

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        return [next(self._left[index], None) for index in which]


class TeacherPolicy(Policy):
    """The teacher alone, through its skills; without advice it acts at random."""

    name = "teacher"

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        actions = num_actions(tasks.action_space)
        guidance = self._teacher.guide(tasks, which, actions)
        return np.where(guidance.advised[:, None], guidance.probabilities, np.full(actions, 1 / actions))


class PriorPolicy(Policy):
    """The prior alone: draws from what it proposes; without a proposal it acts at random.

    With an expert, `episode_stats` counts `moments` (decisions), `silent` (those in which the prior proposed nothing)
    and `unsupported` (those in which it proposed something, but no best action).
    """

    name = "prior"

    def __init__(self, prior: Prior, expert: Policy | None = None) -> None:
        self._prior, self._expert = prior, expert
        self._stats: list[dict[str, Any]] = []

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        if self._expert is not None:
            self._stats = [dict.fromkeys(("moments", "silent", "unsupported"), 0) for _ in members]

    def episode_stats(self) -> list[dict[str, Any]]:
        """See `Policy.episode_stats`."""
        return self._stats

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        rows = [proposals.weights for proposals in self._prior.propose(tasks.situations(which))]
        probabilities = np.zeros((len(rows), max(len(row) for row in rows)))
        for probability, row in zip(probabilities, rows, strict=True):
            probability[: len(row)] = row if row.any() else 1 / len(row)
        if self._expert is not None:
            best = self._expert.probabilities(tasks, which, observations, draws)
            supported = (best > 0) & (probabilities > 0)
            for place, index in enumerate(which):
                stats = self._stats[index]
                stats["moments"] += 1
                stats["silent"] += int(not rows[place].any())
                stats["unsupported"] += int(not supported[place].any())
        return probabilities


class EpsilonPolicy(Policy):
    """Takes a random action with probability epsilon in every step, else that of another policy."""

    def __init__(self, policy: Policy, epsilon: float) -> None:
        self.name = f"{policy.name}, epsilon {epsilon:g}"
        self._policy, self._epsilon = policy, epsilon
        self._chance = RandomPolicy()

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._policy.begin(members)

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        chance = self._chance.probabilities(tasks, which, observations, draws)
        wanted = self._policy.probabilities(tasks, which, observations, draws)
        return (1 - self._epsilon) * wanted + self._epsilon * chance


REFERENCES: Mapping[str, Callable[[], Policy]] = {
    policy.name: policy for policy in (RandomPolicy, RandomSkillsPolicy, ExpertPolicy, ExplorerPolicy)
}
"""Policies that need nothing but the task, by name."""


def reference(name: str) -> Policy:
    """Returns the policy of a name, one of `REFERENCES`.

    Raises:
        UsageError: There is no such policy.
    """
    if name not in REFERENCES:
        hint = did_you_mean(name, REFERENCES, f"there are {', '.join(REFERENCES)}")
        raise UsageError(f"no policy {name!r}; {hint}")
    return REFERENCES[name]()


def action_counts(tasks: Tasks, which: Sequence[int]) -> list[int]:
    """The number of actions of each named member: the task's, or the admissible ones."""
    if has_numbered_actions(tasks):
        return [num_actions(tasks.action_space)] * len(which)
    return [len(situation.choices) for situation in tasks.situations(which)]


# --- fixed rules for when to ask, on the view of a learned asking policy --------------------------------------------


class QueryPolicy(Policy):
    """A policy for `AskOrAct` that asks by a fixed rule.

    The rule gives for n members the probability (n,) of asking; NaN is "not even if forced".
    """

    def __init__(self, name: str, rule: Callable[[AskOrAct, Sequence[int]], NDArray[np.float64]]) -> None:
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
    """Asks at each step with the probability `share`, beside what is forced."""
    return QueryPolicy("random", lambda tasks, which: np.full(len(which), share))


def query_policies(share: float) -> tuple[QueryPolicy, ...]:
    """The rules that learned asking is compared with; the random one asks at a share of the steps."""
    return always(), on_change(), at_skill_end(), at_plan_end(), at_random(share), never()
