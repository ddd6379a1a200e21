"""Many tasks at once, in this process or in workers, with the same numbers either way.

Unlike Gymnasium's `VectorEnv`, resets are explicit (so that the last observation of an episode is seen), and each
member can be asked its own question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError
from wean.tasks.contract import TextTask, text_task
from wean.tasks.member import Member
from wean.tasks.situation import Situation

MakeTask = Callable[[], gym.Env[Any, Any]]
Plan = Sequence[str]
Options = Mapping[str, Any] | None
"""Reset options of one member."""


class Steps(NamedTuple):
    """One step of N members.

    Attributes:
        observations: (N, ...) what a student sees; the last ones where an episode ended.
        rewards: (N,) float64.
        terminated: (N,) bool.
        truncated: (N,) bool.
        successes: (N,) float64, `info["is_success"]` as 1 or 0, NaN where it is missing.
        primitive_steps: (N,) int64, `info["primitive_steps"]`, 1 where it is missing.
        infos: The texts and numbers of each member's info.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    successes: NDArray[np.float64]
    primitive_steps: NDArray[np.int64]
    infos: Sequence[Mapping[str, Any]] = ()

    def feedback(self, place: int) -> str:
        """Returns what a text task answered to one member's action."""
        return str(self.infos[place].get("feedback", self.observations[place]))


class Tasks(Protocol):
    """A small vector of tasks. `which` names members by index, everywhere.

    Attributes:
        num: Number of members.
        observation: What the observations are: `map`, a remembered grid map, uint8 (W, H, 4); `map+actions` and
            `map+subgoal`, the same with a fifth channel; `camera`, a picture with numbers, uint8 (H, W, C + 1), see
            `wean.tasks.member.student_observation`; or `array`, anything else.
        observation_space: The space of one member's observation, as a student sees it.
        action_space: The space of one member's actions.
        query_stats: What was asked of a language model in each finished episode, by its reset seed; empty where the
            tasks ask nothing.
    """

    num: int
    observation: str
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    @property
    def query_stats(self) -> Mapping[int, Any]:
        """See the class; the values are named tuples of numbers."""

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """Resets the named members, each to its own seed; returns their (len(which), ...) observations."""

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """Steps the named members; nothing is reset."""

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """Reads the situations of the named members."""

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """For each named member, the primitive action that each of its plans begins with."""

    def best_actions(self, which: Sequence[int]) -> list[list[Any]]:
        """For each named member, the actions that begin a best solution, from the full state.

        Raises:
            UsageError: If the task has no solver (no `best_actions()`).
        """

    def scripted_actions(self, which: Sequence[int]) -> list[int]:
        """For each named member, the action of the task's scripted explorer, from the agent's observations.

        Raises:
            UsageError: If the task has none (no `scripted_action()`).
        """

    def achieved(self, which: Sequence[int]) -> list[tuple[str, ...]]:
        """For each named member, the skills whose aim its last step achieved."""

    def text_task(self, index: int) -> TextTask:
        """A member as a `TextTask`, in this process.

        Raises:
            UsageError: It is none, or lives in another process.
        """

    def histories(self) -> list[tuple[int, list[Any]]]:
        """For each member its reset seed and the actions since: what a resumed run replays."""

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """Brings every member back to where `histories` was taken; returns the observations."""

    def close(self) -> None:
        """Ends the members and whatever holds them."""


class ShownTasks(Tasks, Protocol):
    """Tasks that can also be shown to people."""

    def action_names(self) -> list[str]:
        """The names of the actions; none where the tasks have none."""

    def render(self, index: int) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of one member, which must have been made with `render_mode="rgb_array"`."""


def num_actions(space: gym.Space[Any]) -> int:
    """The number of actions of a `Discrete` action space.

    Raises:
        UsageError: The actions are not numbered.
    """
    if not isinstance(space, gym.spaces.Discrete):
        raise UsageError(f"the actions are {space} and not numbered; a Discrete action space is needed")
    return int(space.n)


def has_numbered_actions(tasks: Tasks) -> bool:
    """Whether the actions are numbers, from 0, rather than the texts of a situation's choices."""
    return isinstance(tasks.action_space, gym.spaces.Discrete)


