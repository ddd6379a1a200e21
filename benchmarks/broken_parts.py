"""Environments, teachers, students and policies that break their contract, for `bad_input.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

import wean
from wean.algorithms.ppo import PPOConfig
from wean.tasks.situation import Situation

Found = Iterator[tuple[str, str, Callable[[], object]]]
SMALL = {"total_timesteps": 32, "num_envs": 2, "num_steps": 8}
EVALUATION = {"episodes": 2, "curve_points": 1, "curve_episodes": 2, "recorded_episodes": 1}


class Failure(Exception):
    """What a broken part raises."""


def fails(*_: Any, **__: Any) -> Any:
    """Raises, as a mistake in somebody's code does."""
    raise Failure("this part\nis broken")


class Corridor(gym.Env[Any, Any]):
    """Five cells to walk through; every part can be replaced.

    Args:
        changes: For a name a value, or for `step`, `reset`, `situation` and `first_action` a function from what is
            right to what comes instead.
    """

    def __init__(self, changes: Mapping[str, Any]) -> None:
        self.changes = changes
        self.observation_space = changes.get("observation_space", gym.spaces.Discrete(5))
        self.action_space = changes.get("action_space", gym.spaces.Discrete(2))
        self.cell = self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """See `gymnasium.Env.reset`."""
        super().reset(seed=seed)
        self.cell = self.steps = 0
        return self._changed("reset", (0, {}))

    def step(self, action: Any) -> Any:
        """See `gymnasium.Env.step`."""
        self.steps += 1
        self.cell = min(4, self.cell + 1) if action == 1 else max(0, self.cell - 1)
        done = self.cell == 4
        return self._changed("step", (self.cell, float(done), done, self.steps >= 10 and not done, {}))

    def situation(self) -> Any:
        """Where the walker is, in words."""
        right = Situation("Walk to the end.", f"You are in cell {self.cell}.", ("left", "right"))
        return self._changed("situation", right)

    def first_action(self, plan: Sequence[str]) -> Any:
        """The number of the action that a plan begins with."""
        return self._changed("first_action", {"left": 0, "right": 1}.get(plan[0]) if plan else None)

    def close(self) -> None:
        """Ends it."""
        self._changed("close", None)

    def _changed(self, name: str, right: Any) -> Any:
        return self.changes[name](right) if name in self.changes else right


class Seedless(Corridor):
    """Its `reset` takes no arguments."""

    def reset(self) -> Any:
        """See the class."""
        return super().reset()


