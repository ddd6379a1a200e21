"""Registers the tasks with Gymnasium and resolves the short names that the command line takes."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
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

    As in Gymnasium, `module:id` imports the module that registers the id first; it may lie in the current folder.

    Raises:
        UsageError: If there is no such task.
    """
    register_tasks()
    module, sign, rest = name.rpartition(":")
    if sign:
        _import(module, name)
        name = rest
    if name in gym.registry:
        return name
    if f"wean/{name}-v0" in gym.registry:
        return f"wean/{name}-v0"
    close = difflib.get_close_matches(name, [*task_names(), *gym.registry], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`wean list tasks` shows those there are"
    raise UsageError(f"unknown task {name!r}; {hint}")


def short_name(name: str) -> str:
    """The name under which runs and tables know a task: short for wean's own, else the registered id.

    Raises:
        UsageError: If there is no such task.
    """
    return task_id(name).removeprefix("wean/").removesuffix("-v0") if _ours(task_id(name)) else name


def _ours(registered: str) -> bool:
    return registered.startswith("wean/") and registered.removeprefix("wean/").removesuffix("-v0") in ROOMS


def make_task(name: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Makes a task by short name or registered id, without Gymnasium's checking wrappers.

    Args:
        name: Short name, registered id or `module:id`.
        **kwargs: Passed to the environment, e.g. `render_mode="rgb_array"`.

    Returns:
        The environment. One that limits its own time comes as its maker made it (Gymnasium's wrapper around it costs
        as much as a step); wrappers that hold words or a time limit are kept.
    """
    env = gym.make(task_id(name), disable_env_checker=True, **kwargs)
    return env.env if isinstance(env, gym.wrappers.OrderEnforcing) else env


def _import(module: str, name: str) -> None:
    """Imports the module that registers a task; the command line, unlike `python`, does not look in its folder."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        importlib.import_module(module)
    except Exception as error:  # the module is the user's own, and may fail in any way
        raise UsageError(
            f"cannot import the module of task {name!r} ({type(error).__name__}: {error}); mend or install it"
        ) from None
