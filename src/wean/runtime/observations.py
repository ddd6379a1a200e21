"""What a student may be shown: observations of the right shape, type and range, anything else in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Folder, PolicyError

_KINDS = "biuf"
_READ_AS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
"""By the kind of the observation's dtype, the kinds of JSON numbers that are cast to it."""
_NO_AGENT = "the map must show the agent once; give what the task returns"


def with_state(image: NDArray[Any], state: NDArray[Any]) -> NDArray[Any]:
    """An image (..., H, W, C) of bytes and a state (..., S) in [0, 1] in one array (..., H, W, C + 1).

    The last channel holds the numbers of the state in its first cells, in 255 parts.
    """
    channel = np.zeros(image.shape[:-1], image.dtype)
    channel.reshape(*image.shape[:-3], -1)[..., : state.shape[-1]] = np.rint(255 * state)
    return np.concatenate([image, channel[..., None]], -1)


class Observations:
    """The observations that a student takes, as its folder declares them.

    Attributes:
        shape: Of one.
        dtype: Of its numbers.
        with_state: Whether the task shows an image and a state, and the student sees both in one array.

    Raises:
        ExportError: The declaration is damaged.
    """

    def __init__(self, folder: Folder) -> None:
        declared = folder.field("observation", dict)
        shape = folder.field("shape", list, of=declared)
        try:
            self.dtype = np.dtype(folder.field("dtype", str, of=declared))
            self.shape = tuple(int(size) for size in shape)
            # A bound is one number, a number for each of the last axis, or one for each place; null is no bound.
            low, high = (_bound(declared[name], self.shape, infinite) for name, infinite in _BOUNDS)
        except (TypeError, ValueError, KeyError):
            raise folder.damaged("config.json declares no valid observation") from None
        if self.dtype.kind not in _KINDS:
            raise folder.damaged("config.json declares no valid observation")
        lowest = np.iinfo(self.dtype).min if self.dtype.kind in "iu" else -np.inf
        self._low = None if (low <= lowest).all() else low.astype(self.dtype)
        self._high = None if np.isposinf(high).all() else high.astype(self.dtype if self.dtype.kind != "b" else np.int8)
        agent = declared.get("agent_below")
        self._agent_below = None if agent is None else int(agent)
        codes = self.dtype == np.uint8 and self._low is None and high.shape == self.shape[-1:] and high.max() < 256
        self.with_state = declared.get("with_state") is True
        self._legal = [bytes(range(int(one) + 1)) for one in high] if codes else None

    def one(self, observation: Any) -> NDArray[Any]:
        """An observation that comes alone, as the network takes it: (1, ...).

        Raises:
            PolicyError: It is none that the student sees.
        """
        array = self._array(observation)
        if array.shape != self.shape:
            batch = "; for a batch name the members to reset()" if array.shape[1:] == self.shape else ""
            raise self._misshapen(array, self.shape, batch)
        if self._legal is None:
            self._check(array[None])
        else:
            self._check_bytes(array.tobytes())
        return array[None]

    def many(self, observations: Any, members: int) -> NDArray[Any]:
        """The observations (members, ...) of a batch as the network takes them.

        Raises:
            PolicyError: One of them is none that the student sees.
        """
        array = self._array(observations)
        if array.shape != (members, *self.shape):
            raise self._misshapen(array, (members, *self.shape), "")
        self._check(array)
        return array

    def read(self, values: Sequence[Any]) -> NDArray[Any]:
        """Observations (N, ...) from JSON, each a number, lists of numbers, or a mapping with those as its `image`.

        Raises:
            PolicyError: One is none that the student sees.
        """
        try:
            found = np.array([self._part(one) if isinstance(one, Mapping) else one for one in values])
        except (ValueError, OverflowError):  # rows of different lengths, or too many axes
            raise PolicyError("an observation's lists have different lengths; give what its task returns") from None
        if found.dtype.kind not in _READ_AS[self.dtype.kind]:
            raise PolicyError(f"this student sees numbers ({self.dtype}) in lists; give observation.tolist()")
        if found.shape[1:] != self.shape:
            raise self._misshapen(found[0], self.shape, "")
        if self.dtype.kind == "f":
            with np.errstate(over="ignore"):  # it becomes infinite, and is refused
                found = found.astype(self.dtype)
        elif found.dtype != self.dtype:
            limits = np.iinfo(self.dtype)
            if found.size and not (limits.min <= found.min() and found.max() <= limits.max):
                raise self._out_of_range()
            found = found.astype(self.dtype)
        if self._legal is None or len(found) > 1:
            self._check(found)
        else:
            self._check_bytes(found.tobytes())
        return found

    def _array(self, observation: Any) -> NDArray[Any]:
        """What comes from outside as an array of the right type."""
        if isinstance(observation, Mapping):
            observation = self._part(observation)
        if not self.shape and not isinstance(observation, np.ndarray):
            observation = self._numbers(observation)
        if not isinstance(observation, np.ndarray):
            raise PolicyError(
                f"an observation is a numpy array, not {type(observation).__name__}; give numpy.asarray(it)"
            )
        if observation.dtype != self.dtype:
            if self.shape or observation.dtype.kind not in "iu":
                raise PolicyError(
                    f"this student sees {self.dtype}, not {observation.dtype}; give what its task returns"
                )
            observation = observation.astype(self.dtype)
        array: NDArray[Any] = observation
        return array

    def _part(self, observation: Mapping[str, Any]) -> Any:
        """The part of a mapping that the student sees: its image, of a camera with the state as one more channel."""
        if not self.with_state:
            return observation.get("image")
        try:
            image, state = (np.asarray(observation[name]) for name in ("image", "state"))
            if not ((state >= 0) & (state <= 1)).all():
                raise ValueError(state)
            return with_state(image, state)
        except (KeyError, ValueError, TypeError, IndexError):
            raise PolicyError(
                "this student sees an image and a state of numbers from 0 to 1; give both as its task returns them"
            ) from None

    def _misshapen(self, array: NDArray[Any], wanted: tuple[int, ...], remedy: str) -> PolicyError:
        return PolicyError(
            f"this student sees arrays of shape {wanted}, not {array.shape}; give what its task returns{remedy}"
        )

    def _numbers(self, observation: Any) -> NDArray[Any]:
        """State numbers as an array; truth values and fractions are none."""
        array = np.asarray(observation)
        if array.dtype.kind not in "iu":
            raise PolicyError(f"this student sees the numbers of states, not {type(observation).__name__}; give an int")
        return array

    def _check(self, observations: NDArray[Any]) -> None:
        if self.dtype.kind == "f" and not np.isfinite(observations).all():
            raise PolicyError("the observation has a NaN or infinite value; mend where it comes from")
        below = self._low is not None and (observations < self._low).any()
        if below or (self._high is not None and (observations > self._high).any()):
            raise self._out_of_range()
        if self._agent_below is not None:
            agents = (observations[..., 3] < self._agent_below).reshape(len(observations), -1).sum(1)
            if (agents != 1).any():
                raise PolicyError(_NO_AGENT)

    def _check_bytes(self, raw: bytes) -> None:
        """Checks a single map as `_check` does; its numpy calls would take as long as the network."""
        channels = len(self._legal or ())
        for channel, legal in enumerate(self._legal or ()):
            if raw[channel::channels].translate(None, legal):
                raise self._out_of_range()
        if self._agent_below is not None:
            elsewhere = raw[3::channels].translate(None, bytes(range(self._agent_below)))
            if len(raw) - channels * len(elsewhere) != channels:
                raise PolicyError(_NO_AGENT)

    def _out_of_range(self) -> PolicyError:
        return PolicyError(
            f"the observation has values outside what the student was trained on ({self._range()}); give what its task "
            "returns"
        )

    def _range(self) -> str:
        low, high = ("any" if one is None else np.unique(one).tolist() for one in (self._low, self._high))
        return f"from {low} to {high}"


_BOUNDS = (("low", -np.inf), ("high", np.inf))


def _bound(value: Any, shape: tuple[int, ...], infinite: float) -> NDArray[np.float64]:
    """A bound as an array; null, for all or for one place, is none."""
    found = np.array(value, dtype=np.float64)  # None becomes NaN
    found[np.isnan(found)] = infinite
    np.broadcast_to(found, shape)  # fails where it does not fit
    return found
