"""Reads ALFWorld's own game files (`game.tw-pddl`): a PDDL problem and a grammar of texts in JSON.

All published games share one PDDL domain and one grammar, whose rules `wean.tasks.alfworld.engine` states, so a file is
read for what differs: the facts, the goal, the task's sentence. A file with other rules is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wean.errors import UsageError, in_one_line
from wean.tasks.alfworld.game import ABILITIES, Game, Goal, Kind, Receptacle, Thing, Words

_FACT = re.compile(r"\(\s*([\w-]+)((?:\s+[^\s()]+)*)\s*\)")
_ARGUMENTS: Mapping[str, int] = {
    "atlocation": 2,
    "receptacleatlocation": 2,
    "receptacletype": 2,
    "objecttype": 2,
    "cancontain": 2,
    "openable": 1,
    "objectatlocation": 2,
    "inreceptacle": 2,
    "inreceptacleobject": 2,
    "iscool": 1,
    **dict.fromkeys(ABILITIES, 1),
}
"""The predicates of which a problem states facts, with their numbers of arguments."""

_OBJECT, _RECEPTACLE = r"\(objecttype \?\w+ (\w+)type\)", r"\(receptacletype \?r (\w+)type\)"
_ONE = rf"\(:goal \(and \(exists \(\?r - receptacle\) \(exists \(\?o - object\) \(and %s{_OBJECT} {_RECEPTACLE} %s"
_HAS = r"\(inreceptacle \?o \?r\)"
_END = r"(?: ?\))*"
_GOALS: Mapping[Kind, re.Pattern[str]] = {
    "pick": re.compile(_ONE % (_HAS + " ", _END)),
    "clean": re.compile(_ONE % (r"\(cleanable \?o\) ", rf"\(isclean \?o\) {_HAS}{_END}")),
    "heat": re.compile(_ONE % (r"\(heatable \?o\) ", rf"\(ishot \?o\) {_HAS}{_END}")),
    "cool": re.compile(_ONE % (r"\(coolable \?o\) ", rf"\(iscool \?o\) {_HAS}{_END}")),
    "pick-two": re.compile(
        r"\(:goal \(and \(exists \(\?r - receptacle\) \(exists \(\?o1 - object\) \(and "
        rf"{_OBJECT} {_RECEPTACLE} \(inreceptacle \?o1 \?r\) \(exists \(\?o2 - object\) \(and "
        rf"\(not \(= \?o1 \?o2\)\) {_OBJECT} {_RECEPTACLE} \(inreceptacle \?o2 \?r\){_END}"
    ),
    "examine": re.compile(
        r"\(:goal \(and \(exists \(\?ot - object \?r - receptacle \?a - agent \?l - location\) \(and "
        rf"{_OBJECT} \(toggleable \?ot\) \(istoggled \?ot\) \(receptacleatlocation \?r \?l\) \(atlocation \?a \?l\) "
        rf"\(inreceptacle \?ot \?r\) ?\) ?\) \(exists \(\?o - object \?a - agent\) \(and {_OBJECT} "
        rf"\(holds \?a \?o\){_END}"
    ),
}
"""The forms of goals, in small letters and with single spaces."""

_TASK = re.compile(r'"rhs": "(Your task is to: [^"]*)"')
_HELP = re.compile(r"\(:action help .*?\(checked \?a\) \) \)|action help \{.*?\}")
_OLD_WORDS: Sequence[tuple[str, str]] = (
    ("You arrive at {lend.name}.", "You arrive at {r.name}."),
    ("put {o} in/on {r}", "move {o} to {r}"),
    ("You put the {o.name} in/on the {r.name}.", "You move the {o.name} to the {r.name}."),
)
"""What ALFWorld 0.4 changed in the grammar, beside adding the command "help": old and new."""
_DOMAIN_DIGEST = "05df67a43848be63"
_GRAMMAR_DIGEST = "d5bce1bfaa395be4"


def read_game(path: Path) -> Game:
    """Reads a game file.

    Raises:
        UsageError: It is none, is cut, or has other rules than ALFWorld's published games.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); name a game.tw-pddl file of ALFWorld") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text; name a game.tw-pddl file of ALFWorld") from None
    return parse_game(text, f"{path.parent.parent.name}/{path.parent.name}", str(path))


