"""Tasks in words and a decoder that do what a test scripts, and readers made of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

from wean.agents.reading import ReaderPolicy, reader_of
from wean.runtime.prompt import PromptConfig
from wean.runtime.reading import Planner, Reader
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.student import TextStudent
from wean.tasks.splits import Case


class Refusing:
    """Takes nothing; after `over_after` commands the episode is over."""

    description, score, idle = "Open the door.", 0.0, ("wait",)
    irrevocable: ClassVar[tuple[str, ...]] = ()
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

    description = "Take the lamp."
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


class Asking(Refusing):
    """Asks which lamp is meant, and waits for a number."""

    def __init__(self) -> None:
        super().__init__(("take lamp",))

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        self._choices = ("0", "1")
        self.meanings = {"0": "take the lamp", "1": "take the other lamp"}  # type: ignore[misc]
        text = "Ambiguous request: Please enter the number:\n0:\ttake the lamp\n1:\ttake the other lamp"
        return text, 0.0, False, False, {"moves": len(self.said)}


class Sayings:
    """Generates the given texts in a circle, and ranks one of what there is first.

    Args:
        said: The texts.
        first: Number of the answer that is ranked first.
        done: Whether a sub-goal is said to be over after each action.
    """

    def __init__(self, *said: str, first: int = 0, done: bool = True) -> None:
        self._said, self._at, self._first, self._done = said, 0, first, done
        self.tokens_read = 0

    def another(self) -> Sayings:
        return Sayings(*self._said, first=self._first, done=self._done)

    def generate(self, prompt: Sequence[int], end: int) -> list[int]:
        self._at += 1
        return list(tokenizer().encode(self._said[(self._at - 1) % len(self._said)], add_special_tokens=False).ids)

    def rank(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> int:
        return self._first

    def prefers(self, prompt: Sequence[int], first: int, second: int) -> bool:
        return self._done


@cache
def tokenizer() -> Any:
    return train_tokenizer(["open door", "go north", "wait"], 320)


def student(subgoals: bool = True) -> TextStudent:
    """An untrained student."""
    return new_student(tokenizer(), Size(16, 1, 2), PromptConfig(subgoals=subgoals, context=512), seed=1)


def reader(decoder: Sayings, subgoals: bool = True) -> Reader:
    """A reader that decodes as scripted."""
    return Reader(decoder, tokenizer(), PromptConfig(subgoals=subgoals, context=512))


def played(reader: Reader, task: Any, max_moves: int, planner: Planner | None = None) -> dict[str, Any]:
    """The statistics of an episode that a reader plays: what the report gets of it."""
    policy = ReaderPolicy(reader, lambda case: planner)
    tasks: Any = SimpleNamespace(text_task=lambda number: task)
    policy.begin([Case("scripted", 0, 0)])
    moves, ended = 0, False
    while not ended and moves < max_moves:
        (action,) = policy.decide(tasks, [0], None, None)  # type: ignore[arg-type]
        if action is None:
            break
        observation, _, terminated, truncated, info = task.step(action)
        ended, moves = terminated or truncated, int(info["moves"])
        steps: Any = SimpleNamespace(feedback=lambda place, said=observation: said, infos=[info])
        policy.observe(tasks, [0], steps)
    (stats,) = policy.episode_stats()
    return stats


def played_by(student: TextStudent, task: Any, max_moves: int, planner: Planner | None = None) -> dict[str, Any]:
    """The same of a student."""
    return played(reader_of(student), task, max_moves, planner)


def actions_in(trace: Sequence[dict[str, Any]]) -> list[str]:
    """The actions in a trace."""
    return [entry["action"] for entry in trace if "action" in entry]


def goals_in(trace: Sequence[dict[str, Any]]) -> list[str]:
    """The sub-goals in a trace."""
    return [entry["goal"] for entry in trace if "goal" in entry]
