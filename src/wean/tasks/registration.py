"""Registers the tasks with Gymnasium and resolves the short names that the command line takes."""

from __future__ import annotations

import difflib
from typing import Any

import gymnasium as gym

from wean.errors import UsageError

ROOMS = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey")


def register_tasks() -> None:
    """Registers every task of wean as `wean/<name>-v0`; safe to call again."""
    for name in ROOMS:
        if f"wean/{name}-v0" not in gym.registry:
            gym.register(f"wean/{name}-v0", "wean.tasks.grid.room:Room", kwargs={"kind": name})


def task_names() -> tuple[str, ...]:
    """Short names of the tasks that come with wean."""
    return ROOMS


def task_id(name: str) -> str:
    """Resolves `SimpleDoorKey` to `wean/SimpleDoorKey-v0`; registered ids pass through.

    Raises:
        UsageError: If there is no such task.
    """
    register_tasks()
    if name in gym.registry:
        return name
    if f"wean/{name}-v0" in gym.registry:
        return f"wean/{name}-v0"
    close = difflib.get_close_matches(name, [*task_names(), *gym.registry], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`wean list tasks` shows those there are"
    raise UsageError(f"unknown task {name!r}; {hint}")


def make_task(name: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Makes a task by short name or registered id, without Gymnasium's checking wrappers.

    Args:
        name: Short name or registered id.
        **kwargs: Passed to the environment, e.g. `render_mode="rgb_array"`.

    Returns:
        The environment. One that limits its own time comes bare (wrappers cost as much as a step); any other keeps
        the wrappers that Gymnasium gives it.
    """
    env = gym.make(task_id(name), disable_env_checker=True, **kwargs)
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    return env if limited else env.unwrapped
