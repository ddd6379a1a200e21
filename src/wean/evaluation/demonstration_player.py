"""Plays a block of episodes side by side and keeps what was said, chosen and earned in every step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy, sample
from wean.data.columns import Step
from wean.evaluation.episodes import succeeded
from wean.tasks.situation import Situation
from wean.tasks.splits import CHOOSING_SEED, FINAL_SEED
from wean.tasks.vector import MakeTask, SerialTasks, num_actions


@dataclass(frozen=True)
class Playing:
    """How episodes are played. Survives pickling where its functions do (a module's own, or `functools.partial`).

    Attributes:
        task: Name of the task.
        make_task: Makes one of them.
        who: What the file calls who acts.
        make_policy: Makes who acts, given the tasks; None for chance.
        epsilon: Probability of a random action instead of the policy's, in every step.
        seed: Reset seed of the first episode. The others count up from it, and begin again with it where a split of
            seeds ends, so that no held-out seed is ever played by the way.
        success_return: See `wean.evaluation.episodes.play`.
    """

    task: str
    make_task: MakeTask
    who: str
    make_policy: Callable[[SerialTasks], Policy] | None
    epsilon: float
    seed: int
    success_return: float | None

    def seed_of(self, number: int) -> int:
        """Reset seed of an episode by its number."""
        for end in (CHOOSING_SEED, FINAL_SEED):
            if self.seed < end:
                return self.seed + number % (end - self.seed)
        return self.seed + number


class Played(NamedTuple):
    """A block of episodes.

    Attributes:
        outcomes: For every episode played whether it is a success.
        rows: The steps of those that were to be kept.
        goal: The task's goal in words.
    """

    outcomes: list[bool]
    rows: list[Step]
    goal: str


class _Moment(NamedTuple):
    """A step whose words are not written yet."""

    situation: Situation
    action: str
    reward: float
    terminated: bool
    truncated: bool
    primitive_steps: int


class Player:
    """Plays blocks of episodes.

    Args:
        playing: How.
        members: Most episodes that are played side by side.
    """

    def __init__(self, playing: Playing, members: int) -> None:
        self._playing = playing
        self._tasks = SerialTasks([playing.make_task] * members)
        self._numbered = isinstance(self._tasks.action_space, gym.spaces.Discrete)
        self._policy = None if playing.make_policy is None else playing.make_policy(self._tasks)

    def play(self, first: int, count: int, successes: int, failures: int) -> Played:
        """Plays episodes first, ..., first + count - 1; their steps do not depend on what was played before.

        Args:
            first: Number of the first episode.
            count: How many.
            successes: Most successes to be kept, the first ones.
            failures: Most failures to be kept, the first ones.
        """
        seeds = [self._playing.seed_of(first + member) for member in range(count)]
        moments, last, said = self._episodes(first, seeds)
        returns = np.array([sum(moment.reward for moment in episode) for episode in moments])
        outcomes = [bool(outcome) for outcome in succeeded(returns, said, self._playing.success_return)]
        left = {True: successes, False: failures}
        rows: list[Step] = []
        self._words: dict[Hashable, tuple[str, tuple[str, ...]]] = {}
        for member, outcome in enumerate(outcomes):
            left[outcome] -= 1
            if left[outcome] >= 0:
                rows += self._rows(first + member, seeds[member], moments[member], last[member], outcome)
        return Played(outcomes, rows, last[0].goal)

    def close(self) -> None:
        """Ends the tasks."""
        self._tasks.close()

    def _episodes(
        self, first: int, seeds: Sequence[int]
    ) -> tuple[list[list[_Moment]], list[Situation], NDArray[np.float64]]:
        """Plays one episode a member; returns its steps, its last situation, and what the task says of success."""
        tasks, members = self._tasks, list(range(len(seeds)))
        generators = [np.random.default_rng([self._playing.seed, first + member, 2]) for member in members]
        moments: list[list[_Moment]] = [[] for _ in members]
        said = np.full(len(seeds), np.nan)
        if self._policy is not None:
            self._policy.begin(len(members))
        observations = tasks.reset(members, seeds)
        now = tasks.situations(members)
        self._names = self._action_names(now[0])
        while members:
            draws = np.array([generators[member].random(2) for member in members])
            lists = [self._names or now[member].choices for member in members]
            numbers = self._choose(members, observations, [len(choices) for choices in lists], draws)
            words = [choices[number] for choices, number in zip(lists, numbers, strict=True)]
            stepped = tasks.step(members, numbers if self._numbered else words)
            for place, (member, after) in enumerate(zip(members, tasks.situations(members), strict=True)):
                reward, primitive_steps = float(stepped.rewards[place]), int(stepped.primitive_steps[place])
                ends = bool(stepped.terminated[place]), bool(stepped.truncated[place])
                moments[member].append(_Moment(now[member], words[place], reward, *ends, primitive_steps))
                now[member], said[member] = after, stepped.successes[place]
            going = ~(stepped.terminated | stepped.truncated)
            members = [member for member, alive in zip(members, going, strict=True) if alive]
            observations = stepped.observations[going]
        return moments, now, said

    def _choose(
        self, members: Sequence[int], observations: NDArray[Any], counts: Sequence[int], draws: NDArray[np.float64]
    ) -> list[int]:
        """Draws an action number for each member, from the policy mixed with chance."""
        epsilon = self._playing.epsilon
        chance = np.arange(max(counts)) < np.array(counts)[:, None]
        probabilities = chance / chance.sum(1, keepdims=True)
        if self._policy is not None:
            wanted = self._policy.act(self._tasks, members, observations, draws[:, 0])
            probabilities = (1 - epsilon) * wanted + epsilon * probabilities
        numbers: list[int] = np.minimum(sample(probabilities, draws[:, 1]), np.array(counts) - 1).tolist()
        return numbers

    def _action_names(self, situation: Situation) -> tuple[str, ...]:
        """Names of the numbered actions where a situation's choices are not the actions, as in the rooms; else none."""
        if not self._numbered:
            return ()
        plans = [(choice,) for choice in situation.choices]
        actions = range(num_actions(self._tasks.action_space))
        if self._tasks.first_actions([0], [plans])[0] == list(actions):
            return ()
        return tuple(self._tasks.action_names()) or tuple(f"action {number}" for number in actions)

    def _rows(self, episode: int, seed: int, moments: Sequence[_Moment], last: Situation, success: bool) -> list[Step]:
        words = [self._in_words(situation) for situation in (*(moment.situation for moment in moments), last)]
        return [
            Step(
                episode,
                step,
                seed,
                *words[step],
                moment.action,
                moment.reward,
                moment.terminated,
                moment.truncated,
                success,
                *words[step + 1],
                moment.primitive_steps,
            )
            for step, moment in enumerate(moments)
        ]

    def _in_words(self, situation: Situation) -> tuple[str, tuple[str, ...]]:
        """Text and choices; those of equal situations are written once a block."""
        if situation.key not in self._words:
            self._words[situation.key] = situation.text, self._names or situation.choices
        return self._words[situation.key]
