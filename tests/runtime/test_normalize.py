"""Texts and sub-goals in normal form."""

import pytest

from wean.runtime.normalize import normalize, render_subgoal


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("The 'Red box' (closed), at -10.5 degrees.", "' red box ' ( closed ) , at - 10 . 5 degrees ."),
        ("The apple and a pear\tof the theatre", "apple and pear of theatre"),
    ],
)
def test_everything_is_told_in_the_same_words(told: str, words: str) -> None:
    assert normalize(told) == words
    assert normalize(words) == words


def test_a_sub_goal_is_told_in_the_words_of_actions() -> None:
    assert render_subgoal("pick_up(metal pot)") == "pick up metal pot"
    assert render_subgoal("pour(blue paint, wood cup)") == "pour blue paint to wood cup"
    assert render_subgoal("pour blue paint to wood cup") == "pour blue paint to wood cup"
