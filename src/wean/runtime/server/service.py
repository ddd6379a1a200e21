"""A student and its sessions: acts on what clients show, each as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..policy import ArrayPolicy, ReadingPolicy, ValuesPolicy
from .kinds import kind_of
from .limits import Limits
from .requests import Act
from .sessions import Refused, Session, Sessions


class Turn(NamedTuple):
    """A request that is right, and counted.

    Attributes:
        asked: The request.
        seen: Its observations as the student takes them.
        sessions: Of each its session; none without.
    """

    asked: Act
    seen: Any
    sessions: list[Session]


class Service:
    """Acts for many clients with one student.

    Args:
        policy: The exported student.
        limits: The server's bounds.

    Attributes:
        policy: The exported student.
        kind: How a server acts with it.
        sessions: The sessions of its clients.
    """

    def __init__(self, policy: ArrayPolicy | ValuesPolicy | ReadingPolicy, limits: Limits) -> None:
        self.policy, self.kind = policy, kind_of(policy, limits)
        self.sessions = Sessions(limits, self.kind.episode, self.kind.most_sessions, self.kind.room)
        self._limits = limits
        self._random = np.random.default_rng()

    def about(self) -> dict[str, Any]:
        """What a client needs to know about the student."""
        return {
            "task": self.policy.task,
            "acting": self.policy.acting,
            "actions": list(self.policy.actions),
            "needs_session": self.kind.needs_session,
            **self.kind.about(),
        }

    def act(self, asked: Act) -> dict[str, Any]:
        """Answers a request to act.

        Raises:
            Refused: It cannot be done.
            PolicyError: An observation is none that the student sees.
        """
        return self.answer(self.prepare(asked))

    def prepare(self, asked: Act) -> Turn:
        """Checks a request, and counts its steps; nothing is changed before all of it is known to be right.

        Raises:
            Refused: It cannot be done.
            PolicyError: An observation is none that the student sees.
        """
        shown, names, starts = self._members(asked)
        if self.kind.needs_session and not names:
            raise Refused(409, "this student acts on what happened before; begin a session with POST /sessions")
        seen = self.kind.read(shown)
        sessions = [self.sessions.use(name, start) for name, start in zip(names, starts, strict=True)]
        for session, start, one in zip(sessions, starts, seen, strict=bool(sessions)):
            if start:
                self.sessions.restart(session)
            self.sessions.count(session, self.kind.weight(one))
        return Turn(asked, seen, sessions)

    def answer(self, turn: Turn) -> dict[str, Any]:
        """Acts on a request that is prepared."""
        asked, seen, sessions = turn
        taken = self.kind.act(seen, [session.episode for session in sessions], self._draws(turn))
        numbers = taken.actions.tolist()
        told: dict[str, list[Any]] = {"actions": numbers}
        names = self.kind.names(seen, numbers)
        if names:
            told["names"] = names
        if asked.probabilities and taken.probabilities is not None:
            told["probabilities"] = taken.probabilities.tolist()
        if taken.goals is not None:
            told["goals"] = list(taken.goals)
        if asked.observations is not None:
            return told
        return {name if name == "probabilities" else name[:-1]: rows[0] for name, rows in told.items()}

    def _members(self, asked: Act) -> tuple[list[Any], Sequence[str], Sequence[bool]]:
        """The observations, the names of their sessions (none without) and where an episode begins."""
        if asked.observations is None:
            if asked.sessions is not None or asked.starts is not None:
                raise Refused(422, "sessions and starts are of many observations; give session and start")
            shown, names, starts = [asked.observation], [asked.session] if asked.session else [], [asked.start]
            if asked.observation is None:
                raise Refused(422, "there is no observation; give one, or observations")
        else:
            if asked.observation is not None or asked.session is not None or asked.start:
                raise Refused(422, "observation, session and start are of one; give observations, sessions and starts")
            shown, names = asked.observations, asked.sessions or []
            starts = [False] * len(shown) if asked.starts is None else asked.starts
        if not 1 <= len(shown) <= self._limits.batch:
            raise Refused(422, f"there are {len(shown)} observations; give 1 to {self._limits.batch}")
        if names and len(names) != len(shown):
            raise Refused(422, f"there are {len(names)} sessions for {len(shown)} observations; give one for each")
        if len(set(names)) < len(names):
            raise Refused(422, "a session is named twice; send its observations one after the other")
        if len(starts) != len(shown):
            raise Refused(422, f"there are {len(starts)} starts for {len(shown)} observations; give one for each")
        if names and asked.seed is not None:
            raise Refused(422, "a session has its own seed; give it to POST /sessions")
        if asked.probabilities and not self.kind.gives_probabilities:
            raise Refused(422, "a student that reads gives no probabilities; leave them out")
        return shown, names, starts if names else ()

    def _draws(self, turn: Turn) -> Any:
        """(N,) uniform numbers, of each session its own."""
        count = len(turn.seen)
        if self.policy.acting != "sampled":
            return np.full(count, 0.5)
        if turn.sessions:
            return np.array([one.random.random() for one in turn.sessions])
        random = self._random if turn.asked.seed is None else np.random.default_rng(turn.asked.seed)
        return random.random(count)
