"""TextWorld's games: how each is made once and kept in the user's cache, and how it is played.

```
$WEAN_CACHE (else $XDG_CACHE_HOME/wean, else ~/.cache/wean)
    textworld/<version>/<challenge>-<settings>/game-07.z8, game-07.json
```
Every family has a small fixed set of games, since one takes seconds to make: 20 for training, 10 for choosing and 10
for final figures. They are made when they are first played.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from wean.errors import UsageError, WeanError, did_you_mean, shown_error
from wean.extras import require
from wean.lm.cache import cache_root
from wean.tasks.splits import FIRST_SEED, Split, split_of_seed

# The first number and how many games of each split. A game's number is the seed that it is made from.
GAMES: Mapping[Split, tuple[int, int]] = {"training": (0, 20), "choosing": (20, 10), "final": (30, 10)}

_FOODS: Mapping[Split, str] = {"training": "train", "choosing": "valid", "final": "test"}  # TextWorld's own splits

# The settings that each challenge takes, as TextWorld's `tw-make` does.
CHALLENGES: Mapping[str, frozenset[str]] = {
    "cooking": frozenset({"recipe", "take", "go", "open", "cook", "cut", "drop"}),
    "treasure_hunter": frozenset({"level"}),
    "coin_collector": frozenset({"level"}),
}


@dataclass(frozen=True)
class Family:
    """Games of one challenge with the same settings, as (name, value) pairs in the order of names."""

    challenge: str
    settings: tuple[tuple[str, int], ...]

    def game_of_seed(self, seed: int) -> int:
        """The number of the game that a reset seed plays; seeds of different splits never play the same one."""
        split = split_of_seed(seed)
        first, count = GAMES[split]
        return first + (seed - FIRST_SEED[split]) % count

    @property
    def folder(self) -> Path:
        """The folder of its games."""
        digest = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:8]
        return cache_root() / "textworld" / version("textworld") / f"{self.challenge}-{digest}"


def family(challenge: str, settings: Mapping[str, int]) -> Family:
    """Names a family of games.

    Raises:
        UsageError: If there is no such challenge or setting, or TextWorld is not installed.
    """
    if challenge not in CHALLENGES:
        raise UsageError(f"no challenge {challenge!r}; there are {', '.join(CHALLENGES)}")
    for name in settings:
        if name not in CHALLENGES[challenge]:
            known = CHALLENGES[challenge]
            hint = did_you_mean(name, known, f"there are {', '.join(sorted(known))}")
            raise UsageError(f"{challenge} has no setting {name!r}; {hint}")
    require("jericho", extra="textworld")
    return Family(challenge, tuple(sorted(settings.items())))


def game_file(games: Family, number: int) -> Path:
    """The compiled game (`.z8`) of a number, made now if it is not in the cache; its `.json` lies beside it.

    Raises:
        WeanError: If the game cannot be generated, or not written.
    """
    path = games.folder / f"game-{number:02d}.z8"
    if not (path.exists() and path.with_suffix(".json").exists()):
        try:
            games.folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".making-{os.getpid()}-", dir=games.folder))
        except OSError as error:
            remedy = "set WEAN_CACHE to a writable folder"
            raise WeanError(f"cannot write to {games.folder} ({error.strerror}); {remedy}") from None
        try:
            _make(games, number, scratch / path.name)
            # The game itself last: where it is, all of it is. Two processes that make the same one do no harm.
            for suffix in (".json", ".z8"):
                (scratch / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return path


def _make(games: Family, number: int, path: Path) -> None:
    """Generates and compiles a game, without the network."""
    challenges = require("textworld.challenges", extra="textworld").CHALLENGES
    generator = require("textworld.generator", extra="textworld")
    options = generator.GameOptions()
    options.seeds = number
    options.path = str(path)
    options.grammar.only_last_action = True  # or the objective would name every step of the solution
    settings: dict[str, Any] = dict(games.settings)
    if games.challenge == "cooking":
        split: Split = next(split for split, (first, count) in GAMES.items() if first <= number < first + count)
        settings |= {"recipe_seed": number, "split": _FOODS[split]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            game = challenges[f"tw-{games.challenge}"][1](settings, options)
            generator.compile_game(game, options)
    except Exception as error:  # the generator may fail in any way
        reason = shown_error(error)
        wanted = ", ".join(f"{name} {value}" for name, value in games.settings)
        raise WeanError(
            f"game {number} of {games.challenge} ({wanted}) cannot be generated ({reason}); choose other settings"
        ) from None


@lru_cache(maxsize=64)
def load_rules(path: Path) -> Any:
    """TextWorld's `Game` of a compiled game: its world and its rules, read once a process; not to be changed."""
    return require("textworld.generator.game", extra="textworld").Game.load(str(path.with_suffix(".json")))


# --- playing ---------------------------------------------------------------------------------------------------------

_FIELDS = ("description", "inventory", "score")
_TAGGED = re.compile(r"<(description|inventory|score|moves)>\n(.*?)</\1>\n?", re.DOTALL)
_EVENT = re.compile(r"\[([^]]+)\]\n?")
_PROMPT = re.compile(r"\n>\s.*\Z", re.DOTALL)  # with the status line after it
_SUCCEEDED = " - succeeded"
_WON, _LOST = "*** The End ***", "*** You lost! ***"

