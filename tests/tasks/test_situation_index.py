"""Every distinct situation gets one number, and every text is kept once."""

from wean.tasks.situation import Situation, SituationIndex

GOAL = "Get out."


def test_equal_words_are_one_moment_in_the_order_met() -> None:
    moments = SituationIndex()
    hall, cave = Situation(GOAL, "a hall", ("north", "wait")), Situation(GOAL, "a cave", ("wait",))
    assert moments.of([hall, cave, hall]).tolist() == [0, 1, 0]
    assert moments.of([Situation(GOAL, "a hall", ("north", "wait"), key="another key")]).tolist() == [0]
    assert len(moments) == 2
    assert moments.counts.tolist() == [2, 1]
    assert [moments.texts[number] for number in moments.text] == ["a hall", "a cave"]
    assert moments.texts.count("wait") == 1


def test_other_choices_make_another_moment_and_widen_the_table() -> None:
    moments = SituationIndex()
    moments.add("a hall", ("north",))
    assert moments.add("a hall", ("north", "south", "wait")) == 1
    assert moments.width == 3
    assert (moments.choices[0] >= 0).tolist() == [True, False, False]
    assert [moments.texts[choice] for choice in moments.choices[1]] == ["north", "south", "wait"]


def test_many_moments_keep_their_numbers() -> None:
    moments = SituationIndex()
    assert [moments.add(f"cell {number}", ("go",)) for number in range(300)] == list(range(300))
    assert moments.add("cell 123", ("go",)) == 123
    assert moments.counts.tolist() == [1] * 300
