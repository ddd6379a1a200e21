"""What a reading agent leaves to its student, and the one rule that it has."""

from typing import Any

import pytest

from scripted_words import Asking, Refusing, Rooms, Sayings, Still, goals_in, student
from wean.agents.reading_agent import GOAL_LIMIT, ReadingAgent
from wean.agents.text_agent import given


def reader(decoder: Sayings, subgoals: bool = True, **how: Any) -> ReadingAgent:
    return ReadingAgent(student(subgoals), decoder=decoder, **how)  # type: ignore[arg-type]


def test_the_students_first_choice_among_the_admissible_actions_is_taken() -> None:
    task = Rooms()
    played = reader(Sayings(first=3), subgoals=False).play(task, 1)
    assert task.said == ["take lamp"]
    assert (played.actions, played.moves) == (1, 1)


def test_an_action_that_changed_nothing_twice_is_not_taken_there_again() -> None:
    task = Still(("open door", "go north", "wait"))
    reader(Sayings(), subgoals=False).play(task, 7)
    assert task.said == ["open door"] * 2 + ["go north"] * 2 + ["wait"] * 3


def test_an_action_whose_answer_differs_each_time_may_be_repeated() -> None:
    class Thermometer(Still):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            self.said.append(action)
            return f"It measures {len(self.said)} degrees.", 0.0, False, False, {"moves": len(self.said)}

    task = Thermometer(("use thermometer", "go north"))
    reader(Sayings(), subgoals=False).play(task, 6)
    assert task.said == ["use thermometer"] * 6


def test_walking_to_and_fro_ends() -> None:
    class Doors(Rooms):
        def situation(self) -> Any:
            found = super().situation()
            found.choices = tuple(choice for choice in self._choices if choice != f"go to {self._at}")
            return found

    task = Doors()
    reader(Sayings(), subgoals=False).play(task, 6)
    assert task.said[:4] == ["go to hall", "go to kitchen"] * 2
    assert task.said[4] == "go to shed"


def test_a_sub_goal_is_over_when_the_student_says_so_or_after_the_limit() -> None:
    played = reader(Sayings("walk to hall", "get lamp")).play(Still(("wait",)), 2)
    assert goals_in(played.trace) == ["walk to hall", "get lamp"]
    played = reader(Sayings("walk to hall", "get lamp", done=False)).play(Still(("wait",)), GOAL_LIMIT + 1)
    assert goals_in(played.trace) == ["walk to hall", "get lamp"]
    assert [entry.get("goal") for entry in played.trace].index("get lamp") == GOAL_LIMIT + 1


def test_a_question_is_answered_before_a_sub_goal_is_over() -> None:
    task = Asking()
    played = reader(Sayings("get lamp", "hold lamp", first=0)).play(task, 2)
    assert task.said == ["take lamp", "0"]
    assert goals_in(played.trace) == ["get lamp"]


def test_without_a_list_the_student_writes_its_action() -> None:
    task = Still(())
    reader(Sayings("open door", "go north"), subgoals=False).play(task, 2)
    assert task.said == ["open door", "go north"]


def test_sub_goals_may_be_given() -> None:
    agent = ReadingAgent(student(), given(["walk to hall"]), Sayings("of its own"))  # type: ignore[arg-type]
    played = agent.play(Still(("wait",)), 2)
    assert goals_in(played.trace) == ["walk to hall", "of its own"]


@pytest.mark.parametrize("choices", [("open door",), ()])
def test_an_episode_that_costs_no_move_is_given_up(choices: tuple[str, ...]) -> None:
    played = reader(Sayings(*(f"jump {n} times" for n in range(50))), subgoals=False).play(Refusing(choices), 10)
    assert (played.moves, played.actions) == (0, 40)
