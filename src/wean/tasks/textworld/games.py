"""The games: how many there are, and how each is made once and kept in the user's cache.

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
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wean.errors import UsageError, WeanError, did_you_mean
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
    """Games of one challenge with the same settings.

    Attributes:
        challenge: One of `CHALLENGES`.
        settings: The challenge's settings, as (name, value) pairs in the order of names.
    """

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
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        wanted = ", ".join(f"{name} {value}" for name, value in games.settings)
        raise WeanError(
            f"game {number} of {games.challenge} ({wanted}) cannot be generated ({told}); choose other settings"
        ) from None


@lru_cache(maxsize=64)
def load_rules(path: Path) -> Any:
    """TextWorld's `Game` of a compiled game: its world and its rules, read once a process; not to be changed."""
    return require("textworld.generator.game", extra="textworld").Game.load(str(path.with_suffix(".json")))
