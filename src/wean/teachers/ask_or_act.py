"""A view of tasks whose actions are to ask for a plan or to carry it on; skills act, and each question has a price.

When2Ask (2306.03604): the planner is a language model behind a teacher, the actor is the task's skills, and all that is
learned is a binary choice at every step, go on with the plan or ask for a new one. Here that choice is the action of a
view of `Tasks`, so that any algorithm for `Tasks` can learn it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from wean.config import SETTINGS
from wean.errors import UsageError
from wean.tasks.situation import Situation
from wean.tasks.vector import Options, SerialTasks, Steps, TaskView, num_actions
from wean.teachers.reading import Plan
from wean.teachers.teacher import Teacher

GO_ON, ASK, NEVER_ASK = range(3)
"""The actions; `NEVER_ASK` goes on even where the plan has nothing left: at random."""

Sight = Literal["words", "frames"]


class AskingCost(BaseModel):
    """The cost of a question, subtracted from the reward; When2Ask's release has 0.01, 0.0 and 0.06."""

    model_config = SETTINGS

    first: float = Field(0.0, ge=0)
    """Of an episode's first question, which cannot be avoided."""
    change: float = Field(0.0, ge=0)
    """Of a question whose answer is another plan than the one before."""
    repeat: float = Field(0.0, ge=0)
    """Of a question whose answer is the plan that was being followed."""

    def of(self, before: Plan | None, plan: Plan) -> float:
        """The cost of a question that was answered with `plan` when the plan was `before`."""
        if before is None:
            return self.first
        return self.repeat if plan == before else self.change


class QueryStats(NamedTuple):
    """Questions asked in an episode.

    Attributes:
        questions: All of them, whether or not a ledger replayed the answer.
        forced: Those asked because the plan had nothing left to do.
        repeated: Those whose answer was the current plan.
        tokens: Tokens read and written, replayed ones included.
    """

    questions: int = 0
    forced: int = 0
    repeated: int = 0
    tokens: int = 0


@dataclass
class _Member:
    """One task on its way through an episode."""

    seed: int
    observation: NDArray[Any]
    before: NDArray[Any]
    situation: Situation
    plan: Plan | None = None
    place: int = 0
    """Which skill of the plan is at work; past the end where none has anything to do."""
    action: int | None = None
    """What that skill does next."""
    skill_ended: bool = True
    asked: tuple[Hashable, tuple[str, ...]] = (None, ())
    """Key and choices of the situation in which the plan was asked for."""
    stats: QueryStats = field(default_factory=QueryStats)
    history: list[tuple[int, Plan | None]] = field(default_factory=list)


