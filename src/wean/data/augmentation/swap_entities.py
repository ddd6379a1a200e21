"""Demonstrations with other names: what varies from one to the next is exchanged, everywhere in a demonstration alike.

A small student from scratch learns a thousand demonstrations' names by heart, and says "chocolate" where the task asks
for lead. Where names are drawn anew at every reading, by heart is no way to be right, and it learns to look them up.

What must stay is what a student can only know by heart: that a pear is a fruit, that blue and yellow make green. So a
name takes the place of another only if both are of one kind: descriptions use both alike (between the same two words:
"the red box", "the blue box"), or each like a third one. In a task where the names that are asked for decide which
others have to be used, all stay. A name can be of several words; some drawn ones are two names in a row, since where a
name ends has to be looked up, too: a student that knows ice asks for ice where the task says ice cream. Others are made
up, of parts that no name ever had together: a student that has only met known names asks for "ice cre".
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from wean.data.annotations import Annotation, Chunk, SubGoal
from wean.data.trajectories import Key, PathStep, Trajectory, by_task

_WORD = re.compile(r"[A-Za-z]+")
_DOUBLED = 0.2
"""Share of the drawn names that are two in a row."""
_MADE_UP = 0.4
"""Share of the drawn names that are made up."""
_TOKEN = re.compile(r"[a-z]+|[^\sa-z]")
_DOOR = re.compile(r"door to (?:the )?([a-z ]+?)(?= \(|[.,\n]|$)")
_CALLED = re.compile(r"(?:called the|you are in) ([a-z ]+)\.", re.IGNORECASE)
_OFTEN = 0.75
"""Share of a task's demonstrations that say a word: above, it belongs to the task."""
_ALWAYS = 0.95
"""Share of the demonstrations at a place that see a word there: from here on, it belongs to the place."""


@dataclass(frozen=True)
class Names:
    """What may be exchanged.

    Attributes:
        kinds: In lower case: names that may take each other's place.
        places: Groups of places whose doors lead to the same places, so that every way stays one.
        asked: For each task the names that its descriptions vary in. Where they vary in none a task asks for what its
            demonstrations know (which animal lives longest), and nothing is exchanged; nor where these names decide
            which others are used.
    """

    kinds: tuple[tuple[str, ...], ...]
    places: tuple[tuple[str, ...], ...]
    asked: Mapping[str, tuple[str, ...]]

    @cached_property
    def words(self) -> list[str]:
        """All words of the names in `kinds`."""
        return sorted({word for kind in self.kinds for name in kind for word in name.split()})


def given_names(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], unprompted: Collection[str] = ()
) -> Names:
    """Finds the names of demonstrations.

    Words of names are words of sub-goals' arguments that vary within most of the tasks that say them, in descriptions
    or in sub-goals, and that are only said after they were told. Words of places are none, nor of what is always at a
    place (unless descriptions vary in it), nor those that all descriptions of a task share. A name is what stands in a
    row of such words in a description.

    Args:
        trajectories: Demonstrations.
        annotations: Their sub-goals; without any, the words of actions count.
        unprompted: Words that are said without having been told.
    """
    seen = [_places(one) for one in trajectories]
    doors = _doors(seen)
    within = {word for place in doors for word in place.split()}
    varies: Counter[str] = Counter()
    shared, of_descriptions = within.union(unprompted), dict[str, set[str]]()
    for task, of_task in by_task(trajectories).items():
        described = Counter(word for one in of_task for word in words_of(one.description))
        said = Counter(word for one in of_task for word in _named(one, annotations.get(one.key)))
        of_descriptions[task] = {word for word, times in described.items() if times < len(of_task)} - within
        for word in said:
            rare = word in of_descriptions[task] or said[word] <= _OFTEN * len(of_task)
            varies[word] += 1 if rare else -1
        shared |= {word for word, times in described.items() if times == len(of_task)}
    shared |= _fixtures(seen) - set[str]().union(*of_descriptions.values())
    words = {word for word, balance in varies.items() if balance > 0} - shared
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for place, leads_to in doors.items():
        alike[leads_to].append(place)
    groups = (tuple(sorted(group)) for leads_to, group in alike.items() if leads_to and len(group) > 1)
    asked: dict[str, tuple[str, ...]] = {}
    slots: dict[tuple[str, str], set[str]] = defaultdict(set)
    for task, of_task in by_task(trajectories).items():
        found = of_descriptions[task] & words
        names = [slot for one in of_task for slot in _slots(one.description, found)]
        for before, name, behind in names:
            slots[before, behind].add(name)
        if found and not _decides(found, words, of_task, annotations):
            asked[task] = tuple(sorted({name for _, name, _ in names}))
    return Names(_kinds(slots.values()), tuple(sorted(groups)), asked)


