"""The tasks by name: wean's own, those that installed packages add, and whatever is registered with Gymnasium."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym

from wean.errors import UsageError, WeanError, did_you_mean, shown_error
from wean.extras import entry_points
from wean.tasks.splits import FOLDS, Case, Fold, first_seed, fold_of

GROUP = "wean.tasks"
"""The entry points by which an installed package adds tasks: a name, and `module:callable` (a class, or a function that
makes an environment)."""


@dataclass(frozen=True)
class Listed:
    """A task by its short name.

    Attributes:
        entry: The environment's `module:class`, imported when the task is made.
        what: One line for people.
        settings: Keyword arguments of the environment, which a user can override.
        package: The package, and the extra of wean, that it needs; empty for none.
        episodes: `module:function` that lists the episodes of a fold, see `episodes_of`; empty for a task whose
            episodes depend on the reset seed alone.
        paths_only: Whether its solver gives whole paths in words instead of the best actions of a step.
        splits: The task's own names of its splits.
    """

    entry: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    package: str = ""
    episodes: str = ""
    paths_only: bool = False
    splits: Mapping[str, Fold] = field(default_factory=dict)


_ROOM, _KITCHEN, _LAKE = (
    "wean.tasks.grid.env:Room",
    "wean.tasks.kitchen:Kitchen",
    "wean.tasks.frozen_lake:FrozenLake",
)
_STOCK = "wean.tasks.grid.env:make_stock"
_STOCK_IDS = ("MiniGrid-", "BabyAI-")
_TEXTWORLD = "wean.tasks.textworld:TextWorld"
_ROBOT = "wean.tasks.navpick.task:NavPick"
_BANDIT, _CONTEXTUAL = "wean.tasks.bandits:Bandit", "wean.tasks.bandits:ContextualBandit"
_ALFWORLD = "wean.tasks.alfworld.task"
_ALFWORLD_SPLITS: Mapping[str, Fold] = {"valid_seen": "dev", "valid_unseen": "test"}
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
        "textworld",
    ),
    "TextWorldTreasure": Listed(
        _TEXTWORLD,
        "a text adventure: find one object among rooms, doors and boxes",
        {"challenge": "treasure_hunter", "settings": {"level": 13}, "horizon": 40},
        "textworld",
    ),
    "TextWorldCoin": Listed(
        _TEXTWORLD,
        "a text adventure: find the coin at the end of a chain of rooms",
        {"challenge": "coin_collector", "settings": {"level": 105}, "horizon": 40},
        "textworld",
    ),
    "NavPick": Listed(_ROBOT, "a robot fetches a thing whose place it is told", package="mujoco"),
    "NavPickSearch": Listed(
        _ROBOT, "a robot looks for a thing and fetches it", {"compass": False, "usual": 0.8}, "mujoco"
    ),
    "NavPickPlace": Listed(
        _ROBOT, "a robot brings a thing to a piece of furniture", {"place": True, "horizon": 500}, "mujoco"
    ),
    "BanditVideos": Listed(_BANDIT, "a bandit in words: 5 videos, watched to the end or not"),
    "BanditShirts": Listed(_BANDIT, "a bandit in words: 5 shirts, points of many sizes", {"reward": "gaussian"}),
    **{
        f"Bandit{name.capitalize()}": Listed(_CONTEXTUAL, what, {"data": name}, "bandits")
        for name, what in (
            ("iris", "a bandit with contexts: the species of an iris"),
            ("wine", "a bandit with contexts: the grape of a wine"),
            ("cancer", "a bandit with contexts: whether a breast mass is malignant"),
        )
    },
    "ALFWorld": Listed(
        f"{_ALFWORLD}:ALFWorld",
        "3,827 households of words: six types of chores; type=pick and others",
        episodes=f"{_ALFWORLD}:episodes",
        splits=_ALFWORLD_SPLITS,
    ),
    **{
        f"ALFWorld{name}": Listed(
            f"{_ALFWORLD}:ALFWorld", f"ALFWorld's {what}", {"type": type_}, splits=_ALFWORLD_SPLITS
        )
        for name, type_, what in (
            ("Pick", "pick", "chores of one object that is put somewhere"),
            ("Examine", "examine", "chores of an object that is looked at under a lamp"),
            ("Clean", "clean", "chores of an object that is cleaned and put somewhere"),
            ("Heat", "heat", "chores of an object that is heated and put somewhere"),
            ("Cool", "cool", "chores of an object that is cooled and put somewhere"),
            ("PickTwo", "pick-two", "chores of two objects that are put in one place"),
        )
    },
    **{
        f"ALFWorld{name}Skills": Listed(
            f"{_ALFWORLD}:ALFWorld",
            f"as ALFWorld{name}, by skills, in few words",
            {"type": type_, "skills": True},
            splits=_ALFWORLD_SPLITS,
        )
        for name, type_ in (("Pick", "pick"), ("Examine", "examine"))
    },
    "ScienceWorld": Listed(
        "wean.tasks.scienceworld:ScienceWorld",
        "30 experiments in a house of words; task=boil and others",
        package="scienceworld",
        episodes="wean.tasks.scienceworld:episodes",
        paths_only=True,
    ),
}
_IN_SMALL_LETTERS = {name.lower(): name for name in TASKS}

_MAKERS: dict[str, Callable[..., Any]] = {}  # by `module:function`, as far as they were named in this process

ROOMS = tuple(name for name, task in TASKS.items() if task.entry == _ROOM)
"""The door-key rooms."""


RECORDINGS: Mapping[str, str] = {
    **dict.fromkeys(ROOMS, "recorded:doorkey"),
    **{name: "recorded:minigrid" for name, task in TASKS.items() if task.entry == _STOCK},
    **dict.fromkeys(("Kitchen", "KitchenTomato", "KitchenRandom"), "recorded:kitchen"),
    **dict.fromkeys(("FrozenLake", "FrozenLake4x4"), "recorded:frozenlake"),
    **dict.fromkeys(("ALFWorldPickSkills", "ALFWorldExamineSkills"), "recorded:alfworld"),
    **dict.fromkeys(("NavPick", "NavPickSearch", "NavPickPlace"), "recorded:navpick"),
    **dict.fromkeys(("BanditIris", "BanditWine", "BanditCancer"), "recorded:bandits"),
}
"""The recorded answers that come with wean, by the short names of the tasks that they are about."""


def recording_of(name: str) -> str:
    """The name of the recorded answers that come with wean and are about a task; those about MiniGrid are about many.

    Raises:
        UsageError: If there are none, or no such task.
    """
    if (short := short_name(name)) in RECORDINGS:
        return RECORDINGS[short]
    if task_id(name).startswith(_STOCK_IDS):
        return "recorded:minigrid"
    raise UsageError(
        f"no recorded answers about {name} come with wean; name who is asked with --model (teacher= in Python): "
        "openai:NAME, an address, hf:NAME or recorded:FILE"
    )


def register_tasks() -> None:
    """Registers every task of wean as `wean/<name>-v0`; safe to call again."""
    for name, task in TASKS.items():
        if f"wean/{name}-v0" not in gym.registry:
            gym.register(f"wean/{name}-v0", task.entry, kwargs=dict(task.settings))


def listed_tasks() -> dict[str, Listed]:
    """The tasks by short name: wean's own, then those of installed packages.

    Raises:
        UsageError: If two packages claim the same name, or one of wean's.
    """
    entry_points(GROUP)  # refuses a name that two packages claim
    found = dict(TASKS)
    for entry in metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist is not None else entry.module
        if entry.name in TASKS:
            raise UsageError(f"{package} declares {entry.name!r} in {GROUP}, a task of wean's; uninstall that package")
        found[entry.name] = Listed(entry.value, f"from the package {package}")
    return found


def task_names() -> tuple[str, ...]:
    """Short names of the tasks."""
    return tuple(listed_tasks())


def task_id(name: str) -> str:
    """The registered id of a task: `SimpleDoorKey` is `wean/SimpleDoorKey-v0`; registered ids pass through.

    As in Gymnasium, `module:id` imports the module that registers the id first; it may lie in the current folder.
    `module:function` (or a class) that makes an environment works, too. A task of an installed package is registered
    under its own name. The short names of wean's tasks are found in small letters, too.

    Raises:
        UsageError: If there is no such task.
    """
    register_tasks()
    if name.startswith(_STOCK_IDS):
        importlib.import_module("minigrid")  # registers its ids
    module, sign, rest = name.rpartition(":")
    if sign:
        maker = getattr(_import(module, name), rest, None)
        if rest not in gym.registry and callable(maker):
            _MAKERS[name] = maker
            return name
        name = rest
    if name in gym.registry:
        return name
    if f"wean/{name}-v0" in gym.registry:
        return f"wean/{name}-v0"
    if short := _IN_SMALL_LETTERS.get(name.lower()):
        return f"wean/{short}-v0"
    if load := entry_points(GROUP).get(name):
        gym.register(name, lambda **kwargs: load()(**kwargs))  # the package's code is imported only then
        return name
    hint = did_you_mean(name, [*task_names(), *gym.registry], "`wean list tasks` shows those there are")
    raise UsageError(f"unknown task {name!r}; {hint}")


def bare_name(name: str) -> str:
    """A task's name without what registration adds to it: `SimpleDoorKey` of `wean/SimpleDoorKey-v0`."""
    return name.removeprefix("wean/").removesuffix("-v0")


