"""A student and its sessions: acts on what clients show, each as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..acting import sample, sample_one
from ..folder import PolicyError
from ..policy import ArrayPolicy, ValuesPolicy
from .limits import Limits
from .requests import Act
from .sessions import Refused, Session, Sessions

_MOST_CHOICES = 1_000  # in all situations of a request; each may have to be read by the sentence encoder


class Service:
    """Acts for many clients with one student.

    Args:
        policy: The exported student.
        limits: The server's bounds.

    Attributes:
        policy: The exported student.
        sessions: The sessions of its clients.
        remembers: Whether it acts on more than the observation, and so needs a session.
    """

    def __init__(self, policy: ArrayPolicy | ValuesPolicy, limits: Limits) -> None:
        self.policy = policy
        memory = policy.memory_size if isinstance(policy, ArrayPolicy) else 0
        self.remembers = bool(memory) or policy.acting == "no_repeat"
        self.sessions = Sessions(limits, memory, policy.acting == "no_repeat")
        self._limits = limits
        self._random = np.random.default_rng()

    def about(self) -> dict[str, Any]:
        """What a client needs to know about the student."""
        policy = self.policy
        about = {
            "task": policy.task,
            "acting": policy.acting,
            "actions": list(policy.actions),
            "needs_session": self.remembers,
        }
        if isinstance(policy, ValuesPolicy):
            return about | {"observation": {"text": "a text", "choices": ["texts"]}}
        shape, dtype = list(policy.observations.shape), str(policy.observations.dtype)
        return about | {"num_actions": policy.num_actions, "observation": {"shape": shape, "dtype": dtype}}

    def act(self, asked: Act) -> dict[str, Any]:
        """Answers a request to act.

        Raises:
            Refused: It cannot be done.
            PolicyError: An observation is none that the student sees.
        """
        shown, names, starts = self._members(asked)
        if self.remembers and not names:
            raise Refused(409, "this student acts on what happened before; begin a session with POST /sessions")
        seen = self._read(shown)
        # Nothing is changed before all of the request is known to be right.
        sessions = [self.sessions.use(name, start) for name, start in zip(names, starts, strict=True)]
        for session, start in zip(sessions, starts, strict=True):
            if start:
                self.sessions.restart(session)
        actions, probabilities = self._decide(seen, sessions, asked.seed)
        for session in sessions:
            self.sessions.stepped(session)
        return self._answer(asked, actions, probabilities)

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
        return shown, names, starts if names else ()

    def _read(self, shown: list[Any]) -> Any:
        """The observations (N, ...), or the situations, as the policy takes them."""
        if isinstance(self.policy, ArrayPolicy):
            return self.policy.observations.read(shown)
        _check_choices(shown)
        return shown

    def _decide(
        self, seen: Any, sessions: list[Session], seed: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Actions (N,), and the probabilities (N, A) that they come from."""
        policy = self.policy
        random = self._random if seed is None else np.random.default_rng(seed)
        if isinstance(policy, ValuesPolicy):
            probabilities = policy.probabilities(seen, policy.acting == "greedy")
            return sample(probabilities, self._draws(len(seen), sessions, random)), probabilities
        if sessions:
            memory = np.stack([one.memory for one in sessions])
            fresh = np.array([one.fresh for one in sessions])
        else:
            memory, fresh = policy.first_memory(len(seen)), np.ones(len(seen), bool)
        probabilities, after = policy.run(seen, memory, fresh)
        for session, row in zip(sessions, after, strict=bool(sessions)):
            session.memory = row.copy()  # a row alone would keep the whole batch
        if policy.acting == "sampled":
            draws = self._draws(len(seen), sessions, random)
            if len(seen) == 1:
                return np.array([sample_one(probabilities[0].tolist(), draws[0])]), probabilities
            return sample(probabilities, draws), probabilities
        if policy.acting == "greedy":
            return probabilities.argmax(1), probabilities
        rows = zip(sessions, seen, probabilities, strict=True)
        taken = [one.no_repeat.choose(sight, row) for one, sight, row in rows if one.no_repeat is not None]
        return np.array(taken), probabilities

    def _draws(self, count: int, sessions: list[Session], random: np.random.Generator) -> NDArray[np.float64]:
        """(count,) uniform numbers, of each session its own."""
        if self.policy.acting != "sampled":
            return np.full(count, 0.5)
        if sessions:
            return np.array([one.random.random() for one in sessions])
        return random.random(count)

    def _answer(self, asked: Act, actions: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, Any]:
        many = asked.observations is not None
        numbers = actions.tolist()
        told: dict[str, Any] = {"actions": numbers} if many else {"action": numbers[0]}
        if isinstance(self.policy, ValuesPolicy):
            shown = asked.observations or [asked.observation]
            names = [one["choices"][number] for one, number in zip(shown, numbers, strict=True)]
        else:
            names = [self.policy.actions[number] for number in numbers] if self.policy.actions else []
        if names:
            told |= {"names": names} if many else {"name": names[0]}
        if asked.probabilities:
            rows = probabilities.tolist()
            told["probabilities"] = rows if many else rows[0]
        return told


def _check_choices(shown: Sequence[Any]) -> None:
    """Checks that situations are few enough to be read; what they are made of is for the policy to see.

    Raises:
        Refused: They are not.
        PolicyError: One has no list of choices.
    """
    count = 0
    for one in shown:
        if not isinstance(one, dict) or not isinstance(one.get("choices"), list):
            raise PolicyError('this student reads situations; give {"text": ..., "choices": [...]}')
        count += len(one["choices"])
    if count > _MOST_CHOICES:
        raise Refused(422, f"the situations have {count} choices; send at most {_MOST_CHOICES} at once")