def renamed(
    trajectory: Trajectory, annotation: Annotation | None, names: Names, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None]:
    """The same demonstration with other names for what its task's descriptions vary in.

    A name and the one that takes its place are exchanged, so that no two things get the same. A name that is alone of
    its kind stays.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        names: What `given_names` found.
        generator: Draws.
    """
    asked = names.asked.get(trajectory.task)
    if not asked:
        return trajectory, annotation
    others: dict[str, str] = {}
    for name in asked:
        other = _other(next(kind for kind in names.kinds if name in kind), names.words, generator)
        if name not in others and other not in others:
            others |= {name: other, other: name}
    drawn = [dict(zip(group, generator.permutation(group).tolist(), strict=True)) for group in names.places]
    ways = {place: other for places in drawn for place, other in places.items()}
    place, name_of_thing = any_of(ways), any_of(others)

    @cache
    def told(text: str) -> str:
        text = place.sub(lambda match: ways[match[0]], text)
        return name_of_thing.sub(lambda match: others[match[0].lower()], text)

    path = tuple(
        PathStep(told(one.action), told(one.observation), told(one.look), told(one.inventory), one.score)
        for one in trajectory.path
    )
    again = replace(trajectory, description=told(trajectory.description), path=path)
    if annotation is None:
        return again, None
    chunks = tuple(
        Chunk(SubGoal(subgoal.verb, tuple(map(told, subgoal.arguments))), actions)
        for subgoal, actions in annotation.chunks
    )
    return again, replace(annotation, chunks=chunks, digest="")


def any_of(names: Collection[str]) -> re.Pattern[str]:
    """Finds names that stand alone, in any case; the longer first."""
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w'])(?:{longest_first or '(?!)'})(?!\w)", re.IGNORECASE)


def _other(kind: Sequence[str], words: Sequence[str], generator: np.random.Generator) -> str:
    """A name that takes the place of one of a kind; one that is alone of its kind takes its own."""
    drawn = generator.random() if len(kind) > 1 else 1.0
    if drawn < _MADE_UP:
        return " ".join(_made_up(words, generator) for _ in range(generator.integers(1, 3)))
    doubled = len(kind) > 2 and drawn < _MADE_UP + _DOUBLED
    return " ".join(map(str, generator.choice(kind, 1 + doubled, replace=False)))


def _made_up(words: Sequence[str], generator: np.random.Generator) -> str:
    """The beginning of a word and the end of another one."""
    begins, ends = map(str, generator.choice(words, 2))
    return begins[: generator.integers(1, len(begins) + 1)] + ends[generator.integers(len(ends)) :]


def _slots(description: str, words: Collection[str]) -> list[tuple[str, str, str]]:
    """The names in a description, and what stands before and behind each."""
    told = ["", *_TOKEN.findall(description.lower()), ""]
    ends = [at for at in range(1, len(told)) if (told[at - 1] in words) != (told[at] in words)]
    return [(told[a - 1], " ".join(told[a:b]), told[b]) for a, b in zip(ends[::2], ends[1::2], strict=True)]


def _kinds(slots: Iterable[set[str]]) -> tuple[tuple[str, ...], ...]:
    """Names together that share a slot, or of which each shares one with a third."""
    kinds: list[set[str]] = []
    for slot in slots:
        joined = [kind for kind in kinds if kind & slot]
        kinds = [kind for kind in kinds if not kind & slot] + [slot.union(*joined)]
    return tuple(sorted(tuple(sorted(kind)) for kind in kinds))


def _decides(
    asked: Collection[str],
    words: Collection[str],
    of_task: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
) -> bool:
    """Whether what a task's descriptions ask for decides which other names its demonstrations use.

    That is so for a name that is said whenever some things are asked for, each of them more than once, and never when
    anything else is: blue for green paint, and not for orange.
    """
    demonstrations: Counter[frozenset[str]] = Counter()
    said: dict[str, Counter[frozenset[str]]] = defaultdict(Counter)
    for one in of_task:
        described = words_of(one.description)
        things = frozenset(described.intersection(asked))
        demonstrations[things] += 1
        for name in _named(one, annotations.get(one.key)).intersection(words) - described:
            said[name][things] += 1
    return any(
        len(times) < len(demonstrations) and all(times[things] == demonstrations[things] > 1 for things in times)
        for times in said.values()
    )


def _places(trajectory: Trajectory) -> dict[str, str]:
    """All that a demonstration sees at each place, in lower case."""
    found: dict[str, str] = {}
    for look in {moment.look.lower() for moment in trajectory.path}:
        if place := _CALLED.search(look):
            found[place[1]] = f"{found.get(place[1], '')}{look}\n"
    return found


def _doors(seen: Sequence[Mapping[str, str]]) -> dict[str, frozenset[str]]:
    """Places, and those to which their doors lead."""
    found: dict[str, set[str]] = defaultdict(set)
    for places in seen:
        for place, look in places.items():
            found[place].update(_DOOR.findall(look))
    return {place: frozenset(leads_to) for place, leads_to in found.items()}


def _fixtures(seen: Sequence[Mapping[str, str]]) -> set[str]:
    """Words of what nearly every demonstration sees at a place."""
    visits = Counter(place for places in seen for place in places)
    times = Counter((place, word) for places in seen for place, look in places.items() for word in words_of(look))
    return {word for (place, word), count in times.items() if count >= _ALWAYS * visits[place]}


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(_WORD.findall(text.lower()))


def _named(trajectory: Trajectory, annotation: Annotation | None) -> set[str]:
    """Words of the things that a demonstration's sub-goals are about; without sub-goals, those of its actions."""
    if annotation is None:
        return words_of(" ".join(trajectory.actions))
    return words_of(" ".join(argument for chunk in annotation.chunks for argument in chunk.subgoal.arguments))
