"""Writes demonstrations: plays blocks of episodes, in any number of processes, and keeps those that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from wean.agents.policy import Policy
from wean.agents.references import EpsilonPolicy
from wean.data.demonstrations import Step
from wean.data.parts import BLOCK, Blocks
from wean.errors import UsageError, WeanError
from wean.evaluation.playing import Observer, play
from wean.evaluation.scores import Episodes
from wean.processes import Kind, work
from wean.tasks.situation import Situation
from wean.tasks.splits import CHOOSING_SEED, FINAL_SEED, Case
from wean.tasks.vector import MakeTask, SerialTasks, Steps, Tasks, has_numbered_actions, num_actions


@dataclass(frozen=True)
class DemoPlan:
    """How episodes are played. Survives pickling where its functions do (a module's own, or `functools.partial`)."""

    task: str
    """Name of the task."""
    make_task: MakeTask
    """Makes one of them."""
    policy: str
    """What the file calls the policy."""
    make_policy: Callable[[SerialTasks], Policy]
    """Makes the policy, given the tasks."""
    epsilon: float = 0.0
    """Probability of a random action instead of the policy's, in every step."""
    seed: int = 0
    """Reset seed of the first episode; see `seed_of`."""
    success_return: float | None = None
    """Least return of a success where the task reports none; None where it declares none."""

    def seed_of(self, number: int) -> int:
        """Reset seed of an episode by its number.

        Seeds count up, and begin again where a split of seeds ends, so that no held-out seed is ever played.
        """
        for end in (CHOOSING_SEED, FINAL_SEED):
            if self.seed < end:
                return self.seed + number % (end - self.seed)
        return self.seed + number


class Quota:
    """How many episodes of each kind are still wanted; without a share of successes whatever comes."""

    def __init__(self, episodes: int, successful: float | None) -> None:
        self.mixed = successful is not None
        self.successes = episodes if successful is None else round(successful * episodes)
        self.failures = episodes if successful is None else episodes - self.successes
        self.left = episodes

    def take(self, success: bool) -> bool:
        """Returns whether an episode is wanted, and counts it if so."""
        if self.left == 0 or not (self.successes if success else self.failures):
            return False
        self.left -= 1
        if success:
            self.successes -= 1
        else:
            self.failures -= 1
        return True


def demonstrate(
    plan: DemoPlan,
    blocks: Blocks,
    episodes: int,
    successful: float | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    kind: Kind = "processes",
) -> None:
    """Plays until there are as many episodes as wanted, and writes their file.

    The episodes, their order and the file do not depend on the number of processes, nor on interruptions.

    Args:
        plan: How episodes are played.
        blocks: Where finished blocks are kept; a block that is there already is not played again.
        episodes: How many are kept.
        successful: The share of successes among those kept, which are the first ones played of each kind. None keeps
            whatever comes.
        limit: Most episodes to play with `successful`; 50 times `episodes` by default.
        workers: Processes that play; with one it is this process.
        progress: Called with the number of episodes kept and played so far.
        kind: Where the workers are.

    Raises:
        UsageError: If a share of successes is wanted of a task that does not say what success is.
        WeanError: If `limit` is reached; what was played stays for another try.
    """
    quota = Quota(episodes, successful)
    wanted = quota.successes, quota.failures
    most = episodes if successful is None else limit or 50 * episodes
    kept: list[int] = []
    played = succeeded_count = 0
    make = partial(_BlockPlayer, plan, blocks, BLOCK if quota.mixed else min(BLOCK, most), quota.mixed)
    number_of_blocks = -(-most // BLOCK)
    remedy = "go on with --resume and fewer --workers"
    for outcomes in work(make, _pieces(quota, most), min(workers, number_of_blocks), remedy, kind):
        for success in outcomes:
            if quota.left and played < most:
                if quota.take(success):
                    kept.append(played)
                    succeeded_count += success
                played += 1
        if progress is not None:
            progress(len(kept), played)
        if not quota.left:
            break
    if quota.left:
        raise WeanError(
            f"of {wanted[0]} successful and {wanted[1]} other episodes there were {succeeded_count} and "
            f"{len(kept) - succeeded_count} after {played:,}; raise --limit and --resume, or change --epsilon or "
            "--successful"
        )
    blocks.merge(kept, played)


def _pieces(quota: Quota, most: int) -> Iterator[tuple[int, int, int, int]]:
    """For each block its number, and how many episodes, successes and failures of it are wanted at most."""
    for number in range(-(-most // BLOCK)):
        # With a mixture, how many will be played is not known: a block is always whole, for a later --limit.
        count = BLOCK if quota.mixed else min(BLOCK, most - number * BLOCK)
        yield number, count, quota.successes, quota.failures


class _Moment(NamedTuple):
    """A step whose words are not written yet."""

    situation: Situation
    action: str
    reward: float
    terminated: bool
    truncated: bool
    primitive_steps: int


class _BlockPlayer:
    """Plays and keeps blocks of episodes; what happens in them does not depend on what was played before."""

    def __init__(self, plan: DemoPlan, blocks: Blocks, members: int, mixed: bool) -> None:
        self._plan, self._blocks, self._members, self._mixed = plan, blocks, members, mixed
        self._tasks: SerialTasks | None = None

    def __call__(self, number: int, count: int, successes: int, failures: int) -> list[bool]:
        """Plays and keeps a block unless that was done; returns for each episode whether it is a success.

        Only the steps of the first `successes` successes and the first `failures` failures are kept.
        """
        if (done := self._blocks.outcomes(number)) is not None:
            return done
        if self._tasks is None:  # only now: there may be nothing left to play
            self._tasks = SerialTasks([self._plan.make_task] * self._members)
            self._policy = self._plan.make_policy(self._tasks)
            if self._plan.epsilon:
                self._policy = EpsilonPolicy(self._policy, self._plan.epsilon)
        first, plan, notes = number * BLOCK, self._plan, StepNotes(self._tasks)
        cases = [Case(plan.task, first + member, plan.seed_of(first + member)) for member in range(count)]
        played = list(play(self._policy, self._tasks, cases, draws=self._draws, observers=[notes]))
        played.sort(key=lambda episode: episode.case.variation)
        found = Episodes.of(played, plan.success_return)
        if self._mixed and not found.success_known:
            raise UsageError(
                f"{plan.task} does not say which episodes are successes; leave --successful out, register it with a "
                'reward_threshold, or report info["is_success"]'
            )
        outcomes: list[bool] = found.successes.tolist()
        left = {True: successes, False: failures}
        rows: list[Step] = []
        for member, (case, success) in enumerate(zip(cases, outcomes, strict=True)):
            left[success] -= 1
            if left[success] >= 0:
                rows += notes.rows(member, case, success if found.success_known else None)
        about = {"task": plan.task, "goal": notes.now[0].goal, "policy": plan.policy}
        self._blocks.add(number, rows, outcomes, **about)
        return outcomes

    def close(self) -> None:
        """Ends the tasks."""
        if self._tasks is not None:
            self._tasks.close()

    def _draws(self, case: Case) -> np.random.Generator:
        return np.random.default_rng([self._plan.seed, case.variation, 2])


class StepNotes(Observer):
    """Notes the words, actions and rewards of every step of a block.

    Attributes:
        now: The last situation of each member.
        moments: The steps of each member.
    """

    def __init__(self, tasks: SerialTasks) -> None:
        self._tasks = tasks
        self.now: list[Situation] = []
        self.moments: list[list[_Moment]] = []
        self._words: dict[Hashable, tuple[str, tuple[str, ...]]] = {}

    def begin(self, tasks: Tasks, cases: Sequence[Case]) -> None:
        """See `Observer.begin`."""
        members = list(range(len(cases)))
        self.now, self.moments = tasks.situations(members), [[] for _ in members]
        self._names = _action_names(self._tasks, self.now[0])

    def after(self, tasks: Tasks, which: Sequence[int], actions: Sequence[Any], steps: Steps) -> None:
        """See `Observer.after`."""
        numbered = has_numbered_actions(tasks)
        for place, (member, after) in enumerate(zip(which, tasks.situations(which), strict=True)):
            action = actions[place]
            words = (self._names or self.now[member].choices)[action] if numbered else action
            reward, primitive_steps = float(steps.rewards[place]), int(steps.primitive_steps[place])
            ends = bool(steps.terminated[place]), bool(steps.truncated[place])
            self.moments[member].append(_Moment(self.now[member], words, reward, *ends, primitive_steps))
            self.now[member] = after

    def rows(self, member: int, case: Case, success: bool | None) -> list[Step]:
        """Returns the rows of a member's episode."""
        moments = self.moments[member]
        words = [self._in_words(one) for one in (*(moment.situation for moment in moments), self.now[member])]
        return [
            Step(
                case.variation,
                step,
                case.seed,
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


def _action_names(tasks: SerialTasks, situation: Situation) -> tuple[str, ...]:
    """Names of the numbered actions where a situation's choices are not the actions, as in the rooms; else none."""
    if not has_numbered_actions(tasks):
        return ()
    actions = range(num_actions(tasks.action_space))
    plans = [(choice,) for choice in situation.choices]
    if tasks.first_actions([0], [plans])[0] == list(actions):
        return ()
    return tuple(tasks.action_names()) or tuple(f"action {number}" for number in actions)
