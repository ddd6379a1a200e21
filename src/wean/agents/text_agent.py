"""A text student that plays episodes: it names sub-goals, generates actions, and no language model stands beside it.

An action is generated greedily. A text that the task does not take as an action is replaced by the admissible action
that the student finds most probable; a question of the task ("which one do you mean?") is answered in the same way, by
what each answer stands for. A sub-goal is over when the student generates its end.

No repeat: an action that was taken in the same state (what can be seen and is carried, and the score) as often as it
may be is a loop. The first time in a state the student names another sub-goal, if it names any; then it takes the most
probable admissible action that is no loop. An admissible action that the task refuses is not taken again in that state.

What demonstrations have in common constrains sub-goals and actions further: `wean.students.text.rules`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from wean.agents.policy import SILENT
from wean.runtime.normalize import normalize, render_subgoal
from wean.students.text.decoder import Decoder, EpisodeDecoder, Generated, decoder_for
from wean.students.text.rules import ActingRules, DemonstratedPatterns, StateKey
from wean.students.text.student import TextStudent
from wean.tasks.contract import TextTask

Drawn = Literal["random", "random-first", "random-things"]
"""What is drawn: every sub-goal; the first one alone; the things of every sub-goal, whose verb is the student's."""

SubgoalSource = Callable[[int, Callable[[], str]], str | None]
"""Gives the sub-goal with a number (from 0), given a function that returns the student's; None takes the student's."""


def given(goals: Sequence[str]) -> SubgoalSource:
    """Gives some sub-goals one after the other, then the student's."""
    return lambda number, own: goals[number] if number < len(goals) else None


def drawing(pool: Sequence[str], drawn: Drawn, seed: int) -> SubgoalSource:
    """Draws sub-goals of a pool uniformly."""
    generator = np.random.default_rng(seed)

    def draw(goals: Sequence[str]) -> str:
        return goals[int(generator.integers(len(goals)))]

    def of_its_verb(own: str) -> str:
        alike = [goal for goal in pool if render_subgoal(goal).partition(" ")[0] == own.partition(" ")[0]]
        return draw(alike) if alike else own

    if drawn == "random-first":
        return lambda number, own: None if number else draw(pool)
    if drawn == "random-things":
        return lambda number, own: of_its_verb(own())
    return lambda number, own: draw(pool)


_REFUSED = 1 << 20  # more than any number of repetitions


@dataclass
class Played:
    """One episode.

    Attributes:
        score: At the end, as the task counts it: below 0 where it was spoilt.
        moves: Moves that the task counted.
        actions: Actions taken, those that cost no move included.
        matched: Actions chosen from the admissible ones because the student's text was none.
        loops: Number of loops noticed.
        seconds: Time that the agent itself took.
        tokens: Tokens that the student, or the language model, read and wrote.
        questions: Questions to a language model.
        failed: Questions whose answer named no admissible action.
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


def take(task: TextTask, action: str) -> tuple[str, bool, dict[str, Any]]:
    """Takes an action; returns the answer of the task, whether the episode is over, and the step's `info`."""
    observation, _, terminated, truncated, info = task.step(action)
    return str(info.get("feedback", observation)), terminated or truncated, info


