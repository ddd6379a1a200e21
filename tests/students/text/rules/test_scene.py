"""The things that sub-goals name, and whether they are in sight."""

from wean.students.text.rules.patterns import hidden, things_of, verb_prefixes


def test_things_that_a_sub_goal_names_are_in_sight_or_hidden() -> None:
    sight, known = "workshop : battery red box blue wire | metal pot", {"adult", "lamp"}
    assert hidden(["battery", "blue wire", "red wire"], sight, known) == ["red wire"]
    assert hidden(["red box", "metal pot"], sight, known) == []
    assert hidden(["box of red", "adult lamp"], sight, known) == ["box of red"]  # a lamp may be called otherwise


def test_what_a_sub_goal_names_comes_behind_what_all_of_its_kind_begin_with() -> None:
    begin = verb_prefixes(
        ["pick up pot", "pick up red pot", "fill pot to water", "fill pot to water", "tie a to b", "tie c"]
    )
    assert begin == {"pick": "pick up", "fill": "fill pot to water", "tie": "tie"}
    assert things_of("pick up pot", begin) == ["pot"]
    assert things_of("fill pot to water", begin) == []
    assert things_of("fill pot to oil", begin) == ["oil"]
    assert things_of("tie battery to red wire", begin) == ["battery", "red wire"]
    assert things_of("look at me", begin) == ["at me"]
