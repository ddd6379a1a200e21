"""ScienceWorld 1.2.3 (2203.07540): its 30 tasks and their variations, played by commands in words."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gymnasium as gym
from gymnasium import spaces

from wean.errors import UsageError, WeanError, did_you_mean
from wean.tasks.scienceworld_server import Server, ServerLost
from wean.tasks.situation import LazySituation, Situation
from wean.tasks.splits import FIRST_SEED, FOLD_OF_SPLIT, FOLDS, Case, Fold, Split, split_of_seed


@dataclass(frozen=True)
class Task:
    """A task with its variations, numbered from train through dev to test; `id` is topic and number, such as "1-1"."""

    id: str
    name: str
    train: int
    dev: int
    test: int

    @property
    def count(self) -> int:
        """The number of variations."""
        return self.train + self.dev + self.test

    def variations(self, fold: Fold) -> range:
        """The numbers of the variations of a fold."""
        first = {"train": 0, "dev": self.train, "test": self.train + self.dev}[fold]
        return range(first, first + {"train": self.train, "dev": self.dev, "test": self.test}[fold])

    def fold(self, variation: int) -> Fold:
        """The fold of a variation."""
        return next(fold for fold in FOLDS if variation in self.variations(fold))

    def of_seed(self, seed: int) -> int:
        """The variation of a reset seed; seeds of different splits never share one."""
        split = split_of_seed(seed)
        among = self.variations(FOLD_OF_SPLIT[split])
        return among[(seed - FIRST_SEED[split]) % len(among)]

    def check(self, variation: int) -> None:
        """Raises `UsageError` for a variation that the task does not have."""
        if not 0 <= variation < self.count:
            raise UsageError(f"{self.name} has no variation {variation}; there are 0 to {self.count - 1}")


TASKS: tuple[Task, ...] = (
    Task("1-1", "boil", 14, 7, 9),
    Task("1-2", "melt", 14, 7, 9),
    Task("1-3", "freeze", 14, 7, 9),
    Task("1-4", "change-the-state-of-matter-of", 14, 7, 9),
    Task("2-1", "use-thermometer", 270, 135, 135),
    Task("2-2", "measure-melting-point-known-substance", 218, 109, 109),
    Task("2-3", "measure-melting-point-unknown-substance", 150, 75, 75),
    Task("3-1", "power-component", 10, 5, 5),
    Task("3-2", "power-component-renewable-vs-nonrenewable-energy", 10, 5, 5),
    Task("3-3", "test-conductivity", 450, 225, 225),
    Task("3-4", "test-conductivity-of-unknown-substances", 300, 150, 150),
    Task("4-1", "find-living-thing", 150, 75, 75),
    Task("4-2", "find-non-living-thing", 150, 75, 75),
    Task("4-3", "find-plant", 150, 75, 75),
    Task("4-4", "find-animal", 150, 75, 75),
    Task("5-1", "grow-plant", 62, 31, 33),
    Task("5-2", "grow-fruit", 62, 31, 33),
    Task("6-1", "chemistry-mix", 16, 8, 8),
    Task("6-2", "chemistry-mix-paint-secondary-color", 18, 9, 9),
    Task("6-3", "chemistry-mix-paint-tertiary-color", 18, 9, 9),
    Task("7-1", "lifespan-longest-lived", 62, 31, 32),
    Task("7-2", "lifespan-shortest-lived", 62, 31, 32),
    Task("7-3", "lifespan-longest-lived-then-shortest-lived", 62, 31, 32),
    Task("8-1", "identify-life-stages-1", 6, 3, 5),
    Task("8-2", "identify-life-stages-2", 4, 2, 4),
    Task("9-1", "inclined-plane-determine-angle", 84, 42, 42),
    Task("9-2", "inclined-plane-friction-named-surfaces", 692, 346, 348),
    Task("9-3", "inclined-plane-friction-unnamed-surfaces", 80, 40, 42),
    Task("10-1", "mendelian-genetics-known-plant", 60, 30, 30),
    Task("10-2", "mendelian-genetics-unknown-plant", 240, 120, 120),
)
_KNOWN: Mapping[str, Task] = {task.name: task for task in TASKS} | {task.id: task for task in TASKS}


def find_task(name: str) -> Task:
    """Finds a task by its name or id.

    Raises:
        UsageError: There is no such task.
    """
    if name not in _KNOWN:
        within = [task.name for task in TASKS if name and name in task.name]
        otherwise = (
            f"several are called like it: {', '.join(within)}"
            if len(within) > 1
            else (
                "its tasks are 1-1 boil to 10-2 mendelian-genetics-unknown-plant, listed in docs/tasks/scienceworld.md"
            )
        )
        hint = f"did you mean {within[0]!r}?" if len(within) == 1 else did_you_mean(name, _KNOWN, otherwise)
        raise UsageError(f"ScienceWorld has no task {name!r}; {hint}")
    return _KNOWN[name]


def episodes(fold: Fold, count: int, only: Sequence[str] = ()) -> list[Case]:
    """The first `count` variations of each task in a fold, of all 30 tasks or of those named or numbered in `only`.

    Raises:
        UsageError: There is no such task.
    """
    return [
        Case(task.name, number, number, {"task": task.name, "variation": number})
        for task in ([find_task(name) for name in only] or TASKS)
        for number in task.variations(fold)[:count]
    ]


ScoreRule = Literal["paper", "official"]

GOAL = """\
You act in a house with rooms, things, substances and living beings, and do an experiment in words. Commands are such \
as "open door to kitchen", "go to kitchen", "look at table", "look in cupboard", "pick up metal pot", "move metal pot \
to sink", "pour cup into metal pot", "activate stove", "use thermometer on water", "connect battery anode to red wire \
terminal 1", "mix jug", "wait". "focus on" tells which thing the task is about: a wrong thing ends the task as failed. \
Choose the next command."""

SIMPLIFICATIONS = (
    "easy",
    "teleportAction",
    "openDoors",
    "selfWateringFlowerPots",
    "noElectricalAction",
    "openContainers",
)

RECYCLE_EPISODES = 500
RECYCLE_MEMORY = 1024  # MiB

_AMBIGUOUS = re.compile(r"^Ambiguous request", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*(\d+):\s*(.+?)\s*$", re.MULTILINE)
_DESCRIPTION = "Task Description:\n"
_TEXTS = spaces.Text(50_000, min_length=0, charset=string.printable)
_COMMANDS = spaces.Text(300, min_length=1, charset=string.ascii_letters + string.digits + " ,-'()")
_LOST = "The simulator was lost; the episode is over."


class ScienceWorld(gym.Env[str, str]):
    """An elementary-school experiment in a house of words.

    Observation: ScienceWorld's answer (`Text`). `look()` and `inventory()` cost nothing.

    Actions are commands in words (`Text`); any text can be given. A text that ScienceWorld does not understand costs no
    move. Where a command is ambiguous, the observation is a numbered list, and the next action its number.

    Reward: the change of the score over 100. A task that is achieved or failed terminates. More than `max_moves` moves,
    as ScienceWorld counts them (`wait` is 11, `look around` none), or twice as many commands, truncate. Success is a
    score of 100: `info["is_success"]`; `info` also has `score` and `moves`.

    If the Java machine is lost, the episode is truncated with `info["lost_server"]`, and the next reset starts another.

    Args:
        task: Name or id, such as "boil" or "1-1".
        simplification: "easy" (all but open containers), other names with commas between, or "" for none.
        max_moves: Moves of an episode; None for no cap.
        render_mode: None or `ansi`, which gives the situation in words.
        score_rule: The score of a failed task: `paper` 0, as in Sub-goal Distillation; `official` -100.

    Raises:
        UsageError: A setting is wrong, or ScienceWorld or Java is not installed.

    Attributes:
        variation: Number of the variation.
        description: The task in words.
        score: 0 to 100, or -100 by the official rule.
        moves: Moves so far, as ScienceWorld counts them.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}
    observation_space, action_space = _TEXTS, _COMMANDS
    goal = GOAL
    # The facts of a TextTask.
    irrevocable: tuple[str, ...] = ("focus on ",)
    idle: tuple[str, ...] = ("wait", "wait1", "look around", "inventory", "task")

    def __init__(
        self,
        task: str = "boil",
        simplification: str = "easy",
        max_moves: int | None = 100,
        render_mode: str | None = None,
        score_rule: ScoreRule = "paper",
    ) -> None:
        if max_moves is not None and max_moves < 1:
            raise UsageError(f"max_moves must be at least 1, not {max_moves}; None is without a cap")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"ScienceWorld renders 'ansi', not {render_mode!r}")
        if score_rule not in ("paper", "official"):
            raise UsageError(f"no score rule {score_rule!r}; there are paper, official")
        for name in filter(None, simplification.split(",")):
            if name not in SIMPLIFICATIONS:
                hint = did_you_mean(name, SIMPLIFICATIONS, f"there are {', '.join(SIMPLIFICATIONS)}")
                raise UsageError(f"no simplification {name!r}; {hint}")
        self._task = find_task(task)
        self.simplification, self.max_moves = simplification, max_moves
        self.render_mode, self.score_rule = render_mode, score_rule
        self._check_simplification(self._task)
        self._split: Split = "training"
        self._server: Server | None = None
        self._over, self._lost = True, False
        self._commands: tuple[str, ...] = ()
        self._free: dict[str, Any] = {}
        self.variation = self.moves = 0
        self.score: float = 0
        self.description = self._observation = ""

    @property
    def task(self) -> str:
        """Name of the task."""
        return self._task.name

    @property
    def server(self) -> Server:
        """The Java machine, started on first use."""
        if self._server is None:
            self._server = Server()
        return self._server

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begins an episode.

        The seed chooses a variation of its split; without one, any of the split of the last seed. The options `task`
        and `variation` name them, whatever the seed.

        Raises:
            UsageError: There is no such task or variation.
            WeanError: The Java machine cannot be started.
        """
        super().reset(seed=seed)
        options = options or {}
        if "task" in options:
            task = find_task(options["task"])
            self._check_simplification(task)
            self._task = task
        if seed is not None:
            self._split = split_of_seed(seed)
        if "variation" in options:
            variation = int(options["variation"])
            self._task.check(variation)
        elif seed is not None:
            variation = self._task.of_seed(seed)
        else:
            variation = int(self.np_random.choice(self._task.variations(FOLD_OF_SPLIT[self._split])))
        self.variation = variation
        self._renew()
        try:
            self._load()
        except ServerLost:
            self._drop()  # it died between episodes
            self._load()
        return self._observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Gives a command; see the class for rewards and ends.

        Raises:
            UsageError: The episode is over.
        """
        if self._over:
            raise UsageError("the episode is over; reset the task")
        before = self.score
        self._free.clear()
        self._commands = (*self._commands, str(action))
        try:
            server = self._living()
            self._observation = str(server.call("step", str(action)))
            raw = round(100 * server.call("getScore"))
            completed = bool(server.call("getCompleted")) or raw < 0
            self.moves = int(server.call("getNumMoves"))
        except ServerLost:
            self._drop()
            self._over = self._lost = True
            self._observation = _LOST
            return _LOST, 0.0, False, True, {**self._info(), "lost_server": True}
        self.score = max(raw, 0) if self.score_rule == "paper" else raw
        truncated = not completed and self._spent()
        self._over = completed or truncated
        return self._observation, (self.score - before) / 100, completed, truncated, self._info()

    def situation(self) -> Situation:
        """Task, ScienceWorld's answer, view and inventory; the choices are the valid commands.

        ScienceWorld computes the valid commands when they are read, which takes far longer than a step and works only
        until the next step. There can be thousands, and not every command that works is among them.
        """
        key = (self.task, self.variation, self._commands, self._observation)
        turn = len(self._commands)
        return LazySituation(key, self.goal, partial(self._write, turn), partial(self._choose, turn))

    @property
    def meanings(self) -> dict[str, str]:
        """What each number stands for after an ambiguous command; empty otherwise."""
        return dict(_NUMBERED.findall(self._observation)) if _AMBIGUOUS.match(self._observation) else {}

    def look(self) -> str:
        """What can be seen; costs nothing."""
        return str(self._ask("freeActionLook"))

    def inventory(self) -> str:
        """What is carried; costs nothing."""
        return str(self._ask("freeActionInventory"))

    def render(self) -> str | None:
        """The situation in words, if made with `render_mode="ansi"`."""
        return None if self.render_mode is None else self._write(len(self._commands))

    def close(self) -> None:
        """Ends the Java machine."""
        self._drop()

    def _load(self) -> None:
        self.server.load(self.task, self.variation, self.simplification)
        self.description = str(self.server.call("freeActionTaskDesc")).removeprefix(_DESCRIPTION).strip()
        self._observation = str(self.server.call("step", "look around"))
        self.score = self.moves = 0
        self._commands, self._free = (), {}
        self._over = self._lost = False

    def _info(self) -> dict[str, Any]:
        return {"score": self.score, "moves": self.moves, "is_success": self.score >= 100}

    def _spent(self) -> bool:
        """Whether the moves are used up, or the commands, of which those not understood cost no move."""
        return self.max_moves is not None and (self.moves > self.max_moves or len(self._commands) >= 2 * self.max_moves)

    def _ask(self, method: str) -> Any:
        """Calls a method that costs no move, at most once a step."""
        if method not in self._free:
            try:
                self._free[method] = self._living().call(method)
            except ServerLost:
                self._drop()
                self._lost = True  # the next step ends the episode
                return () if method.startswith("getValid") else ""
        return self._free[method]

    def _write(self, turn: int) -> str:
        self._check_turn(turn)
        seen = "" if self._observation == self.look() else self.look()
        parts = (f"Task: {self.description}", self._observation, seen, self.inventory())
        return "\n".join(part.strip() for part in parts if part)

    def _choose(self, turn: int) -> tuple[str, ...]:
        self._check_turn(turn)
        if meanings := self.meanings:
            return tuple(meanings)
        return tuple(dict.fromkeys(self._ask("getValidActionObjectCombinations")))

    def _check_turn(self, turn: int) -> None:
        if turn != len(self._commands):
            raise WeanError("this situation is past; read its words and choices before the next step")

    def _check_simplification(self, task: Task) -> None:
        electrical = "power-component" in task.name or "conductivity" in task.name
        if electrical and "noElectricalAction" in self.simplification:
            raise UsageError(f"{task.name} cannot be done without electrical actions; leave noElectricalAction out")

    def _renew(self) -> None:
        """Ends a Java machine after its episodes, when it has grown too large, or when it is gone."""
        server = self._server
        if server is not None and (
            not server.alive or server.episodes >= RECYCLE_EPISODES or server.memory() > RECYCLE_MEMORY
        ):
            self._drop()

    def _drop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None

    def _living(self) -> Server:
        """The machine that this episode began in."""
        if self._lost:
            raise ServerLost("ScienceWorld's Java machine was lost; reset the task")
        return self.server