def parse_game(text: str, name: str, source: str = "the game file") -> Game:
    """The game of a file's text; `source` is what messages call it.

    Raises:
        UsageError: As `read_game`.
    """
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        begun = text.lstrip().startswith("{")
        what = "is cut or damaged: it ends or breaks within its JSON" if begun else "is no game of ALFWorld: not JSON"
        raise UsageError(f"{source} {what}; name a whole game.tw-pddl file") from None
    parts = ("pddl_domain", "grammar", "pddl_problem")
    if not isinstance(data, dict) or not all(isinstance(data.get(part), str) for part in parts):
        raise UsageError(f"{source} is no game of ALFWorld: it lacks {', '.join(parts)}; name a game.tw-pddl file")
    words = _check_rules(data["pddl_domain"], data["grammar"], source)
    found = _TASK.search(data["grammar"])
    if found is None:
        raise UsageError(f"{source} has no task: its grammar says UNKNOWN GOAL or nothing; name a finished game")
    facts, goal = _read_problem(data["pddl_problem"].lower(), source)
    walkthrough = data.get("walkthrough") or ()
    if not isinstance(walkthrough, list | tuple) or not all(isinstance(command, str) for command in walkthrough):
        raise UsageError(f"{source} has a walkthrough that is no list of commands; mend or remove it")
    return _put_together(facts, goal, name, found[1], tuple(walkthrough), words, source)


def _check_rules(domain: str, grammar: str, source: str) -> Words:
    """Returns how the game is worded.

    Raises:
        UsageError: Its rules or texts are others than those of the published games.
    """
    old = [before in grammar for before, _ in _OLD_WORDS]
    helps = "action help {" in grammar
    for before, after in _OLD_WORDS:
        grammar = grammar.replace(before, after)
    if any(old) and (not all(old) or helps):
        raise UsageError(f'{source} mixes the old "put X in/on Y" and the new "move X to Y" words; name one of either')
    if not any(old) and not helps:
        raise UsageError(f'{source} has the "move X to Y" words but no help command; name a published game')
    sentence = _TASK.search(grammar)
    grammar = grammar.replace(sentence[1], "TASK") if sentence else grammar
    for text, digest, what in (
        (domain, _DOMAIN_DIGEST, "PDDL domain"),
        (grammar, _GRAMMAR_DIGEST, "grammar"),
    ):
        if digest_of(text) != digest:
            raise UsageError(f"{source} has another {what} than ALFWorld's published games; play it with TextWorld")
    return "put" if any(old) else "move"


def digest_of(text: str) -> str:
    """A digest of a domain or a grammar that ignores spaces and the command "help"."""
    return hashlib.sha256(_HELP.sub("", " ".join(text.split())).replace(" ", "").encode()).hexdigest()[:16]


Facts = Mapping[str, Sequence[tuple[str, ...]]]
"""The arguments of each predicate's facts."""


def _read_problem(problem: str, source: str) -> tuple[Facts, Goal]:
    """The initial facts and the goal of a PDDL problem in small letters."""
    begins, ends = problem.find("(:init"), problem.find("(:goal")
    if not 0 <= begins < ends:
        raise UsageError(f"{source} is cut: its PDDL problem lacks (:init or (:goal; name a whole game.tw-pddl file")
    facts: dict[str, list[tuple[str, ...]]] = {predicate: [] for predicate in _ARGUMENTS}
    for match in _FACT.finditer(problem, begins + len("(:init"), ends):
        predicate, arguments = match[1], tuple(match[2].split())
        if _ARGUMENTS.get(predicate) != len(arguments):
            raise UsageError(
                f"{source} states {in_one_line(match[0])}, a fact that ALFWorld's games do not have; name one of those"
            )
        facts[predicate].append(arguments)
    wanted = " ".join(problem[ends:].split())
    for kind, form in _GOALS.items():
        if (match_ := form.match(wanted)) is None:
            continue
        types = match_.groups()
        if kind == "examine":
            return facts, Goal(kind, types[1], types[0])
        if len(set(types)) == 2:
            return facts, Goal(kind, types[0], types[1])
    raise UsageError(f"{source} has a goal of none of the six forms of ALFWorld's tasks; name a published game")


