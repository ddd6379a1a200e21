"""Data augmentation of the things in demonstrations: swaps entities, drops distractors.

A small student trained from scratch memorizes the names in a thousand demonstrations, and answers "chocolate" where the
task asks for lead. With names drawn anew in each pass it learns to copy them from the task's description instead.

Knowledge must stay right: a pear is a fruit, blue and yellow make green. So a name replaces another one only if both
are of one kind: descriptions use them in the same slot (between the same two words: "the red box", "the blue box"), or
each in the same slot as a third one. Where the names asked for decide which others have to be used, nothing is swapped.
Some of the drawn names are two names in a row: the end of a name must be copied, too. Others are made up of parts of
names, so that unknown ones are copied.

A thousand demonstrations show about a hundred scenes, which a small student soon recognizes by their furniture. So
lines of observations that a demonstration makes no use of are left out at random, others in each pass. The demonstrated
answer stays right: the animal that lives longest of eight does so among five of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from wean.data.annotations import Annotation, Chunk, SubGoal
from wean.data.normalize import is_idle, place_of
from wean.data.trajectories import Key, PathStep, Trajectory, by_task

_THING = re.compile(r"[^(.,:]*")
_STOP_WORDS = frozenset(("a", "an", "and", "are", "at", "by", "for", "from", "in", "into", "is", "it", "of", "on"))
_STOP_WORDS |= {"that", "the", "then", "to", "with", "you", "your"}
_WORD = re.compile(r"[A-Za-z]+")
_DOUBLED = 0.2
"""Share of the drawn names that are two names in a row."""
_MADE_UP = 0.4
"""Share of the drawn names that are made up."""
_TOKEN = re.compile(r"[a-z]+|[^\sa-z]")
_DOOR = re.compile(r"door to (?:the )?([a-z ]+?)(?= \(|[.,\n]|$)")
_CALLED = re.compile(r"(?:called the|you are in) ([a-z ]+)\.", re.IGNORECASE)
_TYPICAL = 0.75
"""A word used in more than this share of a task's demonstrations belongs to the task."""
_FIXTURE = 0.95
"""A word seen in at least this share of the visits to a place belongs to the place."""


@dataclass(frozen=True)
class Entities:
    """Names that may be exchanged.

    Attributes:
        kinds: Groups of names, in lower case, that may replace each other.
        places: Groups of places whose doors lead to the same places, so that every route remains possible.
        asked: For each task the names in which its descriptions differ. A task whose descriptions do not differ asks
            for knowledge (which animal lives longest), and is left out; so is one whose names decide which others are
            used.
    """

    kinds: tuple[tuple[str, ...], ...]
    places: tuple[tuple[str, ...], ...]
    asked: Mapping[str, tuple[str, ...]]

    @cached_property
    def words(self) -> list[str]:
        """All words in the names of `kinds`."""
        return sorted({word for kind in self.kinds for name in kind for word in name.split()})


