"""Sub-goals laid over actions: sums, order, overlaps, skipped and invented actions, and what repair may close."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wean.annotation.alignment import align, edit_alignment, parse_answer

ACTIONS = ["go to hall", "go to kitchen", "pick up pot", "move pot to stove", "activate stove", "wait"]


def laid(text: str, actions: list[str] = ACTIONS) -> tuple[list[int | None], dict[str, int]]:
    alignment = align(parse_answer(text).claims, actions)
    return alignment.of_action, dict(+Counter(alignment.faults))


def test_a_right_answer_has_no_faults() -> None:
    assert laid("1-2: navigate_to(kitchen)\n3-3: pick_up(pot)\n4-6: heat(pot)") == ([0, 0, 1, 2, 2, 2], {})


def test_numbers_overlap_run_over_the_end_and_come_in_any_order() -> None:
    assert laid("1-3: a(x)\n3-9: b(y)") == ([0, 0, 0, 1, 1, 1], {"overlap": 1, "invented": 1})
    assert laid("4-6: b(y)\n1-3: a(x)") == ([0, 0, 0, 1, 1, 1], {"order": 1})
    assert laid("1-6: a(x)\n2-3: b(y)") == ([0, 0, 0, 0, 0, 0], {"overlap": 1, "empty": 1})


def test_counts_hold_only_if_they_sum_up() -> None:
    assert laid('[["a(x)", 2], ["b(y)", 4]]') == ([0, 0, 1, 1, 1, 1], {})
    assert laid('[["a(x)", 2], ["b(y)", 5]]') == ([None] * 6, {"sum": 1, "empty": 2})


def test_words_are_aligned_where_some_are_skipped_and_some_invented() -> None:
    text = "1- a(x): {'go to hall', 'fly'}\n2- b(y): {'pick up pot', 'move pot to stove', 'activate stove'}"
    assert laid(text) == ([0, None, 1, 1, 1, None], {"invented": 1})


def test_a_sub_goal_that_swallows_everything_is_not_believed() -> None:
    many = [f"do thing {number}" for number in range(40)]
    assert laid("1-40: solve(task)", many) == ([None] * 40, {"too few": 1, "empty": 1})
    assert laid("1-40: wait(here)", ["wait"] * 40)[0] == [0] * 40


def test_single_gaps_join_their_neighbour_and_longer_ones_stay() -> None:
    alignment = align(parse_answer("2-2: a(x)\n4-4: b(y)").claims, ACTIONS)
    alignment.close_single_gaps()
    assert alignment.of_action == [0, 0, 0, 1, None, None]
    assert alignment.gaps == [(4, 6)]
    assert alignment.faults["skipped"] == 2
    assert alignment.chunks() is None
    alignment.fill_gaps(align(parse_answer("5-6: c(z)").claims, ACTIONS))
    assert [(str(goal), count) for goal, count in alignment.chunks() or ()] == [("a(x)", 3), ("b(y)", 1), ("c(z)", 2)]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_an_alignment_pairs_equals_in_order_and_as_many_as_there_can_be(given: list[str], claimed: list[str]) -> None:
    pairs = edit_alignment(given, claimed)
    assert all(given[here] == claimed[there] for here, there in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs))

    def longest(one: list[str], other: list[str]) -> int:  # longest common subsequence, by its definition
        if not one or not other:
            return 0
        if one[0] == other[0]:
            return 1 + longest(one[1:], other[1:])
        return max(longest(one[1:], other), longest(one, other[1:]))

    assert len(pairs) == longest(given, claimed)
