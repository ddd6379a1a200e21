"""Rules that hold an acting student to what its demonstrations have in common (`DemonstratedPatterns`).

Words: the student generates only words that it has read in the episode, or that demonstrations use without.

Sub-goals:

- A sub-goal is over when the student ends it, when it has led to its destination, or after `goal_limit` actions. None
  is named twice in the same state, none leads to the current place, and none names one thing twice, names what is not
  in sight, brings what is carried already, or leads back to a place left with nothing done since but moving, if
  demonstrations never do so.
- A student that has learnt to act without a sub-goal does so where it is not sure of one, unless that leads to a place
  or looks for something. It also gives up a sub-goal that led to a text which is no action.
- A sub-goal about a thing that nothing has shown yet is good only for looking for it. Else the student looks for the
  thing where it is, or goes to a place where it has not been, whichever is more probable, until it has been everywhere
  or has found the thing. A search is over when the thing is shown, or when the student would take an action that no
  demonstrated search has, and not before as long as it stays where it began; no action is taken twice in it. Then the
  next sub-goal names the thing, however unsure it is, if demonstrations do so.

Actions:

- No action leads to the current place.
- An action that may spoil the task (`irrevocable`) is taken only if the student finds its thing, and the sub-goal's,
  together at least as probable as the score is of the full one, which is what would be lost; whether it is time for it
  is not judged. Nor is it taken if its sub-goal names what is not in sight.
- A text that is no action is replaced by one with the same words in another order, else by any but an action that
  spoils the task without naming the same thing, and by one that only lets time pass (`idle`) if there is nothing else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from wean.runtime.normalize import normalize
from wean.students.text.rules.patterns import DemonstratedPatterns, Scene, hidden, names_twice, things_of

StateKey = tuple[str, str, float]
"""What can be seen, what is carried, and the score."""

Predicate = Callable[[str], bool]

_SURE = 0.5
"""The least probability of a sub-goal that is named, where the student can do without."""


class Generation(Protocol):
    """A text that a student generates, with the log-probabilities of its tokens."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def logs(self) -> tuple[float, ...]:
        """Log-probability of each token, the end mark included."""


class Proposer(Protocol):
    """A student that proposes sub-goals in its episode."""

    @property
    def goal(self) -> str:
        """The current sub-goal; empty where there is none."""

    def generate_goal(self, allows: Predicate | None, accepts: Predicate | None) -> Generation:
        """The most probable sub-goal of allowed words that is accepted."""

    def rank_goals(self, goals: Sequence[str]) -> Generation:
        """The most probable of some sub-goals."""

    def prefers_done(self) -> bool:
        """Whether the end of the sub-goal is more probable than another action."""

    def certainty(self, text: str, logs: Sequence[float], beginning: str) -> float:
        """The probability of a generated text, given how it begins."""


