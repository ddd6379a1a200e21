"""Plays a compiled TextWorld game in the Z-machine that comes with jericho.

The game itself is told to print the room, what is carried and the score after each turn, and to trace its events, from
which the admissible commands can be computed later. TextWorld's own environment computes those in every turn.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from wean.extras import require

_TOLD = ("description", "inventory", "score")
_TAGGED = re.compile(r"<(description|inventory|score|moves)>\n(.*?)</\1>\n?", re.DOTALL)
_EVENT = re.compile(r"\[([^]]+)\]\n?")
_PROMPT = re.compile(r"\n>\s.*\Z", re.DOTALL)  # with the status line after it
_SUCCEEDED = " - succeeded"
_WON, _LOST = "*** The End ***", "*** You lost! ***"

# Situation that speak to the machine instead of to the game, and marks that make several commands of one.
_TO_MACHINE = (
    *("quit", "q", "restart", "restore", "save", "undo", "script", "transcript", "unscript"),
    *("verify", "version", "notify", "superbrief", "brief", "verbose", "oops", "again", "g"),
)
_SEVERAL = re.compile(r"[.;]|\bthen\b")
LONGEST = 100  # characters of a command


class Turn(NamedTuple):
    """What the game says after a command.

    Attributes:
        feedback: Its answer.
        room: The room as it looks now.
        carried: What the player carries.
        score: Points so far.
        events: What happened, in the words of the game's engine.
        won: Whether the game is won.
        lost: Whether it is lost.
    """

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
        for wanted in _TOLD:
            self._emulator.step(f"tw-extra-infos {wanted}")
        self._last = Turn("", "", "", 0, (), False, False)
        told = self._read(self._emulator.step("tw-trace-actions")[0])
        self._last = told._replace(feedback=opening.strip(), events=())
        return self._last

    def say(self, command: str) -> Turn:
        """Gives a command; one that the game does not understand, or that is not for it, changes nothing."""
        if is_for_game(command):
            self._last = self._read(self._emulator.step(command)[0])
        else:
            self._last = self._last._replace(feedback="That is no command of the game.", events=())
        return self._last

    def close(self) -> None:
        """Lets go of the game."""
        if self._emulator is not None:
            self._emulator.close()

    def _read(self, answer: str) -> Turn:
        """Takes an answer apart; what the game did not print anew is as it was."""
        told = {name: _EVENT.sub("", text).strip() for name, text in _TAGGED.findall(answer)}
        rest = _TAGGED.sub("", answer)
        events = tuple(
            event.removesuffix(_SUCCEEDED)
            for event in _EVENT.findall(rest)
            if event.endswith(_SUCCEEDED) and "(" not in event  # brackets mark a part of an event
        )
        return Turn(
            _PROMPT.sub("", _EVENT.sub("", rest)).strip(),
            told.get("description", self._last.room),
            told.get("inventory", self._last.carried),
            int(told.get("score", self._last.score)),
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
