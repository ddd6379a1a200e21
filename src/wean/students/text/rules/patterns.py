"""Patterns that demonstrations follow without exception, or nearly so: the agent's rules hold its student to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from wean.data.annotations import Annotation
from wean.data.normalize import is_idle, kept_steps, place_of
from wean.data.trajectories import Key, Trajectory
from wean.runtime.normalize import normalize, render_subgoal

_RARE = 0.01
"""Greatest share of demonstrations, or of their sub-goals, that are exceptions to a rule."""
_HIDDEN = 0.03
"""Greatest share of a verb's sub-goals that name what is not in sight, if a student's must not; also the greatest share
of the searches after which the next sub-goal is about something else, if a student's must not be."""
_NEEDLESS = 0.1
"""Greatest share of a verb's sub-goals that fail to bring their thing, or had it already, if the verb brings."""


@dataclass(frozen=True)
class DemonstratedPatterns:
    """What a student's demonstrations have in common."""

    goal_limit: int = 50
    """Number of actions after which a sub-goal is over in any case: twice as many as the longest one took."""
    repeat_limit: int = 2
    """How often an action may be taken in the same state: what can be seen and is carried, and the score."""
    repeats: Mapping[str, int] = field(default_factory=dict)
    """The same for actions that are repeated more often (to wait, to measure), by their first word."""
    unprompted: Collection[str] = ()
    """Words that are used without having been read in the episode; if empty, all words may be used."""
    verb_prefixes: Mapping[str, str] = field(default_factory=dict)
    """How all sub-goals with the same first word begin; things follow."""
    search_verbs: Collection[str] = ()
    """First words of sub-goals that look for what nothing has shown yet (find); others are about what was seen."""
    search_actions: Collection[str] = ()
    """First words of the actions of such sub-goals; if empty, all actions count."""
    optional_subgoals: bool = False
    """Whether the student has learnt to act without a sub-goal."""
    visible_verbs: Collection[str] = ()
    """First words of sub-goals whose things are in sight when they are named."""
    bringing_verbs: Collection[str] = ()
    """First words of sub-goals after which one carries a thing that was not carried before."""
    pursues_finds: bool = False
    """Whether a sub-goal is about what the one before looked for and found."""
    names_once: bool = False
    """Whether no sub-goal names one thing twice."""
    never_returns: bool = False
    """Whether no sub-goal leads back to a place that was left with nothing done since but moving."""
    destinations: Mapping[str, str] = field(default_factory=dict)
    """Sub-goals that always lead from elsewhere to the place that they name, and this place."""


@dataclass
class _Goal:
    """A demonstrated sub-goal.

    Attributes:
        text: In words.
        unseen: Its words that nothing had shown when it was named.
        sight: What was in sight then.
        place: Where it began.
        carried: What was carried then.
        actions: First words of its actions.
        end: The place where it ended and what was carried then; None for the last one.
    """

    text: str
    unseen: set[str]
    sight: str
    place: str
    carried: str
    actions: set[str] = field(default_factory=set)
    end: tuple[str, str] | None = None

    @property
    def verb(self) -> str:
        """Its first word."""
        return self.text.split()[0]


def mine_patterns(
    trajectories: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
    max_actions: int,
    optional_subgoals: bool = False,
) -> DemonstratedPatterns:
    """Finds the patterns of demonstrations, of at most `max_actions` actions, with or without sub-goals.

    With `optional_subgoals` the student learns to act without a sub-goal, too.
    """
    episodes: list[list[_Goal]] = []
    used_unprompted = Counter[str]()
    for trajectory in trajectories:
        of_one, unread = _read(trajectory, annotations.get(trajectory.key), max_actions)
        used_unprompted.update(unread)
        episodes.append(of_one)
    unprompted = {word for word, times in used_unprompted.items() if times > 1}
    goals = [goal for of_one in episodes for goal in of_one]
    prefixes = verb_prefixes(goal.text for goal in goals)
    named, not_visible = Counter(goal.verb for goal in goals), Counter[str]()
    for goal in goals:
        not_visible[goal.verb] += bool(hidden(things_of(goal.text, prefixes), goal.sight, unprompted))
    search_verbs, search_actions = _searches(goals, named, prefixes, unprompted)
    destinations = _destinations(goals)
    trips = sum(goal.text in destinations for goal in goals)
    return DemonstratedPatterns(
        goal_limit=2 * longest_goal(trajectories, annotations, max_actions),
        repeats=repeats(trajectories),
        unprompted=tuple(sorted(unprompted)),
        verb_prefixes=prefixes,
        search_verbs=tuple(search_verbs),
        search_actions=tuple(search_actions),
        optional_subgoals=optional_subgoals,
        visible_verbs=tuple(sorted(verb for verb, times in named.items() if not_visible[verb] <= _HIDDEN * times)),
        bringing_verbs=tuple(sorted(_bringing_verbs(goals, prefixes))),
        pursues_finds=_pursues_finds(episodes, prefixes, search_verbs, unprompted),
        names_once=_RARE * len(goals) > sum(names_twice(goal.text) for goal in goals),
        never_returns=_returns(episodes, destinations) < _RARE * trips,
        destinations=destinations,
    )


