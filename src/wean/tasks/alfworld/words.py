"""The texts of ALFWorld's games, as its grammar words them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wean.tasks.alfworld.game import Words

HELP = """\
Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""

_DONE: Mapping[str, str] = {
    "go": "You arrive at {receptacle}.",
    "open": "You open the {receptacle}.",
    "close": "You close the {receptacle}.",
    "take": "You pick up the {thing} from the {receptacle}.",
    "put": "You move the {thing} to the {receptacle}.",
    "use": "You turn on the {thing}.",
    "clean": "You clean the {thing} using the {receptacle}.",
    "heat": "You heat the {thing} using the {receptacle}.",
    "cool": "You cool the {thing} using the {receptacle}.",
    "slice": "You sliced the {thing} with the {receptacle}.",
}


def put_command(thing: str, receptacle: str, how: Words) -> str:
    """The command that puts an object in or on a receptacle."""
    return f"move {thing} to {receptacle}" if how == "move" else f"put {thing} in/on {receptacle}"


def done(verb: str, thing: str, receptacle: str, how: Words) -> str:
    """The sentence that says that something was done with an object and a receptacle (or a knife)."""
    if verb == "put" and how == "put":
        return f"You put the {thing} in/on the {receptacle}."
    return _DONE[verb].format(thing=thing, receptacle=receptacle)


def facing(receptacles: Sequence[str], beside: Sequence[str]) -> str:
    """A look at some receptacles, and at what lies beside them."""
    return f"You are facing the {_listed(receptacles)}. Next to it, you see {_listed(_with_article(beside))}."


def in_the_middle(receptacles: Sequence[str]) -> str:
    """A look around from the middle of a room."""
    seen = _listed(_with_article(receptacles))
    return f"You are in the middle of a room. Looking quickly around you, you see {seen}."


def closed(receptacle: str) -> str:
    """What a closed receptacle shows."""
    return f"The {receptacle} is closed."


def content(receptacle: str, things: Sequence[str], is_open: bool) -> str:
    """What is seen in a receptacle that is open, or on one that cannot be opened."""
    place = f"The {receptacle} is open. In it" if is_open else f"On the {receptacle}"
    return f"{place}, you see {_listed(_with_article(things))}."


def inventory(held: str) -> str:
    """What is carried."""
    return f"You are carrying: a {held}." if held else "You are not carrying anything."


def holding(thing: str, inner: Sequence[str]) -> str:
    """What a look at a bowl or the like shows."""
    return f"This is a normal {thing}. In it, you see {_listed(_with_article(inner))}."


def condition(thing: str, *, clean: bool, hot: bool, cool: bool, sliced: bool, on: bool) -> str:
    """What a look at an object shows; what is cool alone is called cold."""
    warmth = "hot" if hot else "cool" if cool else ""
    if clean and sliced:
        return f"This is a {warmth} and clean sliced {thing}." if warmth else f"This is a clean sliced {thing}."
    if warmth and sliced:
        return f"This is a {warmth} sliced {thing}."
    if warmth and clean:
        return f"This is a {warmth} and clean {thing}."
    if warmth or clean:
        return f"This is a {'hot' if hot else 'clean' if clean else 'cold'} {thing}."
    if on:
        return f"This {thing} is on."
    return f"This is a sliced {thing}." if sliced else f"There's nothing special about {thing}."


def _with_article(names: Sequence[str]) -> list[str]:
    return [f"a {name}" for name in names]


def _listed(names: Sequence[str]) -> str:
    """Names with commas, and with a comma before "and" even where there are two."""
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, and {names[-1]}"