def _put_together(
    facts: Facts, goal: Goal, name: str, task: str, walkthrough: tuple[str, ...], words: Words, source: str
) -> Game:
    """The game of the facts."""
    names = names_of({argument for some in facts.values() for arguments in some for argument in arguments})
    location = {pair[0]: pair[1] for pair in facts["receptacleatlocation"]}
    if len(location) < len(facts["receptacleatlocation"]) or len(facts["atlocation"]) != 1:
        raise UsageError(f"{source} has a receptacle or an agent at two locations, or no agent; name a published game")
    if lost := {one for _, one in facts["inreceptacle"]} - set(location):
        raise UsageError(f"{source} puts something in {min(lost)}, which is nowhere; name a published game")
    types: dict[str, set[str]] = {}
    for thing, type_ in (*facts["receptacletype"], *facts["objecttype"]):
        types.setdefault(thing, set()).add(type_.removesuffix("type"))
    if any(len(some) > 1 for some in types.values()):
        raise UsageError(f"{source} gives something two types; name a published game")
    type_of = {thing: min(some) for thing, some in types.items()}
    openable = {one for (one,) in facts["openable"]}
    receptacles = tuple(
        Receptacle(names[one], type_of.get(one, ""), _number(names[location[one]]), one in openable)
        for one in sorted(location)
    )
    return Game(
        name=name,
        task=task,
        goal=goal,
        start=_number(names[facts["atlocation"][0][1]]),
        receptacles=receptacles,
        things=_things(facts, names, type_of),
        fits=_fits(facts, set(type_of.values())),
        walkthrough=walkthrough,
        words=words,
    )


def _things(facts: Facts, names: Mapping[str, str], type_of: Mapping[str, str]) -> tuple[Thing, ...]:
    """The objects, in the order of their ids."""
    inside, at = _by_first(facts["inreceptacle"]), _by_first(facts["objectatlocation"])
    holds = _by_first((outer, inner) for inner, outer in facts["inreceptacleobject"])
    cool = {one for (one,) in facts["iscool"]}
    able = {ability: {one for (one,) in facts[ability]} for ability in ABILITIES}
    ids = {one for one, _ in facts["objecttype"]}.union(inside, at, holds, cool, *holds.values(), *able.values())
    return tuple(
        Thing(
            names[one],
            type_of.get(one, ""),
            tuple(names[r] for r in sorted(inside.get(one, ()))),
            tuple(sorted(_number(names[place]) for place in at.get(one, ()))),
            frozenset(ability for ability in ABILITIES if one in able[ability]),
            one in cool,
            tuple(names[inner] for inner in sorted(holds.get(one, ()))),
        )
        for one in sorted(ids)
    )


def _by_first(pairs: Iterable[tuple[str, ...]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for first, second in pairs:
        found.setdefault(first, set()).add(second)
    return found


def _fits(facts: Facts, present: set[str]) -> dict[str, frozenset[str]]:
    """Which types of objects fit in which types of receptacles, of those that the game has."""
    fits = _by_first((r.removesuffix("type"), o.removesuffix("type")) for r, o in facts["cancontain"])
    return {type_: frozenset(types & present) for type_, types in fits.items() if type_ in present}


def names_of(ids: Iterable[str]) -> dict[str, str]:
    """The names under which texts tell ids: "bed_bar__plus_01_..." is "bed 1".

    Ids of one kind are numbered from the last in alphabetical order, which is 1. What lies in a basin is called so.
    """
    kinds = {one: _kind(one) for one in sorted(ids)}
    left = Counter(kinds.values())
    names = {}
    for one, kind in kinds.items():
        names[one] = f"{kind} {left[kind]}" if "_bar_" in one else f"{one} "
        left[kind] -= 1
    return names


def _kind(one: str) -> str:
    kind = one.split("_bar_", 1)[0]
    return f"{kind}basin" if "_bar_" in one and "basin" in one else kind


def _number(name: str) -> int:
    """The number at the end of a location's name, 0 where it has none."""
    digits = name.rpartition(" ")[2]
    return int(digits) if digits.isdigit() else 0