class AskOrAct(TaskView):
    """A view of tasks whose actions are 0, go on with the plan, and 1, ask for a new plan first.

    Each step then takes the primitive action that the plan begins with. A question is forced where there is no plan
    yet, or none of its skills has anything to do. A plan that can do nothing at once is no advice: a random primitive
    action is taken, and the next question is forced again. With `waits` a third action, 2, goes on without asking even
    there, by a random primitive action; only the first question is forced then.

    Observation: with `words` a float32 vector of four parts over the task's skills, and a last number. The parts: the
    skills that the situation names now; those that it named when the plan was asked for; the current skill; those of
    the plan that come after it. The number is 1 where a question is forced. With `frames`, as in the paper, the
    difference of successive frames: the remembered map (W, H, 4) with only those cells that changed in the last step.

    Reward: the environment's, minus the cost of the question if there was one.

    Args:
        tasks: The tasks, which must list their skills.
        teacher: Asked for plans; the most probable is followed (the first of equals), or one drawn at each question if
            the teacher's mode is "sampled".
        cost: The price of a question.
        sees: The kind of observation.
        waits: Whether the third action may be chosen.

    Raises:
        UsageError: If the tasks list no skills, or the teacher's mode fits no single plan.
    """

    no_expert = "it is not known when it is best to ask"

    def __init__(
        self,
        tasks: SerialTasks,
        teacher: Teacher,
        cost: AskingCost | None = None,
        sees: Sight = "words",
        waits: bool = False,
    ) -> None:
        if teacher.config.mode == "soft":
            raise UsageError("when2ask follows one plan at a time; set advice.mode=argmax (or sampled)")
        super().__init__(tasks)
        self._teacher, self._cost, self._sees = teacher, cost or AskingCost(), sees
        self._index = {name: number for number, name in enumerate(tasks.skill_names())}
        self._named: dict[Hashable, NDArray[np.float32]] = {}
        self._members: dict[int, _Member] = {}
        self.observation_space: gym.Space[Any] = tasks.observation_space
        if sees == "words":
            self.observation = "array"
            self.observation_space = gym.spaces.Box(0, 1, (4 * len(self._index) + 1,), np.float32)
        self._choices = ["go on", "ask", "go on at random"][: 3 if waits else 2]
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(len(self._choices))
        self._primitives = num_actions(tasks.action_space)
        self.query_stats: dict[int, QueryStats] = {}
        """What was asked in each finished episode, by its reset seed."""
        self.questions = 0
        """Questions asked in all."""

    # --- Tasks ---------------------------------------------------------------------------------------------------

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """See `Tasks.reset`; there is no plan yet."""
        observations = self._tasks.reset(which, seeds, options)
        for index, seed, seen, now in zip(which, seeds, observations, self._tasks.situations(which), strict=True):
            self._members[index] = _Member(int(seed), seen, seen, now)
        return self._observe(which)

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`; asks for plans where that is chosen or forced, then acts."""
        members = [self._members[index] for index in which]
        forced = [member.action is None for member in members]
        asking = [
            place
            for place, action in enumerate(actions)
            if action == ASK or (forced[place] and (action == GO_ON or members[place].plan is None))
        ]
        self.questions += len(asking)
        costs = np.zeros(len(which))
        answered: dict[int, Plan] = {}
        for place, (plan, tokens) in zip(asking, self._plans([members[place] for place in asking]), strict=True):
            member, answered[place] = members[place], plan
            costs[place] = self._cost.of(member.plan, plan)
            was = member.stats
            member.stats = QueryStats(
                was.questions + 1,
                was.forced + (actions[place] != ASK),
                was.repeated + (plan == member.plan),
                was.tokens + tokens,
            )
            self._follow(which[place], member, plan)
            self._teacher.unadvised += member.action is None
        primitives = [self._primitive(member) for member in members]
        for place, (member, primitive) in enumerate(zip(members, primitives, strict=True)):
            member.history.append((primitive, answered.get(place)))
        stepped = self._tasks.step(which, primitives)
        self._advance(which, stepped.observations)
        ended = stepped.terminated | stepped.truncated
        self.query_stats |= {m.seed: m.stats for m, over in zip(members, ended, strict=True) if over}
        return stepped._replace(observations=self._observe(which), rewards=stepped.rewards - costs)

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`; an entry is a primitive action, and the plan if one was asked for before it."""
        return [(m.seed, list(m.history)) for m in (self._members[index] for index in range(self.num))]

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`; nothing is asked or counted again."""
        for index, (seed, entries) in enumerate(histories):
            self.reset([index], [seed])
            member = self._members[index]
            for primitive, plan in entries:
                if plan is not None:
                    self._follow(index, member, tuple(plan))
                member.history.append((primitive, None if plan is None else tuple(plan)))
                self._advance([index], self._tasks.step([index], [primitive]).observations)
        return self._observe(range(self.num))

    def action_names(self) -> list[str]:
        """The names of the actions."""
        return self._choices

    # --- what asking rules depend on ---- ----------------------------------------------------------------------

    def has_plan(self, which: Sequence[int]) -> NDArray[np.bool_]:
        """Whether each member has a plan yet."""
        return np.array([self._members[index].plan is not None for index in which])

    def skill_ended(self, which: Sequence[int]) -> NDArray[np.bool_]:
        """Whether the member's last skill has nothing more to do (or there is none)."""
        return np.array([self._members[index].skill_ended for index in which])

    def changed(self, which: Sequence[int]) -> NDArray[np.bool_]:
        """Whether the situation differs from the one in which the plan was asked for."""
        return np.array([m.situation.key != m.asked[0] for m in (self._members[index] for index in which)])

    # --- plans -------------------------------------------------------------------------------------------------------

    def _plans(self, members: Sequence[_Member]) -> list[tuple[Plan, int]]:
        """Asks about the members' situations; a plan (empty for no advice) and the tokens for each."""
        found = []
        for member, advice in zip(members, self._teacher.advise([m.situation for m in members]), strict=True):
            plan: Plan = ()
            if advice.plans:
                weights = np.array([weight for _, weight in advice.plans])
                chosen = int(weights.argmax())
                if self._teacher.config.mode == "sampled":
                    draw = self._random(member, 0) * weights.sum()
                    chosen = min(int(np.searchsorted(weights.cumsum(), draw, side="right")), len(weights) - 1)
                plan = advice.plans[chosen][0]
            found.append((plan, advice.tokens))
        return found

    def _follow(self, index: int, member: _Member, plan: Plan) -> None:
        """Takes up a new plan."""
        member.plan, member.asked = plan, (member.situation.key, member.situation.choices)
        self._find_skill(index, member)

    def _find_skill(self, index: int, member: _Member) -> None:
        """Finds the first skill of the plan that has something to do."""
        member.place, member.action = 0, None
        for skill in member.plan or ():
            member.action = self._tasks.first_actions([index], [[(skill,)]])[0][0]
            if member.action is not None:
                return
            member.place += 1

    def _advance(self, which: Sequence[int], observations: NDArray[Any]) -> None:
        """Updates the members after a step."""
        for index, seen, now in zip(which, observations, self._tasks.situations(which), strict=True):
            member = self._members[index]
            member.before, member.observation, member.situation = member.observation, seen, now
            place = member.place
            self._find_skill(index, member)
            member.skill_ended = member.place != place or member.action is None

    def _primitive(self, member: _Member) -> int:
        """The plan's next primitive action, or a random one where it has none."""
        if member.action is not None and 0 <= member.action < self._primitives:
            return member.action
        return min(int(self._random(member, 1) * self._primitives), self._primitives - 1)

    @staticmethod
    def _random(member: _Member, what: int) -> float:
        """A number in [0, 1) that depends on the episode and its step alone, so that runs can be resumed and paired."""
        return float(np.random.default_rng([member.seed, len(member.history), what]).random())

    # --- observations ------------------------------------------------------------------------------------------------

    def _observe(self, which: Sequence[int]) -> NDArray[Any]:
        look = self._words if self._sees == "words" else _difference
        return np.stack([look(self._members[index]) for index in which])

    def _words(self, member: _Member) -> NDArray[np.float32]:
        now, plan = member.situation, member.plan or ()
        return np.concatenate(
            [
                self._names(now.key, now),
                self._names(member.asked[0], member.asked[1]),
                self._marked(plan[member.place : member.place + 1]),
                self._marked(plan[member.place + 1 :]),
                np.array([member.action is None], np.float32),
            ]
        )

    def _names(self, key: Hashable, source: Situation | tuple[str, ...]) -> NDArray[np.float32]:
        """The skills that a situation names, looked up by its key so that its words are written once."""
        if key not in self._named:
            self._named[key] = self._marked(source if isinstance(source, tuple) else source.choices)
        return self._named[key]

    def _marked(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Ones at the places of the named skills; a name that the tasks do not list is left out."""
        marks = np.zeros(len(self._index), np.float32)
        words = [" ".join(name.lower().split()) for name in names]
        marks[[self._index[name] for name in words if name in self._index]] = 1
        return marks


def _difference(member: _Member) -> NDArray[Any]:
    """The cells of the remembered map that changed in the last step; the agent's own channel as it is."""
    now = member.observation.copy()
    same = (now[..., :3] == member.before[..., :3]).all(-1)
    now[..., :3][same] = 0
    return now
