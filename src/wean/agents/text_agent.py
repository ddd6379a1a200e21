"""Plays episodes in words with a text student: the planner names sub-goals, the executor acts until one is done.

No language model stands beside it. Rules:

- Text is said greedily, in words that the episode has told so far or that its demonstrations say without
  (`Habits.unprompted`): a name that is nowhere cannot be said. What the task does not take as an action is replaced by
  the admissible action that the student itself finds most probable (log-probability of the whole text); an ambiguity
  question is answered in the same way, by what each answer stands for. An action that may spoil the task
  (`irrevocable`) replaces a text only if it names the same thing with no other words, and one that only lets time pass
  (`idle`) only where there is nothing else. One of the same words in another order goes before all others.
- What may spoil the task is done only if the student finds its thing, and the sub-goal's, together at least as probable
  as the score is of the full one: the score is what would be lost. Whether it is time for such an action is not asked.
  Nor is it done where a name in the sub-goal is not in sight. Else the most probable admissible action that cannot
  spoil the task is taken.
- Which sub-goal is named, whether one is, and when it is over: `planning.py`. One that led to a text which is no action
  is given up, if the student has learnt to act without; where it looked for something, the next is named. After a loop
  one is named in any case. No action leads where the student is, either.
- A loop: an action was done in the same moment `Habits.repeat_limit` times already, or more often, where demonstrations
  are as patient (`Habits.repeats`). The first time in a moment the planner is asked, if there is one; then the most
  probable admissible action is done of which this is not so. What is refused although it is admissible is not done
  again in the same moment either.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wean.agents.subgoal_source import Planner
from wean.students.text.decoder import Said
from wean.students.text.normalize import plain
from wean.students.text.prompt import EpisodeText
from wean.students.text.rules.subgoal_rules import Moment, Planning, sayable
from wean.students.text.seq2seq_decoder import reader_of
from wean.students.text.student import TextStudent

NOT_TAKEN = ("No known action matches that input", "Unknown action")
"""How a task that spends no move on it answers what is no action."""
_AMBIGUOUS = "Ambiguous request"
_NUMBERED = re.compile(r"^\s*(\d+):\s*(.+?)\s*$", re.MULTILINE)
_EVER = 1 << 20  # more often than anything may be done
SILENT = 40
"""Actions and answers in a row that cost no move; then an episode is given up."""


class WordsTask(Protocol):
    """What a task must offer to be played in words."""

    @property
    def description(self) -> str:
        """The task in words."""

    @property
    def score(self) -> float:
        """From 0 to 100; below 0 where the task was spoilt."""

    def look(self) -> str:
        """What can be seen."""

    def inventory(self) -> str:
        """What is carried."""

    def situation(self) -> Any:
        """Its `choices` are the admissible actions."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Gymnasium's."""


@dataclass
class Played:
    """One episode.

    Attributes:
        score: At the end, as the task counts it: below 0 where it was spoilt.
        moves: That the task counted.
        actions: That were taken, those that cost no move included.
        matched: Of these, how many were chosen from the admissible ones because the student's text was none.
        loops: How often a loop was noticed.
        seconds: Of the player's own thinking.
        tokens: That the student, or the language model, read and wrote.
        questions: To a language model.
        failed: Those whose answer named no admissible action.
        trace: Sub-goals and actions in their order, as the report shows them.
    """

    score: float = 0.0
    moves: int = 0
    actions: int = 0
    matched: int = 0
    loops: int = 0
    seconds: float = 0.0
    tokens: int = 0
    questions: int = 0
    failed: int = 0
    trace: list[dict[str, Any]] = field(default_factory=list)


def take(task: WordsTask, action: str) -> tuple[str, bool, dict[str, Any]]:
    """Takes an action; what the task answers, whether the episode is over, and the step's `info`."""
    observation, _, terminated, truncated, info = task.step(action)
    return str(info.get("feedback", observation)), terminated or truncated, info


