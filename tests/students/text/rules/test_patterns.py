"""What is read off demonstrations for the agent's rules."""

from typing import Any

import pytest

from wean.data.annotations import parse_annotation
from wean.data.trajectories import PathStep, Trajectory
from wean.students.text.rules.patterns import longest_goal, mine_patterns, repeats
from word_demos import NOTHING, demonstration


def test_names_are_said_once_they_were_told_and_other_words_without() -> None:
    many = [demonstration(number) for number in range(2)]
    patterns = mine_patterns([one for one, _ in many], {one.key: annotation for one, annotation in many}, 100)
    assert set(patterns.unprompted) == {"walk", "go", "take", "pick", "up", "put"}


def test_the_longest_sub_goal_counts_what_is_learnt() -> None:
    trajectory, annotation = demonstration()
    annotations = {trajectory.key: annotation}
    assert longest_goal([trajectory], annotations, 100) == 2
    assert mine_patterns([trajectory], annotations, 100).goal_limit == 4


def hunt(variation: int, thing: str, first: str = "hall:\na door") -> tuple[Trajectory, Any]:
    looks = (first, f"attic:\na {thing}", f"attic:\na {thing}")
    path = tuple(PathStep(f"do {number}", "Done.", look, "", 0.0) for number, look in enumerate(looks))
    one = Trajectory("hunt", variation, f"Find the {thing}.", path)
    rows = [[f"find({thing})", 1], [f"take({thing})", 1], ["sing(hall)", 1]]
    return one, parse_annotation({"task": "hunt", "variation": variation, "subgoals": rows, "digest": one.digest})


def test_sub_goals_that_look_for_what_nothing_has_shown_are_known_by_their_first_word() -> None:
    many = [hunt(0, "cup"), hunt(1, "lamp")]
    patterns = mine_patterns([one for one, _ in many], {one.key: annotation for one, annotation in many}, 100)
    assert (patterns.search_verbs, patterns.search_actions) == (("find",), ("do",))


def test_a_verb_that_looks_for_what_was_seen_as_well_is_still_one_that_looks() -> None:
    many = [hunt(number, "cup", "attic:\na cup") for number in range(2)]
    many += [hunt(2, "lamp"), *(hunt(number, "box", "attic:\na box") for number in range(3, 8))]
    annotations = {one.key: annotation for one, annotation in many}
    assert mine_patterns([one for one, _ in many[:3]], annotations, 100).search_verbs == ("find",)  # one of three
    assert mine_patterns([one for one, _ in many], annotations, 100).search_verbs == ()  # one of eight


@pytest.mark.parametrize(
    ("carried", "brings"),
    [
        (("", "a cup", "a cup\na lamp"), ("get",)),
        (("", "", ""), ()),  # nothing is brought
        (("a cup", "a cup\na lamp", "a cup\na lamp"), ()),  # each was there
        (("", "a cup\na lamp", "a cup\na lamp"), ()),  # the lamp was
        (("", "a cup holder", "a cup holder\na lamp shade"), ("get",)),  # the words stand there
        (("", "a teacup", "a teacup\na lamp"), ()),
    ],
)
def test_sub_goals_that_bring_their_thing_are_known_by_their_first_word(
    carried: tuple[str, ...], brings: tuple[str, ...]
) -> None:
    """A moment has what is carried before its action."""
    path = tuple(
        PathStep(f"do {number}", "Done.", "hall:\na cup\na lamp", held, 0.0) for number, held in enumerate(carried)
    )
    one = Trajectory("bring", 0, "Bring it.", path)
    rows = [["get(cup)", 1], ["get(lamp)", 1], ["sing(hall)", 1]]
    annotation = parse_annotation({"task": "bring", "variation": 0, "subgoals": rows, "digest": one.digest})
    assert mine_patterns([one], {one.key: annotation}, 100).bringing_verbs == brings


def test_sub_goals_that_always_lead_from_elsewhere_to_the_place_they_name_are_ways() -> None:
    trajectory, annotation = demonstration(back=2)
    assert (
        mine_patterns([trajectory], {trajectory.key: annotation}, 100).destinations == {}
    )  # "walk hall to kitchen" begins there
    rows: list[list[Any]] = [["find(lamp)", 1], *[["walk(hall)", 1], ["walk(kitchen)", 1]] * 2]
    rows += [["take(lamp)", 1], ["put(lamp, box 0)", 2]]
    annotation = parse_annotation({"task": trajectory.task, "variation": trajectory.variation, "subgoals": rows})
    patterns = mine_patterns([trajectory], {trajectory.key: annotation}, 100)
    assert patterns.destinations == {"walk hall": "hall", "walk kitchen": "kitchen"}


