"""The prompt: how an episode becomes tokens, defined once for training and acting.

An episode is one sequence. It opens with the task, what can be seen and what is carried. Then comes everything that
happens: sub-goals, actions, observations, and changes of what can be seen and is carried.

    <task>DESCRIPTION<look>...<inv>...<goal>SUB-GOAL<end>
    <act>ACTION<end><obs>OBSERVATION<look>...<inv>...<act>ACTION<end>...<done><goal>SUB-GOAL<end><act>...

The student generates the text after `<goal>`, `<act>` with its text, and `<done>`; these are the targets of the loss.
Everything else is given. Without sub-goals there is no `<goal>` and no `<done>`.

- All texts are normalized (`normalize.py`), sub-goals too: `move(box, kitchen)` is "move box to kitchen".
- Of a place that was described before in the sequence only its name and the lines that are new (`+`) or gone (`-`) are
  given, without what the observation has just said, and without lines in which only numbers have changed (readings of
  an instrument: the actions that read it show them).
- `<up>` follows an observation after which the score has risen.
- When the context has no room for another answer, the sequence opens anew: the task, the last 40 finished sub-goals
  (`<before>`), the last ten actions with their observations (`<past>`), all that can be seen and is carried, and the
  current sub-goal. If that is still too long, older actions are left out first, then older sub-goals, then the last
  lines of what can be seen; a demonstration that would lose such lines is refused.
- Fed step by step (2405.02749), each answer has such an opening of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .folder import PolicyError
from .normalize import normalize, render_subgoal, short_lines

PROMPT_VERSION = "wean-prompt/6"
"""Changes whenever one token of any prompt changes; a student is used only with the version it was trained on."""

TASK, LOOK, CARRIED, BEFORE, PAST = "<task>", "<look>", "<inv>", "<before>", "<past>"
GOAL, ACT, DONE, OBSERVED, UP, END = "<goal>", "<act>", "<done>", "<obs>", "<up>", "<end>"
MARKS = (TASK, LOOK, CARRIED, BEFORE, PAST, GOAL, ACT, DONE, OBSERVED, UP, END)
"""Each is one token of every student."""

ANSWER = 64
"""Tokens reserved for an answer."""
_NUMBER = re.compile(r"\d+")
_MAX_PAST = 10  # actions
_HISTORY = ((40, 10), (40, 5), (40, 2), (40, 0), (20, 0), (8, 0), (0, 0))
"""Finished sub-goals and past actions in an opening; the next shorter pair where the one before does not fit."""
_MAX_OBSERVATION = 600  # characters
_MOST_ANSWERS = 20_000  # whose tokens are kept
_NEXT_LINE = " \n "  # the space after it makes a word the same tokens at the beginning of a line as within it

Feeding = Literal["sequence", "step"]
Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class PromptConfig:
    """How a student's prompts are built."""

    feeding: Feeding = "sequence"
    """One sequence for an episode, or one prompt for each answer."""
    subgoals: bool = True
    """Whether the student names sub-goals, or generates actions alone."""
    context: int = 2048
    """Greatest number of tokens in a prompt and its answer."""


@dataclass
class Window:
    """A stretch of an episode that fits into the context: tokens, and for each its part in the loss.

    `targets` is 1 where an answer of the student begins, 2 where it goes on, else 0.
    """

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], target: bool = False) -> None:
        """Appends tokens; with `target` they are one answer."""
        self.ids += ids
        self.targets += [1, *[2] * (len(ids) - 1)] if target else [0] * len(ids)

    def trimmed(self) -> Window:
        """The window up to its last target."""
        end = max((i + 1 for i, target in enumerate(self.targets) if target), default=0)
        return Window(self.ids[:end], self.targets[:end])


