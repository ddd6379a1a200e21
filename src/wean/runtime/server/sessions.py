"""Sessions: what a student remembers of one episode, kept for its client between requests."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .limits import Limits


class Refused(Exception):
    """A request that cannot be done; one line that names a remedy, and its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Session:
    """The episode of one client.

    Attributes:
        episode: What the student keeps of it.
        random: Its draws.
        steps: Steps of this episode so far.
        remembered: How much of it the student remembers, see `Kind.weight`.
        used: When it was used last, in seconds of the clock of its `Sessions`.
    """

    __slots__ = ("episode", "random", "remembered", "steps", "used")

    def __init__(self, episode: Any, seed: int | None, now: float) -> None:
        self.episode, self.random = episode, np.random.default_rng(seed)
        self.steps, self.remembered, self.used = 0, 0, now


class Sessions:
    """The sessions of a server, the one that was used longest ago first.

    Args:
        limits: How long one lives, and its episode may be.
        episode: Makes what the student keeps of an episode.
        most: How many there may be at a time.
        room: How much they may remember all together.
        clock: Seconds that only go forward.

    Attributes:
        most: How many there may be at a time.
    """

    def __init__(
        self,
        limits: Limits,
        episode: Callable[[], Any],
        most: int,
        room: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self._limits, self._episode, self._room, self._clock = limits, episode, room, clock
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
        if len(self._sessions) >= self.most:
            raise Refused(503, f"there are {len(self._sessions)} sessions already; end one, or try again later")
        name = secrets.token_urlsafe(16)
        self._sessions[name] = Session(self._episode(), seed, self._clock())
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
        session.steps = 0
        session.episode.reset()

    def use(self, name: str, start: bool = False) -> Session:
        """A session, for one more step or for the first one of another episode.

        Raises:
            Refused: There is none of this name, or its episode is too long.
        """
        session = self._found(name)
        if session.steps >= self._limits.episode_steps and not start:
            raise Refused(409, f"the episode has {session.steps} steps already; begin another with start=true")
        if self._remembered >= self._room:
            raise Refused(503, "the sessions remember too much; end some, or try again later")
        return session

    def count(self, session: Session, weight: int) -> None:
        """Counts a step, and what is remembered of it."""
        session.steps += 1
        session.remembered += weight
        self._remembered += weight

    def _found(self, name: str) -> Session:
        self._expire()
        session = self._sessions.get(name)
        if session is None:
            raise Refused(404, "there is no such session (it ended, or expired); begin one with POST /sessions")
        session.used = self._clock()
        self._sessions.move_to_end(name)
        return session

    def _forget(self, session: Session) -> None:
        self._remembered -= session.remembered
        session.remembered = 0

    def _expire(self) -> None:
        oldest_allowed = self._clock() - self._limits.session_seconds
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if session.used >= oldest_allowed:
                return
            self._forget(session)
            self._sessions.popitem(last=False)
