"""The kinds of student as a server acts with them: what is read of a request, what is kept of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..acting import NoRepeat, sample, sample_one
from ..folder import PolicyError
from ..policy import ArrayPolicy, ReadingPolicy, ValuesPolicy
from ..reading import Reader, Sight
from .limits import Limits
from .sessions import Refused

_MOST_CHOICES = 1_000  # in all situations of a request; each may have to be read by the sentence encoder
_OBSERVATIONS, _CHARACTERS = 200_000, 100_000_000  # that all sessions together remember at most


class Episode(Protocol):
    """What a student keeps of one episode."""

    def reset(self) -> None:
        """Lets another episode begin."""


class Taken(NamedTuple):
    """Actions, and what they come from.

    Attributes:
        actions: (N,) numbers.
        probabilities: (N, A); None for a student that gives none.
        goals: Of a student that names sub-goals the current ones.
    """

    actions: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None
    goals: Sequence[str] | None = None


class Kind(Protocol):
    """A kind of student.

    Attributes:
        needs_session: Whether it acts on more than the observation.
        gives_probabilities: Whether its actions come with probabilities.
        is_slow: Whether others should not wait for its actions.
        most_sessions: Sessions that there may be at a time.
        room: How much all sessions together may remember, in the units of `weight`.
    """

    needs_session: bool
    gives_probabilities: bool
    is_slow: bool
    most_sessions: int
    room: int

    def about(self) -> dict[str, Any]:
        """What a client needs to know to show it something."""

    def episode(self) -> Any:
        """What it keeps of an episode, before the first observation."""

    def read(self, shown: list[Any]) -> Any:
        """Observations as it takes them.

        Raises:
            Refused: They are too many.
            PolicyError: One is none that it sees.
        """

    def weight(self, seen: Any) -> int:
        """How much it remembers of one of them."""

    def act(self, seen: Any, episodes: list[Any], draws: NDArray[np.float64]) -> Taken:
        """Acts on N observations: each in its episode, or all where one begins and ends; draws are (N,) uniform."""

    def names(self, seen: Any, numbers: list[int]) -> list[str]:
        """The names of its actions; none where they have no names."""


def kind_of(policy: ArrayPolicy | ValuesPolicy | ReadingPolicy, limits: Limits) -> Kind:
    """Returns how a server acts with a student."""
    if isinstance(policy, ReadingPolicy):
        return Reading(policy, limits)
    return Values(policy, limits) if isinstance(policy, ValuesPolicy) else Arrays(policy, limits)


class ArrayEpisode:
    """An episode of a student that sees arrays.

    Attributes:
        memory: (memory_size,) its memory.
        fresh: Whether the episode begins with the next observation.
        no_repeat: What it took at which observation; None where that does not matter.
    """

    __slots__ = ("fresh", "memory", "no_repeat")

    def __init__(self, memory_size: int, no_repeat: bool) -> None:
        self.memory: NDArray[np.float32] = np.zeros(memory_size, np.float32)
        self.fresh, self.no_repeat = True, NoRepeat() if no_repeat else None

    def reset(self) -> None:
        """See `Episode`."""
        self.fresh, self.no_repeat = True, None if self.no_repeat is None else NoRepeat()


class Arrays:
    """A student that sees arrays or numbered states; see `Kind`."""

    gives_probabilities, is_slow, room = True, False, _OBSERVATIONS

    def __init__(self, policy: ArrayPolicy, limits: Limits) -> None:
        self._policy, self._no_repeat = policy, policy.acting == "no_repeat"
        self.needs_session = bool(policy.memory_size) or self._no_repeat
        self.most_sessions = limits.sessions

    def about(self) -> dict[str, Any]:
        """See `Kind`."""
        seen = self._policy.observations
        observation = {"shape": list(seen.shape), "dtype": str(seen.dtype)}
        return {"num_actions": self._policy.num_actions, "observation": observation}

    def episode(self) -> ArrayEpisode:
        """See `Kind`."""
        return ArrayEpisode(self._policy.memory_size, self._no_repeat)

    def read(self, shown: list[Any]) -> NDArray[Any]:
        """See `Kind`."""
        return self._policy.observations.read(shown)

    def weight(self, seen: NDArray[Any]) -> int:
        """See `Kind`."""
        return int(self._no_repeat)

    def act(self, seen: NDArray[Any], episodes: list[ArrayEpisode], draws: NDArray[np.float64]) -> Taken:
        """See `Kind`."""
        policy = self._policy
        if episodes:
            memory = np.stack([one.memory for one in episodes])
            fresh = np.array([one.fresh for one in episodes])
        else:
            memory, fresh = policy.first_memory(len(seen)), np.ones(len(seen), bool)
        probabilities, after = policy.run(seen, memory, fresh)
        for episode, row in zip(episodes, after, strict=bool(episodes)):
            episode.memory, episode.fresh = row.copy(), False  # a row alone would keep the whole batch
        if policy.acting == "sampled":
            if len(seen) == 1:
                return Taken(np.array([sample_one(probabilities[0].tolist(), draws[0])]), probabilities)
            return Taken(sample(probabilities, draws), probabilities)
        if policy.acting == "greedy":
            return Taken(probabilities.argmax(1), probabilities)
        rows = zip(episodes, seen, probabilities, strict=True)
        actions = [one.no_repeat.choose(sight, row) for one, sight, row in rows if one.no_repeat is not None]
        return Taken(np.array(actions), probabilities)

    def names(self, seen: NDArray[Any], numbers: list[int]) -> list[str]:
        """See `Kind`."""
        return [self._policy.actions[number] for number in numbers] if self._policy.actions else []


class _Nothing:
    """What a student without a memory keeps of an episode."""

    def reset(self) -> None:
        """See `Episode`."""


class Values:
    """A student that values the actions of situations; see `Kind`."""

    needs_session, gives_probabilities, is_slow, room = False, True, False, _OBSERVATIONS

    def __init__(self, policy: ValuesPolicy, limits: Limits) -> None:
        self._policy, self.most_sessions = policy, limits.sessions

    def about(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"observation": {"text": "a text", "choices": ["texts"]}}

    def episode(self) -> _Nothing:
        """See `Kind`."""
        return _Nothing()

    def read(self, shown: list[Any]) -> list[Any]:
        """See `Kind`; what the situations are made of is for the policy to see."""
        count = 0
        for one in shown:
            if not isinstance(one, dict) or not isinstance(one.get("choices"), list):
                raise PolicyError('this student reads situations; give {"text": ..., "choices": [...]}')
            count += len(one["choices"])
        if count > _MOST_CHOICES:
            raise Refused(422, f"the situations have {count} choices; send at most {_MOST_CHOICES} at once")
        return shown

    def weight(self, seen: Any) -> int:
        """See `Kind`."""
        return 0

    def act(self, seen: list[Any], episodes: list[_Nothing], draws: NDArray[np.float64]) -> Taken:
        """See `Kind`."""
        probabilities = self._policy.probabilities(seen, self._policy.acting == "greedy")
        return Taken(sample(probabilities, draws), probabilities)

    def names(self, seen: list[Any], numbers: list[int]) -> list[str]:
        """See `Kind`."""
        return [one["choices"][number] for one, number in zip(seen, numbers, strict=True)]


class Reading:
    """A student that reads, one `Reader` an episode, each with a cache of what it has read; see `Kind`."""

    needs_session, gives_probabilities, is_slow, room = True, False, True, _CHARACTERS

    def __init__(self, policy: ReadingPolicy, limits: Limits) -> None:
        self._policy = policy
        fitting = limits.reading_megabytes * 1_000_000 // policy.episode_bytes
        self.most_sessions = max(1, min(limits.sessions, fitting))

    def about(self) -> dict[str, Any]:
        """See `Kind`."""
        needed = {"goal": "the task in words", "text": "what can be seen", "choices": ["admissible actions"]}
        more = {"observation": "what the task answered to the last action", "carried": "what is carried", "score": 0.0}
        return {"observation": {**needed, **more}}

    def episode(self) -> Reader:
        """See `Kind`."""
        return self._policy.another()

    def read(self, shown: list[Any]) -> list[Sight]:
        """See `Kind`."""
        return [self._policy.see(one) for one in shown]

    def weight(self, seen: Sight) -> int:
        """See `Kind`: the characters of what is not said again and again."""
        return len(seen.text) + len(seen.observation) + len(seen.carried)

    def act(self, seen: list[Sight], episodes: list[Reader], draws: NDArray[np.float64]) -> Taken:
        """See `Kind`."""
        actions = [sight.choices.index(episode.act(sight)) for episode, sight in zip(episodes, seen, strict=True)]
        return Taken(np.array(actions), None, [episode.goal for episode in episodes])

    def names(self, seen: list[Sight], numbers: list[int]) -> list[str]:
        """See `Kind`."""
        return [one.choices[number] for one, number in zip(seen, numbers, strict=True)]