def short_name(name: str) -> str:
    """The name of a task in runs and tables: short for wean's own, else the registered id.

    Raises:
        UsageError: If there is no such task.
    """
    registered = task_id(name)
    short = bare_name(registered)
    return short if registered == f"wean/{short}-v0" and short in TASKS else name


def listed(name: str) -> Listed | None:
    """The entry of one of wean's tasks, by short name or registered id; None for any other.

    Raises:
        UsageError: If there is no such task.
    """
    return TASKS.get(short_name(name))


def fold_of_split(name: str, split: str) -> Fold:
    """The fold of a split by its name, wean's or the task's own.

    Raises:
        UsageError: There is no such task or split.
    """
    task = listed(name)
    own = {} if task is None else task.splits
    if split not in own and split not in FOLDS:
        also = f", and of {name} {', '.join(own)}" if own else ""
        raise UsageError(f"no split {split!r}; there are {', '.join(FOLDS)}{also}")
    return own.get(split) or fold_of(split)


def episodes_of(name: str, fold: Fold, count: int, only: Sequence[str] = ()) -> list[Case]:
    """The first `count` episodes of a fold: of each part (or those in `only`), else of seeds.

    Raises:
        UsageError: If there is no such task or part, or parts are named of a task without any.
    """
    task = listed(name)
    if task is not None and task.episodes:
        module, _, function = task.episodes.partition(":")
        found: list[Case] = vars(importlib.import_module(module))[function](fold, count, only)
        return found
    if only:
        raise UsageError(f"{name} has no parts to choose {', '.join(only)} from; leave them out")
    first = first_seed(fold)
    return [Case(name, seed, seed) for seed in range(first, first + count)]


