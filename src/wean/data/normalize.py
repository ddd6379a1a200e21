"""Normal form of texts, sub-goals, places and demonstrations, shared by data augmentation and prompts."""

from __future__ import annotations

import re
from functools import lru_cache

from wean.data.annotations import Annotation
from wean.data.trajectories import Trajectory

_ARTICLE = re.compile(r"\b(?:[Tt]he|an?) +")
_PUNCTUATION = re.compile(r"\s*([^\w\s])\s*")
_CALL = re.compile(r"([a-z][a-z0-9_]*)\((.*)\)")
_ABBREVIATIONS = (
    (re.compile(r"This room is called the (.+?)\. In it, you see:"), r"\1:"),
    (re.compile(r"(?:This outside location is called the|You are in) (.+?)\. Here you see:"), r"\1:"),
    (re.compile(r"In your inventory, you see:"), ""),
    (re.compile(r" \((?:that is open|containing nothing)\)"), ""),
)
_IN_EVERY_PLACE = frozenset({"agent", "substance called air"})
_ALREADY_SO = re.compile(r"The .+ is already \w+\.")


@lru_cache(maxsize=1 << 16)  # the same observations come again and again
def normalize(text: str) -> str:
    """A text in lower case, without articles, with a space around every punctuation mark.

    A name is then the same tokens wherever it stands, and the words before it are more often the same: a student finds
    "red" after "focus on" in the task's description when it has generated "focus on" itself.
    """
    return " ".join(_PUNCTUATION.sub(r" \1 ", _ARTICLE.sub("", text)).lower().split())


def render_subgoal(subgoal: str) -> str:
    """A sub-goal in the words of actions: `pick_up(metal pot)` is "pick up metal pot"."""
    call = _CALL.fullmatch(subgoal.strip())
    if call is None:
        return normalize(subgoal)
    arguments = " to ".join(argument.strip() for argument in call[2].split(","))
    return normalize(f"{call[1].replace('_', ' ')} {arguments}")


def short_lines(text: str) -> list[str]:
    """The normalized lines of an observation, without set phrases and what every place has."""
    for pattern, short in _ABBREVIATIONS:
        text = pattern.sub(short, text)
    lines = map(normalize, text.splitlines())
    return [line for line in lines if line and line not in _IN_EVERY_PLACE]


@lru_cache(maxsize=256)  # called for each candidate action
def place_of(look: str) -> str:
    """The name of the place with this description: its first line; only the lines up to it are normalized."""
    return next((lines[0].rstrip(" :") for line in look.splitlines() if (lines := short_lines(line))), "")


def is_idle(action: str, observation: str) -> bool:
    """Whether an action only showed what every prompt shows anyway, or found its effect in place already.

    Such an action need not be learnt and may cost a move: the oracle opens every door that is open already.
    """
    return action == "look around" or _ALREADY_SO.fullmatch(observation.strip()) is not None


def kept_steps(trajectory: Trajectory, annotation: Annotation | None, max_actions: int) -> list[tuple[int, str | None]]:
    """The actions (at most `max_actions`) that are learnt: each one's number, and the sub-goal that begins with it.

    Idle actions (`is_idle`) are left out; so is a sub-goal that consists of nothing else.
    """
    path = trajectory.path
    kept = [number for number, step in enumerate(path) if not is_idle(step.action, step.observation)][:max_actions]
    if annotation is None:
        return [(number, None) for number in kept]
    steps: list[tuple[int, str | None]] = []
    current = -1
    for number in kept:
        chunk = annotation.chunk_of[number]
        steps.append((number, str(annotation.chunks[chunk].subgoal) if chunk != current else None))
        current = chunk
    return steps
