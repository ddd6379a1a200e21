"""What TextWorld's logic knows of a game under way: the admissible commands, and commands that lead to victory.

Both are computed when they are asked for, from the events that the game has reported so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wean.extras import require
from wean.tasks.textworld.games import load_rules


class Progress:
    """Follows one playing of a game.

    Args:
        game: The compiled game.
    """

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
        """How many turns were taken."""
        return len(self._turns)

    def add(self, events: Sequence[str]) -> None:
        """Notes a turn."""
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
        """Commands that lead to victory from now on, though not always the fewest; none where it cannot be won."""
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
