"""A game in few words, played by skills: so that many games have the same situations, and few questions are asked."""

from __future__ import annotations

from collections.abc import Mapping

from wean.tasks.alfworld.engine import TREATMENTS, Command, Play
from wean.tasks.alfworld.notes import Notes

_FURNITURE: Mapping[str, str] = {
    "kitchen": "cabinet, coffeemachine, countertop, diningtable, drawer, fridge, garbagecan, microwave, safe, shelf, "
    "sidetable, sinkbasin, stoveburner, toaster",
    "bathroom": "bathtubbasin, cabinet, cart, countertop, drawer, dresser, garbagecan, handtowelholder, shelf, "
    "sidetable, sinkbasin, toilet, toiletpaperhanger, towelholder",
    "bedroom": "armchair, bed, cabinet, countertop, desk, diningtable, drawer, dresser, garbagecan, laundryhamper, "
    "safe, shelf, sidetable",
    "living room": "armchair, cabinet, coffeetable, desk, diningtable, drawer, dresser, garbagecan, ottoman, safe, "
    "shelf, sidetable, sofa, tvstand",
}
GOAL = f"""\
A robot does chores in a household, in one room at a time. It holds at most one thing.

The furniture that a room may have:
{chr(10).join(f"- {room}: {kinds}" for room, kinds in _FURNITURE.items())}

The robot knows these skills:
- go to X: X is a kind of furniture, or a thing that the robot looks for and has seen
- open, close: what it stands before; what is closed shows nothing of what is in it until it is opened
- take X: a thing that lies before it
- put it down: in or on what it stands before
- clean it (before a sinkbasin), heat it (before a microwave), cool it (before a fridge)
- use X: a lamp before it

While the robot looks for something, "go to" leads to furniture of that kind in which it has not looked, and kinds \
that are not there, or in which it has looked everywhere, are passed over: to search, name all kinds of furniture in \
the order in which to look. It follows a plan until what it is told here changes."""

_MARKS = (("fridge", "kitchen"), ("toilet", "bathroom"), ("bed", "bedroom"))
_TREATED: Mapping[str, str] = {"clean": "cleaned", "heat": "heated", "cool": "cooled"}


def kind_of(name: str) -> str:
    """The kind of a receptacle or an object by its name: "drawer" of "drawer 3"."""
    return name.rsplit(" ", 1)[0]


