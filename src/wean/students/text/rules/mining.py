"""What a student's agent may count on because all demonstrations do so: read off them, never written by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from wean.algorithms.finetune import FinetuneConfig
from wean.data.annotations import Annotation
from wean.data.trajectories import Key, Trajectory
from wean.students.text.examples import steps_of, tell
from wean.students.text.normalize import beginnings, hidden, names_twice, things_of
from wean.students.text.prompt import EpisodeText, is_idle
from wean.students.text.student import Habits

_RARE = 0.01
"""Share of demonstrations, or of their sub-goals, that may do what a student may not."""
_HIDDEN = 0.03
"""Share of a verb's sub-goals that may name what is not in sight if a student's may not; of searches, too, behind which
something else comes."""
_NEEDLESS = 0.1
"""Share of the sub-goals of a verb that may not bring their thing, and that may find it there, if the verb brings."""


@dataclass
class _Noted:
    """A sub-goal of a demonstration.

    Attributes:
        goal: In words.
        unseen: Those of its words that nothing had shown when it was named.
        sight: What was in sight then.
        place: Where it began.
        carried: What was carried then.
        actions: First words of its actions.
        led: Where it ended, and what was carried then; None where it did not end.
    """

    goal: str
    unseen: set[str]
    sight: str
    place: str
    carried: str
    actions: set[str] = field(default_factory=set)
    led: tuple[str, str] | None = None


class _Notes(EpisodeText):
    """An episode of which only the words count.

    Attributes:
        named: Its sub-goals.
    """

    def __init__(self) -> None:
        super().__init__(lambda text: [0], 1 << 20)
        self.named: list[_Noted] = []

    def say_goal(self, goal: str, target: bool = True) -> None:
        super().say_goal(goal, target)
        self.named.append(_Noted(self.goal, self.unseen(self.goal), self.sight, self.place, self.carried))

    def say_action(self, action: str, target: bool = True) -> None:
        super().say_action(action, target)
        if self.goal:
            self.named[-1].actions.add(action.split()[0])

    def say_done(self, target: bool = True) -> None:
        self.named[-1].led = self.place, self.carried
        super().say_done(target)


def habits_of(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], config: FinetuneConfig
) -> Habits:
    """Reads the habits of demonstrations.

    Args:
        trajectories: Demonstrations.
        annotations: Their sub-goals; without any there is no planner.
        config: How the student is told them.
    """
    untold: Counter[str] = Counter()
    episodes: list[list[_Noted]] = []
    for trajectory in trajectories:
        episode = _Notes()
        tell(trajectory, annotations.get(trajectory.key), episode, config.actions)
        untold.update(episode.untold)
        episodes.append(episode.named)
    unprompted = {word for word, times in untold.items() if times > 1}
    goals = [noted for of_one in episodes for noted in of_one]
    verbs = beginnings(noted.goal for noted in goals)
    named, sought, blind = Counter[str](), Counter[str](), Counter[str]()
    looks: dict[str, set[str]] = {}
    for noted in goals:
        verb, things = noted.goal.split()[0], things_of(noted.goal, verbs)
        named[verb] += 1
        if noted.unseen.intersection(" ".join(things).split()) - unprompted:
            sought[verb] += 1
            looks.setdefault(verb, set()).update(noted.actions)
        blind[verb] += bool(hidden(things, noted.sight, unprompted))
    seeking = sorted(word for word, times in sought.items() if 4 * times > named[word])
    trips = [(noted.goal, noted.place, noted.led[0]) for noted in goals if noted.led]
    elsewhere = {goal for goal, began, place in trips if began == place or not goal.endswith(f" {place}")}
    ways = {goal: place for goal, _, place in sorted(trips) if goal not in elsewhere}
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
        brings=tuple(sorted(_bringing(goals, verbs))),
        takes_up=_takes_up(episodes, verbs, seeking, unprompted),
        apart=_RARE * len(goals) > sum(names_twice(noted.goal) for noted in goals),
        onward=_returns(episodes, ways) < _RARE * sum(noted.goal in ways for noted in goals),
        ways=ways,
    )


def _bringing(goals: Sequence[_Noted], verbs: Mapping[str, str]) -> list[str]:
    """First words of the sub-goals that bring their thing: it is carried when they end, and is not when they begin."""
    ended, before, missing = Counter[str](), Counter[str](), Counter[str]()
    for noted in goals:
        if noted.led and (things := things_of(noted.goal, verbs)[:1]):
            verb = noted.goal.split()[0]
            ended[verb] += 1
            before[verb] += not hidden(things, noted.carried, ())
            missing[verb] += bool(hidden(things, noted.led[1], ()))
    return [verb for verb, times in ended.items() if max(before[verb], missing[verb]) <= _NEEDLESS * times]


def _takes_up(
    episodes: Sequence[Sequence[_Noted]], verbs: Mapping[str, str], seeking: Collection[str], unprompted: set[str]
) -> bool:
    """Whether sub-goals name what the one before looked for and found."""
    named: list[bool] = []
    for noted, after in (pair for of_one in episodes for pair in pairwise(of_one)):
        missing = [
            thing for thing in things_of(noted.goal, verbs) if noted.unseen.intersection(thing.split()) - unprompted
        ]
        if missing and noted.goal.split()[0] in seeking:
            named.append(hidden(missing, after.goal, ()) != missing)
    return bool(named) and named.count(False) <= _HIDDEN * len(named)


def _returns(episodes: Sequence[Sequence[_Noted]], ways: Mapping[str, str]) -> int:
    """How many sub-goals lead back to a place that was left since the last one that led nowhere."""
    count = 0
    for of_one in episodes:
        left = set[str]()
        for noted in of_one:
            left = left | {noted.place} if noted.goal in ways else set()
            count += ways.get(noted.goal) in left
    return count


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