def make_task(name: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Makes a task by short name or registered id, without Gymnasium's checking wrappers.

    A stock MiniGrid or BabyAI environment becomes a `StockGrid`, with a remembered map, words and skills.

    Example:
        >>> env = make_task("SimpleDoorKey")
        >>> observation, info = env.reset(seed=1)
        >>> env.situation().text
        'The robot has seen nothing. It holds nothing.'

    Args:
        name: Short name, registered id, `module:id` or `module:function`.
        **kwargs: Passed to the environment, e.g. `render_mode="rgb_array"`.

    Raises:
        UsageError: If there is no such task, or the package that adds it fails.
    """
    registered = task_id(name)
    try:
        if registered in _MAKERS:
            made: gym.Env[Any, Any] = _MAKERS[registered](**kwargs)
            return made
        if registered.startswith(_STOCK_IDS):
            from wean.tasks.grid.env import make_stock

            return make_stock(registered, **kwargs)
        env = gym.make(registered, disable_env_checker=True, **kwargs)
    except WeanError:
        raise
    except Exception as error:  # a package that is missing, or whatever an environment of others raises
        reason = shown_error(error, 1_000)
        raise UsageError(f"{name} cannot be made ({reason}); install what it needs, or mend its settings") from error
    return env.env if isinstance(env, gym.wrappers.OrderEnforcing) else env


def check_named_in_file(name: str, where: str, otherwise: str = "") -> None:
    """Checks that a name which was read from a file imports no module: files that others wrote never run code.

    Args:
        name: The task's name.
        where: What names it.
        otherwise: A second remedy.

    Raises:
        UsageError: It names a module; the message says how a user can name it.
    """
    if ":" in name:
        raise UsageError(
            f"{where} names the task {name!r}, whose module is imported only if you name it yourself: --task {name}"
            f"{otherwise}"
        )


def _import(module: str, name: str) -> ModuleType:
    """Imports the module that registers a task, from the current folder too."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module)
    except Exception as error:  # the module is the user's own, and may fail in any way
        raise UsageError(
            f"cannot import the module of task {name!r} ({type(error).__name__}: {error}); mend or install it"
        ) from None