def _a(noun: str) -> str:
    """A noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


class Skills:
    """The skills that are admissible in a game, and its situation in a sentence or two.

    A skill begins with one command. "go to drawer" leads, while the agent looks for something, to the next drawer in
    which it has not looked: to what stands where it is first, then to what it has not seen closed.

    Args:
        play: The game.
        notes: What was seen in it.
    """

    def __init__(self, play: Play, notes: Notes) -> None:
        self._play, self._notes = play, notes
        kinds = {kind_of(one.name) for one in play.game.receptacles}
        self._room = next((room for mark, room in _MARKS if mark in kinds), "living room")

    # --- what is told ------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """What is looked for and whether it was seen, or what becomes of what is held."""
        play, goal = self._play, self._play.game.goal
        if not play.held:
            return self._looking(goal.thing)
        if not self._holds_wanted():
            able = "can" if any(verb == "put" for verb, _, _ in play.commands.values()) else "cannot"
            return f"In a {self._room} the robot holds a thing that is of no use. It {able} put it down here."
        if goal.kind == "examine":
            return f"The robot holds what is to be looked at under {_a(goal.target)}. {self._looking(goal.target)}"
        if self._to_be_treated():
            types = TREATMENTS[goal.kind][1]
            return f"The robot holds what is to be {_TREATED[goal.kind]}.{self._standing(types)}"
        return f"The robot holds what belongs in or on {_a(goal.target)}.{self._standing({goal.target})}"

    def _looking(self, type_: str) -> str:
        """Where something is that is wanted, as far as it was seen."""
        here = {one.name for one in self._play.here}
        places = self._places(type_)
        if any(place in here and not self._is_shut(place) for place in places):
            return f"What the robot looks for is before it: {_a(type_)}."
        if any(place in here for place in places):
            return "What the robot looks for is in what it stands before, which is closed."
        if places:
            return f"The robot has seen where {_a(type_)} is, and is elsewhere."
        shut = any(self._notes.seen_in(name) is None and self._is_shut(name) for name in here)
        before = " It stands before something closed in which it has not looked." if shut else ""
        return f"The robot looks for {_a(type_)} in a {self._room} and has not seen one yet.{before}"

    def _standing(self, types: set[str]) -> str:
        """Whether it stands before one of the types of receptacles."""
        here = [one for one in self._play.here if one.type in types]
        if not here:
            return ""
        shut = all(self._is_shut(one.name) for one in here)
        return f" It stands before {_a(kind_of(here[0].name))}{', which is closed' if shut else ''}."

    # --- skills ------------------------------------------------------------------------------------------------------

    def commands(self) -> dict[str, str]:
        """The skills that can begin now, in alphabetical order, each with the command with which it does."""
        found = self._ways()
        for text, command in sorted(self._play.commands.items(), key=lambda item: self._order(item[1])):
            skill = self._skill(command)
            if skill:
                found.setdefault(skill, text)
        return dict(sorted(found.items()))

    def skill_of(self, text: str) -> str:
        """The skill that does what a command does, or that comes nearer to it by looking in one place after another."""
        verb, thing, receptacle = command = self._play.commands[text]
        if verb != "go" and (skill := self._skill(command)):
            return skill
        if not receptacle:  # a lamp that it has not seen
            receptacle = next(one.name for one in self._play.here if thing in self._play.inside[one.name])
        skills, kind = self._ways(), kind_of(receptacle)
        known = [f"go to {type_}" for type_ in self._wanted_types() if receptacle in self._places(type_)]
        if known and known[0] in skills:
            return known[0]
        unopened = any(
            kind_of(one.name) == kind and self._is_shut(one.name) and self._notes.seen_in(one.name) is None
            for one in self._play.here
        )
        return "open" if unopened and self._is_searching() else f"go to {kind}"

    def _skill(self, command: Command) -> str:
        """The skill of a command where the agent stands; empty for what is none, or of what it does not know."""
        verb, thing, receptacle = command
        if verb == "take":
            return f"take {kind_of(thing)}" if thing in (self._notes.seen_in(receptacle) or ()) else ""
        if verb == "use":
            seen = any(thing in (self._notes.seen_in(one.name) or ()) for one in self._play.here)
            return f"use {kind_of(thing)}" if seen else ""
        if verb in TREATMENTS:
            return f"{verb} it"
        return {"put": "put it down", "open": "open", "close": "close"}.get(verb, "")

    def _ways(self) -> dict[str, str]:
        """Where it can go: to furniture by kind, and to what is wanted where it has seen it."""
        here = {one.name for one in self._play.here}
        names = [one.name for one in self._play.game.receptacles]
        away = [name for name in names if name not in here]
        targets = away
        if self._is_searching():
            unseen = [name for name in names if self._notes.seen_in(name) is None]
            # What is at hand comes first, and what was seen closed last.
            unseen.sort(key=lambda name: (name not in here, self._notes.met(name)))
            targets = [name for name in unseen if name not in here or not self._is_shut(name)] if unseen else away
        found: dict[str, str] = {}
        for name in targets:
            found.setdefault(f"go to {kind_of(name)}", f"{'examine' if name in here else 'go to'} {name}")
        for type_ in self._wanted_types():
            places = [place for place in self._places(type_) if place not in here]
            if places:
                found[f"go to {type_}"] = f"go to {places[0]}"
        return found

    def _order(self, command: Command) -> tuple[bool, str, str]:
        """Of the commands of one skill the one that helps comes first."""
        verb, thing, receptacle = command
        goal, play = self._play.game.goal, self._play
        if verb == "take":
            helps = receptacle in self._places(goal.thing) and play.game.thing[thing].type == goal.thing
        elif verb == "open":
            helps = self._notes.seen_in(receptacle) is None
        else:
            helps = bool(receptacle) and play.game.receptacle[receptacle].type == goal.target
        return not helps, receptacle, thing

    # --- facts -------------------------------------------------------------------------------------------------------

    def _holds_wanted(self) -> bool:
        play = self._play
        return bool(play.held) and play.game.thing[play.held].type == play.game.goal.thing

    def _to_be_treated(self) -> bool:
        play = self._play
        return play.game.goal.kind in TREATMENTS and not play.is_as_wanted(play.game.thing[play.held])

    def _wanted_types(self) -> tuple[str, ...]:
        """The types of what it looks for now: the object, or the lamp for it; none while it knows where to go."""
        goal = self._play.game.goal
        if not self._play.held:
            return (goal.thing,)
        return (goal.target,) if goal.kind == "examine" and self._holds_wanted() else ()

    def _is_searching(self) -> bool:
        """Whether it looks for something."""
        return bool(self._wanted_types())

    def _is_shut(self, receptacle: str) -> bool:
        return self._play.is_shut(self._play.game.receptacle[receptacle])

    def _places(self, type_: str) -> list[str]:
        """The receptacles in which it has seen an object of a type that is not yet where it belongs."""
        play, game = self._play, self._play.game
        seen = {one.name: [game.thing[n] for n in self._notes.seen_in(one.name) or ()] for one in game.receptacles}
        placed = {one.name: sum(map(play.is_as_wanted, seen[one.name])) for one in game.receptacles}
        targets = [one.name for one in game.receptacles if one.type == game.goal.target]
        filled = max(targets, key=placed.__getitem__, default="")  # where two are wanted, they belong in the same one
        return [
            name
            for name, things in seen.items()
            if any(one.type == type_ and not (name == filled and play.is_as_wanted(one)) for one in things)
        ]