# Words that speak to the machine instead of to the game, and marks that make several commands of one.
_TO_MACHINE = (
    *("quit", "q", "restart", "restore", "save", "undo", "script", "transcript", "unscript"),
    *("verify", "version", "notify", "superbrief", "brief", "verbose", "oops", "again", "g"),
)
_SEVERAL = re.compile(r"[.;]|\bthen\b")
LONGEST = 100  # characters of a command


class Turn(NamedTuple):
    """The state of a game after a command; the events are in the words of the game's engine."""

    feedback: str
    room: str
    carried: str
    score: int
    events: tuple[str, ...]
    won: bool
    lost: bool


class Machine:
    """A Z-machine; it plays one game after the other."""

    def __init__(self) -> None:
        self._emulator: Any = None

    def start(self, game: Path) -> Turn:
        """Begins a game (`.z8`) anew; the feedback is its opening."""
        jericho = require("jericho", extra="textworld")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the game is none of the classic ones
            if self._emulator is None:
                self._emulator = jericho.FrotzEnv(str(game), seed=1)
            else:
                self._emulator.load(str(game), seed=1)
        opening, _ = self._emulator.reset()
        for wanted in _FIELDS:
            self._emulator.step(f"tw-extra-infos {wanted}")
        self._last = Turn("", "", "", 0, (), False, False)
        first = self._read(self._emulator.step("tw-trace-actions")[0])
        self._last = first._replace(feedback=opening.strip(), events=())
        return self._last

    def send(self, command: str) -> Turn:
        """Gives a command; one that the game does not understand, or that is for the machine, changes nothing."""
        if is_for_game(command):
            self._last = self._read(self._emulator.step(command)[0])
        else:
            self._last = self._last._replace(feedback="That is no command of the game.", events=())
        return self._last

    def close(self) -> None:
        """Ends the machine."""
        if self._emulator is not None:
            self._emulator.close()

    def _read(self, answer: str) -> Turn:
        """Reads an answer; what the game did not print anew is unchanged."""
        fields = {name: _EVENT.sub("", text).strip() for name, text in _TAGGED.findall(answer)}
        rest = _TAGGED.sub("", answer)
        events = tuple(
            event.removesuffix(_SUCCEEDED)
            for event in _EVENT.findall(rest)
            if event.endswith(_SUCCEEDED) and "(" not in event  # brackets mark a part of an event
        )
        return Turn(
            _PROMPT.sub("", _EVENT.sub("", rest)).strip(),
            fields.get("description", self._last.room),
            fields.get("inventory", self._last.carried),
            int(fields.get("score", self._last.score)),
            events,
            _WON in rest,
            _LOST in rest,
        )


def is_for_game(command: str) -> bool:
    """Whether a text is one command for the game, and not for the machine that plays it."""
    words = command.lower().split()
    return (
        len(words) > 0
        and len(command) <= LONGEST
        and command.isascii()
        and command.isprintable()
        and words[0] not in _TO_MACHINE
        and not words[0].startswith("tw-")
        and not _SEVERAL.search(command.lower())
    )


class Progress:
    """The admissible and the winning commands of a game, from the events of its turns so far."""

    def __init__(self, game: Path) -> None:
        self._game = game
        self._turns: list[Sequence[str]] = []  # the events of each turn
        self._valid: list[Any] = []  # the valid actions before the first turn and after each one so far
        self._known: dict[int, tuple[str, ...]] = {}
        self._state: Any = None
        self._quests: Any = None
        self._quests_at = 0

    @property
    def turn(self) -> int:
        """The number of turns so far."""
        return len(self._turns)

    def add(self, events: Sequence[str]) -> None:
        """Adds the events of a turn."""
        self._turns.append(events)

    def commands(self, turn: int) -> tuple[str, ...]:
        """The admissible commands after a number of turns, in alphabetical order."""
        if turn not in self._known:
            if self._state is None:
                self._state = self._begin(quests=False)
                self._valid.append(self._state.valid_actions)
            while len(self._valid) <= turn:
                self._follow(self._state, self._turns[len(self._valid) - 1])
                self._valid.append(self._state.valid_actions)
            self._known[turn] = tuple(sorted(set(self._engine.gen_commands_from_actions(self._valid[turn]))))
        return self._known[turn]

    def winning_commands(self) -> tuple[str, ...]:
        """Commands that lead to victory from now on, not always the fewest; none where the game cannot be won."""
        if self._quests is None:
            self._quests = self._begin(quests=True)
        for events in self._turns[self._quests_at :]:
            self._follow(self._quests, events)
        self._quests_at = len(self._turns)
        actions = self._quests.winning_policy
        return tuple(self._engine.gen_commands_from_actions(actions)) if actions else ()

    def _begin(self, quests: bool) -> Any:
        rules = load_rules(self._game)
        self._engine = require("textworld.generator.inform7", extra="textworld").Inform7Game(rules)
        return require("textworld.generator.game", extra="textworld").GameProgression(rules, track_quests=quests)

    def _follow(self, state: Any, events: Sequence[str]) -> None:
        for event in events:
            action = self._engine.detect_action(event, state.valid_actions)
            if action is not None:
                state.update(action)