class ActingRules:
    """The rules at work in one episode, which begins in `state`.

    Actions that begin like one of `irrevocable` may spoil the task; those of `idle` only let time pass.
    """

    def __init__(
        self,
        patterns: DemonstratedPatterns,
        proposer: Proposer,
        description: str,
        state: StateKey,
        irrevocable: tuple[str, ...],
        idle: tuple[str, ...],
    ) -> None:
        look, carried, _ = state
        self._patterns, self._student, self._scene = patterns, proposer, Scene(description, look, carried)
        self._irrevocable, self._idle = irrevocable, idle
        self._named: dict[StateKey, set[str]] = defaultdict(set)
        self._place = self._scene.place
        self._visited = {self._place}
        self._left: set[str] = set()  # places left with nothing done since but moving
        self._began = ""  # the place where the sub-goal began
        self._certainty = 1.0  # of the sub-goal, if it may spoil the task
        self._search = ""  # the last sub-goal that looked for something unseen
        self._tried: set[str] = set()  # actions in this search
        self._sought = ""  # the last sub-goal that was to look for something
        self._missing: list[str] = []  # things of the last sub-goal that could not be seen anywhere
        self._found: list[str] = []  # those of them that were shown since; the next sub-goal is about them

    # --- sub-goals -----------------------------------------------------------------------------------------------

    def choose_goal(self, state: StateKey) -> Generation:
        """The sub-goal that the student names; where its thing cannot be seen anywhere, one that looks for it."""
        patterns, named = self._patterns, self._named[state]
        self._found = []
        trips = [
            trip for trip, place in patterns.destinations.items() if place not in self._visited and trip not in named
        ]
        searches = [self._sought]
        if not trips or not self._unseen_things(self._sought):
            self._found = [thing for thing in self._missing if patterns.pursues_finds and not self._is_unseen(thing)]
            goal = self._generate_goal(named)
            things = self._unseen_things(goal.text)
            if things or goal.text not in patterns.destinations:
                self._missing = things
            if self._looks_for(goal.text):
                self._sought = goal.text
                return goal
            if not trips or goal.text in patterns.destinations or not things:
                return goal
            searches = [f"{verb} {thing}" for verb in patterns.search_verbs for thing in things]
        chosen = self._student.rank_goals([*trips, *(search for search in searches if search not in named)])
        if chosen.text in searches:
            self._sought = chosen.text
        return chosen

    def is_doubtful(self, goal: Generation) -> bool:
        """Whether the student should rather act without a sub-goal than with this one."""
        leads = goal.text in self._patterns.destinations or self._looks_for(goal.text)
        unsure = math.exp(sum(goal.logs)) < _SURE
        return self._patterns.optional_subgoals and not leads and not self._found and unsure

    def begin_goal(self, generated: Generation | None, state: StateKey) -> None:
        """Notes that the current sub-goal begins in a state; None where the student acts without."""
        self._certainty = 1.0
        if generated is None:
            return
        goal = self._student.goal
        self._certainty = self._certainty_of(generated)
        self._scene.use(goal)
        self.rule_out_goal(state)
        self._began = self._place
        if self._looks_for(goal) and self._unseen_things(goal):
            self._search = goal
            self._tried.clear()

    def rule_out_goal(self, state: StateKey) -> None:
        """Keeps the current sub-goal from being named again in a state."""
        self._named[state].add(self._student.goal)

    def is_goal_over(self, num_actions: int) -> bool:
        """Whether the current sub-goal is over after a number of actions."""
        goal, patterns = self._student.goal, self._patterns
        if num_actions >= patterns.goal_limit or patterns.destinations.get(goal) == self._place:
            return True
        if self.is_searching and not self._unseen_things(goal):
            return True
        if self.is_searching and self._began == self._place:
            return False
        return self._student.prefers_done()

    @property
    def can_drop_goal(self) -> bool:
        """Whether a sub-goal that led to a text which is no action may be given up."""
        return self._patterns.optional_subgoals and bool(self._student.goal)

    @property
    def is_searching(self) -> bool:
        """Whether the current sub-goal looks for what nothing had shown when it was named."""
        return bool(self._search) and self._search == self._student.goal

    def _generate_goal(self, named: set[str]) -> Generation:
        """The most probable sub-goal that is like the demonstrated ones, and about what was found, if anything was."""
        patterns, scene = self._patterns, self._scene
        excluded = named | {
            trip for trip, place in patterns.destinations.items() if place in {self._place, *self._left}
        }

        def accepts(goal: str) -> bool:
            brings = _verb(goal) in patterns.bringing_verbs
            things = things_of(goal, patterns.verb_prefixes)[:1] if brings else []
            is_carried = bool(things) and not hidden(things, scene.carried, ())
            is_about_finds = not self._found or hidden(self._found, goal, ()) != self._found
            twice = patterns.names_once and names_twice(goal)
            return is_about_finds and goal not in excluded and not is_carried and not twice

        def is_visible(goal: str) -> bool:
            if _verb(goal) not in patterns.visible_verbs:
                return True
            return not hidden(things_of(goal, patterns.verb_prefixes), scene.sight, patterns.unprompted)

        goal = self._student.generate_goal(self.allows_word, accepts)
        if self._unseen_things(goal.text) or is_visible(goal.text):
            return goal
        return self._student.generate_goal(self.allows_word, lambda goal: accepts(goal) and is_visible(goal))

    def _looks_for(self, goal: str) -> bool:
        """Whether a sub-goal looks for something."""
        return _verb(goal) in self._patterns.search_verbs

    def _unseen_things(self, goal: str) -> list[str]:
        """The things of a sub-goal that nothing has shown yet."""
        return [thing for thing in things_of(goal, self._patterns.verb_prefixes) if self._is_unseen(thing)]

    def _is_unseen(self, thing: str) -> bool:
        return not self._scene.unseen(thing) <= set(self._patterns.unprompted)

    # --- words and actions ---------------------------------------------------------------------------------------

    @property
    def allows_word(self) -> Predicate | None:
        """Whether the student may use a word; None if it may use all."""
        known, unprompted = self._scene.known, self._patterns.unprompted
        return (lambda word: word in known or word in unprompted) if unprompted else None

    def accepts_action(self, action: str) -> bool:
        """Whether a normalized action neither leads to the current place nor was tried in this search."""
        return not (action.endswith(f" to {self._place}") or (self.is_searching and action in self._tried))

    def ends_search(self, action: str) -> bool:
        """Whether the search is over if this normalized action is the student's next one."""
        known = self._patterns.search_actions
        return self.is_searching and bool(known) and _verb(action) not in known

    def repeat_limit(self, action: str) -> int:
        """How often an action may be taken in the same state."""
        return self._patterns.repeats.get(_verb(action), self._patterns.repeat_limit)

    def is_safe(self, action: Generation, score: float) -> bool:
        """Whether an action cannot spoil the task, or is about what is in sight and probable enough."""
        if not self._spoiling(action.text):
            return True
        goal = self._student.goal
        verb = self._spoiling(goal)
        if verb and not self._scene.out_of_sight(goal.removeprefix(verb)) <= set(self._patterns.unprompted):
            return False
        return self._certainty * self._certainty_of(action) >= score / 100

    def replacements(self, text: str, choices: Sequence[str]) -> Sequence[str]:
        """The admissible actions that may replace a text."""
        choices = [choice for choice in choices if self.accepts_action(normalize(choice))] or choices
        words = text.split()
        if same := [choice for choice in choices if sorted(normalize(choice).split()) == sorted(words)]:
            return same
        harmless = [c for c in choices if not c.startswith(self._irrevocable) or _names_the_same(c, words)]
        return [choice for choice in harmless if choice not in self._idle] or harmless

    def note_action(self, action: str, observation: str, look: str, carried: str) -> None:
        """Notes a normalized action and what came of it."""
        self._scene.use(action)
        self._scene.observe(observation, look, carried)
        place = self._scene.place
        self._visited.add(place)
        if place == self._place:
            self._left.clear()
        elif self._patterns.never_returns:
            self._left.add(self._place)
        self._place = place
        if self.is_searching and not action.isdigit():  # a digit answers a question
            self._tried.add(action)

    def _spoiling(self, text: str) -> str:
        """How an action or sub-goal begins if it may spoil the task; else empty."""
        return next((verb for verb in self._irrevocable if text.startswith(verb)), "")

    def _certainty_of(self, generated: Generation) -> float:
        """The probability of what may spoil the task, given that the student does such a thing at all; else 1."""
        verb = self._spoiling(generated.text)
        return self._student.certainty(generated.text, generated.logs, verb) if verb else 1.0


def _verb(text: str) -> str:
    return text.partition(" ")[0]


def _names_the_same(choice: str, words: Sequence[str]) -> bool:
    """Whether an action names the same thing as a text, its last word, with no other words; not where the thing is."""
    own = normalize(choice).split()
    until_place = words[: words.index("in")] if "in" in words and "in" not in own else words
    return set(own) <= set(words) and own[-1:] == list(until_place[-1:])