class TextAgent:
    """A text student that plays.

    Args:
        student: Who plays.
        planner: Names the sub-goals in its place: the oracle's, or drawn ones; they still end as the student says.
        others: Students that act together with it (`wean.students.text.ensemble`).
    """

    def __init__(
        self, student: TextStudent, planner: Planner | None = None, others: Sequence[TextStudent] = ()
    ) -> None:
        self._student, self._planner = student, planner
        self._habits = student.habits
        self._reader = reader_of(student, others)

    def play(self, task: WordsTask, max_moves: int) -> Played:
        """Plays a task that was just reset.

        Args:
            task: The task.
            max_moves: Moves after which the episode is over.
        """
        self.begin(task)
        over, free = False, 0
        while not over and self._played.moves < max_moves and free < SILENT:
            moves = self._played.moves
            observation, over, info = take(task, self.next_action())
            self.observe(observation, info, over)
            free = free + 1 if self._played.moves == moves else 0
        return self.played

    def begin(self, task: WordsTask) -> None:
        """Begins an episode of a task that was just reset."""
        self._task, self._played = task, Played()
        self._episode: EpisodeText = self._student.episode()
        self._goals, self._since, self._given = 0, 0, False
        self._done: Counter[tuple[str, Moment]] = Counter()
        self._lost: set[Moment] = set()  # those in which a loop was noticed and the planner asked
        self._sure = 1.0
        self._meant: dict[str, str] = {}
        self._next: tuple[str, bool] | None = None
        self._read_before = self._reader.tokens_read
        look, carried = task.look(), task.inventory()
        self._now: Moment = (look, carried, float(task.score))
        self._episode.begin(task.description, look, carried)
        self._planning = Planning(self._student, self._habits, self._reader, self._episode)
        if self._habits.subgoals:
            self._plan()

    @property
    def played(self) -> Played:
        """The episode so far."""
        self._played.score = float(self._task.score)
        self._played.tokens = self._reader.tokens_read - self._read_before
        return self._played

    # --- what the student says -----------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Asks for the next sub-goal."""
        started = time.perf_counter()
        self._episode.ask_goal()
        named = self._planner(self._goals, lambda: self._planning.wanted(self._now).text) if self._planner else None
        self._given = named is not None
        said = self._planning.wanted(self._now) if named is None else Said(named)
        self._goals, self._since, self._sure = self._goals + 1, 0, 1.0
        if self._now not in self._lost and self._planning.is_doubtful(said):
            self._episode.leave_goal()
            self._played.trace.append({"goal": "", "unsure": said.text})
        else:
            self._sure = self._certainty(said)
            self._episode.say_goal(said.text, target=False)
            self._planning.begin(self._now)
            self._played.trace.append({"goal": self._episode.goal})
        self._played.seconds += time.perf_counter() - started

    def _go_on(self) -> None:
        """The current sub-goal, or what was done without one, is over; asks for the next."""
        self._episode.say_done(target=False)
        self._plan()

    def _drop(self, said: str) -> bool:
        """Gives a sub-goal up that led to a text which is no action, if the student can do without; or a search."""
        if not self._habits.unnamed or not self._episode.goal or self._given:
            return False
        self._planning.rule_out(self._now)
        if self._planning.searches:
            self._go_on()
            return True
        self._played.trace.append({"goal": "", "said": said})
        self._episode.say_done(target=False)
        self._since, self._sure = 0, 1.0
        return True

    def _choose(self) -> tuple[str, bool]:
        """The next action, and whether it had to be chosen from the admissible ones."""
        started = time.perf_counter()
        episode, mark = self._episode, self._student.mark
        episode.ask()
        if self._habits.subgoals and self._since and not self._meant and self._planning.is_over(self._since):
            self._played.seconds += time.perf_counter() - started
            self._go_on()
            started = time.perf_counter()
            episode.ask()
        ids = [*episode.window.ids, mark["<act>"]]
        answer = self._reader.say(ids, sayable(self._habits, episode), lambda said: not self._planning.forbids(said))
        said, safe = answer.text, self._is_safe(answer)
        self._said = said
        self._played.seconds += time.perf_counter() - started
        if not self._meant and self._planning.gives_up(said):
            self._go_on()
            return self._choose()
        action = self._as_action(said) if safe and (not self._meant or said in self._meant) else ""
        if action and not self._is_worn(action):
            return action, False
        if action and self._asks_planner(action):
            return self._choose()
        if safe and not action and not self._meant and self._drop(said):
            return self._choose()
        choices = self._replacements(said if safe else "")
        return (self._best(choices), True) if choices else (said or "wait1", False)

    def _is_safe(self, said: Said) -> bool:
        """Whether an action cannot spoil the task, or is about what is in sight and probable enough."""
        if not self._spoiling(said.text):
            return True
        verb = self._spoiling(goal := self._episode.goal)
        if verb and not self._episode.out_of_sight(goal.removeprefix(verb)) <= set(self._habits.unprompted):
            return False
        return self._sure * self._certainty(said) >= float(self._task.score) / 100

    def _spoiling(self, said: str) -> str:
        """How a text, an action or a sub-goal, begins if it is what may spoil the task; else nothing."""
        return next((verb for verb in getattr(self._task, "irrevocable", ()) if said.startswith(verb)), "")

    def _certainty(self, said: Said) -> float:
        """How sure the student is of what may spoil the task, given that it does such a thing at all; else 1."""
        verb = self._spoiling(said.text)
        if not verb:
            return 1.0
        answer, begins = self._episode.answer(said.text), self._student.encode(plain(verb))
        known = len(begins) if answer[: len(begins)] == begins else 0
        return math.exp(sum(said.logs[known:]))

    def _as_action(self, said: str) -> str:
        """The action that a text may be; empty where it is none. A task that spends no move on others is just asked."""
        if getattr(self._task, "refusal_is_free", False):
            return said
        return next((choice for choice in self._task.situation().choices if plain(choice) == said), "")

    def _replacements(self, action: str) -> list[str]:
        """What may be done in place of a text."""
        spoiling, said = getattr(self._task, "irrevocable", ()), action.split()
        choices = [choice for choice in self._task.situation().choices if not self._is_worn(choice)]
        choices = [choice for choice in choices if not self._planning.forbids(plain(choice))] or choices
        if same := [choice for choice in choices if sorted(plain(choice).split()) == sorted(said)]:
            return same
        found = [choice for choice in choices if not choice.startswith(spoiling) or _is_in(choice, said)]
        idle = getattr(self._task, "idle", ())
        return [choice for choice in found if choice not in idle] or found

    def _best(self, choices: Sequence[str]) -> str:
        """The choice that the student finds most probable, each weighed by what it stands for."""
        started = time.perf_counter()
        ids = [*self._episode.window.ids, self._student.mark["<act>"]]
        answers = [self._episode.answer(self._meant.get(choice, choice)) for choice in choices]
        chosen = choices[self._reader.choose(ids, answers)]
        self._played.seconds += time.perf_counter() - started
        return chosen

    # --- what is done --------------------------------------------------------------------------------------------

    def next_action(self) -> str:
        """Returns the next action."""
        if self._next is None:
            self._next = self._choose()
        self._before = float(self._task.score)
        return self._next[0]

    def observe(self, observation: str, info: Mapping[str, Any], over: bool) -> None:
        """Takes note of what came of the last action.

        Args:
            observation: What the task answered.
            info: The step's.
            over: Whether the episode is over.
        """
        assert self._next is not None
        action, matched = self._next
        self._next = None
        refused = observation.startswith(NOT_TAKEN)
        free = getattr(self._task, "refusal_is_free", False)
        if refused and free and not over and not matched and not self._meant and self._drop(action):
            return
        if refused and not over and not matched and (choices := self._replacements(action)):
            self._next = self._best(choices), True
            return
        played = self._played
        score = float(self._task.score)
        self._episode.say_action(action, target=False)
        look, carried = self._task.look(), self._task.inventory()
        self._episode.observe(observation, look, carried, score > self._before)
        self._planning.act(plain(action))
        self._since += 1
        played.actions += 1
        played.matched += matched
        played.moves = int(info.get("moves", played.moves + 1))
        entry = {"action": action, "observation": observation[:300], "score": score, "moves": played.moves}
        played.trace.append(entry | ({"matched": True, "said": self._said} if matched else {}))
        if not self._meant:  # the same number answers one question after the other
            self._done[action, self._now] += _EVER if refused else 1  # even admissible actions can be refused
        asked = observation.startswith(_AMBIGUOUS)
        self._meant = dict(_NUMBERED.findall(observation)) if asked else {}
        self._now = (look, carried, score)

    # --- loops ---------------------------------------------------------------------------------------------------

    def _is_worn(self, action: str) -> bool:
        """Whether an action was done in this very moment as often as it may be."""
        limit = self._habits.repeats.get(action.partition(" ")[0], self._habits.repeat_limit)
        return self._done[action, self._now] >= limit

    def _asks_planner(self, action: str) -> bool:
        """Notices a loop; whether the planner was asked, as it is once in a moment."""
        self._played.loops += 1
        self._played.trace.append({"loop": [action]})
        if not self._habits.subgoals or self._now in self._lost:
            return False
        self._lost.add(self._now)
        self._go_on()
        return True


def _is_in(choice: str, said: Sequence[str]) -> bool:
    """Whether a choice names the thing that was said, with no other words: its last one, where it lies aside."""
    words = plain(choice).split()
    head = said[: said.index("in")] if "in" in said and "in" not in words else said
    return set(words) <= set(said) and words[-1:] == list(head[-1:])
