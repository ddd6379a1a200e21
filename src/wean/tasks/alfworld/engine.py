"""The rules of ALFWorld's text games: what changes, what can be done, what is answered, when a game is won.

The rules are those of the PDDL domain and of the text grammar that all published games share, with what TextWorld
makes of them. Where that surprises, a comment names the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from wean.tasks.alfworld import words
from wean.tasks.alfworld.game import Ability, Game, Receptacle, Thing

NOTHING_HAPPENS = "Nothing happens."
"""The answer to what is no admissible command."""

_CLEANED_AT, _HEATED_AT, _COOLED_AT = {"sink", "sinkbasin"}, {"microwave"}, {"fridge"}
_KNIVES = {"knife", "butterknife"}
TREATMENTS: Mapping[str, tuple[Ability, set[str]]] = {
    "clean": ("cleanable", _CLEANED_AT),
    "heat": ("heatable", _HEATED_AT),
    "cool": ("coolable", _COOLED_AT),
}
"""For each treatment what an object must be, and the types of receptacles that do it."""


class Command(NamedTuple):
    """What a command does, to which object and with which receptacle; empty where it needs none."""

    verb: str
    thing: str = ""
    receptacle: str = ""


class Play:
    """A game under way.

    Example:
        >>> play = Play(game)
        >>> play.answer("go to fridge 1")
        'You arrive at fridge 1. The fridge 1 is closed.'

    Attributes:
        game: The game.
        location: Where the agent is.
        held: The name of the object in its hand; empty for none.
        inside: The names of the objects in each receptacle.
        opened: The names of the open receptacles.
        won: Whether the goal is reached now.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.location, self.held = game.start, ""
        self.inside: dict[str, set[str]] = {one.name: set() for one in game.receptacles}
        self.opened: set[str] = set()
        self.cleaned: set[str] = set()
        self.hot: set[str] = set()
        self.cool: set[str] = set()
        self.turned_on: set[str] = set()
        self.sliced: set[str] = set()
        self._at: dict[int, set[str]] = {}
        self._taken_from: dict[str, set[str]] = {}
        for thing in game.things:
            for name in thing.inside:
                self.inside[name].add(thing.name)
            for location in thing.locations:
                self._at.setdefault(location, set()).add(thing.name)
            if thing.cool:
                self.cool.add(thing.name)
        self._commands: dict[str, Command] | None = None
        self.won = self._reached()

    # --- what can be done --------------------------------------------------------------------------------------------

    @property
    def commands(self) -> Mapping[str, Command]:
        """The admissible commands, in no order."""
        if self._commands is None:
            self._commands = self._admissible()
        return self._commands

    @property
    def here(self) -> tuple[Receptacle, ...]:
        """The receptacles that are reached from where the agent is."""
        return self.game.reached_from.get(self.location, ())

    def is_shut(self, receptacle: Receptacle) -> bool:
        """Whether a receptacle is closed."""
        return receptacle.openable and receptacle.name not in self.opened

    def _admissible(self) -> dict[str, Command]:
        found = {"look": Command("look"), "inventory": Command("inventory")}
        if self.game.words == "move":
            found["help"] = Command("help")
        for one in self.game.receptacles:
            # To where the agent stands it cannot go: the planner drops actions that delete what they add.
            if one.location != self.location:
                found[f"go to {one.name}"] = Command("go", "", one.name)
        for one in self.here:
            found[f"examine {one.name}"] = Command("examine", "", one.name)
            if one.openable:
                verb = "close" if one.name in self.opened else "open"
                found[f"{verb} {one.name}"] = Command(verb, "", one.name)
            self._add_things(found, one)
            if self.held:
                self._add_held(found, self.game.thing[self.held], one)
        if self.held:
            # Only what is held can be examined: a comma in the domain's other condition makes a type of it that
            # nothing is of.
            found[f"examine {self.held}"] = Command("examine", self.held)
            self._add_slices(found, self.game.thing[self.held])
        return found

    def _add_things(self, found: dict[str, Command], receptacle: Receptacle) -> None:
        """Adds what can be done with the objects in a receptacle; a lamp can be used even behind a closed door."""
        can_take = not self.held and not self.is_shut(receptacle)
        for name in self.inside[receptacle.name]:
            abilities = self.game.thing[name].abilities
            if can_take and "pickupable" in abilities:
                found[f"take {name} from {receptacle.name}"] = Command("take", name, receptacle.name)
            if "toggleable" in abilities:
                found[f"use {name}"] = Command("use", name)

    def _add_held(self, found: dict[str, Command], held: Thing, receptacle: Receptacle) -> None:
        """Adds what can be done with what is held and a receptacle; treatments work behind a closed door."""
        if not self.is_shut(receptacle) and self.game.fits_in(held, receptacle):
            put = words.put_command(held.name, receptacle.name, self.game.words)
            found[put] = Command("put", held.name, receptacle.name)
        for verb, (ability, types) in TREATMENTS.items():
            if receptacle.type in types and ability in held.abilities:
                found[f"{verb} {held.name} with {receptacle.name}"] = Command(verb, held.name, receptacle.name)

    def _add_slices(self, found: dict[str, Command], held: Thing) -> None:
        if held.type in _KNIVES:
            for name in self._at.get(self.location, ()):
                if "sliceable" in self.game.thing[name].abilities:
                    found[f"slice {name} with {held.name}"] = Command("slice", name)

    # --- what it does ------------------------------------------------------------------------------------------------

    def answer(self, text: str) -> str:
        """Carries a command out, if it is admissible; returns the game's answer."""
        command = self.commands.get(text.strip())
        if command is None:
            return NOTHING_HAPPENS
        verb, thing, receptacle = command
        if verb == "look":
            return self.look()
        if verb == "inventory":
            return words.inventory(self.held)
        if verb == "help":
            return words.HELP
        if verb == "examine":
            return self._examined(thing) if thing else self.content(receptacle)
        self._commands = None
        self._change(verb, thing, receptacle)
        self.won = self._reached()
        if verb in ("go", "open"):
            return f"{self._done(verb, thing, receptacle)} {self.content(receptacle)}"
        return self._done(verb, thing, receptacle)

    def _done(self, verb: str, thing: str, receptacle: str) -> str:
        """The sentence that says what was done."""
        if verb == "go" and self.game.words == "put":
            return f"You arrive at loc {self.location}."
        return words.done(verb, thing, receptacle or self.held, self.game.words)

    def _change(self, verb: str, thing: str, receptacle: str) -> None:
        if verb == "go":
            self.location = self.game.receptacle[receptacle].location
        elif verb == "open":
            self.opened.add(receptacle)
        elif verb == "close":
            self.opened.discard(receptacle)
        elif verb == "take":
            self.held = thing
            # In some games a thing lies in two receptacles: it is then still in the other.
            self.inside[receptacle].discard(thing)
            self._at.setdefault(self.location, set()).discard(thing)
            self._taken_from.setdefault(thing, set()).add(receptacle)
        elif verb == "put":
            self.held = ""
            self.inside[receptacle].add(thing)
            self._at.setdefault(self.location, set()).add(thing)
            self._taken_from.get(thing, set()).discard(receptacle)
        elif verb == "use":
            self.turned_on.add(thing)  # and never off again
        elif verb == "slice":
            self.sliced.add(thing)
        else:
            self._treat(verb, thing)

    def _treat(self, verb: str, thing: str) -> None:
        if verb == "clean":
            self.cleaned.add(thing)
        elif verb == "heat":
            self.hot.add(thing)
            self.cool.discard(thing)
        else:
            self.cool.add(thing)
            self.hot.discard(thing)

    def _reached(self) -> bool:
        goal = self.game.goal
        if goal.kind == "examine":
            return self._is_lit_here() and bool(self.held) and self.game.thing[self.held].type == goal.thing
        wanted = 2 if goal.kind == "pick-two" else 1
        return any(
            receptacle.type == goal.target and self.count_of_goal(receptacle.name) >= wanted
            for receptacle in self.game.receptacles
        )

    def _is_lit_here(self) -> bool:
        lamp = self.game.goal.target
        return any(
            name in self.turned_on and self.game.thing[name].type == lamp
            for one in self.here
            for name in self.inside[one.name]
        )

    def count_of_goal(self, receptacle: str) -> int:
        """How many objects in a receptacle are as the goal wants them."""
        return sum(self.is_as_wanted(self.game.thing[name]) for name in self.inside[receptacle])

    def is_as_wanted(self, thing: Thing) -> bool:
        """Whether an object is of the goal's type and treated as it wants."""
        goal = self.game.goal
        if thing.type != goal.thing:
            return False
        if goal.kind not in TREATMENTS:
            return True
        treated = {"clean": self.cleaned, "heat": self.hot, "cool": self.cool}[goal.kind]
        return thing.name in treated and TREATMENTS[goal.kind][0] in thing.abilities

    # --- what is seen ------------------------------------------------------------------------------------------------

    def introduction(self) -> str:
        """What the game says first."""
        return f"-= Welcome to TextWorld, ALFRED! =-\n\n{self.look(first=True)}\n\n{self.game.task}"

    def look(self, first: bool = False) -> str:
        """What looking around shows; in the middle of a room only the `first` look names what is there."""
        if self.here:
            # What was taken and put down elsewhere at the same place counts as lying beside the former.
            beside = [
                name
                for name in self._sorted(self._at.get(self.location, ()))
                for one in self.here
                if one.name in self._taken_from.get(name, ())
            ]
            return words.facing([one.name for one in self.here], beside)
        return words.in_the_middle([one.name for one in self.game.receptacles] if first else [])

    def content(self, receptacle: str) -> str:
        """What is seen in or on a receptacle."""
        one = self.game.receptacle[receptacle]
        if self.is_shut(one):
            return words.closed(receptacle)
        return words.content(receptacle, self._sorted(self.inside[receptacle]), one.openable)

    def _examined(self, thing: str) -> str:
        one = self.game.thing[thing]
        if "isreceptacleobject" in one.abilities:
            return words.holding(thing, one.holds)
        return words.condition(
            thing,
            clean=thing in self.cleaned,
            hot=thing in self.hot,
            cool=thing in self.cool,
            sliced=thing in self.sliced,
            on=thing in self.turned_on and "toggleable" in one.abilities,
        )

    def _sorted(self, names: Iterable[str]) -> Sequence[str]:
        return sorted(names, key=self.game.order.__getitem__)
