"""What an agent's rules make of what demonstrations have in common."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from scripted_words import WAYS, Box, Refusing, Rooms, Sayings, Spoiling, Still, Taking, agent, goals_in, student
from wean.students.text.decoder import Generated

# --- sub-goals -------------------------------------------------------------------------------------------------------


def goals_of(*said: str, **patterns: Any) -> list[str]:
    return goals_in(agent(Sayings(*said), destinations=WAYS, **patterns).play(Rooms(), 3).trace)


def test_where_a_sub_goal_is_about_what_nothing_has_shown_places_are_looked_into_that_were_not() -> None:
    said = ("get lamp", "go to hall", "get lamp", "go to shed", "get lamp", "take lamp")
    assert goals_of(*said) == ["walk to hall", "walk to shed", "get lamp"]
    assert goals_of(*said, unprompted=("lamp",)) == ["get lamp"] * 3
    said = ("get lamp", "go to hall", "go to shed", "get lamp", "take lamp")
    assert goals_of(*said, search_verbs=("get",)) == ["get lamp", "walk to shed", "get lamp"]  # not in the hall


def test_what_nothing_has_shown_is_looked_for_in_each_place_and_not_found_before_it_is() -> None:
    """After each action the student says that its sub-goal is done; what was tried is not tried again."""
    said = ("get lamp", "open box", "open box", "go to hall", "go to shed", "get lamp", "take lamp")
    task = Rooms()
    played = agent(Sayings(*said, first=-1), destinations=WAYS, search_verbs=("find",)).play(task, 6)
    assert goals_in(played.trace) == ["find lamp", "find lamp", "get lamp"]
    assert task.said == ["open box", "go to hall", "go to shed", "take lamp"]


def test_a_search_is_over_when_its_thing_is_shown_whatever_the_student_says() -> None:
    decoder = Sayings("find lamp", "open box", "get lamp", "take lamp", done=False)
    played = agent(decoder, search_verbs=("find",)).play(Box(), 6)
    assert goals_in(played.trace) == ["find lamp", "get lamp"]


def test_a_search_is_over_where_the_student_would_do_what_is_no_search() -> None:
    """It never says that the search is done; demonstrations only open things to find others."""
    said = ("find lamp", "open box", "go to kitchen", "go to shed", "go to shed", "get lamp", "take lamp")
    task = Rooms()
    rules: dict[str, Any] = {"destinations": WAYS, "search_verbs": ("find",), "search_actions": ("open",)}
    played = agent(Sayings(*said, first=1, done=False), **rules).play(task, 6)
    assert goals_in(played.trace) == ["find lamp", "walk to shed", "get lamp"]
    assert task.said == ["open box", "go to shed", "take lamp"]


@pytest.mark.parametrize(("pursues", "named"), [(True, "get lamp"), (False, "walk to kitchen")])
def test_the_next_sub_goal_is_about_what_was_looked_for_and_found(pursues: bool, named: str) -> None:
    """However unsure it is: whoever looked for something and stands before it does not leave."""
    ways = {f"walk to {place}": place for place in ("kitchen", "shed")}
    decoder = Sayings("find lamp", "go to shed", "walk to kitchen", "get lamp", "take lamp", sure=0.1)
    rules: dict[str, Any] = {"destinations": ways, "search_verbs": ("find",), "optional_subgoals": True}
    played = agent(decoder, pursues_finds=pursues, **rules).play(Rooms(), 2)
    assert goals_in(played.trace)[:2] == ["find lamp", named]


@pytest.mark.parametrize(("onward", "named"), [(True, "walk to shed"), (False, "walk to kitchen")])
def test_no_way_leads_back_before_anything_else_was_done(onward: bool, named: str) -> None:
    said = ("walk to hall", "go to hall", "walk to kitchen", "walk to shed", "go to kitchen", "go to shed")
    played = agent(Sayings(*said), destinations=WAYS, never_returns=onward).play(Rooms(), 2)
    assert goals_in(played.trace)[:2] == ["walk to hall", named]


def test_a_search_that_leads_to_what_is_no_action_is_over_and_another_place_is_looked_into() -> None:
    decoder = Sayings("find lamp", "open lamp", "go to shed", "take lamp")
    task = Taking(True)
    rules: dict[str, Any] = {"search_verbs": ("find",), "optional_subgoals": True}
    played = agent(decoder, destinations={"walk to shed": "shed"}, **rules).play(task, 1)
    assert goals_in(played.trace)[:2] == ["find lamp", "walk to shed"]
    assert task.said == ["go to shed"]


@pytest.mark.parametrize(("said", "done"), [(("fly",), "go to hall"), (("go to kitchen", "go to shed"), "go to shed")])
def test_neither_sub_goals_nor_actions_lead_where_the_student_is(said: tuple[str, ...], done: str) -> None:
    task = Rooms()
    played = agent(Sayings("walk to kitchen", "walk to hall", *said), destinations=WAYS).play(task, 1)
    assert played.trace[0] == {"goal": "walk to hall"}
    assert task.said == [done]


def test_a_sub_goal_is_over_where_it_led_to() -> None:
    decoder = Sayings("walk to hall", "go to shed", "go to hall", "take lamp", "go to shed", done=False)
    played = agent(decoder, destinations={"walk to hall": "hall"}, unprompted=("lamp",)).play(Rooms(), 3)
    assert [entry.get("goal", entry.get("action")) for entry in played.trace] == [
        "walk to hall",
        "go to shed",
        "go to hall",
        "take lamp",
        "go to shed",
    ]


@pytest.mark.parametrize(("once", "named"), [(True, "tie red rope to hook"), (False, "tie red rope to red rope")])
def test_a_sub_goal_names_no_thing_twice_if_those_of_demonstrations_do_not(once: bool, named: str) -> None:
    decoder = Sayings("tie red rope to red rope", "tie red rope to hook to hook", "tie red rope to hook", "wait")
    played = agent(decoder, names_once=once).play(Still(("wait",)), 1)
    assert played.trace[0] == {"goal": named}


@pytest.mark.parametrize(("visible", "named"), [(("take",), "take lamp"), ((), "take stove lamp")])
def test_a_sub_goal_names_what_is_in_sight_if_those_of_demonstrations_do(visible: tuple[str, ...], named: str) -> None:
    """Stove and lamp were both shown, and there is no stove lamp."""
    decoder = Sayings("see", "go to shed", "take stove lamp", "take lamp", "take lamp")
    played = agent(decoder, unprompted=("see",), visible_verbs=visible).play(Rooms(), 2)
    assert goals_in(played.trace) == ["see", named]


@pytest.mark.parametrize(("brings", "named"), [((), "get lamp"), (("get",), "see")])
def test_no_sub_goal_brings_what_is_carried_already(brings: tuple[str, ...], named: str) -> None:
    class Carrying(Rooms):
        def inventory(self) -> str:
            return "a lamp"

    played = agent(Sayings("get lamp", "see", "go to hall"), bringing_verbs=brings).play(Carrying(), 1)
    assert goals_in(played.trace)[0] == named


def unnamed(sure: float, task: Refusing, *said: str, **patterns: Any) -> list[str]:
    played = agent(Sayings(*said, sure=sure), optional_subgoals=True, **patterns).play(task, 2)
    return [entry.get("goal", entry.get("action", "loop")) for entry in played.trace]


def test_a_student_that_is_not_sure_of_a_sub_goal_acts_without_unless_it_leads_somewhere() -> None:
    choices = ("open door", "go north", "wait")
    assert unnamed(0.6, Still(choices), "open it", "open door")[:2] == ["open it", "open door"]
    assert unnamed(0.4, Still(choices), "open it", "open door")[:2] == ["", "open door"]
    assert unnamed(0.4, Still(choices), "see it", "wait", search_verbs=("see",))[:2] == ["see it", "wait"]
    ways = {"walk north": "hall"}
    found = unnamed(0.4, Still(choices), "walk north", "go north", destinations=ways)
    assert found[:2] == ["walk north", "go north"]


@pytest.mark.parametrize("free", [True, False])
def test_a_sub_goal_that_leads_to_what_is_no_action_is_given_up(free: bool) -> None:
    said = ("lift lamp", "lift red lamp", "go to shed", "take lamp", "take lamp")
    assert unnamed(0.9, Taking(free), *said, unprompted=("lamp",))[:3] == ["lift lamp", "", "go to shed"]
    played = agent(Sayings(*said), unprompted=("lamp",)).play(Taking(free), 1)
    assert played.trace[1]["action"] == "go to hall"  # an admissible one in its place


# --- actions ---------------------------------------------------------------------------------------------------------


def test_what_only_lets_time_pass_comes_last() -> None:
    task = Refusing(("wait",))
    agent(subgoals=False).play(task, 10)
    assert task.said[1] == "wait"


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ("focus on frog egg", "focus on egg frog"),
        ("focus on young frog in hall", "focus on frog"),
        ("focus on hall frog spawn", "wait"),
    ],
)
def test_what_spoils_the_task_is_done_only_where_it_is_what_was_meant(said: str, done: str) -> None:
    task = Spoiling(("wait", "focus on egg frog", "focus on frog", "focus on hall"))
    agent(Sayings(said), subgoals=False).play(task, 1)
    assert task.said[1] == done


@pytest.mark.parametrize(
    ("sure", "score", "done"),
    [(0.7, 60.0, "focus on frog"), (0.7, 80.0, "wait"), (0.1, 0.0, "focus on frog"), (0.1, -100.0, "focus on frog")],
)
def test_what_may_spoil_the_task_is_done_only_if_it_is_as_probable_as_the_score_is_great(
    sure: float, score: float, done: str
) -> None:
    task = Spoiling(("wait", "focus on frog"), over_after=1, score=score)
    agent(Sayings("focus on frog", sure=sure), subgoals=False).play(task, 1)
    assert task.said == [done]


def test_a_sub_goal_that_the_student_is_not_sure_of_makes_its_actions_less_sure() -> None:
    task = Spoiling(("wait", "focus on frog"), over_after=1, score=50.0)
    agent(Sayings("focus on frog", sure=0.7)).play(task, 1)
    assert task.said == ["wait"]  # 0.7 for the sub-goal, 0.7 for the action


def test_what_cannot_spoil_the_task_needs_no_sure_sub_goal() -> None:
    """The sub-goal is as unsure as the focus it names; looking around under it costs nothing."""
    act = student().mark["<act>"]

    class Looking(Sayings):
        def generate(self, prompt: Sequence[int], allows: object = None, accepts: object = None) -> Generated:
            return Generated("look" if prompt[-1] == act else "focus on frog", self.logs())

    task = Spoiling(("wait", "turn", "look", "focus on frog"), over_after=1, score=50.0)
    agent(Looking(sure=0.1)).play(task, 1)
    assert task.said == ["look"]


@pytest.mark.parametrize(("thing", "done"), [(0.7, "focus on frog"), (0.5, "wait")])
def test_whether_it_is_time_for_what_may_spoil_the_task_is_not_asked(thing: float, done: str) -> None:
    begin = student().encode("focus on")

    class Weighing(Sayings):
        def logs(self) -> tuple[float, ...]:
            return *[-9.0] * len(begin), math.log(thing)  # "focus on" itself is most improbable

    task = Spoiling(("wait", "focus on frog"), over_after=1, score=60.0)
    agent(Weighing("focus on frog"), subgoals=False).play(task, 1)
    assert task.said == [done]


@pytest.mark.parametrize(
    ("goal", "done"),
    [("focus on door", "focus on frog"), ("focus on tin", "wait"), ("focus on object", "focus on frog")],
)
def test_what_may_spoil_the_task_is_done_only_where_what_the_sub_goal_names_is_in_sight(goal: str, done: str) -> None:
    """A door is all that there is; demonstrations say "object" of what is called otherwise."""
    task = Spoiling(("wait", "focus on frog"), over_after=1)
    agent(Sayings(goal, "focus on frog"), unprompted=("object",)).play(task, 1)
    assert task.said == [done]
