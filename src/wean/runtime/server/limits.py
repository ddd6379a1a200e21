"""What a server takes at most, of bytes, time and memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from ..folder import PolicyError


def _limit(default: int, what: str) -> int:
    value: int = field(default=default, metadata={"help": what})
    return value


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; what goes beyond one is refused, and harms nobody else."""

    body_bytes: int = _limit(1 << 20, "Largest body of a request, in bytes.")
    batch: int = _limit(256, "Most observations in one request.")
    sessions: int = _limit(10_000, "Most sessions at a time.")
    session_seconds: int = _limit(600, "Seconds after which a session that nobody uses ends.")
    reading_megabytes: int = _limit(2_048, "Most memory for the sessions of a student that reads, in 10^6 bytes.")
    episode_steps: int = _limit(10_000, "Most steps of one episode of a session.")
    connections: int = _limit(1_024, "Most connections at a time.")
    read_seconds: int = _limit(10, "Seconds in which a request must have arrived.")
    idle_seconds: int = _limit(30, "Seconds after which a connection that nobody uses is closed.")

    @classmethod
    def of(cls, given: Iterable[str]) -> Limits:
        """The bounds with some of them changed, each written as `NAME=NUMBER`.

        Raises:
            PolicyError: There is no such bound, or it is no number above 0.
        """
        chosen = {}
        for one in given:
            name, _, number = one.partition("=")
            if name not in {known.name for known in fields(cls)}:
                raise PolicyError(f"there is no limit {name[:40]!r}; there are {cls.names()}")
            if not (number.isdecimal() and number.isascii() and int(number[:19]) > 0 and len(number) < 19):
                raise PolicyError(
                    f"the limit {name} is a whole number above 0, not {number[:40]!r}; give {name}=NUMBER"
                )
            chosen[name] = int(number)
        return cls(**chosen)

    @classmethod
    def names(cls) -> str:
        """The names of the bounds with their defaults, for people."""
        return ", ".join(f"{one.name}={one.default}" for one in fields(cls))
