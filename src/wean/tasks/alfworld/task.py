"""ALFWorld (2010.03768) as a task: household chores by commands in words, with the original's texts and commands."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from wean.errors import UsageError, shown
from wean.tasks.alfworld.archive import ALFWorldSplit, archive, entries_of, find_kind, shipped_game
from wean.tasks.alfworld.engine import Play
from wean.tasks.alfworld.game import KINDS, Game, Kind
from wean.tasks.alfworld.notes import Notes
from wean.tasks.alfworld.pddl import read_game
from wean.tasks.alfworld.planner import plan
from wean.tasks.alfworld.skills import GOAL as GOAL_OF_SKILLS
from wean.tasks.alfworld.skills import Skills
from wean.tasks.situation import LazySituation, Situation
from wean.tasks.splits import FIRST_SEED, FOLD_OF_SPLIT, Case, Fold, Split, first_seed, split_of_seed

GOAL = """\
You do a chore in a household, in words. Go to a receptacle to see what lies there; a closed one must be opened first. \
The hand holds one object. To clean an object, hold it and clean it with a sinkbasin; to heat it, use a microwave; to \
cool it, a fridge. To look at an object under a lamp, hold it where the lamp is and use the lamp. An object that the \
task names may be any of that name. Choose the next command."""

SPLIT_OF_FOLD: Mapping[Fold, ALFWorldSplit] = {"train": "train", "dev": "valid_seen", "test": "valid_unseen"}
"""ALFWorld's splits by wean's names for them."""
FILE_ENDINGS = (".tw-pddl", ".json")

_TEXTS = spaces.Text(20_000, min_length=0, charset=string.printable)
_COMMANDS = spaces.Text(300, min_length=1, charset=string.ascii_letters + string.digits + " /'-")


def episodes(fold: Fold, count: int, only: Sequence[str] = ()) -> list[Case]:
    """The first `count` games of each type in a split, of all six types or of those named or numbered in `only`.

    Raises:
        UsageError: There is no such type.
    """
    found: list[Case] = []
    for kind in [find_kind(name) for name in only] or KINDS:
        places = [place for place, one in enumerate(entries_of(SPLIT_OF_FOLD[fold])) if one.kind == kind]
        found += [Case(kind, first_seed(fold) + place, first_seed(fold) + place) for place in places[:count]]
    return found


class ALFWorld(gym.Env[str, str]):
    """A chore in a household: find things, clean, heat or cool them, put them where they are wanted.

    Observation: the game's answer (`Text`); first its introduction, which ends with the task.

    Actions are commands in words (`Text`). One that is not admissible is answered with "Nothing happens." and costs a
    move. The situation's `choices` are the admissible commands in alphabetical order.

    Reward: 1 when the game is won, which terminates; `max_moves` commands truncate. Success is winning:
    `info["is_success"]`; `info` also has `moves`.

    Args:
        type: A type of tasks: pick, examine, clean, heat, cool, pick-two, ALFWorld's name or number of it; "" for all.
        game: The name or number of one game, or a game file (`game.tw-pddl`); every episode is that game.
        max_moves: Commands of an episode; None for no limit.
        memory: Whether a situation's text tells what was seen before; otherwise only what is in sight.
        skills: Whether actions are skills such as "go to drawer", and situations are told in few words; see
            `wean.tasks.alfworld.skills`.
        render_mode: None or `ansi`, which gives the situation in words.

    Raises:
        UsageError: A setting is wrong, or the game file is none.
        WeanError: The archive of games is missing.

    Attributes:
        description: The task in words.
        score: 100 when the game is won, else 0.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}
    observation_space, action_space = _TEXTS, _COMMANDS
    goal = GOAL
    # The facts of a TextTask.
    irrevocable: tuple[str, ...] = ()
    idle: tuple[str, ...] = ("look", "inventory", "help")
    meanings: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        type: str | int = "",
        *,
        game: str | int | Path | None = None,
        max_moves: int | None = 50,
        memory: bool = True,
        skills: bool = False,
        render_mode: str | None = None,
    ) -> None:
        _check_moves(max_moves)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"ALFWorld renders 'ansi', not {render_mode!r}")
        if game is not None and type != "":
            raise UsageError("a game has a type of its own; leave type= or game= out")
        self.kinds: tuple[Kind, ...] = () if type == "" else (find_kind(str(type)),)
        self._only = None if game is None else open_game(game)
        self._moves_of_task, self.memory, self.render_mode = max_moves, memory, render_mode
        self.by_skills = skills
        if skills:
            self.goal, self.idle = GOAL_OF_SKILLS, ()
        self.max_moves = max_moves
        self._split: Split = "training"
        self._over = True
        self.description, self.score, self.moves = "", 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begins a game.

        The seed chooses a game of its split, see `wean.tasks.splits`; without one, any of the split of the last seed.
        The options `game` and `max_moves` are for this episode what the arguments are for all.

        Raises:
            UsageError: An option is wrong.
        """
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"game", "max_moves"}:
            raise UsageError(f"ALFWorld has no reset option {min(unknown)!r}; there are game, max_moves")
        if seed is not None:
            self._split = split_of_seed(seed)
        self.max_moves = options.get("max_moves", self._moves_of_task)
        _check_moves(self.max_moves)
        self.game = open_game(options["game"]) if "game" in options else self._only or self._game_of_seed(seed)
        self.play = Play(self.game)
        self._notes = Notes(self.play)
        self._skills = Skills(self.play, self._notes)
        self.description, self.score, self.moves, self._over = self.game.task, 0.0, 0, False
        return self.play.introduction(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Gives a command; see the class for rewards and ends.

        Raises:
            UsageError: The episode is over.
        """
        if self._over:
            raise UsageError("the episode is over; reset the task")
        text = str(action).strip()
        if self.by_skills:
            text = self._skills.commands().get(text, "")
        command = self.play.commands.get(text)
        answer = self.play.answer(text)
        if command is not None:
            self._notes.add(command)
        self.moves += 1
        won = self.play.won
        truncated = not won and self.max_moves is not None and self.moves >= self.max_moves
        self._over = won or truncated
        self.score = 100.0 if won else 0.0
        return answer, float(won), won, truncated, self._info()

    def look(self) -> str:
        """Where the agent is and what it sees there; costs no move."""
        return self._notes.look()

    def inventory(self) -> str:
        """What is carried, and its condition; costs no move."""
        return self._notes.inventory()

    def situation(self) -> Situation:
        """Task, place, what lies there, is carried and was seen before; the choices are the admissible commands."""
        choices = self._choices()
        text = self._write()
        key: Hashable = (text, choices)
        return LazySituation(key, self.goal, lambda: text, lambda: choices)

    def first_action(self, plan: Sequence[str]) -> str | None:
        """The first item of a plan if it is admissible, else None."""
        wanted = plan[0].strip().lower() if plan else ""
        return wanted if wanted in self._choices() else None

    def best_actions(self) -> list[str]:
        """The command that begins a shortest way to win, for one who knows where everything is; or none.

        By skills it is the skill that does so, or comes nearer to it; none where no such skill can begin.
        """
        first = list((plan(self.play) or ())[:1])
        if self.by_skills:
            first = [self._skills.skill_of(command) for command in first]
        return [action for action in first if action in self._choices()]

    def render(self) -> str | None:
        """The situation in words, if made with `render_mode="ansi"`."""
        return None if self.render_mode is None else self._write()

    def _write(self) -> str:
        if self.by_skills:
            return self._skills.text()
        parts = (self.description, self.look(), self.inventory(), self._notes.seen_before() if self.memory else "")
        return "\n".join(part for part in parts if part)

    def _choices(self) -> tuple[str, ...]:
        return tuple(self._skills.commands() if self.by_skills else sorted(self.play.commands))

    def _info(self) -> dict[str, Any]:
        return {"is_success": self.play.won, "moves": self.moves}

    def _game_of_seed(self, seed: int | None) -> Game:
        among = _numbers(SPLIT_OF_FOLD[FOLD_OF_SPLIT[self._split]], self.kinds)
        place = int(self.np_random.integers(len(among))) if seed is None else seed - FIRST_SEED[self._split]
        return shipped_game(among[place % len(among)])


@lru_cache(maxsize=64)
def _numbers(split: ALFWorldSplit, kinds: tuple[Kind, ...]) -> tuple[int, ...]:
    """The numbers of the games of a split, of all types or of some."""
    return tuple(one.number for one in entries_of(split, kinds))


def open_game(game: object) -> Game:
    """The game of a name or number in the archive, or of a file.

    Raises:
        UsageError: There is none.
    """
    if isinstance(game, bool) or not isinstance(game, str | int | Path):
        raise UsageError(f"a game of ALFWorld is a name, a number or a file, not {shown(game)}")
    if isinstance(game, Path) or str(game).endswith(FILE_ENDINGS):
        return read_game(Path(str(game)))
    return shipped_game(archive().find(str(game)).number)


def _check_moves(max_moves: object) -> None:
    if max_moves is not None and (isinstance(max_moves, bool) or not isinstance(max_moves, int) or max_moves < 1):
        raise UsageError(f"max_moves must be at least 1, or None for no limit, not {shown(max_moves)}")