def _read(trajectory: Trajectory, annotation: Annotation | None, max_actions: int) -> tuple[list[_Goal], set[str]]:
    """The sub-goals of a demonstration, and the words that it uses before they were read."""
    path, goals = trajectory.path, list[_Goal]()
    scene = Scene(trajectory.description, path[0].look, path[0].inventory)
    for number, subgoal in kept_steps(trajectory, annotation, max_actions):
        if subgoal is not None:
            if goals:
                goals[-1].end = scene.place, scene.carried
            text = render_subgoal(subgoal)
            scene.use(text)
            goals.append(_Goal(text, scene.unseen(text), scene.sight, scene.place, scene.carried))
        action = path[number].action
        scene.use(normalize(action))
        if goals:
            goals[-1].actions.add(action.split()[0])
        after = path[number + 1] if number + 1 < len(path) else path[number]
        scene.observe(path[number].observation, after.look, after.inventory)
    return goals, scene.unprompted


def _searches(
    goals: Sequence[_Goal], named: Mapping[str, int], prefixes: Mapping[str, str], unprompted: Collection[str]
) -> tuple[list[str], list[str]]:
    """Verbs of which a quarter of the sub-goals look for something unseen, and the first words of their actions."""
    searched, actions = Counter[str](), dict[str, set[str]]()
    for goal in goals:
        if goal.unseen.intersection(" ".join(things_of(goal.text, prefixes)).split()).difference(unprompted):
            searched[goal.verb] += 1
            actions.setdefault(goal.verb, set()).update(goal.actions)
    verbs = sorted(verb for verb, times in searched.items() if 4 * times > named[verb])
    return verbs, sorted(set[str]().union(*(actions[verb] for verb in verbs)))


def _destinations(goals: Sequence[_Goal]) -> dict[str, str]:
    """Sub-goals that always lead from elsewhere to the place that they name, and this place."""
    trips = [(goal.text, goal.place, goal.end[0]) for goal in goals if goal.end]
    exceptions = {text for text, began, place in trips if began == place or not text.endswith(f" {place}")}
    return {text: place for text, _, place in sorted(trips) if text not in exceptions}


def _bringing_verbs(goals: Sequence[_Goal], prefixes: Mapping[str, str]) -> list[str]:
    """Verbs of the sub-goals whose thing is carried at their end, and was not at their beginning."""
    ended, before, missing = Counter[str](), Counter[str](), Counter[str]()
    for goal in goals:
        if goal.end and (things := things_of(goal.text, prefixes)[:1]):
            ended[goal.verb] += 1
            before[goal.verb] += not hidden(things, goal.carried, ())
            missing[goal.verb] += bool(hidden(things, goal.end[1], ()))
    return [verb for verb, times in ended.items() if max(before[verb], missing[verb]) <= _NEEDLESS * times]


def _pursues_finds(
    episodes: Iterable[Sequence[_Goal]],
    prefixes: Mapping[str, str],
    search_verbs: Collection[str],
    unprompted: Collection[str],
) -> bool:
    """Whether a sub-goal names what the one before looked for and found."""
    pursued: list[bool] = []
    for goal, after in (pair for of_one in episodes for pair in pairwise(of_one)):
        sought = [
            thing
            for thing in things_of(goal.text, prefixes)
            if goal.unseen.intersection(thing.split()).difference(unprompted)
        ]
        if sought and goal.verb in search_verbs:
            pursued.append(hidden(sought, after.text, ()) != sought)
    return bool(pursued) and pursued.count(False) <= _HIDDEN * len(pursued)


def _returns(episodes: Iterable[Sequence[_Goal]], destinations: Mapping[str, str]) -> int:
    """The number of sub-goals that lead back to a place left since the last sub-goal with another purpose."""
    count = 0
    for of_one in episodes:
        left = set[str]()
        for goal in of_one:
            left = left | {goal.place} if goal.text in destinations else set()
            count += destinations.get(goal.text) in left
    return count


