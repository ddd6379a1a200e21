"""The loop that plays episodes: every evaluation, demonstration and recording goes through it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import SILENT, Policy
from wean.errors import UsageError, WeanError, own_code, shown
from wean.tasks.splits import Case
from wean.tasks.vector import Steps, Tasks, has_numbered_actions

MOST_STEPS = 10_000
"""Steps of an episode that nothing ends, if nobody says how many there may be; then playing is given up."""
TIMED = 20
"""First steps of episodes side by side in which one is decided by itself, to take the time of one decision."""
TIMED_SECONDS = 1.0
"""Time spent on that, after which all decisions are made side by side again: some policies wait for an answer."""
MOST_SILENT = 2 * SILENT
"""Steps in a row that cost no move; then an episode is over, if the policy has not given it up before."""


@dataclass
class Episode:
    """What happened in one episode."""

    case: Case
    """Which episode it was."""
    total: float = 0.0
    """Undiscounted sum of the rewards."""
    length: int = 0
    """Number of steps."""
    success: float = math.nan
    """1 or 0 as the task reported in the last step, else NaN."""
    moves: int = 0
    """Moves as the task counts them, the steps where it does not."""
    seconds_per_action: float = math.nan
    """Median seconds of a decision for this episode alone, without the task's time; NaN where none was timed."""
    seconds: float = 0.0
    """Its share of the time of all decisions, those for many episodes at once included."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Statistics of the policy and the tasks: questions, tokens, ..."""


class Observer:
    """Watches episodes that are played; a subclass overrides what it wants to see."""

    def begin(self, tasks: Tasks, cases: Sequence[Case]) -> None:
        """Called when members 0 to len(cases) - 1 were reset."""

    def before(self, tasks: Tasks, which: Sequence[int]) -> None:
        """Called before the named members act."""

    def after(self, tasks: Tasks, which: Sequence[int], actions: Sequence[Any], steps: Steps) -> None:
        """Called when the named members have taken a step, which may be their last."""


def play(
    policy: Policy,
    tasks: Tasks,
    cases: Sequence[Case],
    *,
    draws: Callable[[Case], np.random.Generator] | None = None,
    max_moves: int | None = None,
    observers: Sequence[Observer] = (),
) -> Iterator[Episode]:
    """Plays episodes, as many side by side as there are tasks.

    Each episode draws its actions from a generator of its own, so the numbers do not depend on how many run together.

    Args:
        policy: Chooses the actions.
        tasks: Where they are taken.
        cases: The episodes.
        draws: Makes the generator of an episode; by default of its seed, as in every evaluation.
        max_moves: Moves after which an episode is over; None leaves it to the task, for `MOST_STEPS` steps.
        observers: Watch.

    Yields:
        The episodes as they end; those that play side by side in the order of their ends.
    """
    for first in range(0, len(cases), tasks.num):
        batch = _Batch(policy, tasks, cases[first : first + tasks.num], draws or _evaluation_draws, observers)
        yield from batch.play(max_moves)


def _evaluation_draws(case: Case) -> np.random.Generator:
    return np.random.default_rng([case.seed, 1])


