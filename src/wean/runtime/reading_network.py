"""A language model of an exported folder, which reads tokens after those in its cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GROWS = 256  # positions by which a cache grows
_TYPES = {"seen": np.int64}


class ReadingNetwork:
    """The network of a student that reads, with the cache of one sequence.

    Attributes:
        vocabulary: Number of tokens that it knows.
        longest: Most positions that it can read.

    Args:
        session: The network, ready to run; `wean.serving.reader` says what goes in and comes out.
        longest: Most positions that it can read.
    """

    def __init__(self, session: Any, longest: int) -> None:
        shapes = {one.name: one.shape for one in session.get_inputs()}
        outputs = {one.name: one.shape for one in session.get_outputs()}
        self.vocabulary = int(outputs["logs"][-1])
        self._session, self.longest = session, longest
        self._names = list(outputs)
        # What grows with the sequence, by the name of its input; "capacity" is its axis of positions.
        self._cache: dict[str, NDArray[Any]] = {
            name: np.zeros(
                [1, *(_GROWS if size == "capacity" else size for size in shape[1:])], _TYPES.get(name, np.float32)
            )
            for name, shape in shapes.items()
            if "capacity" in shape
        }
        self._axis = {name: shapes[name].index("capacity") for name in self._cache}
        self._copies, self._trails = "seen" in shapes, "trail" in shapes
        # What each position leaves for the next, after a row for what comes before the first.
        self._trail = np.zeros((1, _GROWS + 1, int(shapes["trail"][1]) if self._trails else 0), np.float32)

    @property
    def most_bytes(self) -> int:
        """Bytes of a cache that holds as many positions as it can."""
        of_one: int = sum(kept.nbytes // kept.shape[self._axis[name]] for name, kept in self._cache.items())
        of_trail: int = self._trail.nbytes // self._trail.shape[1]
        return of_one * self.longest + of_trail * (self.longest + 1)

    def another(self) -> ReadingNetwork:
        """The same model with a cache of its own."""
        return ReadingNetwork(self._session, self.longest)

    def run(self, ids: list[int], past: int, last: int = 1) -> NDArray[np.float32]:
        """Log-probabilities (last, vocabulary) of the next token after each of the last tokens.

        Args:
            ids: Tokens, at least one.
            past: Number of tokens in the cache that are kept; the new ones stand after them.
            last: Number of tokens, the last ones, after which the next one is wanted.
        """
        count, end = len(ids), past + len(ids)
        self._make_room(end)
        new = np.array([ids], np.int64)
        given = {"ids": new, "past": np.array([past]), "at": np.arange(count - last, count)[None], **self._cache}
        if self._copies:
            self._cache["seen"][:, past:end] = new
        if self._trails:
            given["trail"] = self._trail[:, past]
        found = dict(zip(self._names, self._session.run(self._names, given), strict=True))
        for name, kept in self._cache.items():
            if name != "seen":
                kept[(slice(None),) * self._axis[name] + (slice(past, end),)] = found[f"new_{name}"]
        if self._trails:
            self._trail[:, past + 1 : end + 1] = found["new_trail"]
        logs: NDArray[np.float32] = found["logs"][0]
        return logs

    def _make_room(self, positions: int) -> None:
        """Lets the cache grow until it holds a number of positions."""
        capacity = self._trail.shape[1] - 1
        more = min(-(-positions // _GROWS) * _GROWS, self.longest) - capacity
        if more <= 0:
            return
        for name, old in self._cache.items():
            added = [(0, more if axis == self._axis[name] else 0) for axis in range(old.ndim)]
            self._cache[name] = np.pad(old, added)
        self._trail = np.pad(self._trail, [(0, 0), (0, more), (0, 0)])
