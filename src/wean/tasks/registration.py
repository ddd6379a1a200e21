"""Registers the tasks with Gymnasium and resolves the short names that the command line takes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym

from wean.errors import UsageError, did_you_mean

ROOMS = (
    "SimpleDoorKey",
    "ColoredDoorKey",
    "LavaDoorKey",
    "ColoredDoorKeyRandom",
    "KeyInBox",
    "RandomBoxKey",
    "TwoDoor",
)


@dataclass(frozen=True)
class Listed:
    """A task that comes with wean.

    Attributes:
        entry: The environment's `module:class`, imported when the task is made.
        what: One line for people.
        settings: Keyword arguments of the environment, which a user can override.
    """

    entry: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)


_ROOM, _KITCHEN, _LAKE = (
    "wean.tasks.grid.room:Room",
    "wean.tasks.kitchen.env:Kitchen",
    "wean.tasks.frozen_lake:FrozenLake",
)
_STOCK = "wean.tasks.grid.stock:make_stock"
_STOCK_IDS = ("MiniGrid-", "BabyAI-")
_TEXTWORLD = "wean.tasks.textworld.env:TextWorld"
_SCIENCE = "wean.tasks.scienceworld.env:ScienceWorld"
_ANYWHERE = {"random": True, "sight": None}

TASKS: Mapping[str, Listed] = {
    "SimpleDoorKey": Listed(_ROOM, "a room with a locked door and its key", {"kind": "SimpleDoorKey"}),
    "ColoredDoorKey": Listed(_ROOM, "a room with a blue door, a blue key and a red key", {"kind": "ColoredDoorKey"}),
    "LavaDoorKey": Listed(_ROOM, "as SimpleDoorKey, with lava that nobody mentions", {"kind": "LavaDoorKey"}),
    "ColoredDoorKeyRandom": Listed(
        _ROOM, "a door of any colour, its key and a key of another colour", {"kind": "ColoredDoorKeyRandom"}
    ),
    "KeyInBox": Listed(_ROOM, "a locked door, whose key lies in a box", {"kind": "KeyInBox"}),
    "RandomBoxKey": Listed(_ROOM, "a locked door, a box, and the key in it or elsewhere", {"kind": "RandomBoxKey"}),
    "TwoDoor": Listed(_ROOM, "a 20x20 room with two locked doors, a key for both", {"kind": "TwoDoor"}),
    "KeyCorridorS3R3": Listed(
        _STOCK,
        "MiniGrid's: a ball behind a locked door, its key in one of six rooms",
        {"id": "MiniGrid-KeyCorridorS3R3-v0"},
    ),
    "MultiRoomN2S4": Listed(
        _STOCK, "MiniGrid's: through a door to the goal in the next room", {"id": "MiniGrid-MultiRoom-N2-S4-v0"}
    ),
    "ObstructedMaze1Dlh": Listed(
        _STOCK,
        "MiniGrid's: a ball behind a locked door, its key hidden in a box",
        {"id": "MiniGrid-ObstructedMaze-1Dlh-v0"},
    ),
    "Kitchen": Listed(_KITCHEN, "a cook makes a tomato-lettuce salad", {"recipe": "tomato-lettuce"}),
    "KitchenTomato": Listed(_KITCHEN, "a cook makes a tomato salad", {"recipe": "tomato"}),
    "KitchenThree": Listed(_KITCHEN, "a cook makes a salad of three", {"recipe": "tomato-lettuce-onion"}),
    "KitchenRandom": Listed(_KITCHEN, "as Kitchen, in a new kitchen each time", {**_ANYWHERE}),
    "KitchenRandomTomato": Listed(
        _KITCHEN, "as KitchenTomato, in a new kitchen each time", {"recipe": "tomato", **_ANYWHERE}
    ),
    "KitchenRandomThree": Listed(
        _KITCHEN, "as KitchenThree, in a new kitchen each time", {"recipe": "tomato-lettuce-onion", **_ANYWHERE}
    ),
    "FrozenLake": Listed(_LAKE, "Gymnasium's slippery 8x8 lake, 200 steps", {"size": "8x8"}),
    "FrozenLakeDry": Listed(_LAKE, "the 8x8 lake, not slippery", {"size": "8x8", "slippery": False}),
    "FrozenLakeRandom": Listed(_LAKE, "a new slippery 8x8 lake each time", {"size": "8x8", "random": True}),
    "FrozenLake4x4": Listed(_LAKE, "Gymnasium's slippery 4x4 lake, 100 steps", {"size": "4x4"}),
    "FrozenLake4x4Dry": Listed(_LAKE, "the 4x4 lake, not slippery", {"size": "4x4", "slippery": False}),
    "TextWorldCooking": Listed(
        _TEXTWORLD,
        "a text adventure: prepare and eat the meal of a recipe",
        {
            "challenge": "cooking",
            "settings": {"recipe": 1, "take": 1, "go": 6, "open": 1, "cook": 1, "cut": 1},
            "horizon": 50,
        },
    ),
    "TextWorldTreasure": Listed(
        _TEXTWORLD,
        "a text adventure: find one object among rooms, doors and boxes",
        {"challenge": "treasure_hunter", "settings": {"level": 13}, "horizon": 40},
    ),
    "TextWorldCoin": Listed(
        _TEXTWORLD,
        "a text adventure: find the coin at the end of a chain of rooms",
        {"challenge": "coin_collector", "settings": {"level": 105}, "horizon": 40},
    ),
    "ScienceWorld": Listed(_SCIENCE, "30 experiments in a house of words; task=boil and others"),
}


def register_tasks() -> None:
    """Registers every task of wean as `wean/<name>-v0`; safe to call again."""
    for name, task in TASKS.items():
        if f"wean/{name}-v0" not in gym.registry:
            gym.register(f"wean/{name}-v0", task.entry, kwargs=dict(task.settings))


def task_names() -> tuple[str, ...]:
    """Short names of the tasks that come with wean."""
    return tuple(TASKS)


def task_id(name: str) -> str:
    """Resolves `SimpleDoorKey` to `wean/SimpleDoorKey-v0`; registered ids pass through.

    As in Gymnasium, `module:id` imports the module that registers the id first; it may lie in the current folder.

    Raises:
        UsageError: If there is no such task.
    """
    register_tasks()
    if name.startswith(_STOCK_IDS):
        importlib.import_module("minigrid")  # registers its ids
    module, sign, rest = name.rpartition(":")
    if sign:
        _import(module, name)
        name = rest
    if name in gym.registry:
        return name
    if f"wean/{name}-v0" in gym.registry:
        return f"wean/{name}-v0"
    hint = did_you_mean(name, [*task_names(), *gym.registry], "`wean list tasks` shows those there are")
    raise UsageError(f"unknown task {name!r}; {hint}")


def short_name(name: str) -> str:
    """The name under which runs and tables know a task: short for wean's own, else the registered id.

    Raises:
        UsageError: If there is no such task.
    """
    registered = task_id(name)
    short = registered.removeprefix("wean/").removesuffix("-v0")
    return short if registered == f"wean/{short}-v0" and short in TASKS else name


def make_task(name: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Makes a task by short name or registered id, without Gymnasium's checking wrappers.

    Args:
        name: Short name, registered id or `module:id`.
        **kwargs: Passed to the environment, e.g. `render_mode="rgb_array"`.

    Returns:
        The environment. One that limits its own time comes as its maker made it (Gymnasium's wrapper around it costs
        as much as a step); wrappers that hold words or a time limit are kept. A stock MiniGrid or BabyAI environment
        becomes a task with a remembered map, words and skills (`wean.tasks.grid.stock.StockGrid`).
    """
    registered = task_id(name)
    if registered.startswith(_STOCK_IDS):
        from wean.tasks.grid.stock import make_stock

        return make_stock(registered, **kwargs)
    env = gym.make(registered, disable_env_checker=True, **kwargs)
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
