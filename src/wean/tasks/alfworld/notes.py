"""What the agent has seen in a game so far, in words; never what it could not know."""

from __future__ import annotations

from wean.tasks.alfworld.engine import Command, Play

_SEEN_BY = ("go", "open", "examine")


class Notes:
    """Remembers what lay in the receptacles that the agent looked at, and what it took and put since.

    Args:
        play: The game, just begun.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self._seen: dict[str, set[str] | None] = {}  # None for a receptacle that was only seen closed

    def add(self, command: Command) -> None:
        """Notes what a command that was carried out has shown or changed."""
        verb, thing, receptacle = command
        if receptacle and verb in _SEEN_BY:
            if not self._play.is_shut(self._play.game.receptacle[receptacle]):
                self._seen[receptacle] = set(self._play.inside[receptacle])
            else:
                self._seen.setdefault(receptacle, None)
        elif verb in ("take", "put"):
            known = self._seen.get(receptacle) or set()
            self._seen[receptacle] = known - {thing} if verb == "take" else known | {thing}

    def met(self, receptacle: str) -> bool:
        """Whether the agent stood before a receptacle, open or closed, and looked at it."""
        return receptacle in self._seen

    def seen_in(self, receptacle: str) -> set[str] | None:
        """What was last seen in a receptacle; None where it was not looked in."""
        return self._seen.get(receptacle)

    def look(self) -> str:
        """Where the agent is, and what it has seen there."""
        here = [one.name for one in self._play.here]
        if not here:
            return "You are in the middle of the room."
        seen = "; ".join(self._told(name) for name in here if name in self._seen)
        return f"You are at {' and '.join(here)}." + (f" Here: {seen}." if seen else "")

    def inventory(self) -> str:
        """What is carried, and its condition."""
        held = self._play.held
        return f"You carry {self._thing(held)}." if held else "You carry nothing."

    def seen_before(self) -> str:
        """What was seen elsewhere; empty where nothing was."""
        here = {one.name for one in self._play.here}
        told = [self._told(one.name) for one in self._play.game.receptacles if one.name in self._seen.keys() - here]
        return f"Elsewhere: {'; '.join(told)}." if told else ""

    def _told(self, receptacle: str) -> str:
        """A receptacle and what was seen in it."""
        things = self._seen[receptacle]
        shut = self._play.is_shut(self._play.game.receptacle[receptacle])
        name = f"{receptacle} (closed)" if shut else receptacle
        if things is None:
            return name
        order = self._play.game.order
        listed = ", ".join(self._thing(thing) for thing in sorted(things, key=order.__getitem__))
        return f"{name}: {listed or 'nothing'}"

    def _thing(self, name: str) -> str:
        """An object with its condition, as far as the agent brought it about or has the object in its hand."""
        play = self._play
        cold = name in play.cool and (name == play.held or not play.game.thing[name].cool)
        told = {
            "clean": name in play.cleaned,
            "hot": name in play.hot,
            "cold": cold,
            "sliced": name in play.sliced,
            "on": name in play.turned_on,
        }
        conditions = [word for word, is_so in told.items() if is_so]
        return f"{name} ({', '.join(conditions)})" if conditions else name
