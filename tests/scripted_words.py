"""Tasks in words and a decoder that do what a test scripts, and text agents made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

from wean.agents.text_agent import TextAgent
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.decoder import Generated
from wean.students.text.rules import DemonstratedPatterns
from wean.students.text.student import TextStudent

WAYS = {f"walk to {place}": place for place in ("kitchen", "hall", "shed")}
"""Sub-goals that lead to the places of `Rooms`."""


class Refusing:
    """Takes nothing; after `over_after` commands the episode is over."""

    description, score, refusal_is_free, idle = "Open the door.", 0.0, True, ("wait",)
    irrevocable: ClassVar[tuple[str, ...]] = ()
    refusals: ClassVar[tuple[str, ...]] = ("No known action matches that input",)
    meanings: ClassVar[dict[str, str]] = {}

    def __init__(self, choices: tuple[str, ...], over_after: int = 1000) -> None:
        self._choices, self._over_after = choices, over_after
        self.said: list[str] = []

    def look(self) -> str:
        return "a door"

    def inventory(self) -> str:
        return ""

    def situation(self) -> Any:
        return SimpleNamespace(choices=self._choices)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        assert len(self.said) < self._over_after, "the episode is over"
        self.said.append(action)
        return "No known action matches that input.", 0.0, False, len(self.said) == self._over_after, {"moves": 0}


class Still(Refusing):
    """Takes everything, and nothing changes."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        return "Nothing happens.", 0.0, False, False, {"moves": len(self.said)}


class Rooms(Refusing):
    """Three of them; the lamp is in the last."""

    description, refusal_is_free = "Take the lamp.", False
    seen: ClassVar[dict[str, str]] = {"kitchen": "a stove", "hall": "a bench", "shed": "a lamp"}

    def __init__(self) -> None:
        super().__init__(("go to kitchen", "go to hall", "go to shed", "take lamp", "open box"))
        self._at = "kitchen"

    def look(self) -> str:
        return f"{self._at}:\n{self.seen[self._at]}"

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        self._at = action.removeprefix("go to ") if action.startswith("go") else self._at
        return "Done.", 0.0, action == "take lamp", False, {"moves": len(self.said)}


class Taking(Rooms):
    """Takes what is admissible, and answers all else that it knows no such action."""

    def __init__(self, refusal_is_free: bool) -> None:
        super().__init__()
        self.refusal_is_free = refusal_is_free  # type: ignore[misc]

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action in self._choices:
            return super().step(action)
        return "No known action matches that input.", 0.0, False, False, {"moves": len(self.said)}


class Box(Rooms):
    """The lamp is in a box."""

    def look(self) -> str:
        return f"{super().look()}{' with a lamp' if 'open box' in self.said else ''}"


class Spoiling(Refusing):
    """Has actions that spoil it."""

    irrevocable = ("focus on ",)

    def __init__(self, choices: tuple[str, ...], over_after: int = 1000, score: float = 0.0) -> None:
        super().__init__(choices, over_after)
        self.score = score  # type: ignore[misc]


class Asking(Refusing):
    """Asks which lamp is meant, and waits for a number."""

    refusal_is_free = False

    def __init__(self) -> None:
        super().__init__(("take lamp",))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        self._choices = ("0", "1")
        self.meanings = {"0": "take the lamp", "1": "take the other lamp"}  # type: ignore[misc]
        text = "Ambiguous request: Please enter the number:\n0:\ttake the lamp\n1:\ttake the other lamp"
        return text, 0.0, False, False, {"moves": len(self.said)}


class Sayings:
    """Generates the given texts in a circle, but for those not accepted, and ranks one of what there is first.

    Args:
        said: The texts.
        sure: Probability of the end of each text, which is all that is unsure.
        first: Number of the answer that is ranked first.
        done: Whether a sub-goal is said to be over after each action.
    """

    def __init__(self, *said: str, sure: float = 1.0, first: int = 0, done: bool = True) -> None:
        self._said, self._at, self._sure, self._first, self._done = said, 0, sure, first, done
        self.tokens_read = 0

    def logs(self) -> tuple[float, ...]:
        return *[0.0] * 40, math.log(self._sure)

    def generate(
        self, prompt: Sequence[int], allows: object = None, accepts: Callable[[str], bool] | None = None
    ) -> Generated:
        while True:
            self._at += 1
            said = self._said[(self._at - 1) % len(self._said)]
            if not accepts or accepts(said):
                return Generated(said, self.logs())

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        return self._first

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        return self._done


@cache
def _tokenizer() -> Any:
    return train_tokenizer(["open door", "go north", "wait"], 320)


def student(subgoals: bool = True, **patterns: Any) -> TextStudent:
    """An untrained student, with patterns of its demonstrations."""
    prompt = PromptConfig(subgoals=subgoals, context=512)
    return new_student(_tokenizer(), Size(16, 1, 2), prompt, seed=1, patterns=DemonstratedPatterns(**patterns))


def agent(decoder: Sayings | None = None, subgoals: bool = True, **patterns: Any) -> TextAgent:
    """An agent of such a student, which decodes as scripted."""
    return TextAgent(student(subgoals, **patterns), decoder=decoder)


def goals_in(trace: Sequence[dict[str, Any]]) -> list[str]:
    """The sub-goals in a trace."""
    return [entry["goal"] for entry in trace if "goal" in entry]
