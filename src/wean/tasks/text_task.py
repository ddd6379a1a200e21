"""The contract of tasks that are played in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym

from wean.errors import UsageError
from wean.tasks.situation import Situation


@runtime_checkable
class TextTask(Protocol):
    """A Gymnasium environment whose actions are texts, with what an agent in words needs to know of it.

    `step` takes any text, and `situation().choices` are the texts that are admissible now. Its `info` has `moves`, the
    moves counted so far, and where the observation is more than the answer to the action, that answer as `feedback`.

    Attributes:
        description: The task of this episode in words; empty before the first reset.
        score: Points so far, from 0 to 100; below 0 for a task that was failed and counts so.
        max_moves: Moves after which an episode is truncated; None for no limit.
        irrevocable: Beginnings of actions that cannot be undone and may fail the task.
        idle: Actions that change nothing but the time.
        refusal_is_free: Whether a text that is no action costs no move, so that texts can be tried.
        refusals: Beginnings of the answers to a text that is no action.
        meanings: What each admissible action stands for while the task asks which of several things was meant, e.g.
            `{"0": "pick up metal pot", "1": "pick up glass cup"}`; empty otherwise.
    """

    description: str
    score: float
    max_moves: int | None
    irrevocable: tuple[str, ...]
    idle: tuple[str, ...]
    refusal_is_free: bool
    refusals: tuple[str, ...]

    @property
    def meanings(self) -> Mapping[str, str]:
        """See the class."""

    def look(self) -> str:
        """What can be seen; costs no move."""

    def inventory(self) -> str:
        """What is carried; costs no move."""

    def situation(self) -> Situation:
        """This moment in words; its `choices` are the admissible actions."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """See `gymnasium.Env.step`."""

    def close(self) -> None:
        """See `gymnasium.Env.close`."""


def text_task(env: gym.Env[Any, Any]) -> TextTask:
    """The environment as a task that is played in words.

    Raises:
        UsageError: If it is none, or does not keep the contract; the message names what is missing.
    """
    if isinstance(env, TextTask):
        return env
    name = env.spec.id if env.spec is not None else type(env).__name__
    if not isinstance(env.action_space, gym.spaces.Text):
        raise UsageError(f"{name} is not played in words: its actions are {env.action_space}; choose a text task")
    raise UsageError(f"{name} lacks {', '.join(missing_of(env))}; see wean.tasks.text_task.TextTask")


def missing_of(env: gym.Env[Any, Any]) -> list[str]:
    """Names of the parts of the `TextTask` contract that an environment lacks."""
    names = [name for name in {**TextTask.__annotations__, **vars(TextTask)} if not name.startswith("_")]
    return [name for name in names if not hasattr(env, name)]