def test_whether_what_was_looked_for_and_found_is_taken_up_is_known() -> None:
    many = [hunt(0, "cup"), hunt(1, "lamp")]
    annotations = {one.key: annotation for one, annotation in many}
    assert mine_patterns([one for one, _ in many], annotations, 100).pursues_finds
    for one, _ in many:
        rows = [["find(lamp)" if one.variation else "find(cup)", 1], ["sing(hall)", 2]]
        row = {"task": "hunt", "variation": one.variation, "subgoals": rows, "digest": one.digest}
        annotations[one.key] = parse_annotation(row)
    assert not mine_patterns([one for one, _ in many], annotations, 100).pursues_finds
    assert not mine_patterns([one for one, _ in many], {}, 100).pursues_finds


@pytest.mark.parametrize(
    ("goals", "onward"),
    [
        (("walk(hall)", "walk(kitchen)"), False),  # back, and nothing was done in the hall
        (("walk(hall)", "take(lamp)", "walk(kitchen)"), True),
        (("find(lamp)", "walk(hall)", "take(lamp)"), True),
    ],
)
def test_whether_ways_lead_back_before_anything_else_was_done_is_known(goals: tuple[str, ...], onward: bool) -> None:
    leads = {"walk(hall)": "hall:\na lamp", "walk(kitchen)": "kitchen:\na pot"}
    path, here = [], "kitchen:\na pot"
    for number, goal in enumerate(goals):
        path.append(PathStep(f"do {number}", "Done.", here, "", 0.0))
        here = leads.get(goal, here)
    path.append(PathStep("rest", "Done.", here, "", 0.0))
    one = Trajectory("walk", 0, "Walk.", tuple(path))
    rows = [*([goal, 1] for goal in goals), ["rest(here)", 1]]
    annotation = parse_annotation({"task": "walk", "variation": 0, "subgoals": rows, "digest": one.digest})
    assert mine_patterns([one], {one.key: annotation}, 100).never_returns is onward


def test_whether_sub_goals_name_one_thing_twice_is_known() -> None:
    trajectory, _ = demonstration(back=1)
    rows = [["find(lamp)", 1], ["walk(hall, kitchen)", 2], ["take(lamp)", 1], ["put(lamp, lamp)", 2]]
    for last, apart in ((["put(lamp, lamp)", 2], False), (["put(lamp, box 0)", 2], True)):
        annotation = parse_annotation({"task": "carry", "variation": 0, "subgoals": [*rows[:-1], last]})
        assert mine_patterns([trajectory], {trajectory.key: annotation}, 100).names_once is apart


def test_verbs_whose_things_are_nearly_always_in_sight_are_known() -> None:
    many = [hunt(0, "cup"), hunt(1, "lamp")]
    annotations = {one.key: annotation for one, annotation in many}
    patterns = mine_patterns([one for one, _ in many], annotations, 100)
    assert patterns.visible_verbs == ("sing", "take")  # what is always sung to is no choice
    assert patterns.verb_prefixes == {"find": "find", "take": "take", "sing": "sing hall"}


def test_what_is_done_more_than_once_in_the_same_moment_is_known_by_its_first_word() -> None:
    kitchen, hall = ("kitchen:\na pot", NOTHING, 0.0), ("hall:\na lamp", NOTHING, 0.0)
    done = [
        ("wait for 10", "You wait.", *kitchen),
        ("go to hall", "You move.", *kitchen),
        ("look around", "hall", *hall),
        ("look around", "hall", *hall),
        ("go to kitchen", "You move.", *hall),
        ("wait for 10", "You wait.", *kitchen),
        ("wait", "You wait.", *kitchen),
        ("wait for 10", "You wait.", *kitchen),
        ("go to hall", "You move.", "kitchen:\na cup", NOTHING, 0.0),
    ]
    assert repeats([Trajectory("rest", 0, "Rest.", tuple(PathStep(*one) for one in done))]) == {"wait": 3}


@pytest.mark.parametrize(("patient", "found"), [(1, {}), (2, {"wait": 4})])
def test_what_one_demonstration_of_a_hundred_repeats_is_no_habit(patient: int, found: dict[str, int]) -> None:
    moments = [PathStep("wait", "Time passes.", "hall", "", 0.0)] * 4
    many = [Trajectory("rest", n, "Rest.", tuple(moments if n < patient else moments[:1])) for n in range(100)]
    assert repeats(many) == found
