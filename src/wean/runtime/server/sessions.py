"""Sessions: what a student remembers of one episode, kept for its client between requests."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..acting import NoRepeat
from .limits import Limits

REMEMBERED = 200_000
"""Observations that all sessions together remember at most, where a student does not repeat itself."""


class Refused(Exception):
    """A request that cannot be done; one line that names a remedy, and its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Session:
    """The episode of one client.

    Attributes:
        memory: (memory_size,) the student's memory.
        random: Its draws.
        fresh: Whether an episode begins with the next observation.
        no_repeat: What it took at which observation; None where that does not matter.
        steps: Steps of this episode so far.
        used: When it was used last, in seconds of the clock of its `Sessions`.
    """

    __slots__ = ("fresh", "memory", "no_repeat", "random", "steps", "used")

    def __init__(self, memory_size: int, seed: int | None, no_repeat: bool, now: float) -> None:
        self.memory: NDArray[np.float32] = np.zeros(memory_size, np.float32)
        self.random = np.random.default_rng(seed)
        self.no_repeat = NoRepeat() if no_repeat else None
        self.fresh, self.steps, self.used = True, 0, now


class Sessions:
    """The sessions of a server, the one that was used longest ago first.

    Args:
        limits: How many there may be, and for how long.
        memory_size: Numbers that the student remembers.
        no_repeat: Whether it acts `no_repeat`.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, limits: Limits, memory_size: int, no_repeat: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._memory_size, self._no_repeat, self._clock = limits, memory_size, no_repeat, clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._remembered = 0

    def __len__(self) -> int:
        self._expire()
        return len(self._sessions)

    def begin(self, seed: int | None) -> str:
        """Begins a session; returns its name, which nobody can guess.

        Raises:
            Refused: There are too many.
        """
        self._expire()
        if len(self._sessions) >= self._limits.sessions:
            raise Refused(503, f"there are {len(self._sessions)} sessions already; end one, or try again later")
        name = secrets.token_urlsafe(16)
        self._sessions[name] = Session(self._memory_size, seed, self._no_repeat, self._clock())
        return name

    def end(self, name: str) -> None:
        """Ends a session.

        Raises:
            Refused: There is none of this name.
        """
        self._forget(self._found(name))
        del self._sessions[name]

    def restart(self, session: Session) -> None:
        """Lets a new episode begin in a session."""
        self._forget(session)
        session.fresh, session.steps = True, 0
        session.no_repeat = NoRepeat() if self._no_repeat else None

    def use(self, name: str, start: bool = False) -> Session:
        """A session, for one more step or for the first one of another episode.

        Raises:
            Refused: There is none of this name, or its episode is too long.
        """
        session = self._found(name)
        if session.steps >= self._limits.episode_steps and not start:
            raise Refused(409, f"the episode has {session.steps} steps already; begin another with start=true")
        if self._no_repeat and self._remembered >= REMEMBERED:
            raise Refused(503, "the sessions remember too many observations; end some, or try again later")
        return session

    def stepped(self, session: Session) -> None:
        """Counts a step."""
        session.steps += 1
        session.fresh = False
        self._remembered += self._no_repeat

    def _found(self, name: str) -> Session:
        self._expire()
        session = self._sessions.get(name)
        if session is None:
            raise Refused(404, "there is no such session (it ended, or expired); begin one with POST /sessions")
        session.used = self._clock()
        self._sessions.move_to_end(name)
        return session

    def _forget(self, session: Session) -> None:
        self._remembered -= session.steps * self._no_repeat

    def _expire(self) -> None:
        oldest_allowed = self._clock() - self._limits.session_seconds
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if session.used >= oldest_allowed:
                return
            self._forget(session)
            self._sessions.popitem(last=False)
