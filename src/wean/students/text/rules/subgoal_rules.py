"""Which sub-goal a text student names next in an episode, whether it names one, and when one is over.

- A sub-goal is over when the student says so, where it led to (`Habits.ways`), or after `Habits.goal_limit` actions.
  None is named twice in the same moment (what can be seen and is carried, and the score), and none leads where the
  student is: demonstrations hardly ever do so. Nor does a sub-goal name one thing twice, if those of demonstrations do
  not (`Habits.apart`), or, of the verbs of which those of demonstrations do not (`Habits.in_sight`), a thing that is
  not in sight, nor does it bring what is carried already (`Habits.brings`).
- A student that has learnt to (`Habits.unnamed`) acts without a sub-goal where it is not sure of the one it would name,
  unless that leads to a place or looks for something.
- A sub-goal about a thing that nothing has shown yet is no good, unless it looks for it (`Habits.seeking`). Then the
  student looks for it where it is or goes to a place where it has not been (`Habits.ways`), whichever is the most
  probable, until it has been everywhere or the thing is there. A search for it is over when the thing is shown, as
  demonstrations' searches are, or when the student would do what is none of their actions (`Habits.searching`), and
  not before, as long as it stays where it began. Nor is anything done twice in one. Once the thing is shown the next
  sub-goal names it, however unsure it is, if those of demonstrations do (`Habits.takes_up`).
- No sub-goal leads back to a place that was left since anything else was done than to go, if demonstrations' do not
  (`Habits.onward`).
"""

from __future__ import annotations

import math
from collections import defaultdict

from wean.students.text.decoder import May, Reader, Said
from wean.students.text.normalize import hidden, names_twice, things_of
from wean.students.text.prompt import EpisodeText
from wean.students.text.seq2seq_decoder import EncoderReader
from wean.students.text.student import Habits, TextStudent

Moment = tuple[str, str, float]
"""What can be seen, what is carried, and the score."""

_SURE = 0.5
"""The least probability of a sub-goal that is named, where the student can do without."""


def sayable(habits: Habits, episode: EpisodeText) -> May | None:
    """Whether a student may say a word: one that was told or that its demonstrations say untold; None for all."""
    known = habits.unprompted
    return (lambda word: word in episode.told or word in known) if known else None


