"""Demonstrations with less to see."""

import numpy as np

from wean.data.augmentation.entities import drop_distractors, places_of
from wean.data.trajectories import PathStep, Trajectory
from word_demos import demonstration

YARD = (
    "This outside location is called the yard. Here you see:\n\ta wolf\n\ta tortoise (asleep)\n\ta red box\n\tan axe\n"
    "\ta door to the hall (that is open)"
)
AWAKE = YARD.replace("asleep", "awake")
PATH = (
    PathStep("open door to hall", "The door is already open.", YARD, "an orange", 0.0),
    PathStep("focus on tortoise", "You focus on it.\n\tan axe", AWAKE, "an orange", 100.0),
)
TRAJECTORY = Trajectory("longest", 0, "Find the animal that lives longest and put it into the red box.", PATH)
PLACES = frozenset({"yard", "hall"})


def lines(look: str) -> set[str]:
    return {line.strip().partition(" (")[0] for line in look.splitlines()[1:]}


def test_what_is_named_stays_and_so_do_ways() -> None:
    seen = set()
    for seed in range(60):
        again = drop_distractors(TRAJECTORY, None, PLACES, 1.0, np.random.default_rng(seed))
        first, second = again.path
        assert lines(first.look) == lines(second.look)  # from the beginning to the end
        assert {"a tortoise", "a red box", "a door to the hall"} <= lines(first.look)
        assert first.look.splitlines()[0] == YARD.splitlines()[0]
        assert ("an axe" in second.observation) == ("an axe" in second.look)
        seen.add(frozenset(lines(YARD) - lines(first.look)))
        assert again.key == TRAJECTORY.key
        assert [moment._replace(look="", observation="") for moment in again.path] == [
            moment._replace(look="", observation="") for moment in PATH
        ]
    assert seen == {frozenset(), frozenset({"a wolf"}), frozenset({"an axe"}), frozenset({"a wolf", "an axe"})}


def test_nothing_is_left_out_with_a_share_of_none() -> None:
    assert drop_distractors(TRAJECTORY, None, PLACES, 0.0, np.random.default_rng(0)).path == PATH


def test_what_sub_goals_name_stays() -> None:
    trajectory, annotation = demonstration(back=2)
    for seed in range(20):
        again = drop_distractors(trajectory, annotation, places_of([trajectory]), 1.0, np.random.default_rng(seed))
        for chunk in annotation.chunks:
            for argument in chunk.subgoal.arguments:
                assert argument.split()[0] in "".join(moment.look + moment.inventory for moment in again.path)


def test_places_are_read_off_what_is_seen() -> None:
    assert places_of([TRAJECTORY]) == {"yard"}
    assert places_of([demonstration(back=2)[0]]) == {"kitchen", "hall"}