class _Batch:
    """Episodes that are played side by side, one a member."""

    def __init__(
        self,
        policy: Policy,
        tasks: Tasks,
        cases: Sequence[Case],
        draws: Callable[[Case], np.random.Generator],
        observers: Sequence[Observer],
    ) -> None:
        self._policy, self._tasks, self._cases, self._observers = policy, tasks, cases, observers
        self._random = [draws(case) for case in cases]
        self._episodes = [Episode(case) for case in cases]
        self._alone: list[list[float]] = [[] for _ in cases]
        self._timed, self._timed_seconds = 0, 0.0
        self._silent = [0] * len(cases)

    def play(self, max_moves: int | None) -> Iterator[Episode]:
        """Plays until all episodes are over."""
        tasks, policy, cases = self._tasks, self._policy, self._cases
        members = list(range(len(cases)))
        options = [case.options for case in cases] if any(case.options for case in cases) else None
        observations = tasks.reset(members, [case.seed for case in cases], options)
        policy.begin(cases)
        for observer in self._observers:
            observer.begin(tasks, cases)
        while members:
            for observer in self._observers:
                observer.before(tasks, members)
            actions = self._decide(members, observations)
            acting = [place for place, action in enumerate(actions) if action is not None]
            over = set(members) - {members[place] for place in acting}
            members = [members[place] for place in acting]
            if members:
                taken = [actions[place] for place in acting]
                steps = tasks.step(members, taken)
                policy.observe(tasks, members, steps)
                for observer in self._observers:
                    observer.after(tasks, members, taken, steps)
                going = ~self._count(members, steps, max_moves)
                over |= {member for member, alive in zip(members, going, strict=True) if not alive}
                members = [member for member, alive in zip(members, going, strict=True) if alive]
                observations = steps.observations[going]
            if over:
                yield from self._finished(sorted(over))

    def _decide(self, members: Sequence[int], observations: NDArray[Any]) -> list[Any]:
        """Asks the policy for actions, and takes the time: at first of one member by itself, then of the others."""
        draws = np.array([self._random[member].random(2) for member in members])
        self._timed += 1
        first = 1 if self._timed <= TIMED and self._timed_seconds < TIMED_SECONDS else len(members)
        actions: list[Any] = []
        for some in (slice(0, first), slice(first, None)):
            if not (together := members[some]):
                continue
            started = time.perf_counter()
            with own_code(f"the policy {self._policy.name}"):
                decided = self._policy.decide(self._tasks, together, observations[some], draws[some])
            actions += self._checked(decided, len(together))
            seconds = time.perf_counter() - started
            if len(together) == 1:
                self._alone[together[0]].append(seconds)
                self._timed_seconds += seconds
            for member in together:
                self._episodes[member].seconds += seconds / len(together)
        return actions

    def _checked(self, decided: Any, wanted: int) -> list[Any]:
        """The decisions of the policy, if there is one that can be taken for each member.

        Raises:
            WeanError: It decided something else.
        """
        numbered = has_numbered_actions(self._tasks)
        kinds = int | np.integer | None if numbered else str | None
        right = isinstance(decided, list | tuple) and len(decided) == wanted
        if not right or not all(isinstance(action, kinds) for action in decided):
            raise WeanError(
                f"the policy {self._policy.name} decided {shown(decided)} for {wanted} members; let it return a list "
                f"of {'numbers' if numbered else 'texts'}, one each, or None to give an episode up"
            )
        return list(decided)

    def _count(self, members: Sequence[int], steps: Steps, max_moves: int | None) -> NDArray[np.bool_]:
        """Adds a step to the members' episodes; returns which of them are over."""
        over = steps.terminated | steps.truncated
        for place, member in enumerate(members):
            episode = self._episodes[member]
            episode.total += float(steps.rewards[place])
            episode.length += 1
            episode.success = float(steps.successes[place])
            moves = episode.moves + 1
            if steps.infos and not has_numbered_actions(self._tasks):
                moves = int(steps.infos[place].get("moves", moves))
            self._silent[member] = self._silent[member] + 1 if moves == episode.moves else 0
            episode.moves = moves
            if max_moves is None and not over[place] and episode.length >= MOST_STEPS:
                raise UsageError(
                    f"an episode of {episode.case.task or 'the task'} has not ended after {MOST_STEPS:,} steps; end "
                    "each with --max-steps (max_steps= in Python), or make the task with max_episode_steps="
                )
            over[place] |= self._silent[member] >= MOST_SILENT or (max_moves is not None and moves >= max_moves)
        return over

    def _finished(self, members: Sequence[int]) -> Iterator[Episode]:
        """Yields the members' episodes with their statistics."""
        stats = self._policy.episode_stats()
        for member in members:
            episode = self._episodes[member]
            if (asked := self._tasks.query_stats.get(episode.case.seed)) is not None:
                episode.stats |= asked._asdict()
            if stats:
                episode.stats |= stats[member]
            if self._alone[member]:
                episode.seconds_per_action = float(np.median(self._alone[member]))
            yield episode
