"""What a text student's agent does with texts that are not taken, with loops, and with questions of the task."""

import pytest

from scripted_words import Asking, Refusing, Rooms, Sayings, Still, agent, goals_in
from wean.agents.text_agent import take


def test_what_is_refused_although_it_is_admissible_is_not_tried_again() -> None:
    task = Refusing(("open door", "go north", "wait"))
    agent(subgoals=False).play(task, 10)
    assert task.said[1] in ("open door", "go north")
    assert {"open door", "go north"} <= set(task.said[1:4])
    tried = [said for said in task.said if said in ("open door", "go north", "wait")]
    assert sorted(tried[:2]) == ["go north", "open door"]
    assert tried[2:] == ["wait"]


def test_nothing_is_tried_in_place_of_a_text_with_which_the_episode_ended() -> None:
    task = Refusing(("open door", "go north"), over_after=1)
    agent(subgoals=False).play(task, 10)
    assert len(task.said) == 1


def test_an_episode_that_costs_no_move_is_given_up() -> None:
    task = Refusing(("open door",))
    played = agent(Sayings("jump"), subgoals=False).play(task, 10)
    assert (played.moves, played.actions) == (0, 40)


@pytest.mark.parametrize(
    ("said", "done"),
    [
        (("open door",), ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("wait",), ["wait"] * 4 + ["open door"] * 2 + ["go north"] * 2 + ["wait"]),
        (("open door", "go north"), ["open door", "go north"] * 2 + ["wait"]),
    ],
)
def test_what_changes_nothing_is_not_done_more_often_than_demonstrations_do_it(
    said: tuple[str, ...], done: list[str]
) -> None:
    task = Still(("open door", "go north", "wait"))
    agent(Sayings(*said), subgoals=False, repeats={"wait": 4}).play(task, len(done))
    assert task.said == done


def test_a_sub_goal_in_which_nothing_changed_is_not_named_again() -> None:
    decoder = Sayings("open it", "open door", "open it", "leave it", "go north")
    played = agent(decoder).play(Still(("open door", "go north", "wait")), 2)
    assert goals_in(played.trace) == ["open it", "leave it"]


def test_after_a_loop_a_sub_goal_is_named_in_any_case() -> None:
    decoder = Sayings("open it", *["open door"] * 3, "leave it", "go north", sure=0.1, done=False)
    played = agent(decoder, optional_subgoals=True).play(Still(("open door", "go north", "wait")), 3)
    assert goals_in(played.trace) == ["", "leave it"]


def test_a_question_is_answered_before_a_sub_goal_is_over() -> None:
    task = Asking()
    played = agent(Sayings("get lamp", "take lamp", "take lamp")).play(task, 2)
    assert task.said == ["take lamp", "0"]
    assert goals_in(played.trace) == ["get lamp"]


def test_an_episode_can_be_played_step_by_step() -> None:
    said = ("walk to hall", "go to hall", "walk to shed", "go to shed", "get lamp", "take lamp")
    whole = agent(Sayings(*said)).play(Rooms(), 9)
    task, ended, stepping = Rooms(), False, agent(Sayings(*said))
    stepping.begin(task)
    while not ended and not stepping.given_up:
        observation, ended, info = take(task, stepping.next_action())
        stepping.observe(observation, info, ended)
    assert task.said == ["go to hall", "go to shed", "take lamp"]
    assert stepping.played.trace == whole.trace
    assert stepping.played.actions == whole.actions == 3