def chosen(tasks: Tasks, which: Sequence[int], numbers: NDArray[np.int64]) -> list[Any]:
    """The actions that `step` takes for places (len(which),) among the choices: numbers or texts."""
    if has_numbered_actions(tasks):
        return [int(number) for number in numbers]
    lists = [situation.choices for situation in tasks.situations(which)]
    return [choices[min(number, len(choices) - 1)] for choices, number in zip(lists, numbers.tolist(), strict=True)]


_LACKING: Mapping[str, tuple[str, str]] = {
    "best_actions": ("has no expert", "let another policy play it"),
    "scripted_action": ("has no scripted explorer", "let another policy play it"),
    "achieved": ("has no sub-goals", "give it that method, or choose another method than beacons"),
    "known_map": ("does not tell where things are", "set student.goal to object or language, or leave it out"),
}
"""What a task lacks without a method, and what to do; without any other method it has no words."""


class SerialTasks:
    """Tasks in this process, one after the other; see `Tasks`.

    Example:
        >>> tasks = wean.SerialTasks([lambda: wean.make("FrozenLake4x4")] * 4)
        >>> observations = tasks.reset([0, 2], seeds=[7, 8])
        >>> step = tasks.step([0, 2], [1, 2])
        >>> step.rewards.shape
        (2,)
    """

    query_stats: ClassVar[Mapping[int, Any]] = {}

    def __init__(self, makers: Sequence[MakeTask]) -> None:
        self._members = [Member(make) for make in makers]
        self._histories: list[tuple[int, list[Any]]] = [(0, []) for _ in makers]
        self.num = len(self._members)
        first = self._members[0]
        self.observation_space = first.observation_space
        self.action_space = first.env.action_space
        self.observation = first.observation

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """See `Tasks.reset`."""
        observations = []
        for index, seed, option in zip(which, seeds, options or [None] * len(which), strict=True):
            observations.append(self._members[index].reset(int(seed), option))
            self._histories[index] = (int(seed), [])
        return np.stack(observations)

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`."""
        taken = []
        for index, action in zip(which, actions, strict=True):
            taken.append(self._members[index].step(action))
            self._histories[index][1].append(action)
        return Steps(
            np.stack([one.observation for one in taken]),
            np.array([one.reward for one in taken]),
            np.array([one.terminated for one in taken], bool),
            np.array([one.truncated for one in taken], bool),
            np.array([one.success for one in taken]),
            np.array([one.primitive_steps for one in taken], np.int64),
            [one.info for one in taken],
        )

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """See `Tasks.situations`."""
        return [self._checked(index, "situation").situation() for index in which]

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """See `Tasks.first_actions`."""
        return [
            [self._members[index].place_of(self._call(index, "first_action", plan)) for plan in of_member]
            for index, of_member in zip(which, plans, strict=True)
        ]

    def best_actions(self, which: Sequence[int]) -> list[list[Any]]:
        """See `Tasks.best_actions`."""
        return [
            [self._members[index].place_of(action) for action in self._call(index, "best_actions")] for index in which
        ]

    def scripted_actions(self, which: Sequence[int]) -> list[int]:
        """See `Tasks.scripted_actions`."""
        return [self._members[index].place_of(self._call(index, "scripted_action")) for index in which]

    def achieved(self, which: Sequence[int]) -> list[tuple[str, ...]]:
        """See `Tasks.achieved`."""
        return [self._call(index, "achieved") for index in which]

    def text_task(self, index: int) -> TextTask:
        """See `Tasks.text_task`."""
        return text_task(self._members[index].env)

    def named_cells(self, which: Sequence[int]) -> list[tuple[tuple[str, int], ...]]:
        """For each named member, the things that its agent has seen, as (name, cell `x * height + y` of the map).

        Raises:
            UsageError: If the task has no such map (no `known_map()`).
        """
        return [self._call(index, "known_map").named for index in which]

    def _call(self, index: int, name: str, *arguments: Any) -> Any:
        """Calls a task's own method."""
        return self._checked(index, name).call(name, *arguments)

    def _checked(self, index: int, name: str) -> Member:
        """A member that has a method of the task's own."""
        member = self._members[index]
        if not member.env.has_wrapper_attr(name):
            lacks, remedy = _LACKING.get(name, ("has no words", "wrap it in wean.tasks.DescribedTask"))
            raise UsageError(f"{member.name} {lacks} (no {name}()); {remedy}")
        return member

    @property
    def name(self) -> str:
        """The registered id of the first task, or what it calls itself."""
        return self._members[0].name

    @property
    def reward_threshold(self) -> float | None:
        """The return from which an episode of the first task counts as success; see `Member.reward_threshold`."""
        return self._members[0].reward_threshold

    def action_names(self) -> list[str]:
        """The names of the actions, where the first task has an `actions` enumeration as MiniGrid's do; else none."""
        first = self._members[0].env
        actions = first.get_wrapper_attr("actions") if first.has_wrapper_attr("actions") else ()
        return [action.name for action in actions]

    def skill_names(self) -> tuple[str, ...]:
        """The first task's `skill_names`: every skill that a situation can name.

        Raises:
            UsageError: If it lists none.
        """
        try:
            return tuple(self._members[0].env.get_wrapper_attr("skill_names"))
        except AttributeError:
            raise UsageError(
                f"{self.name} does not list its skills; give it `skill_names`, all that its situations name"
            ) from None

    def render(self, index: int) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of one member, which must have been made with `render_mode="rgb_array"`."""
        frame: NDArray[np.uint8] = np.asarray(self._members[index].env.render(), np.uint8)
        return frame

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`."""
        return [(seed, list(actions)) for seed, actions in self._histories]

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`."""
        observations = []
        for index, (seed, actions) in enumerate(histories):
            observation = self.reset([index], [seed])[0]
            for action in actions:
                observation = self.step([index], [action]).observations[0]
            observations.append(observation)
        return np.stack(observations)

    def close(self) -> None:
        """See `Tasks.close`."""
        for member in self._members:
            member.close()


