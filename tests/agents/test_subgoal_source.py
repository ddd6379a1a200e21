"""Sub-goals that somebody else gives: one after the other, or drawn."""

from collections import Counter

from wean.agents.subgoal_source import drawing, given

POOL = ("find(lamp)", "find(tin cup)", "pick_up(lamp)", "go_to(hall)")


def never() -> str:
    raise AssertionError("the student was asked")


def test_given_sub_goals_end_and_the_student_goes_on() -> None:
    planner = given(POOL[:2])
    assert [planner(number, never) for number in range(3)] == ["find(lamp)", "find(tin cup)", None]


def test_every_sub_goal_is_drawn_alike_and_again_with_the_same_seed() -> None:
    drawn = [drawing(POOL, "random", 3)(number, never) for number in range(2)]
    assert drawn == [drawing(POOL, "random", 3)(number, never) for number in range(2)]
    planner = drawing(POOL, "random", 3)
    counts = Counter(planner(number, never) for number in range(4000))
    assert set(counts) == set(POOL)
    assert all(850 < count < 1150 for count in counts.values())


def test_the_first_sub_goal_alone_is_drawn() -> None:
    planner = drawing(POOL, "random-first", 3)
    assert planner(0, never) in POOL
    assert [planner(number, never) for number in (1, 2)] == [None, None]


def test_of_a_sub_goal_what_it_is_about_is_drawn() -> None:
    planner = drawing(POOL, "random-things", 3)
    assert {planner(number, lambda: "find red box") for number in range(40)} == {"find(lamp)", "find(tin cup)"}
    assert planner(0, lambda: "pick up key") == "pick_up(lamp)"
    assert planner(0, lambda: "dance") == "dance"  # none is alike
