"""What a student may be shown: observations of the right shape, type and range, anything else in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Folder, PolicyError

_KINDS = "biuf"


class Observations:
    """The observations that a student takes, as its folder declares them.

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
        self._floating = self.dtype.kind == "f"

    def checked(self, observation: Any, members: int | None) -> NDArray[Any]:
        """The observations (N, ...) as the network takes them; `members` is None for one that comes alone.

        Raises:
            PolicyError: One of them is none that the student sees.
        """
        if isinstance(observation, Mapping):
            observation = observation.get("image")
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
        wanted = self.shape if members is None else (members, *self.shape)
        if observation.shape != wanted:
            raise PolicyError(
                f"this student sees arrays of shape {wanted}, not {observation.shape}; give what its task returns"
                + ("" if members is not None else ", or name the members to reset() for a batch")
            )
        if members is None:
            observation = observation[None]
        self._check_values(observation)
        checked: NDArray[Any] = observation
        return checked

    def _numbers(self, observation: Any) -> NDArray[Any]:
        """State numbers as an array; truth values and fractions are none."""
        array = np.asarray(observation)
        if array.dtype.kind not in "iu":
            raise PolicyError(f"this student sees the numbers of states, not {type(observation).__name__}; give an int")
        return array

    def _check_values(self, observations: NDArray[Any]) -> None:
        if self._floating and not np.isfinite(observations).all():
            raise PolicyError("the observation has a NaN or infinite value; mend where it comes from")
        below = self._low is not None and (observations < self._low).any()
        if below or (self._high is not None and (observations > self._high).any()):
            raise PolicyError(
                f"the observation has values outside what the student was trained on ({self._range()}); give what its "
                "task returns"
            )
        if self._agent_below is not None:
            agents = (observations[..., 3] < self._agent_below).reshape(len(observations), -1).sum(1)
            if (agents != 1).any():
                raise PolicyError("the map must show the agent once; give what the task returns")

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