def make(kind: type[Corridor], changes: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """Makes an environment."""
    return kind(changes)


def _raised(kind: type[BaseException]) -> Callable[..., Any]:
    def broken(*_: Any) -> Any:
        raise kind("broken")

    return broken


ODD: list[Any] = [None, "text", 3.5, 10**400, float("nan"), float("inf"), -1, [], {}, [[1, 2], [3]], object(), b"\xff"]
ODD += [np.array([1.0, 2.0]), np.array(None), np.zeros((3, 3)), np.array(["a"]), 1 + 2j, True, np.float32("nan")]
INFOS = [{"is_success": one} for one in (None, "yes", 2, np.array([1, 0]), float("nan"), [])]
INFOS += [{"primitive_steps": one} for one in (None, "x", -1, 1.5, float("nan"))]
SPACES: list[Any] = [
    None, 3, gym.spaces.Box(-1, 1, (), np.float32), gym.spaces.Box(0, 255, (4,), np.uint8), gym.spaces.Box(0,
    255, (3, 3, 3), np.uint8),
    gym.spaces.Discrete(5, start=5), gym.spaces.Discrete(2, start=-1), gym.spaces.Discrete(1),
    gym.spaces.MultiDiscrete([2, 3]),
    gym.spaces.MultiBinary(3), gym.spaces.Text(5), gym.spaces.Dict({"a": gym.spaces.Discrete(2)}), gym.spaces.Dict({}),
    gym.spaces.Tuple((gym.spaces.Discrete(2),)), gym.spaces.Discrete(10**12),
    gym.spaces.Sequence(gym.spaces.Discrete(2)),
    gym.spaces.Box(-1, 1, (0,), np.float32),
]  # fmt: skip
NO_SITUATIONS: list[Any] = [None, "text", {"goal": "a"}]
SITUATIONS: list[tuple[Any, Any, Any]] = [
    ("", "", ()),
    ("a", "b", ("left",)),
    ("a", "b", ("left", "left")),
    ("a", "b", ("left", "right", "up")),
    (3, None, ("left", "right")),
    ("a", "b", (1, 2)),
    ("a", "b", None),
    ("a", "\ud800", ("left", "right")),
    ("a", "b" * 10**6, ("left", "right")),
    ("a", fails, ("left", "right")),
    ("a", "b", fails),
]


def _at(place: int, value: Any) -> Callable[[Any], Any]:
    return lambda right: (*right[:place], value, *right[place + 1 :])


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda right: value


def _situation(parts: tuple[Any, Any, Any]) -> Callable[[Any], Any]:
    return lambda right: Situation(*parts)


def _changes() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names of ways to be broken, and what makes an environment so."""
    for name, place in (("observation", 0), ("reward", 1), ("terminated", 2), ("truncated", 3), ("info", 4)):
        for number, value in enumerate([*ODD, *(INFOS if name == "info" else [])]):
            yield f"{name} {number} {value!r:.30}", {"step": _at(place, value)}
    for number, value in enumerate(ODD):
        yield f"first observation {number} {value!r:.30}", {"reset": _at(0, value)}
        yield f"reset returns {number} {value!r:.30}", {"reset": _always(value)}
        yield f"step returns {number} {value!r:.30}", {"step": _always(value)}
        yield f"first_action {number} {value!r:.30}", {"first_action": _always(value)}
    yield "step of four", {"step": lambda right: right[:4]}
    yield "step of six", {"step": lambda right: (*right, {})}
    yield "reset of one", {"reset": lambda right: right[0]}
    yield "reset of three", {"reset": lambda right: (*right, {})}
    for number, value in enumerate(NO_SITUATIONS):
        yield f"no situation {number}", {"situation": _always(value)}
    for number, parts in enumerate(SITUATIONS):
        yield f"situation {number}", {"situation": _situation(parts)}
    for number, space in enumerate(SPACES):
        yield f"observation space {number} {space!s:.30}", {"observation_space": space}
        yield f"action space {number} {space!s:.30}", {"action_space": space}
        if isinstance(space, gym.spaces.Space) and number != 14:
            seen = space.sample()
            changes = {"observation_space": space, "step": _at(0, seen), "reset": _at(0, seen)}
            yield f"observations of space {number} {space!s:.30}", changes
    for name in ("step", "reset", "situation", "first_action", "close"):
        yield f"{name} fails", {name: fails}
        for kind in (KeyError, StopIteration, RecursionError, AssertionError, MemoryError, OSError, AttributeError):
            yield f"{name} raises {kind.__name__}", {name: _raised(kind)}


def advise(situations: Sequence[Situation]) -> list[dict[str, float]]:
    """A teacher that goes right."""
    return [{"right": 1.0} for _ in situations]


def _evaluated(maker: Callable[[], Any], policy: Any = "random") -> None:
    wean.evaluate(policy, maker, episodes=2)


def _trained(method: str, maker: Any, **more: Any) -> None:
    wean.train(method, maker, out="new", evaluation=EVALUATION, **{**SMALL, **more})


def _checked(maker: Callable[[], Any]) -> None:
    wean.check_task(maker())


def _learnt(maker: Callable[[], Any]) -> None:
    tasks = wean.SerialTasks([maker] * 2)
    student = wean.make_student(tasks.observation_space, tasks.action_space)
    wean.PPO(student, tasks, PPOConfig(**SMALL)).learn()


DOORS: dict[str, Callable[[Callable[[], Any]], None]] = {
    "evaluate": _evaluated,
    "random-skills": partial(_evaluated, policy="random-skills"),
    "ppo": partial(_trained, "ppo"),
    "llm4teach": lambda maker: _trained("llm4teach", maker, teacher=advise),
    "dqn": lambda maker: _trained("dqn", maker, num_steps=1, student={"values": "table"}),
    "check_task": _checked,
    "learn": _learnt,
}
DOORS["dqn"] = lambda maker: wean.train(
    "dqn", maker, out="new", total_timesteps=32, num_envs=2, learning_starts=8, evaluation=EVALUATION,
    student={"values": "table"},
)  # fmt: skip


def environments() -> Found:
    """Environments that return nonsense, raise, or cannot be made."""
    kind = "environments"
    for name, changes in _changes():
        for door, enter in DOORS.items():
            yield kind, f"{name}: {door}", partial(enter, partial(make, Corridor, changes))
    for door, enter in DOORS.items():
        yield kind, f"reset without seed: {door}", partial(enter, partial(make, Seedless, {}))
        yield kind, f"make fails: {door}", partial(enter, fails)
        yield kind, f"make gives None: {door}", partial(enter, lambda: None)
        yield kind, f"make gives a class: {door}", partial(enter, lambda: Corridor)
        yield kind, f"make is none: {door}", partial(enter, 3)
        words = partial(lambda: wean.describe(gym.make("CartPole-v1"), fails))
        yield kind, f"describe fails: {door}", partial(enter, words)
        nothing = partial(lambda: wean.describe(gym.make("CartPole-v1"), lambda env: None))
        yield kind, f"describe gives None: {door}", partial(enter, nothing)


# --- teachers, students, policies ----------------------------------------------------------------------------------

GIVEN: list[Any] = [
    None,
    3,
    "right",
    [],
    [None],
    ["right"],
    [{"right": -1}],
    [{"right": float("nan")}],
    [{"right": "much"}],
]
GIVEN += [
    [{"right": float("inf")}],
    [{"up": 1.0}],
    [{3: 1.0}],
    [{}],
    [{"right": 0.0}],
    [{"": 1.0}],
    [{"right": None}],
    [{"right": 10**400}],
]
GIVEN += [
    {"right": 1.0},
    [("right", 1.0)],
    [{"right": {"left": 1}}],
    iter(()),
    [{"right, left": 1.0}],
    [{"right": True}],
    [object()],
]


def _answering(given: Any) -> Callable[[Sequence[Situation]], Any]:
    return lambda situations: given * len(situations) if isinstance(given, list) else given


def teachers() -> Found:
    """Teachers and priors that answer with nonsense, or raise."""
    maker = partial(make, Corridor, {})
    sources: list[tuple[str, Any]] = [("fails", fails), ("KeyError", _raised(KeyError)), ("no arguments", lambda: None)]
    sources += [(f"{given!r:.30}", _answering(given)) for given in GIVEN]
    sources += [
        (f"dict {given!r:.30}", {"You are in cell 0.": given}) for given in (None, 3, [], {"right": "x"}, {3: 1})
    ]
    sources += [("number", 3), ("object", object()), ("empty name", ""), ("long name", "x" * 300), ("bytes", b"\xff")]
    for name, source in sources:
        yield "teachers", f"llm4teach {name}", partial(_trained, "llm4teach", maker, teacher=source)
        yield "teachers", f"ppo-prior {name}", partial(_trained, "ppo-prior", maker, teacher=source)
        yield "teachers", f"evaluate {name}", partial(_taught, source, maker)


def _taught(source: Any, maker: Callable[[], Any]) -> None:
    wean.evaluate(wean.Teacher(source), maker, episodes=1)


class Chooses(wean.Policy):
    """A policy that decides as it is told."""

    name = "own"

    def __init__(self, choose: Callable[[int], Any]) -> None:
        self.choose = choose

    def decide(self, tasks: Any, which: Sequence[int], observations: Any, draws: Any) -> Any:
        """See `wean.Policy.decide`."""
        return self.choose(len(which))


class Thinks(wean.Policy):
    """A policy with the probabilities that it is told."""

    name = "own"

    def __init__(self, think: Callable[[int], Any]) -> None:
        self.think = think

    def probabilities(self, tasks: Any, which: Sequence[int], observations: Any, draws: Any) -> Any:
        """See `wean.Policy.probabilities`."""
        return self.think(len(which))


def _own_student(broken: str) -> Any:
    """A student of which one part is broken."""
    import torch

    class Own(wean.Student):
        """Sees the cell."""

        kind = "own"

        def features(self, observations: Any) -> Any:
            seen = torch.nn.functional.one_hot(observations.long(), 5).float()
            parts = {
                "fails": fails,
                "nan": lambda: seen * float("nan"),
                "none": lambda: None,
                "wide": lambda: seen.repeat(1, 2),
            }
            return parts[broken]() if broken in parts else seen

    student = Own({}, width=5, num_actions=7 if broken == "actions" else 2)
    return student if broken != "config" else torch.nn.Linear(2, 2)


def policies() -> Found:
    """Students and policies of somebody's own that are broken."""
    kind, maker = "own students and policies", partial(make, Corridor, {})
    chosen = [None, 7, -1, "right", 0.5, float("nan"), [], True, np.array([1, 2]), 10**400, object()]
    for value in chosen:
        yield kind, f"decides {value!r:.20}", partial(_evaluated, maker, Chooses(lambda n, value=value: [value] * n))
        yield kind, f"returns {value!r:.20}", partial(_evaluated, maker, Chooses(lambda n, value=value: value))
    shapes = [
        None,
        [],
        np.zeros((1, 2)),
        np.full((2, 2), np.nan),
        np.ones((2, 5)),
        np.ones(2),
        np.array([["a", "b"]] * 2),
        -np.ones((2, 2)),
    ]
    for number, value in enumerate(shapes):
        yield kind, f"thinks {number}", partial(_evaluated, maker, Thinks(lambda n, value=value: value))
    yield kind, "policy fails", partial(_evaluated, maker, Chooses(fails))
    for name in (None, 3, "", "nobody", "x" * 300, object(), b"\xff", ["random"]):
        yield kind, f"policy {name!r:.20}", partial(_evaluated, maker, name)
    for broken in ("fails", "nan", "none", "wide", "actions", "config"):
        yield kind, f"student {broken}", partial(_student_trained, broken, maker)


def _student_trained(broken: str, maker: Callable[[], Any]) -> None:
    _trained("ppo", maker, student=_own_student(broken))
