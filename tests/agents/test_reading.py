"""What a reader leaves to its student, and the one rule that it has."""

from typing import Any

import pytest

from scripted_words import Asking, Refusing, Rooms, Sayings, Still, actions_in, goals_in, played, reader
from wean.agents.subgoal_source import given
from wean.runtime.reading import GOAL_LIMIT


def test_the_students_first_choice_among_the_admissible_actions_is_taken() -> None:
    task = Rooms()
    stats = played(reader(Sayings(first=3), subgoals=False), task, 1)
    assert task.said == ["take lamp"]
    assert actions_in(stats["trace"]) == ["take lamp"]


def test_an_action_that_changed_nothing_twice_is_not_taken_there_again() -> None:
    task = Still(("open door", "go north", "wait"))
    played(reader(Sayings(), subgoals=False), task, 7)
    assert task.said == ["open door"] * 2 + ["go north"] * 2 + ["wait"] * 3


def test_an_action_whose_answer_differs_each_time_may_be_repeated() -> None:
    class Thermometer(Still):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            self.said.append(action)
            return f"It measures {len(self.said)} degrees.", 0.0, False, False, {"moves": len(self.said)}

    task = Thermometer(("use thermometer", "go north"))
    played(reader(Sayings(), subgoals=False), task, 6)
    assert task.said == ["use thermometer"] * 6


def test_walking_to_and_fro_ends() -> None:
    class Doors(Rooms):
        def situation(self) -> Any:
            found = super().situation()
            found.choices = tuple(choice for choice in self._choices if choice != f"go to {self._at}")
            return found

    task = Doors()
    played(reader(Sayings(), subgoals=False), task, 6)
    assert task.said[:4] == ["go to hall", "go to kitchen"] * 2
    assert task.said[4] == "go to shed"


def test_a_sub_goal_is_over_when_the_student_says_so_or_after_the_limit() -> None:
    stats = played(reader(Sayings("walk to hall", "get lamp")), Still(("wait",)), 2)
    assert goals_in(stats["trace"]) == ["walk to hall", "get lamp"]
    stats = played(reader(Sayings("walk to hall", "get lamp", done=False)), Still(("wait",)), GOAL_LIMIT + 1)
    assert goals_in(stats["trace"]) == ["walk to hall", "get lamp"]
    assert [entry.get("goal") for entry in stats["trace"]].index("get lamp") == GOAL_LIMIT + 1


def test_a_question_is_answered_before_a_sub_goal_is_over() -> None:
    task = Asking()
    stats = played(reader(Sayings("get lamp", "hold lamp", first=0)), task, 2)
    assert task.said == ["take lamp", "0"]
    assert goals_in(stats["trace"]) == ["get lamp"]


def test_without_a_list_the_student_writes_its_action() -> None:
    task = Still(())
    played(reader(Sayings("open door", "go north"), subgoals=False), task, 2)
    assert task.said == ["open door", "go north"]


def test_sub_goals_may_be_given() -> None:
    stats = played(reader(Sayings("of its own")), Still(("wait",)), 2, given(["walk to hall"]))
    assert goals_in(stats["trace"]) == ["walk to hall", "of its own"]


@pytest.mark.parametrize("choices", [("open door",), ()])
def test_an_episode_that_costs_no_move_is_given_up(choices: tuple[str, ...]) -> None:
    stats = played(reader(Sayings(*(f"jump {n} times" for n in range(50))), subgoals=False), Refusing(choices), 10)
    assert len(stats["trace"]) == 40
    assert stats["trace"][-1]["moves"] == 0
