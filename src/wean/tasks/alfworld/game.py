"""A game of ALFWorld as plain data: what is where, what can be done with it, and what is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Kind = Literal["pick", "examine", "clean", "heat", "cool", "pick-two"]
"""The six types of tasks."""

KINDS: Mapping[Kind, str] = {
    "pick": "pick_and_place_simple",
    "examine": "look_at_obj_in_light",
    "clean": "pick_clean_then_place_in_recep",
    "heat": "pick_heat_then_place_in_recep",
    "cool": "pick_cool_then_place_in_recep",
    "pick-two": "pick_two_obj_and_place",
}
"""ALFWorld's own names of the types, in the order of its numbers 1 to 6."""

Ability = Literal["pickupable", "cleanable", "heatable", "coolable", "toggleable", "sliceable", "isreceptacleobject"]
ABILITIES: tuple[Ability, ...] = (
    "pickupable",
    "cleanable",
    "heatable",
    "coolable",
    "toggleable",
    "sliceable",
    "isreceptacleobject",
)
"""What an object can be: the PDDL domain's predicates of one object that never change."""

Words = Literal["move", "put"]
"""How commands and answers are worded: "move X to Y" since ALFWorld 0.4, "put X in/on Y" before."""


class Receptacle(NamedTuple):
    """A piece of furniture or the like, in or on which objects lie.

    Attributes:
        name: Such as "fridge 1".
        type: Its PDDL type in small letters, without "type": "fridge".
        location: The number of the place from which it is reached; several can share one.
        openable: Whether it can be opened and closed; it begins closed.
    """

    name: str
    type: str
    location: int
    openable: bool


class Thing(NamedTuple):
    """An object.

    Attributes:
        name: Such as "apple 2".
        type: Its PDDL type in small letters, without "type"; empty where the game gives none.
        inside: The names of the receptacles in which it lies: mostly one; two or more in some games.
        locations: The locations at which the game says it is.
        abilities: What it can be.
        cool: Whether it is cool at the start.
        holds: The names of objects that lie in it, where it is a bowl or the like.
    """

    name: str
    type: str
    inside: tuple[str, ...]
    locations: tuple[int, ...]
    abilities: frozenset[Ability]
    cool: bool = False
    holds: tuple[str, ...] = ()


class Goal(NamedTuple):
    """What is wanted.

    Attributes:
        kind: The form of the goal.
        thing: The type of the object that is wanted.
        target: The type of the receptacle in which it is to lie; of the lamp for `examine`.
    """

    kind: Kind
    thing: str
    target: str


@dataclass(frozen=True)
class Game:
    """Everything about a game that never changes.

    Attributes:
        name: The folder of its file, such as "pick_and_place_simple-Book-None-Sofa-229/trial_T20190906_...".
        task: The task in words: "Your task is to: put a book in sofa."
        goal: What wins.
        start: The agent's first location.
        receptacles: In the order in which texts list them.
        things: In the order in which texts list them.
        fits: For each type of receptacle the types of objects that can be put there.
        walkthrough: Commands that win, as the game's file has them; empty where it has none.
        words: How commands and answers are worded.
    """

    name: str
    task: str
    goal: Goal
    start: int
    receptacles: tuple[Receptacle, ...]
    things: tuple[Thing, ...]
    fits: Mapping[str, frozenset[str]]
    walkthrough: tuple[str, ...]
    words: Words = "move"

    @cached_property
    def receptacle(self) -> Mapping[str, Receptacle]:
        """The receptacles by name."""
        return {one.name: one for one in self.receptacles}

    @cached_property
    def thing(self) -> Mapping[str, Thing]:
        """The objects by name."""
        return {one.name: one for one in self.things}

    @cached_property
    def order(self) -> Mapping[str, int]:
        """The place of each object's name in the order in which texts list them."""
        return {one.name: place for place, one in enumerate(self.things)}

    @cached_property
    def reached_from(self) -> Mapping[int, tuple[Receptacle, ...]]:
        """The receptacles of each location."""
        found: dict[int, list[Receptacle]] = {}
        for one in self.receptacles:
            found.setdefault(one.location, []).append(one)
        return {location: tuple(some) for location, some in found.items()}

    def fits_in(self, thing: Thing, receptacle: Receptacle) -> bool:
        """Whether an object can be put in or on a receptacle."""
        return thing.type in self.fits.get(receptacle.type, ())


def to_json(game: Game) -> str:
    """A game as one line of JSON, without its name; see `from_json`."""
    abilities = {ability: letter for letter, ability in enumerate(ABILITIES)}
    place = {one.name: number for number, one in enumerate(game.receptacles)}
    things = [
        [
            one.name,
            one.type,
            sorted(place[name] for name in one.inside),
            one.locations,
            sum(1 << abilities[ability] for ability in one.abilities),
            int(one.cool),
            one.holds,
        ]
        for one in game.things
    ]
    facts = {
        "task": game.task,
        "goal": game.goal,
        "start": game.start,
        "receptacles": [[one.name, one.type, one.location, int(one.openable)] for one in game.receptacles],
        "things": things,
        "fits": {type_: sorted(types) for type_, types in sorted(game.fits.items())},
        "walkthrough": game.walkthrough,
        "words": game.words,
    }
    return json.dumps(facts, separators=(",", ":"))


def from_json(name: str, text: str) -> Game:
    """The game of a line that `to_json` wrote."""
    facts = json.loads(text)
    receptacles = tuple(
        Receptacle(name, type_, location, bool(openable)) for name, type_, location, openable in facts["receptacles"]
    )
    names = [one.name for one in receptacles]
    things = tuple(
        Thing(
            thing,
            type_,
            tuple(names[place] for place in inside),
            tuple(locations),
            _abilities(bits),
            bool(cool),
            tuple(holds),
        )
        for thing, type_, inside, locations, bits, cool, holds in facts["things"]
    )
    fits = {type_: frozenset(types) for type_, types in facts["fits"].items()}
    walkthrough = tuple(facts["walkthrough"])
    goal = Goal(*facts["goal"])
    return Game(name, facts["task"], goal, facts["start"], receptacles, things, fits, walkthrough, facts["words"])


def _abilities(bits: int) -> frozenset[Ability]:
    return frozenset(ability for place, ability in enumerate(ABILITIES) if bits >> place & 1)
