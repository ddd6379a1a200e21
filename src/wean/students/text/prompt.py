"""How an episode is told to a text student: one definition that training and acting share.

An episode is one sequence. It opens with the task, what can be seen and what is carried, and goes on with whatever
happens: sub-goals, actions, observations, and what has changed to see and to carry.

    <task>DESCRIPTION<look>...<inv>...<goal>SUB-GOAL<end>
    <act>ACTION<end><obs>OBSERVATION<look>...<inv>...<act>ACTION<end>...<done><goal>SUB-GOAL<end><act>...

What the student says is `<goal>`'s text, `<act>` with its text, and `<done>`: there the loss is. Everything else is
told to it. Where no sub-goal is named `<act>` comes at once, and `<done>` says all the same when the next one is due.

- All is told in the same words, so that what was read can be found again: in lower case, without articles, a space
  around every mark. A sub-goal is told like an action: `move(red box, kitchen)` as "move red box to kitchen".
- A place that was told before in the sequence is told by its name and the lines that are new (`+`) or gone (`-`);
  what the observation has just said is not said again, nor a line of which only the numbers have changed (an
  instrument's reading: the actions that read it tell it).
- `<up>` stands behind an observation after which the score has risen.
- What follows from a number or a state is told behind it (`<so>`, `<more>`, `<less>`; `consequences.py`).
- When the context has no room for another answer, the sequence opens anew: the task, the sub-goals done (`<before>`,
  the last 40), the last ten actions with their observations (`<past>`), all that can be seen and is carried, and the
  current sub-goal. If that is still too long, older actions go first, then older sub-goals, then the last lines of
  what can be seen; a demonstration of which lines would go is refused.
- Fed step by step (2405.02749), every question is such an opening, with nothing behind it but its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from wean.errors import UsageError
from wean.students.text.normalize import phrase, plain
from wean.students.text.rules.consequences import LESS, MORE, SO, Consequences

PROMPT_VERSION = "wean-prompt/5"
"""Changes whenever one token of any prompt changes; a student is used only with the version it was trained on."""

TASK, LOOK, CARRIED, BEFORE, PAST = "<task>", "<look>", "<inv>", "<before>", "<past>"
GOAL, ACT, DONE, OBSERVED, UP, END = "<goal>", "<act>", "<done>", "<obs>", "<up>", "<end>"
MARKS = (TASK, LOOK, CARRIED, BEFORE, PAST, GOAL, ACT, DONE, OBSERVED, UP, END, LESS, MORE, SO)
"""Each is one token of every student."""

ANSWER = 64
"""Tokens that are kept free for an answer."""
_PAST, _SHORTER = 10, (10, 5, 2, 0)
_BEFORE = (40, 20, 8, 0)
_OBSERVED = 600  # characters of an observation

Feeding = Literal["sequence", "step"]
Encode = Callable[[str], list[int]]

_SHORT = (
    (re.compile(r"This room is called the (.+?)\. In it, you see:"), r"\1:"),
    (re.compile(r"(?:This outside location is called the|You are in) (.+?)\. Here you see:"), r"\1:"),
    (re.compile(r"In your inventory, you see:"), ""),
    (re.compile(r" \((?:that is open|containing nothing)\)"), ""),
)
_NEXT = " \n "  # between lines; with a space after it, a word is the same tokens at their beginning
_NUMBER = re.compile(r"\d+")
_DONE_BEFORE = re.compile(r"The .+ is already \w+\.")
_SAID_OF_EVERY_PLACE = frozenset({"agent", "substance called air"})


@dataclass
class Window:
    """A stretch of an episode that fits into the context.

    Attributes:
        ids: Tokens.
        targets: For each token 1 where an answer begins that the student is to say, 2 where it goes on, else 0.
    """

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], target: bool = False) -> None:
        """Appends tokens; with `target` they are one answer."""
        self.ids += ids
        self.targets += [1, *[2] * (len(ids) - 1)] if target else [0] * len(ids)

    def trimmed(self) -> Window:
        """The window up to the last token that is to be said."""
        end = max((i + 1 for i, target in enumerate(self.targets) if target), default=0)
        return Window(self.ids[:end], self.targets[:end])


class EpisodeText:
    """Tells one episode, piece by piece; the same calls give the same tokens, in training and at work.

    Args:
        encode: Text and marks to tokens.
        context: Tokens that the student can read.
        feeding: One sequence, or an opening for every question.
        strict: Refuses what does not fit instead of leaving lines out.
    """

    def __init__(self, encode: Encode, context: int, feeding: Feeding = "sequence", strict: bool = False) -> None:
        self._encode, self._context, self._feeding, self._strict = encode, context, feeding, strict
        self._end, self._answers = encode(END), dict[str, list[int]]()
        self.windows: list[Window] = []
        """What was told, the current window last."""
        self._before: list[str] = []
        self._past: list[tuple[str, str]] = []
        self.goal = ""
        """The current sub-goal; empty where there is none."""
        self.told: set[str] = set()
        """Words that were told or said so far."""
        self.untold: set[str] = set()
        """Words that were said before they were told."""
        self._seen: set[str] = set()

    @property
    def window(self) -> Window:
        """The current window."""
        return self.windows[-1]

    @property
    def place(self) -> str:
        """What the place is called where the episode is now."""
        return place_of(self._look)

    @property
    def sight(self) -> str:
        """What can be seen and is carried now, in plain words."""
        return f"{plain(self._look)} | {self.carried}"

    @property
    def carried(self) -> str:
        """What is carried now, in plain words."""
        return plain(self._carried)

    def unseen(self, text: str) -> set[str]:
        """Words of a text that nothing has shown yet: no place, no observation, nothing carried."""
        return set(text.split()) - self._seen

    def out_of_sight(self, text: str) -> set[str]:
        """Words of a text that are not among what can be seen or is carried now."""
        return set(text.split()) - set(self.sight.split())

    def begin(self, description: str, look: str, carried: str) -> None:
        """Opens the episode."""
        self._description = description.removeprefix("Task Description:\n")
        self._look, self._carried = look, carried
        self._consequences = Consequences(self._description)
        self.told |= set(plain(description).split())
        self._see(look, carried)
        self._open()

    def ask(self) -> None:
        """Before every question: opens anew where there is no room for the answer, or where every question does."""
        if self._feeding == "step" or len(self.window.ids) + ANSWER > self._context:
            self._open()

    def ask_goal(self) -> None:
        """Asks for a sub-goal; `say_goal` follows."""
        if self._feeding == "step" and len(self.windows[-1].ids):
            self._open(goal=False)
        self.window.add(self._encode(GOAL))

    def leave_goal(self) -> None:
        """After `ask_goal`: none is said, what comes now is done without."""
        self.window.ids.pop()
        self.window.targets.pop()

    def say_goal(self, goal: str, target: bool = True) -> None:
        """The sub-goal that comes now, in words or as `verb(argument, argument)`."""
        goal = phrase(goal)
        self.goal = goal
        self._say(goal)
        self.window.add(self.answer(goal), target)

    def say_done(self, target: bool = True) -> None:
        """The sub-goal is achieved, or what was done without one."""
        self.window.add(self._encode(DONE), target)
        if self.goal:
            self._before.append(self.goal)
        self.goal = ""

    def say_action(self, action: str, target: bool = True) -> None:
        """What is done now; `observe` follows."""
        self._action = plain(action)
        self._say(self._action)
        self.window.add([*self._encode(ACT), *self.answer(action)], target)

    def observe(self, observation: str, look: str, carried: str, risen: bool = False) -> None:
        """What came of the action, and what can be seen and is carried now."""
        self._see(observation, look, carried)
        actions = [*(action for action, _ in self._past), self._action]
        lines = _lines(look)
        follows = self._consequences.of(actions, observation, lines)
        said = self._observation(observation) + follows + (UP if risen else "")
        self._past = [*self._past, (self._action, said)][-_PAST:]
        self._look, self._carried = look, carried
        if self._feeding == "step":
            return
        self.window.add(self._encode(OBSERVED + said))
        self._tell_place(lines, said.lower())

    def answer(self, text: str) -> list[int]:
        """A text that the student says, and the mark that ends it."""
        if text not in self._answers:  # thousands are weighed, again and again
            self._answers[text] = self._encode(plain(text)) + self._end
        return self._answers[text]

    def _see(self, *texts: str) -> None:
        words = {word for text in texts for word in plain(text).split()}
        self.told |= words
        self._seen |= words

    def _say(self, text: str) -> None:
        words = set(text.split())
        self.untold |= words - self.told
        self.told |= words

    # --- pieces --------------------------------------------------------------------------------------------------

    def _open(self, goal: bool = True) -> None:
        """Opens a window with all that is known."""
        current = self.goal if goal else ""
        head = self._encode(TASK + plain(self._description))
        tail = [*self._encode(GOAL), *self.answer(current)] if current else []
        place = self._encode(LOOK + _NEXT.join(_lines(self._look)))
        carried = self._encode(CARRIED + _NEXT.join(_lines(self._carried)))
        room = self._context - ANSWER
        always = len(head) + len(place) + len(carried) + len(tail)
        for done, past in [(_BEFORE[0], past) for past in _SHORTER] + [(done, 0) for done in _BEFORE[1:]]:
            middle = self._history(done, past)
            over = always + len(middle) - room
            if over <= 0:
                break
        if over > 0 and self._strict:
            raise UsageError(
                f"a prompt has {room + over + ANSWER:,} tokens, the context {self._context:,}; "
                f"set context={_rounded(room + over + ANSWER)}"
            )
        cut = place[: max(1, len(place) - over)] if over > 0 else place
        self.windows.append(Window())
        self.window.add([*head, *middle, *cut, *carried, *tail])
        lines = _lines(self._look)
        self._told = {_name(lines): lines} if over <= 0 else {}
        self._here, self._told_carried = lines, _lines(self._carried)

    def _history(self, done: int, past: int) -> list[int]:
        before = self._before[-done:] if done else []
        told = self._encode(BEFORE + "; ".join(before)) if before else []
        for action, said in self._past[-past:] if past else []:
            told += [*self._encode(PAST + action), *self._encode(OBSERVED + said)]
        return told

    def _tell_place(self, lines: list[str], said: str) -> None:
        """Tells what has changed to see (its lines) and to carry, but for what the observation said."""
        if lines != self._here:
            moved = _name(lines) != _name(self._here)
            changes = _changes(self._told.get(_name(lines)), lines, said)
            if moved or len(changes) > 1:
                self.window.add(self._encode(LOOK + _NEXT.join(changes)))
        self._here = self._told[_name(lines)] = lines
        carried = _lines(self._carried)
        if carried != self._told_carried:
            changes = _changes(["", *self._told_carried], ["", *carried], said)[1:]
            if changes:
                self.window.add(self._encode(CARRIED + _NEXT.join(changes)))
        self._told_carried = carried

    def _observation(self, text: str) -> str:
        """An observation; where it is what can be seen anyway, nothing."""
        cleaned = _NEXT.join(_lines(text))
        return "" if cleaned == _NEXT.join(_lines(self._look)) else cleaned[:_OBSERVED]


def is_idle(action: str, observation: str) -> bool:
    """Whether an action showed only what is told at every step anyway, or found done what it was to do.

    It is neither learnt nor needed, and may cost a move: the oracle opens every door that is open already.
    """
    return action == "look around" or _DONE_BEFORE.fullmatch(observation.strip()) is not None


@lru_cache(maxsize=256)  # asked for each action that is weighed
def place_of(look: str) -> str:
    """What the place is called where this can be seen: no more is read than the line that says so."""
    return next((_name(lines).rstrip(" :") for line in look.splitlines() if (lines := _lines(line))), "")


def _lines(text: str) -> list[str]:
    """The lines of a text in their short form."""
    for pattern, short in _SHORT:
        text = pattern.sub(short, text)
    lines = map(plain, text.splitlines())
    return [line for line in lines if line and line not in _SAID_OF_EVERY_PLACE]


def _name(lines: Sequence[str]) -> str:
    """What a place is known by: its first line."""
    return lines[0] if lines else ""


def _changes(before: Sequence[str] | None, lines: list[str], said: str) -> list[str]:
    """The place's name, and its new and gone lines; all lines where that is no longer, or nothing was told before.

    A line that goes while one with the same beginning comes has changed, and is not told as gone.
    """
    if before is None:
        return lines
    readings = {_NUMBER.sub("0", line) for line in before if line not in lines}
    new = [line for line in lines if line not in before and _NUMBER.sub("0", line) not in readings]
    now = {_NUMBER.sub("0", line) for line in lines}
    before = [line for line in before if _NUMBER.sub("0", line) not in now]
    beginnings = {_beginning(line) for line in new}
    gone = [line for line in before if line not in lines and _beginning(line) not in beginnings]
    told = [*(f"+ {line}" for line in new if line.lower() not in said), *(f"- {line}" for line in gone)]
    return [*lines[:1], *told] if sum(map(len, told)) < sum(map(len, lines)) else lines


def _beginning(line: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,.(]+", line)[:2])


def _rounded(tokens: int) -> int:
    """The next multiple of 256."""
    return -(-tokens // 256) * 256
