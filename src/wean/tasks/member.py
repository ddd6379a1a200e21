"""One environment behind the contract of a task: what it gives is checked, and what it raises names it and the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError, WeanError, shown, shown_error
from wean.runtime.observations import with_state
from wean.tasks.situation import Situation

_NUMBERS = float | int | np.floating | np.integer
_SEEN = gym.spaces.Box | gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary | gym.spaces.Text


class Step(NamedTuple):
    """What one step gave; see `wean.tasks.vector.Steps`."""

    observation: NDArray[Any]
    reward: float
    terminated: bool
    truncated: bool
    success: float
    primitive_steps: int
    info: Mapping[str, Any]


def student_observation(observation: Any, declared: str = "array") -> NDArray[Any]:
    """The student's part of an observation: the `image` of a dict, else all of it.

    Of a task that declares its observations as `camera`, image (H, W, C) and `state` (S,) together, see `with_state`.
    """
    if declared == "camera" and isinstance(observation, dict):
        return with_state(observation["image"], observation["state"])
    return np.asarray(observation["image"] if isinstance(observation, dict) else observation)


def student_space(space: gym.Space[Any], declared: str = "array") -> gym.Space[Any]:
    """The space of `student_observation`.

    Raises:
        UsageError: No student can see it; the message names the wrapper that helps.
    """
    if declared == "camera":
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else {}
        shape = parts["image"].shape or () if {"image", "state"} <= set(parts) else ()
        if len(shape) != 3 or parts["image"].dtype != np.uint8:
            raise UsageError(
                f"a camera's observation is a Dict of image (uint8, H x W x C) and state, not {space}; "
                "leave metadata['observation'] out"
            )
        found: gym.Space[Any] = gym.spaces.Box(0, 255, (*shape[:2], shape[2] + 1), np.uint8)
        return found
    if isinstance(space, gym.spaces.Dict):
        if "image" not in space.spaces:
            raise UsageError(
                f"a student cannot see a Dict observation without the key 'image' ({', '.join(space.spaces)}); "
                "wrap the environment in gymnasium.wrappers.FlattenObservation"
            )
        space = space["image"]
    if isinstance(space, gym.spaces.Box) and (not space.shape or 0 in space.shape):
        raise UsageError(
            f"a student cannot see {space}, an array of shape {space.shape}; give it a shape such as (1,) "
            "with gymnasium.wrappers.ReshapeObservation"
        )
    if not isinstance(space, _SEEN):
        raise UsageError(
            f"a student cannot see {space}; wrap the environment in gymnasium.wrappers.FlattenObservation, "
            "or in TransformObservation with a Box"
        )
    return space


class Member:
    """An environment among others, whose actions are numbered from 0 whatever its space starts at.

    Args:
        make: Makes it.

    Attributes:
        env: The environment.
        name: Its registered id, or what it calls itself.
        observation: What it declares its observations to be; see `Tasks.observation`.
        observation_space: What a student sees of it.

    Raises:
        UsageError: It is no environment, or none that a student can see.
        WeanError: It cannot be made.
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]]) -> None:
        self._steps = self._seed = 0
        self.name = "the task"
        made: Any = self._own("make()", make)
        if not isinstance(made, gym.Env):
            raise UsageError(f"a task is a gymnasium.Env, not {made!r}; give a function that returns one")
        self.env: gym.Env[Any, Any] = made
        self.name = made.spec.id if made.spec is not None else type(made.unwrapped).__name__
        self.observation = str(made.metadata.get("observation", "array"))
        for what in ("observation_space", "action_space"):
            space = getattr(made, what, None)
            if not isinstance(space, gym.Space):
                raise UsageError(f"{self.name} has no {what}, but {space!r}; set it in __init__")
        try:
            self.observation_space = student_space(made.observation_space, self.observation)
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None
        space = made.action_space
        if not isinstance(space, gym.spaces.Discrete | gym.spaces.Text):
            raise UsageError(
                f"{self.name}: its actions are {space}, and neither numbered (Discrete) nor texts; "
                "number some of them with gymnasium.wrappers.TransformAction"
            )
        self._first_action = int(space.start) if isinstance(space, gym.spaces.Discrete) else None
        self._actions = int(space.n) if isinstance(space, gym.spaces.Discrete) else 0

    @property
    def reward_threshold(self) -> float | None:
        """The registered return from which an episode counts as success, its own or a wrapped one's; None for none."""
        spec = self.env.spec
        if spec is not None and spec.reward_threshold is not None:
            return spec.reward_threshold
        own = "reward_threshold"
        return self.env.get_wrapper_attr(own) if self.env.has_wrapper_attr(own) else None

    def reset(self, seed: int, options: Mapping[str, Any] | None) -> NDArray[Any]:
        """Begins an episode; returns what a student sees."""
        given = {} if options is None else {"options": dict(options)}
        self._steps, self._seed = 0, int(seed)
        result = self._own("reset()", lambda: self.env.reset(seed=int(seed), **given))
        if not isinstance(result, tuple) or len(result) != 2:
            self._fail(f"reset() gives {_told(result)}", "let it return (observation, info)")
        return self._observation(result[0])

    def step(self, action: Any) -> Step:
        """Acts; a numbered action is its place among the actions, from 0."""
        if self._first_action is not None and not isinstance(action, str):
            if not 0 <= int(action) < self._actions:
                raise WeanError(f"{self.name} has no action {action}; its actions are 0 to {self._actions - 1}")
            action = int(action) + self._first_action
        self._steps += 1
        result = self._own("step()", lambda: self.env.step(action))
        if not isinstance(result, tuple) or len(result) != 5:
            self._fail(
                f"step() gives {_told(result)}", "let it return (observation, reward, terminated, truncated, info)"
            )
        observation, reward, terminated, truncated, info = result
        if not isinstance(info, Mapping):
            self._fail(f"its info is {_told(info)}", "let step() return a dict")
        for name, ended in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(ended, bool | np.bool_ | int | np.integer):
                self._fail(f"{name} is {_told(ended)}", "let step() return True or False")
        return Step(
            self._observation(observation),
            self._number("reward", reward),
            bool(terminated),
            bool(truncated),
            self._success(info.get("is_success")),
            int(self._number("info['primitive_steps']", info.get("primitive_steps", 1))),
            {key: value for key, value in info.items() if isinstance(value, str | int | float)},
        )

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the task's own, wherever among its wrappers it is.

        Raises:
            AttributeError: It has none.
            WeanError: The method fails.
        """
        method = self.env.get_wrapper_attr(name)
        return self._own(f"{name}()", lambda: method(*arguments))

    def place_of(self, action: Any) -> Any:
        """The place, from 0, of an action of the environment's own; None stays None, and texts stay texts."""
        if action is None or self._first_action is None:
            return action
        if not isinstance(action, int | np.integer):
            self._fail(f"an action of its own is {_told(action)}", "let it be a number, or None for none")
        return int(action) - self._first_action

    def situation(self) -> Situation:
        """The situation, by the task's own method."""
        found: Any = self.call("situation")
        if not isinstance(found, Situation):
            self._fail(f"situation() gives {_told(found)}", "let it return a wean.Situation")
        return found

    def close(self) -> None:
        """Ends the environment."""
        self._own("close()", self.env.close)

    def _own(self, what: str, call: Callable[[], Any]) -> Any:
        """Calls the environment's own code, which may fail in any way."""
        try:
            return call()
        except WeanError:
            raise
        except Exception as error:
            detail = shown_error(error, 1_000)
            remedy = "mend the environment"
            if what == "reset()" and isinstance(error, TypeError) and "unexpected keyword" in detail:
                remedy = "let reset() take seed= and options="
            raise WeanError(f"{self.name}: {what} failed {self._place()}({detail}); {remedy}") from error

    def _fail(self, what: str, remedy: str) -> NoReturn:
        raise WeanError(f"{self.name}: {what} {self._place()}; {remedy}".replace(" ;", ";"))

    def _place(self) -> str:
        if self.name == "the task":
            return ""
        return f"in step {self._steps} after reset(seed={self._seed}) " if self._steps else f"at seed {self._seed} "

    def _observation(self, given: Any) -> NDArray[Any]:
        space = self.observation_space
        if isinstance(given, dict) and "image" not in given:
            self._fail(f"its observation is {_told(given)} without the key 'image'", f"return one of {space}")
        try:
            seen = student_observation(given, self.observation)
        except ValueError:  # rows of different lengths
            seen = np.empty(0, object)
        if isinstance(space, gym.spaces.Text):
            if seen.dtype.kind != "U" or seen.shape:
                self._fail(f"its observation is {_told(given)}", "let it be a text, as its space says")
            return seen
        if seen.dtype.kind not in "biuf" or seen.shape != space.shape:
            self._fail(f"its observation is {_told(given)}", f"let it be one of {space}, as its space says")
        if seen.dtype.kind == "f" and not np.isfinite(seen).all():
            self._fail("its observation is not finite (NaN or infinite)", "mend the environment")
        if isinstance(space, gym.spaces.Discrete) and not space.start <= int(seen) < space.start + space.n:
            self._fail(f"its observation is {seen}", f"let it be one of {space}, as its space says")
        return seen

    def _number(self, name: str, given: Any) -> float:
        if isinstance(given, np.ndarray) and not given.shape:
            given = given[()]
        # What numbers mostly are comes first: whether something can become one takes microseconds, at every step.
        if not isinstance(given, _NUMBERS) and (
            isinstance(given, str | bytes | np.ndarray) or not isinstance(given, SupportsFloat)
        ):
            self._fail(f"its {name} is {_told(given)}", "let it be a number")
        try:
            number = float(given)
        except (OverflowError, TypeError, ValueError):
            self._fail(f"its {name} is {_told(given)}", "let it be a number")
        if not math.isfinite(number):
            self._fail(f"its {name} is {number}", "let it be finite")
        return number

    def _success(self, said: Any) -> float:
        if said is None or (isinstance(said, float) and np.isnan(said)):
            return float("nan")
        if not isinstance(said, bool | np.bool_ | int | float | np.number):
            self._fail(f"info['is_success'] is {_told(said)}", "let it be True or False")
        return float(bool(said))


def _told(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)} values"
    return shown(value, 60)
