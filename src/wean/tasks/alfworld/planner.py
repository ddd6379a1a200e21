"""An expert for ALFWorld that knows where everything is: a shortest way to win, from any state.

A plan is a few errands one after the other (put away what is in the hand, take, treat, put), each at a place of choice.
Errands are added stage by stage, and of all ways to the same state only a shortest is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wean.tasks.alfworld.engine import TREATMENTS, Play
from wean.tasks.alfworld.game import Receptacle, Thing
from wean.tasks.alfworld.words import put_command


def plan(play: Play) -> tuple[str, ...] | None:
    """Commands that win from here on; None where the game cannot be won any more.

    They are as few as can be, except where a game has an object in two receptacles at once and so can be won by less.
    """
    if play.won:
        return ()
    planner = _Planner(play)
    kind = play.game.goal.kind
    ways = planner.examining() if kind == "examine" else planner.pairing() if kind == "pick-two" else planner.placing()
    return min((way.commands for way in ways), key=len, default=None)


@dataclass(frozen=True)
class _Way:
    """Commands so far, and the state that they lead to, as far as they changed it."""

    commands: tuple[str, ...]
    location: int
    held: str
    opened: frozenset[str] = frozenset()
    placed: tuple[tuple[str, str], ...] = ()

    @property
    def state(self) -> tuple[object, ...]:
        """What the rest of the plan depends on."""
        return self.location, self.held, self.opened, self.placed


class _Planner:
    """Adds errands to ways, in a state of a game."""

    def __init__(self, play: Play) -> None:
        self._play, self._game, self._goal = play, play.game, play.game.goal
        self._start = _Way((), play.location, play.held)
        self._places: dict[str, list[Receptacle]] = {}
        for one in self._game.receptacles:
            for name in play.inside[one.name]:
                self._places.setdefault(name, []).append(one)
        able = TREATMENTS[self._goal.kind][0] if self._goal.kind in TREATMENTS else "pickupable"
        self._wanted = [
            thing for thing in self._game.things if thing.type == self._goal.thing and able in thing.abilities
        ]
        self._targets = [one for one in self._game.receptacles if one.type == self._goal.target]

    def placing(self) -> Iterator[_Way]:
        """Ways to have one wanted object, treated, in a target."""
        ways = _shortest(
            treated
            for thing in self._wanted
            for taken in self._taking(self._start, thing)
            for treated in self._treating(taken, thing)
        )
        for way in ways:
            for target in self._targets:
                yield from self._putting(way, target)

    def pairing(self) -> Iterator[_Way]:
        """Ways to have two wanted objects in one target."""
        for target in self._targets:
            there = self._play.inside[target.name]
            others = [thing for thing in self._wanted if thing.name not in there]
            ways = [self._start]
            for _ in range(2 - self._play.count_of_goal(target.name)):
                ways = _shortest(
                    put
                    for way in ways
                    for thing in others
                    if (thing.name, target.name) not in way.placed
                    for taken in self._taking(way, thing)
                    for put in self._putting(taken, target)
                )
            yield from ways

    def examining(self) -> Iterator[_Way]:
        """Ways to hold a wanted object beside a lamp that is on."""
        lamps = [
            thing for thing in self._game.things if thing.type == self._goal.target and "toggleable" in thing.abilities
        ]
        for thing in self._wanted:
            for way in self._taking(self._start, thing):
                for lamp in lamps:
                    for place in self._places_of(way, lamp):
                        lit = lamp.name in self._play.turned_on
                        yield self._at(way, place, "" if lit else f"use {lamp.name}")

    # --- errands -----------------------------------------------------------------------------------------------------

    def _taking(self, way: _Way, thing: Thing) -> Iterable[_Way]:
        """Ways to have an object in the hand, which is emptied first."""
        if way.held == thing.name:
            return [way]
        free = _shortest(self._emptying(way)) if way.held else [way]
        return _shortest(
            replace(self._inside(one, place, f"take {thing.name} from {place.name}"), held=thing.name)
            for one in free
            for place in self._places_of(one, thing)
            if "pickupable" in thing.abilities
        )

    def _emptying(self, way: _Way) -> Iterator[_Way]:
        for receptacle in self._game.receptacles:
            yield from self._putting(way, receptacle)

    def _putting(self, way: _Way, receptacle: Receptacle) -> Iterator[_Way]:
        """The way on which what is held is put in a receptacle; none where it does not fit."""
        if self._game.fits_in(self._game.thing[way.held], receptacle):
            command = put_command(way.held, receptacle.name, self._game.words)
            put = self._inside(way, receptacle, command)
            yield replace(put, held="", placed=(*way.placed, (way.held, receptacle.name)))

    def _treating(self, way: _Way, thing: Thing) -> Iterator[_Way]:
        """Ways to have what is held cleaned, heated or cooled, as the goal wants it."""
        if self._play.is_as_wanted(thing):
            yield way
            return
        verb = self._goal.kind
        for receptacle in self._game.receptacles:
            if receptacle.type in TREATMENTS[verb][1]:
                yield self._at(way, receptacle, f"{verb} {thing.name} with {receptacle.name}")

    def _places_of(self, way: _Way, thing: Thing) -> list[Receptacle]:
        """Where an object lies."""
        placed = [self._game.receptacle[place] for name, place in way.placed if name == thing.name]
        return placed or self._places.get(thing.name, [])

    def _at(self, way: _Way, receptacle: Receptacle, command: str) -> _Way:
        """Adds a command at a receptacle, and before it the walk there if one is needed; "" adds the walk alone."""
        walk = () if way.location == receptacle.location else (f"go to {receptacle.name}",)
        commands = (*way.commands, *walk, *((command,) if command else ()))
        return replace(way, commands=commands, location=receptacle.location)

    def _inside(self, way: _Way, receptacle: Receptacle, command: str) -> _Way:
        """Adds a command in a receptacle, which is opened first."""
        if not self._play.is_shut(receptacle) or receptacle.name in way.opened:
            return self._at(way, receptacle, command)
        opened = self._at(way, receptacle, f"open {receptacle.name}")
        return replace(opened, commands=(*opened.commands, command), opened=way.opened | {receptacle.name})


def _shortest(ways: Iterable[_Way]) -> list[_Way]:
    """A shortest way to each state."""
    found: dict[tuple[object, ...], _Way] = {}
    for way in ways:
        known = found.get(way.state)
        if known is None or len(way.commands) < len(known.commands):
            found[way.state] = way
    return list(found.values())
