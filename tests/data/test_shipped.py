"""The demonstrations that come with wean."""

from collections import Counter

import pytest

from wean.data.shipped import SHIPPED, shipped, split_dev
from wean.errors import UsageError
from word_demos import demonstration


@pytest.mark.parametrize(
    ("name", "most", "origin"),
    [
        ("scienceworld", 5, "asked"),
        ("scienceworld-train", 50, "propagated"),
        ("scienceworld-dev", 4, "propagated"),
        ("scienceworld-short", 50, "propagated"),
        ("scienceworld-short-dev", 4, "propagated"),
    ],
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


def test_both_of_training_variations_share_some_and_those_of_dev_variations_none() -> None:
    few, many, dev, short, short_dev = ({one.key for one in shipped(name).trajectories} for name in SHIPPED)
    assert len(few & many) > 50
    assert not dev & (few | many)
    assert (short, short_dev) == (many, dev)


def test_another_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="scienceworld, scienceworld-train, scienceworld-dev, scienceworld-short"):
        shipped("alfworld")


def test_the_last_variations_choose_the_checkpoint() -> None:
    learn, choose = split_dev([demonstration(number)[0] for number in range(5)], 0.2)
    assert [one.variation for one in learn] == [0, 1, 2, 3]
    assert [one.variation for one in choose] == [4]