class EpisodeEncoder:
    """Encodes one episode piece by piece; the same calls give the same tokens in training and acting.

    A `strict` one refuses a prompt that does not fit (`PolicyError`); else lines are left out.
    """

    def __init__(self, encode: Encode, config: PromptConfig, strict: bool = False) -> None:
        self._encode, self._strict = encode, strict
        self._context, self._by_step = config.context, config.feeding == "step"
        self._end, self._answers = encode(END), dict[str, list[int]]()
        self.windows: list[Window] = []
        """The episode so far, the current window last."""
        self.goal = ""
        """The current sub-goal; empty where there is none."""
        self._before: list[str] = []
        self._past: list[tuple[str, str]] = []

    @property
    def window(self) -> Window:
        """The current window."""
        return self.windows[-1]

    def begin(self, description: str, look: str, carried: str) -> None:
        """Opens the episode."""
        self._description = description.removeprefix("Task Description:\n")
        self._look, self._carried = look, carried
        self._open(self.goal)

    def make_room(self) -> None:
        """Opens a new window where the current one has no room for an answer, or where each answer has its own."""
        if self._by_step or len(self.window.ids) + ANSWER > self._context:
            self._open(self.goal)

    def ask_goal(self) -> None:
        """Asks for a sub-goal; `add_goal` follows."""
        if self._by_step and self.window.ids:
            self._open("")
        self.window.add(self._encode(GOAL))

    def add_goal(self, goal: str, target: bool = True) -> None:
        """Adds the next sub-goal, in words or as `verb(argument, argument)`."""
        self.goal = render_subgoal(goal)
        self.window.add(self.answer(self.goal), target)

    def add_done(self, target: bool = True) -> None:
        """Ends the current sub-goal."""
        self.window.add(self._encode(DONE), target)
        if self.goal:
            self._before.append(self.goal)
        self.goal = ""

    def add_action(self, action: str, target: bool = True) -> None:
        """Adds the next action; `add_observation` follows."""
        self._action = normalize(action)
        self.window.add([*self._encode(ACT), *self.answer(action)], target)

    def add_observation(self, observation: str, look: str, carried: str, risen: bool = False) -> None:
        """Adds the result of the action: the observation, what can be seen and is carried, whether the score rose."""
        lines = short_lines(look)
        told = self._observation(observation) + (UP if risen else "")
        self._past = [*self._past, (self._action, told)][-_MAX_PAST:]
        self._look, self._carried = look, carried
        if self._by_step:
            return
        self.window.add(self._encode(OBSERVED + told))
        self._add_changes(lines, told.lower())

    def answer(self, text: str) -> list[int]:
        """The tokens of an answer, its end mark included."""
        if text not in self._answers:  # thousands of candidates are ranked again and again
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            self._answers[text] = self._encode(normalize(text)) + self._end
        return self._answers[text]

    # --- pieces --------------------------------------------------------------------------------------------------

    def _open(self, goal: str) -> None:
        """Opens a window with everything that is known, as far as it fits."""
        head = self._encode(TASK + normalize(self._description))
        tail = [*self._encode(GOAL), *self.answer(goal)] if goal else []
        place = self._encode(LOOK + _NEXT_LINE.join(short_lines(self._look)))
        carried = self._encode(CARRIED + _NEXT_LINE.join(short_lines(self._carried)))
        room = self._context - ANSWER - len(head) - len(place) - len(carried) - len(tail)
        for finished, past in _HISTORY:
            history = self._history(finished, past)
            excess = len(history) - room
            if excess <= 0:
                break
        if excess > 0 and self._strict:
            needed = self._context + excess
            raise PolicyError(
                f"a prompt has {needed:,} tokens, the context {self._context:,}; set context={-(-needed // 256) * 256}"
            )
        cut = place[: max(1, len(place) - excess)] if excess > 0 else place
        self.windows.append(Window())
        self.window.add([*head, *history, *cut, *carried, *tail])
        self._known_look, self._known_carried = short_lines(self._look), short_lines(self._carried)
        self._known_places = {_name(self._known_look): self._known_look} if excess <= 0 else {}

    def _history(self, finished: int, past: int) -> list[int]:
        """The tokens of the last finished sub-goals and past actions."""
        before = self._before[-finished:] if finished else []
        ids = self._encode(BEFORE + "; ".join(before)) if before else []
        for action, told in self._past[-past:] if past else []:
            ids += [*self._encode(PAST + action), *self._encode(OBSERVED + told)]
        return ids

    def _add_changes(self, lines: list[str], told: str) -> None:
        """Adds what has changed of what can be seen (its lines) and is carried, but not in the observation (`told`)."""
        if lines != self._known_look:
            moved = _name(lines) != _name(self._known_look)
            changes = _changes(self._known_places.get(_name(lines)), lines, told)
            if moved or len(changes) > 1:
                self.window.add(self._encode(LOOK + _NEXT_LINE.join(changes)))
        self._known_look = self._known_places[_name(lines)] = lines
        carried = short_lines(self._carried)
        if carried != self._known_carried:
            changes = _changes(["", *self._known_carried], ["", *carried], told)[1:]
            if changes:
                self.window.add(self._encode(CARRIED + _NEXT_LINE.join(changes)))
        self._known_carried = carried

    def _observation(self, text: str) -> str:
        """An observation in short; empty where it only repeats what can be seen."""
        short = _NEXT_LINE.join(short_lines(text))
        return "" if short == _NEXT_LINE.join(short_lines(self._look)) else short[:_MAX_OBSERVATION]


def _name(lines: Sequence[str]) -> str:
    """What identifies a place: its first line."""
    return lines[0] if lines else ""


def _changes(before: Sequence[str] | None, lines: list[str], told: str) -> list[str]:
    """The place's name, and its new and gone lines; all lines if these are fewer characters, or nothing is known.

    A line that goes while one with the same first words comes has changed, and does not count as gone.
    """
    if before is None:
        return lines
    readings = {_NUMBER.sub("0", line) for line in before if line not in lines}
    new = [line for line in lines if line not in before and _NUMBER.sub("0", line) not in readings]
    now = {_NUMBER.sub("0", line) for line in lines}
    before = [line for line in before if _NUMBER.sub("0", line) not in now]
    changed = {_first_words(line) for line in new}
    gone = [line for line in before if line not in lines and _first_words(line) not in changed]
    changes = [*(f"+ {line}" for line in new if line.lower() not in told), *(f"- {line}" for line in gone)]
    return [*lines[:1], *changes] if sum(map(len, changes)) < sum(map(len, lines)) else lines


def _first_words(line: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,.(]+", line)[:2])
