"""The demonstrations that come with wean."""

from collections import Counter

import pytest

from wean.data.shipped import SHIPPED, shipped
from wean.errors import UsageError


@pytest.mark.parametrize(
    ("name", "most", "origin"), [("scienceworld", 5, "asked"), ("scienceworld-train", 50, "propagated")]
)
def test_each_has_sub_goals_for_paths_of_all_thirty_tasks(name: str, most: int, origin: str) -> None:
    trajectories, annotations = shipped(name)
    count = Counter(one.task for one in trajectories)
    assert len(count) == 30
    assert max(count.values()) == most
    assert {one.version for one in trajectories} == {"scienceworld 1.2.3"}
    assert {one.key for one in trajectories} == set(annotations)
    assert {annotation.origin for annotation in annotations.values()} == {origin}
    assert all(one.path[-1].score == 100 for one in trajectories if one.path[-1].score is not None)


def test_both_are_of_the_same_variations_as_far_as_they_go() -> None:
    few, many = (shipped(name) for name in SHIPPED)
    shared = {one.key for one in few.trajectories} & {one.key for one in many.trajectories}
    assert len(shared) > 50


def test_another_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="scienceworld, scienceworld-train"):
        shipped("alfworld")