class TaskView:
    """Base of views of tasks with other actions or observations than the task's own; passes everything on.

    A subclass with actions of its own sets `no_expert`: experts of the task's own actions are refused then.
    """

    no_expert: ClassVar[str] = ""
    """Why there is no best action here, in a view with actions of its own."""

    def __init__(self, tasks: SerialTasks) -> None:
        self._tasks = tasks
        self.num = tasks.num
        self.observation = tasks.observation
        self.query_stats: dict[int, Any] = {}

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """See `Tasks.situations`."""
        return self._tasks.situations(which)

    def best_actions(self, which: Sequence[int]) -> list[list[Any]]:
        """See `Tasks.best_actions`; refused by a view with actions of its own."""
        if self.no_expert:
            raise UsageError(f"{self.no_expert}; let another policy play")
        return self._tasks.best_actions(which)

    def scripted_actions(self, which: Sequence[int]) -> list[int]:
        """See `Tasks.scripted_actions`; refused by a view with actions of its own."""
        if self.no_expert:
            raise UsageError("the scripted explorer takes the task's own actions; let another policy play")
        return self._tasks.scripted_actions(which)

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """See `Tasks.first_actions`; the actions are the tasks' own."""
        return self._tasks.first_actions(which, plans)

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`."""
        return self._tasks.histories()

    def action_names(self) -> list[str]:
        """See `SerialTasks.action_names`."""
        return self._tasks.action_names()

    def text_task(self, index: int) -> TextTask:
        """See `Tasks.text_task`; always refused."""
        raise UsageError("a view of a task has other actions than its own; let another policy play")

    def achieved(self, which: Sequence[int]) -> list[tuple[str, ...]]:
        """See `Tasks.achieved`."""
        return self._tasks.achieved(which)

    def close(self) -> None:
        """See `Tasks.close`."""
        self._tasks.close()

    def render(self, index: int) -> NDArray[np.uint8]:
        """See `SerialTasks.render`."""
        return self._tasks.render(index)
