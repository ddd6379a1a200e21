"""Writes demonstrations: plays blocks of episodes, in any number of processes, and keeps those that are wanted."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from wean.data.shards import BLOCK, Shards
from wean.errors import WeanError
from wean.evaluation.demonstration_player import Player, Playing


class Quota:
    """How many episodes of each kind are still wanted.

    Args:
        episodes: How many are wanted in all.
        successful: The share of successes among them; None takes whatever comes.
    """

    def __init__(self, episodes: int, successful: float | None) -> None:
        self.mixed = successful is not None
        self.successes = episodes if successful is None else round(successful * episodes)
        self.failures = episodes if successful is None else episodes - self.successes
        self.left = episodes

    def take(self, success: bool) -> bool:
        """Tells whether an episode is wanted, and counts it if so."""
        if self.left == 0 or not (self.successes if success else self.failures):
            return False
        self.left -= 1
        if success:
            self.successes -= 1
        else:
            self.failures -= 1
        return True


def demonstrate(
    playing: Playing,
    shards: Shards,
    episodes: int,
    successful: float | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Plays until there are as many episodes as wanted, and writes their file.

    The episodes, their order and the file do not depend on the number of processes, nor on interruptions.

    Args:
        playing: How.
        shards: Where finished blocks are kept; a block that is there already is not played again.
        episodes: How many are kept.
        successful: The share of successes among those kept, which are the first ones played of each kind. None keeps
            whatever comes.
        limit: Most episodes to play with `successful`; 50 times `episodes` by default.
        workers: Processes that play; with one it is this process.
        progress: Called with the number of episodes kept and played so far.

    Raises:
        WeanError: If `limit` is reached; what was played stays for another try.
    """
    quota = Quota(episodes, successful)
    wanted = quota.successes, quota.failures
    most = episodes if successful is None else limit or 50 * episodes
    kept: list[int] = []
    played = succeeded = 0
    for outcomes in _blocks(playing, shards, quota, most, workers):
        for outcome in outcomes:
            if quota.left and played < most:
                if quota.take(outcome):
                    kept.append(played)
                    succeeded += outcome
                played += 1
        if progress is not None:
            progress(len(kept), played)
    if quota.left:
        raise WeanError(
            f"of {wanted[0]} successful and {wanted[1]} other episodes there were {succeeded} and "
            f"{len(kept) - succeeded} after {played:,}; raise --limit and --resume, or change --epsilon or --successful"
        )
    shards.merge(kept, played)


def _blocks(playing: Playing, shards: Shards, quota: Quota, most: int, workers: int) -> Iterator[list[bool]]:
    """Gives the outcomes of one block after the other until the quota is full; plays ahead with several workers."""
    blocks = -(-most // BLOCK)
    workers = min(workers, blocks)
    members = BLOCK if quota.mixed else min(BLOCK, most)
    work = _Work(playing, shards, members)
    executor: Executor = _Here()
    if workers > 1:
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(workers, context, _begin_worker, (playing, shards, members))
    do = _do_in_worker if workers > 1 else work.do
    ahead: deque[Future[list[bool]]] = deque()
    begun = 0
    try:
        while quota.left and (ahead or begun < blocks):
            while len(ahead) < (2 * workers if workers > 1 else 1) and begun < blocks:
                # With a mixture, how many will be played is not known: a block is always whole, for a later --limit.
                count = BLOCK if quota.mixed else min(BLOCK, most - begun * BLOCK)
                ahead.append(executor.submit(do, begun, count, quota.successes, quota.failures))
                begun += 1
            yield ahead.popleft().result()
    except BrokenProcessPool:
        raise WeanError("a process that played episodes died; go on with --resume and fewer --workers") from None
    finally:
        executor.shutdown(cancel_futures=True)
        work.close()


class _Here(Executor):
    """Does what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs the function; the future is done already."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Work:
    """Plays and keeps blocks."""

    def __init__(self, playing: Playing, shards: Shards, members: int) -> None:
        self._playing, self._shards, self._members = playing, shards, members
        self._player: Player | None = None

    def do(self, number: int, count: int, successes: int, failures: int) -> list[bool]:
        """Plays and keeps a block unless that was done; gives its outcomes."""
        outcomes = self._shards.outcomes(number)
        if outcomes is None:
            if self._player is None:  # only now: there may be nothing left to play
                self._player = Player(self._playing, self._members)
            outcomes, rows, goal = self._player.play(number * BLOCK, count, successes, failures)
            about = {"task": self._playing.task, "goal": goal, "policy": self._playing.who}
            self._shards.add(number, rows, outcomes, **about)
        return outcomes

    def close(self) -> None:
        """Ends the tasks."""
        if self._player is not None:
            self._player.close()


_work: _Work  # of a worker process


def _begin_worker(playing: Playing, shards: Shards, members: int) -> None:
    global _work
    # Ctrl-C reaches every process of a terminal; whether to stop is for the first one to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work = _Work(playing, shards, members)


def _do_in_worker(number: int, count: int, successes: int, failures: int) -> list[bool]:
    return _work.do(number, count, successes, failures)
