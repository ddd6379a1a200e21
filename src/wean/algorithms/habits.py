"""What a student's agent may count on because all demonstrations do so: read off them, never written by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from wean.algorithms.lessons import steps_of, tell
from wean.algorithms.subgoals import SubgoalsConfig
from wean.data.annotations import Annotation
from wean.data.trajectories import Key, Trajectory
from wean.students.episode_text import EpisodeText, is_idle
from wean.students.text import Habits
from wean.students.wording import beginnings, hidden, names_twice, things_of

_RARE = 0.01
"""Share of demonstrations, or of their sub-goals, that may do what a student may not."""
_HIDDEN = 0.03
"""Share of a verb's sub-goals that may name what is not in sight if a student's may not."""
_NEEDLESS = 0.1
"""Share of the sub-goals of a verb that may not bring their thing, and that may find it there, if the verb brings."""


class _Noted(EpisodeText):
    """An episode of which only the words count.

    Attributes:
        named: Each sub-goal, those of its words that nothing had shown before, and what was in sight.
        done: First words of the actions of each sub-goal.
        led: Each sub-goal, and where it began and ended.
        held: Each sub-goal, and what was carried when it began and when it ended.
    """

    def __init__(self) -> None:
        super().__init__(lambda text: [0], 1 << 20)
        self.named: list[tuple[str, set[str], str]] = []
        self.done: list[set[str]] = []
        self.led: list[tuple[str, str, str]] = []
        self.held: list[tuple[str, str, str]] = []
        self._began = self._held = ""

    def say_goal(self, goal: str, target: bool = True) -> None:
        super().say_goal(goal, target)
        self.named.append((self.goal, self.unseen(self.goal), self.sight))
        self.done.append(set())
        self._began, self._held = self.place, self.carried

    def say_action(self, action: str, target: bool = True) -> None:
        super().say_action(action, target)
        if self.goal:
            self.done[-1].add(action.split()[0])

    def say_done(self, target: bool = True) -> None:
        self.led.append((self.goal, self._began, self.place))
        self.held.append((self.goal, self._held, self.carried))
        super().say_done(target)


def habits_of(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], config: SubgoalsConfig
) -> Habits:
    """Reads the habits of demonstrations.

    Args:
        trajectories: Demonstrations.
        annotations: Their sub-goals; without any there is no planner.
        config: How the student is told them.
    """
    untold: Counter[str] = Counter()
    noted: list[_Noted] = []
    for trajectory in trajectories:
        episode = _Noted()
        tell(trajectory, annotations.get(trajectory.key), episode, config.actions)
        untold.update(episode.untold)
        noted.append(episode)
    unprompted = {word for word, times in untold.items() if times > 1}
    goals = [named for episode in noted for named in episode.named]
    verbs = beginnings(goal for goal, _, _ in goals)
    named, sought, blind = Counter[str](), Counter[str](), Counter[str]()
    looks: dict[str, set[str]] = {}
    for (goal, unseen, sight), done in zip(goals, (done for episode in noted for done in episode.done), strict=True):
        verb, things = goal.split()[0], things_of(goal, verbs)
        named[verb] += 1
        if unseen.intersection(" ".join(things).split()) - unprompted:
            sought[verb] += 1
            looks.setdefault(verb, set()).update(done)
        blind[verb] += bool(hidden(things, sight, unprompted))
    seeking = sorted(word for word, times in sought.items() if 4 * times > named[word])
    trips = [trip for episode in noted for trip in episode.led]
    elsewhere = {goal for goal, began, place in trips if began == place or not goal.endswith(f" {place}")}
    return Habits(
        config.feeding,
        config.subgoals,
        config.context,
        goal_limit=2 * longest_goal(trajectories, annotations, config.actions),
        repeats=repeats(trajectories),
        unprompted=tuple(sorted(unprompted)),
        seeking=tuple(seeking),
        searching=tuple(sorted(set().union(*(looks[word] for word in seeking)))),
        verbs=verbs,
        unnamed=config.subgoals and config.unnamed > 0,
        in_sight=tuple(sorted(word for word, times in named.items() if blind[word] <= _HIDDEN * times)),
        brings=tuple(sorted(_bringing([held for episode in noted for held in episode.held], verbs))),
        apart=_RARE * len(goals) > sum(names_twice(goal) for goal, _, _ in goals),
        ways={goal: place for goal, _, place in sorted(trips) if goal not in elsewhere},
    )


def _bringing(held: Sequence[tuple[str, str, str]], verbs: Mapping[str, str]) -> list[str]:
    """First words of the sub-goals that bring their thing: it is carried when they end, and is not when they begin."""
    ended, before, missing = Counter[str](), Counter[str](), Counter[str]()
    for goal, at_first, at_last in held:
        if things := things_of(goal, verbs)[:1]:
            verb = goal.split()[0]
            ended[verb] += 1
            before[verb] += not hidden(things, at_first, ())
            missing[verb] += bool(hidden(things, at_last, ()))
    return [verb for verb, times in ended.items() if max(before[verb], missing[verb]) <= _NEEDLESS * times]


def longest_goal(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], actions: int) -> int:
    """Actions of the longest sub-goal."""
    longest = 1
    for trajectory in trajectories:
        steps = steps_of(trajectory, annotations.get(trajectory.key), actions)
        starts = [index for index, (_, subgoal) in enumerate(steps) if subgoal is not None]
        longest = max([longest, *(end - start for start, end in pairwise([*starts, len(steps)]))])
    return longest


def repeats(trajectories: Sequence[Trajectory]) -> dict[str, int]:
    """How often demonstrations do an action in the same moment, by its first word, of those that they do repeat.

    As often as one of a hundred with such an action does, for even experts repeat themselves needlessly.
    """
    often: dict[str, list[int]] = {}
    for trajectory in trajectories:
        kept = (moment for moment in trajectory.path if not is_idle(moment.action, moment.observation))
        done = Counter((moment.action, moment.look, moment.inventory, moment.score) for moment in kept)
        most: dict[str, int] = {}
        for (action, *_), times in done.items():
            verb = action.split()[0]
            most[verb] = max(times, most.get(verb, 1))
        for verb, times in most.items():
            often.setdefault(verb, []).append(times)
    found = {verb: sorted(times, reverse=True)[int(_RARE * len(times))] for verb, times in often.items()}
    return {verb: times for verb, times in found.items() if times > 1}