def find_entities(
    trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], unprompted: Collection[str] = ()
) -> Entities:
    """Finds the names in demonstrations; without sub-goals, in their actions.

    A name is a sequence of name words in a description. Name words are words in sub-goals' arguments that vary, in
    descriptions or in sub-goals, within most of the tasks that use them, and that are used only after they were read.
    Words of places, of fixtures of a place (unless descriptions differ in them) and words that all descriptions of a
    task share are no name words, nor are the `unprompted` ones, which are used without having been read.
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
            rare = word in of_descriptions[task] or said[word] <= _TYPICAL * len(of_task)
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
    return Entities(_kinds(slots.values()), tuple(sorted(groups)), asked)


def swap_entities(
    trajectory: Trajectory, annotation: Annotation | None, entities: Entities, generator: np.random.Generator
) -> tuple[Trajectory, Annotation | None]:
    """The same demonstration with other names in place of those in which its task's descriptions differ.

    A name and its replacement are exchanged, so that no two things share a name. A name without others of its kind
    stays.
    """
    asked = entities.asked.get(trajectory.task)
    if not asked:
        return trajectory, annotation
    others: dict[str, str] = {}
    for name in asked:
        other = _other(next(kind for kind in entities.kinds if name in kind), entities.words, generator)
        if name not in others and other not in others:
            others |= {name: other, other: name}
    drawn = [dict(zip(group, generator.permutation(group).tolist(), strict=True)) for group in entities.places]
    other_places = {place: other for places in drawn for place, other in places.items()}
    place, name_of_thing = any_of(other_places), any_of(others)

    @cache
    def swapped(text: str) -> str:
        text = place.sub(lambda match: other_places[match[0]], text)
        return name_of_thing.sub(lambda match: others[match[0].lower()], text)

    path = tuple(
        PathStep(swapped(one.action), swapped(one.observation), swapped(one.look), swapped(one.inventory), one.score)
        for one in trajectory.path
    )
    again = replace(trajectory, description=swapped(trajectory.description), path=path)
    if annotation is None:
        return again, None
    chunks = tuple(
        Chunk(SubGoal(subgoal.verb, tuple(map(swapped, subgoal.arguments))), actions)
        for subgoal, actions in annotation.chunks
    )
    return again, replace(annotation, chunks=chunks, digest="")


def any_of(names: Collection[str]) -> re.Pattern[str]:
    """A pattern that matches any of some names as whole words, in any case; longer ones first."""
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w'])(?:{longest_first or '(?!)'})(?!\w)", re.IGNORECASE)


def _other(kind: Sequence[str], words: Sequence[str], generator: np.random.Generator) -> str:
    """A replacement for a name of a kind; a name without others of its kind stays."""
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
    """The names in a description, each between the token before it and the one after it."""
    tokens = ["", *_TOKEN.findall(description.lower()), ""]
    ends = [at for at in range(1, len(tokens)) if (tokens[at - 1] in words) != (tokens[at] in words)]
    return [(tokens[a - 1], " ".join(tokens[a:b]), tokens[b]) for a, b in zip(ends[::2], ends[1::2], strict=True)]


def _kinds(slots: Iterable[set[str]]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that share a slot, directly or through other names."""
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
    """Whether the things that a task asks for decide which other names its demonstrations use.

    They do if a name is always used for some of the things, each asked for more than once, and never for others: blue
    for green paint, and not for orange.
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
    """All observations of each place in a demonstration, in lower case."""
    found: dict[str, str] = {}
    for look in {step.look.lower() for step in trajectory.path}:
        if place := _CALLED.search(look):
            found[place[1]] = f"{found.get(place[1], '')}{look}\n"
    return found


def _doors(seen: Sequence[Mapping[str, str]]) -> dict[str, frozenset[str]]:
    """For each place the places to which its doors lead."""
    found: dict[str, set[str]] = defaultdict(set)
    for places in seen:
        for place, look in places.items():
            found[place].update(_DOOR.findall(look))
    return {place: frozenset(leads_to) for place, leads_to in found.items()}


def _fixtures(seen: Sequence[Mapping[str, str]]) -> set[str]:
    """Words that nearly every visit to a place shows."""
    visits = Counter(place for places in seen for place in places)
    times = Counter((place, word) for places in seen for place, look in places.items() for word in words_of(look))
    return {word for (place, word), count in times.items() if count >= _FIXTURE * visits[place]}


def words_of(text: str) -> set[str]:
    """The set of words in a text, in lower case."""
    return set(_WORD.findall(text.lower()))


def _named(trajectory: Trajectory, annotation: Annotation | None) -> set[str]:
    """Words in the arguments of a demonstration's sub-goals; without sub-goals, in its actions."""
    if annotation is None:
        return words_of(" ".join(trajectory.actions))
    return words_of(" ".join(argument for chunk in annotation.chunks for argument in chunk.subgoal.arguments))


def places_of(trajectories: Sequence[Trajectory]) -> frozenset[str]:
    """The names of all places in some demonstrations."""
    return frozenset(place_of(step.look) for one in trajectories for step in one.path) - {""}


def drop_distractors(
    trajectory: Trajectory,
    annotation: Annotation | None,
    places: Collection[str],
    max_share: float,
    generator: np.random.Generator,
) -> Trajectory:
    """The same demonstration without some of the things that can be seen, throughout.

    Things named in its description, its sub-goals or its actions stay, and so do places and the doors to them. Of the
    other things at most `max_share` are left out; the share is drawn for each demonstration.
    """
    share = max_share * generator.random()
    actions = (one.action for one in trajectory.path if not is_idle(one.action, one.observation))
    used = words_of(trajectory.description).union(*(words_of(action.partition(" ")[2]) for action in actions))
    if annotation is not None:
        used = used.union(*(words_of(" ".join(chunk.subgoal.arguments)) for chunk in annotation.chunks))
    used -= _STOP_WORDS
    place = any_of(places)
    left_out: dict[str, bool] = {}

    def stays(line: str) -> bool:
        lowered = line.lower()
        if not line.strip() or place.search(lowered) or not used.isdisjoint(words_of(lowered)):
            return True
        thing = _THING.match(lowered)
        key = thing[0].strip() if thing else lowered
        if key not in left_out:
            left_out[key] = bool(generator.random() < share)
        return not left_out[key]

    def reduced(text: str) -> str:
        first, *others = text.split("\n")
        return "\n".join([first, *filter(stays, others)])

    path = tuple(
        PathStep(one.action, reduced(one.observation), reduced(one.look), one.inventory, one.score)
        for one in trajectory.path
    )
    return replace(trajectory, path=path)