class TextAgent:
    """A text student that plays episodes, one after the other.

    Whole ones with `play`; or step by step: `begin(task)`, then `next_action()` and `observe(...)` in turns until the
    task has ended or the episode is `given_up`.

    Attributes:
        played: The current episode so far.

    Args:
        student: The student.
        subgoals: Names sub-goals in place of the student, which still decides when they end.
        decoder: Decodes in place of the student's own decoder, e.g. an ensemble's.
    """

    def __init__(
        self,
        student: TextStudent,
        subgoals: SubgoalSource | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self._student, self._subgoals = student, subgoals
        self._decoder = decoder or decoder_for(student)

    def play(self, task: TextTask, max_moves: int) -> Played:
        """Plays a task that was just reset, for a number of moves at most."""
        self.begin(task)
        ended = False
        while not ended and self.played.moves < max_moves and not self.given_up:
            observation, ended, info = take(task, self.next_action())
            self.observe(observation, info, ended)
        return self.played

    def begin(self, task: TextTask) -> None:
        """Begins the episode of a task that was just reset."""
        self._task, self.played = task, Played(score=float(task.score))
        self._read_before = self._decoder.tokens_read
        self._silent = 0  # actions in a row that cost no move
        self._num_goals = 0
        self._num_actions = 0  # since the sub-goal began
        self._given = False  # whether the sub-goal was not named by the student
        self._taken: Counter[tuple[str, StateKey]] = Counter()
        self._looped: set[StateKey] = set()  # states in which a sub-goal was asked for because of a loop
        self._question: Mapping[str, str] = {}  # what the answers to a question of the task stand for
        self._text = self._replacement = ""
        look, carried = task.look(), task.inventory()
        self._state: StateKey = (look, carried, self.played.score)
        self._episode = self._student.episode()
        self._episode.begin(task.description, look, carried)
        self._proposals = EpisodeDecoder(self._student, self._decoder, self._episode)
        patterns = self._student.patterns or DemonstratedPatterns()
        self._rules = ActingRules(patterns, self._proposals, task.description, self._state, task.irrevocable, task.idle)
        if self._student.prompt.subgoals:
            self._name_goal()
        self._count()

    @property
    def given_up(self) -> bool:
        """Whether too many actions in a row cost no move."""
        return self._silent >= SILENT

    def next_action(self) -> str:
        """The next action; `observe` follows."""
        if self._replacement:
            self._action, self._matched, self._replacement = self._replacement, True, ""
        else:
            self._score_before = float(self._task.score)
            self._action, self._matched = self._choose()
        self._count()
        return self._action

    def observe(self, observation: str, info: Mapping[str, Any], ended: bool) -> None:
        """Notes the answer of the task to the action; `moves` in the step's `info` counts the moves."""
        refused = observation.startswith(self._task.refusals)
        if refused and not ended and not self._matched:
            dropped = self._task.refusal_is_free and not self._question and self._drop_goal(self._action)
            choices = () if dropped else self._replacements(self._action)
            if choices:
                self._replacement = self._best(choices)
            if dropped or choices:
                self._silent += dropped
                self._count()
                return
        self._note(observation, refused, int(info.get("moves", self.played.moves + 1)))
        self._count()

    # --- sub-goals -----------------------------------------------------------------------------------------------

    def _name_goal(self) -> None:
        """Names the next sub-goal, or none where the student is not sure of it."""
        started = time.perf_counter()
        self._episode.ask_goal()
        named = None
        if self._subgoals is not None:
            named = self._subgoals(self._num_goals, lambda: self._rules.choose_goal(self._state).text)
        self._given = named is not None
        goal = self._rules.choose_goal(self._state) if named is None else Generated(named)
        self._num_goals, self._num_actions = self._num_goals + 1, 0
        if self._state not in self._looped and self._rules.is_doubtful(goal):
            self._episode.withdraw_goal()
            self._rules.begin_goal(None, self._state)
            self.played.trace.append({"goal": "", "unsure": goal.text})
        else:
            self._episode.add_goal(goal.text, target=False)
            self._rules.begin_goal(goal, self._state)
            self.played.trace.append({"goal": self._episode.goal})
        self.played.seconds += time.perf_counter() - started

    def _next_goal(self) -> None:
        """Ends the current sub-goal, or the stretch without one, and names the next."""
        self._episode.add_done(target=False)
        self._name_goal()

    def _drop_goal(self, text: str) -> bool:
        """Gives up a sub-goal that led to a text which is no action; whether the student can do so."""
        if self._given or not self._rules.can_drop_goal:
            return False
        self._rules.rule_out_goal(self._state)
        if self._rules.is_searching:
            self._next_goal()
            return True
        self.played.trace.append({"goal": "", "said": text})
        self._episode.add_done(target=False)
        self._rules.begin_goal(None, self._state)
        self._num_actions = 0
        return True

    def _breaks_loop(self, action: str) -> bool:
        """Notes a loop; whether another sub-goal was named because of it, as happens once in a state."""
        self.played.loops += 1
        self.played.trace.append({"loop": [action]})
        if not self._student.prompt.subgoals or self._state in self._looped:
            return False
        self._looped.add(self._state)
        self._next_goal()
        return True

    # --- actions -------------------------------------------------------------------------------------------------

    def _choose(self) -> tuple[str, bool]:
        """The next action, and whether it had to be chosen from the admissible ones."""
        while True:
            answer = self._generate()
            self._text = text = answer.text
            is_asked = bool(self._question)
            if not is_asked and self._rules.ends_search(text):
                self._next_goal()
                continue
            safe = self._rules.is_safe(answer, float(self._task.score))
            action = self._as_action(text) if safe and (not is_asked or text in self._question) else ""
            if action and not self._is_loop(action):
                return action, False
            if action and self._breaks_loop(action):
                continue
            if safe and not action and not is_asked and self._drop_goal(text):
                continue
            choices = self._replacements(text if safe else "")
            return (self._best(choices), True) if choices else (text or "wait1", False)

    def _generate(self) -> Generated:
        """The action that the student generates, after the next sub-goal if the current one is over."""
        started = time.perf_counter()
        self._episode.make_room()
        plans = self._student.prompt.subgoals and self._num_actions and not self._question
        if plans and self._rules.is_goal_over(self._num_actions):
            self.played.seconds += time.perf_counter() - started
            self._next_goal()
            started = time.perf_counter()
            self._episode.make_room()
        answer = self._proposals.generate_action(self._rules.allows_word, self._rules.accepts_action)
        self.played.seconds += time.perf_counter() - started
        return answer

    def _as_action(self, text: str) -> str:
        """The action of a text; empty if it is none. If it costs nothing, the task itself is asked."""
        if self._task.refusal_is_free:
            return text
        return next((choice for choice in self._task.situation().choices if normalize(choice) == text), "")

    def _is_loop(self, action: str) -> bool:
        """Whether an action was taken in this state as often as it may be."""
        return self._taken[action, self._state] >= self._rules.repeat_limit(action)

    def _replacements(self, text: str) -> Sequence[str]:
        """The admissible actions that may be taken in place of a text."""
        choices = [choice for choice in self._task.situation().choices if not self._is_loop(choice)]
        return self._rules.replacements(text, choices)

    def _best(self, choices: Sequence[str]) -> str:
        """The choice that the student finds most probable, by what each stands for."""
        started = time.perf_counter()
        chosen = choices[self._proposals.rank_actions([self._question.get(choice, choice) for choice in choices])]
        self.played.seconds += time.perf_counter() - started
        return chosen

    # --- what came of it -----------------------------------------------------------------------------------------

    def _note(self, observation: str, refused: bool, moves: int) -> None:
        """Notes an action that was taken, or refused for good."""
        action, played, score = self._action, self.played, float(self._task.score)
        self._episode.add_action(action, target=False)
        look, carried = self._task.look(), self._task.inventory()
        self._episode.add_observation(observation, look, carried, score > self._score_before)
        self._rules.note_action(normalize(action), observation, look, carried)
        self._num_actions += 1
        self._silent = self._silent + 1 if moves == played.moves else 0
        played.actions += 1
        played.matched += self._matched
        played.moves, played.score = moves, score
        entry = {"action": action, "observation": observation[:300], "score": score, "moves": moves}
        played.trace.append(entry | ({"matched": True, "said": self._text} if self._matched else {}))
        if not self._question:  # the same number answers one question after the other
            self._taken[action, self._state] += _REFUSED if refused else 1
        self._question = self._task.meanings
        self._state = (look, carried, score)

    def _count(self) -> None:
        self.played.tokens = self._decoder.tokens_read - self._read_before
