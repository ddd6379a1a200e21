"""TextWorld's games as a task: commands in words, situations, rewards."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from wean.errors import UsageError
from wean.tasks.situation import LazySituation, Situation
from wean.tasks.splits import Split, split_of_seed
from wean.tasks.textworld_games import GAMES, LONGEST, Machine, Progress, family, game_file, load_rules

_GOALS = {
    "cooking": """\
You play a text adventure. Your task is to prepare the meal of the recipe and to eat it. The recipe stands in the \
cookbook in the kitchen: read it with "examine cookbook". Gather every ingredient, then cut and cook each one as the \
directions say, then "prepare meal" in the kitchen, then "eat meal". To fry takes a stove, to roast an oven, to grill \
a BBQ. To slice, chop or dice takes the knife in hand. What is cooked twice burns, what is cut cannot be cut \
otherwise, and what is eaten is gone: an ingredient that is spoiled is a game that is lost.""",
    "treasure_hunter": """\
You play a text adventure. Your task is to find one object, which is named below, and to take it. Search the rooms. \
There is another object that is not to be taken: who takes it has lost.""",
    "coin_collector": """\
You play a text adventure. Your task is to find the coin and to take it. Search the rooms; some lead nowhere.""",
}
_CHOOSE = "Choose the next command."

_HEADER = re.compile(r"-= (.*?) =-")
_RECIPE = re.compile(r"Ingredients:.*Directions:.*prepare meal", re.DOTALL)
_MOVED = re.compile(r"go (north|south|east|west)")
_TEXTS = spaces.Text(20_000, min_length=0, charset=string.printable)
_COMMANDS = spaces.Text(LONGEST, min_length=1, charset=string.ascii_letters + string.digits + " '-")


class TextWorld(gym.Env[str, str]):
    """A text adventure of a family of games: cooking, treasure hunter or coin collector (1806.11532).

    Observation: a text (`Text`): the task where it differs between games, the room, the inventory, the recipe once it
    was read, and the way by which the room was entered.

    Actions are commands in words (`Text`); one that the game does not understand only costs a step. The situation's
    `choices` are the admissible commands, without those that only look at what the text already has.

    Reward: points over the game's greatest score, so a game that is won pays 1 in all. A game that is won or lost
    terminates, `horizon` commands truncate. Success is victory: `info["is_success"]`.

    Args:
        challenge: `cooking`, `treasure_hunter` or `coin_collector`.
        settings: The challenge's settings, as TextWorld names them.
        horizon: Commands after which an episode is truncated.
        render_mode: None or `ansi`, which gives the situation in words.

    Raises:
        UsageError: If a setting is wrong, or TextWorld is not installed.

    Attributes:
        description: The task in words: its rules, and this game's objective.
        score: Points so far as a share of the game's greatest score, from 0 to 100; a lost game has none.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}
    observation_space, action_space = _TEXTS, _COMMANDS
    # The facts of a TextTask.
    irrevocable: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    meanings: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        challenge: str = "cooking",
        *,
        settings: Mapping[str, int] | None = None,
        horizon: int = 50,
        render_mode: str | None = None,
    ) -> None:
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1 command, not {horizon}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"a text adventure renders 'ansi', not {render_mode!r}")
        self.games = family(challenge, settings or {})
        self.horizon, self.render_mode = horizon, render_mode
        self.max_moves: int | None = horizon
        self.goal = f"{_GOALS[challenge]} {_CHOOSE}"
        self.description, self.score = "", 0.0
        self._split: Split = "training"
        self._machine = Machine()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begins a game of the seed's split, the same one for the same seed; without a seed any of the split."""
        super().reset(seed=seed)
        if seed is not None:
            self._split = split_of_seed(seed)
            number = self.games.game_of_seed(seed)
        else:
            first, count = GAMES[self._split]
            number = first + int(self.np_random.integers(count))
        self.game = game_file(self.games, number)
        self._rules = load_rules(self.game)
        self._progress = Progress(self.game)
        self._turn = self._machine.start(self.game)
        self._recipe = self._entered = ""
        objective = "" if self.games.challenge == "cooking" else f" {_on_one_line(self._rules.objective)}"
        self.description = f"{self.goal}{objective}"
        self.score = self._share_of_points()
        self._text = self._write()
        return self._text, {"is_success": False}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Gives a command; see the class for rewards and ends.

        Raises:
            UsageError: If the game is over.
        """
        before = self._turn
        if before.won or before.lost:
            raise UsageError("the game is over; reset the task")
        self._turn = now = self._machine.send(str(action))
        self._progress.add(now.events)
        if recipe := _RECIPE.search(now.feedback):
            self._recipe = _on_one_line(recipe[0])
        moved = _MOVED.fullmatch(str(action).strip().lower())
        if moved and now.events:
            self._entered = f"You came here by going {moved[1]}."
        self._text = self._write()
        self.score = self._share_of_points()
        reward = (now.score - before.score) / self._rules.max_score
        over = now.won or now.lost
        truncated = self._progress.turn >= self.horizon and not over
        info = {"is_success": now.won, "feedback": now.feedback.replace(now.room, "").strip()}
        return self._text, reward, over, truncated, info | {"moves": self._progress.turn}

    def look(self) -> str:
        """The room, and the recipe once it was read; costs no move."""
        room = _on_one_line(_HEADER.sub("", self._turn.room)).replace(". ", ".\n")
        header = _HEADER.search(self._turn.room)
        recipe = f"The recipe: {self._recipe}" if self._recipe else ""
        return "\n".join(part for part in (f"{header[1]}:" if header else "", room, recipe) if part)

    def inventory(self) -> str:
        """What is carried; costs no move."""
        return _on_one_line(self._turn.carried)

    def situation(self) -> Situation:
        """Where the player is, what is there and what is carried; the choices are the admissible commands."""
        text = self._text
        return LazySituation(self._text, self.goal, lambda: text, partial(_choose, self._progress, self._progress.turn))

    def first_action(self, plan: Sequence[str]) -> str | None:
        """The first item of a plan if it is among the choices, else None."""
        wanted = plan[0].strip().lower() if plan else ""
        return next((choice for choice in self.situation().choices if choice.lower() == wanted), None)

    def best_actions(self) -> list[str]:
        """The command with which TextWorld's own solution goes on; none where the game cannot be won any more.

        That solution knows the recipe without having read it. The cookbook is read first wherever it is seen, so that
        a learner can know why the solution acts as it does.
        """
        choices = self.situation().choices
        unread = [choice for choice in choices if choice.startswith("examine ") and not self._recipe]
        return unread[:1] or [command for command in self._progress.winning_commands()[:1] if command in choices]

    def render(self) -> str | None:
        """The situation in words, if made with `render_mode="ansi"`."""
        return None if self.render_mode is None else self._text

    def close(self) -> None:
        """Ends the machine."""
        self._machine.close()

    def _share_of_points(self) -> float:
        return 0.0 if self._turn.lost else 100 * self._turn.score / self._rules.max_score

    def _write(self) -> str:
        turn = self._turn
        task = "" if self.games.challenge == "cooking" else f"Task: {_on_one_line(self._rules.objective)}"
        recipe = f"The recipe: {self._recipe}" if self._recipe else ""
        room = _on_one_line(_HEADER.sub(r"You are in the room \1.", turn.room))
        return "\n".join(part for part in (task, room, _on_one_line(turn.carried), recipe, self._entered) if part)


def _choose(progress: Progress, turn: int) -> tuple[str, ...]:
    """The admissible commands but those that only look; to examine the cookbook is to read it."""
    return tuple(
        command
        for command in progress.commands(turn)
        if command not in ("look", "inventory")
        and (not command.startswith("examine ") or command.endswith(("cookbook", "recipe book")))
    )


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