class Planning:
    """Of one episode.

    Args:
        student: Whose sub-goals they are.
        habits: Of its demonstrations.
        reader: Reads for it.
        episode: What it was told; begun.
    """

    def __init__(
        self, student: TextStudent, habits: Habits, reader: Reader | EncoderReader, episode: EpisodeText
    ) -> None:
        self._mark, self._habits, self._reader, self._episode = student.mark, habits, reader, episode
        self._named: dict[Moment, set[str]] = defaultdict(set)
        self._visited = {episode.place}
        self._sought = self._began = ""
        self._search = ""  # the last sub-goal that looked for what nothing had shown when it was named
        self._tried: set[str] = set()  # in this search
        self._missing: list[str] = []  # things that a sub-goal was to be about, nowhere to be seen then
        self._found: list[str] = []  # those of them that were shown since, about which the next sub-goal is
        self._at = episode.place
        self._left: set[str] = set()  # places that were left since something else was done than to go, if that counts

    def begin(self, moment: Moment) -> None:
        """The current sub-goal was named in a moment."""
        self.rule_out(moment)
        self._began = self._episode.place
        if self._looks(self._episode.goal) and self._is_unseen(self._episode.goal):
            self._search = self._episode.goal
            self._tried.clear()

    def rule_out(self, moment: Moment) -> None:
        """The current sub-goal is not named again in a moment."""
        self._named[moment].add(self._episode.goal)

    def act(self, action: str) -> None:
        """Remembers what was done, in plain words, and where the student is now."""
        place = self._episode.place
        self._visited.add(place)
        if place == self._at:
            self._left.clear()
        elif self._habits.onward:
            self._left.add(self._at)
        self._at = place
        if self.searches and not action.isdigit():  # a digit answers a question
            self._tried.add(action)

    def gives_up(self, action: str) -> bool:
        """Whether the student no longer searches if this is what it does next, in plain words."""
        known = self._habits.searching
        return self.searches and bool(known) and action.partition(" ")[0] not in known

    def forbids(self, action: str) -> bool:
        """Whether an action in plain words leads where the student is, or was done in this search already."""
        return action.endswith(f" to {self._episode.place}") or (self.searches and action in self._tried)

    def is_over(self, since: int) -> bool:
        """Whether the current sub-goal is over after so many actions."""
        episode, habits = self._episode, self._habits
        if since >= habits.goal_limit or habits.ways.get(episode.goal) == episode.place:
            return True
        if self.searches and not self._is_unseen(episode.goal):
            return True
        if self.searches and self._began == episode.place:
            return False
        return self._reader.prefers(episode.window.ids, self._mark["<done>"], self._mark["<act>"])

    def is_doubtful(self, said: Said) -> bool:
        """Whether the student should rather act without a sub-goal than with this one, which leads it nowhere else."""
        leads = said.text in self._habits.ways or self._looks(said.text)
        return self._habits.unnamed and not leads and not self._found and math.exp(sum(said.logs)) < _SURE

    def wanted(self, moment: Moment) -> Said:
        """The sub-goal that the student names; where that is about a thing nowhere to be seen, it looks for it."""
        habits = self._habits
        named, self._found = self._named[moment], []
        ways = [way for way, place in habits.ways.items() if place not in self._visited and way not in named]
        searches = [self._sought]
        if not ways or not self._is_unseen(self._sought):
            self._found = [thing for thing in self._missing if habits.takes_up and not self._is_new(thing)]
            said = self._fitting(named)
            things = self._new_things(said.text)
            if things or said.text not in habits.ways:
                self._missing = things
            if self._looks(said.text):
                self._sought = said.text
                return said
            if not ways or said.text in habits.ways or not things:
                return said
            searches = [f"{verb} {thing}" for verb in habits.seeking for thing in things]
        choices = [*ways, *(search for search in searches if search not in named)]
        answers = [self._episode.answer(choice) for choice in choices]
        chosen = choices[self._reader.choose(self._episode.window.ids, answers)]
        if chosen in searches:
            self._sought = chosen
        return Said(chosen)

    def _fitting(self, named: set[str]) -> Said:
        """The sub-goal that the student names, of those that demonstrations could; about what was found, if it was."""
        habits, episode = self._habits, self._episode
        but = named | {way for way, place in habits.ways.items() if place in {episode.place, *self._left}}

        def fits(said: str) -> bool:
            things = things_of(said, habits.verbs)[:1] if said.partition(" ")[0] in habits.brings else []
            there = bool(things) and not hidden(things, episode.carried, ())
            about = not self._found or hidden(self._found, said, ()) != self._found
            return about and said not in but and not there and not (habits.apart and names_twice(said))

        def shows(said: str) -> bool:
            if said.partition(" ")[0] not in habits.in_sight:
                return True
            return not hidden(things_of(said, habits.verbs), episode.sight, habits.unprompted)

        may = sayable(habits, episode)
        said = self._reader.say(episode.window.ids, may, fits)
        if self._is_unseen(said.text) or shows(said.text):
            return said
        return self._reader.say(episode.window.ids, may, lambda said: fits(said) and shows(said))

    @property
    def searches(self) -> bool:
        """Whether the current sub-goal looks for what nothing had shown when it was named."""
        return bool(self._search) and self._search == self._episode.goal

    def _looks(self, goal: str) -> bool:
        """Whether a sub-goal looks for something."""
        return goal.partition(" ")[0] in self._habits.seeking

    def _is_unseen(self, goal: str) -> bool:
        """Whether a sub-goal is about a thing that nothing has shown yet."""
        return bool(self._new_things(goal))

    def _new_things(self, goal: str) -> list[str]:
        """Those of a sub-goal's things that nothing has shown yet."""
        return [thing for thing in things_of(goal, self._habits.verbs) if self._is_new(thing)]

    def _is_new(self, thing: str) -> bool:
        """Whether nothing has shown a thing yet."""
        return not self._episode.unseen(thing) <= set(self._habits.unprompted)
