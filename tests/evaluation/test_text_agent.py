"""What a text student's agent does with texts that are not taken."""

from types import SimpleNamespace
from typing import Any

import pytest

from wean.evaluation.text_agent import TextAgent
from wean.students.text import Habits, Size, new_student
from wean.students.tokens import train_tokenizer


class Refusing:
    """Takes nothing; `over_after` that many commands the episode is over."""

    description, score, refusal_is_free, idle = "Open the door.", 0.0, True, ("wait",)

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


@pytest.fixture
def agent() -> TextAgent:
    tokenizer = train_tokenizer(["open door", "go north", "wait"], 320)
    return TextAgent(new_student(tokenizer, Size(16, 1, 2), Habits(subgoals=False, context=512), seed=0))


def test_what_is_refused_although_it_is_admissible_is_not_tried_again(agent: TextAgent) -> None:
    task = Refusing(("open door", "go north", "wait"))
    agent.play(task, 10)
    assert task.said[1] in ("open door", "go north")
    assert {"open door", "go north"} <= set(task.said[1:4])


def test_what_only_lets_time_pass_comes_last(agent: TextAgent) -> None:
    task = Refusing(("wait",))
    agent.play(task, 10)
    assert task.said[1] == "wait"


def test_nothing_is_tried_in_place_of_a_text_with_which_the_episode_ended(agent: TextAgent) -> None:
    task = Refusing(("open door", "go north"), over_after=1)
    agent.play(task, 10)
    assert len(task.said) == 1


class Still(Refusing):
    """Takes everything, and nothing changes."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.said.append(action)
        return "Nothing happens.", 0.0, False, False, {"moves": len(self.said)}


class Sayings:
    """Says the given texts in a circle, and chooses the first of what there is."""

    def __init__(self, *said: str) -> None:
        self._said, self._at, self.tokens_read = said, 0, 0

    def say(self, ids: list[int], may: object) -> str:
        self._at += 1
        return self._said[(self._at - 1) % len(self._said)]

    def choose(self, ids: list[int], answers: list[list[int]]) -> int:
        return 0


@pytest.mark.parametrize(
    ("said", "done"),
    [
        (("open door",), ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("wait",), ["wait"] * 4 + ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("open door", "go north"), ["open door", "go north"] * 3 + ["wait"]),
    ],
)
def test_what_changes_nothing_is_not_done_more_often_than_demonstrations_do_it(
    agent: TextAgent, said: tuple[str, ...], done: list[str]
) -> None:
    agent._habits = Habits(subgoals=False, context=512, repeats={"wait": 4})
    agent._reader = Sayings(*said)  # type: ignore[assignment]
    task = Still(("open door", "go north", "wait"))
    agent.play(task, len(done))
    assert task.said == done