def longest_goal(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], max_actions: int) -> int:
    """The number of actions of the longest sub-goal."""
    longest = 1
    for trajectory in trajectories:
        steps = kept_steps(trajectory, annotations.get(trajectory.key), max_actions)
        starts = [index for index, (_, subgoal) in enumerate(steps) if subgoal is not None]
        longest = max([longest, *(end - start for start, end in pairwise([*starts, len(steps)]))])
    return longest


def repeats(trajectories: Sequence[Trajectory]) -> dict[str, int]:
    """How often demonstrations repeat an action in the same state, by its first word, where they do at all.

    The highest number that one in a hundred demonstrations with such an action reaches, as even experts sometimes
    repeat themselves needlessly.
    """
    of_verbs: dict[str, list[int]] = {}
    for trajectory in trajectories:
        kept = (step for step in trajectory.path if not is_idle(step.action, step.observation))
        done = Counter((step.action, step.look, step.inventory, step.score) for step in kept)
        most: dict[str, int] = {}
        for (action, *_), times in done.items():
            verb = action.split()[0]
            most[verb] = max(times, most.get(verb, 1))
        for verb, times in most.items():
            of_verbs.setdefault(verb, []).append(times)
    found = {verb: sorted(times, reverse=True)[int(_RARE * len(times))] for verb, times in of_verbs.items()}
    return {verb: times for verb, times in found.items() if times > 1}


class Scene:
    """What one episode has shown and used so far, in normalized words.

    Attributes:
        known: Words that were read or used so far.
        unprompted: Words that were used before they were read.
    """

    def __init__(self, description: str, look: str, carried: str) -> None:
        self.known = set(normalize(description).split())
        self.unprompted: set[str] = set()
        self._shown: set[str] = set()
        self._show(look, carried)
        self._look, self._carried = look, carried

    @property
    def place(self) -> str:
        """The name of the current place."""
        return place_of(self._look)

    @property
    def carried(self) -> str:
        """What is carried now."""
        return normalize(self._carried)

    @property
    def sight(self) -> str:
        """What can be seen and is carried now."""
        return f"{normalize(self._look)} | {self.carried}"

    def use(self, text: str) -> None:
        """Notes a normalized sub-goal or action."""
        words = set(text.split())
        self.unprompted |= words - self.known
        self.known |= words

    def observe(self, observation: str, look: str, carried: str) -> None:
        """Notes an observation, and what can be seen and is carried after it."""
        self._show(observation, look, carried)
        self._look, self._carried = look, carried

    def unseen(self, text: str) -> set[str]:
        """Words of a text that nothing has shown yet: no place, no observation, nothing carried."""
        return set(text.split()) - self._shown

    def out_of_sight(self, text: str) -> set[str]:
        """Words of a text that are not in sight now."""
        return set(text.split()) - set(self.sight.split())

    def _show(self, *texts: str) -> None:
        words = {word for text in texts for word in normalize(text).split()}
        self.known |= words
        self._shown |= words


def verb_prefixes(goals: Iterable[str]) -> dict[str, str]:
    """The words with which all sub-goals with the same first word begin: {"pick": "pick up", ...}."""
    prefixes: dict[str, list[str]] = {}
    for goal in goals:
        words = goal.split()
        before = prefixes.setdefault(words[0], words)
        prefixes[words[0]] = before[: _common(words, before)]
    return {first: " ".join(words) for first, words in prefixes.items()}


def things_of(goal: str, prefixes: Mapping[str, str]) -> list[str]:
    """The things that a sub-goal names after its verb, which is as much of its prefix (`verb_prefixes`) as it has."""
    words = goal.split()
    verb = prefixes.get(words[0], words[0]).split() if words else []
    return [thing for thing in " ".join(words[_common(words, verb) :]).split(" to ") if thing]


def hidden(things: Sequence[str], sight: str, synonyms: Collection[str]) -> list[str]:
    """The things that are not in sight (`Scene.sight`).

    A thing named by the words of `synonyms` alone may have another name in sight, and counts as there.
    """
    return [thing for thing in things if f" {thing} " not in f" {sight} " and not set(thing.split()) <= set(synonyms)]


def names_twice(goal: str) -> bool:
    """Whether a sub-goal in words names one thing twice: "connect battery to red wire to red wire"."""
    first, *others = goal.split(" to ")
    return len(set(others)) < len(others) or any(first.endswith(f" {thing}") for thing in others)


def _common(words: Sequence[str], others: Sequence[str]) -> int:
    """The number of words that two sequences share from their start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))
