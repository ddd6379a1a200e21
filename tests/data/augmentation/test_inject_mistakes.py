"""Mistakes in demonstrations, and how they are set right."""

from dataclasses import replace

import numpy as np
import pytest

from wean.data.annotations import parse_subgoal
from wean.data.augmentation.mistakes import Mistakes, Routes, find_routes, inject_mistakes
from word_demos import EMPTY, HALL, KITCHEN, demonstration

TRAJECTORY, ANNOTATION = demonstration(back=2)
ROUTES = Routes(
    {
        ("kitchen", "hall"): ("go to hall", "You move to the hall."),
        ("hall", "kitchen"): ("go to kitchen", "You move to the kitchen."),
    },
    {place: parse_subgoal(f"navigate_to({place})") for place in ("kitchen", "hall")},
)


def test_routes_are_read_off_what_was_walked() -> None:
    routes = find_routes([TRAJECTORY], {TRAJECTORY.key: ANNOTATION}, {"walk hall to kitchen": "kitchen"})
    assert routes.steps == ROUTES.steps
    assert routes.goals == {"kitchen": ANNOTATION.chunks[1].subgoal}


def test_of_several_ways_between_two_places_the_most_frequent_is_taken() -> None:
    flown = tuple(
        moment._replace(action="fly to hall", observation="You fly.") if moment.action == "go to hall" else moment
        for moment in TRAJECTORY.path
    )
    few, many = replace(TRAJECTORY, path=flown[-3:]), TRAJECTORY
    for order in ([few, many], [many, few]):
        assert find_routes(order, {}, {}).steps["kitchen", "hall"] == ("go to hall", "You move to the hall.")


def test_without_mistakes_all_stays() -> None:
    again, annotation, mistakes = inject_mistakes(TRAJECTORY, ANNOTATION, ROUTES, 0.0, np.random.default_rng(0))
    assert (again.path, mistakes) == (TRAJECTORY.path, Mistakes(set(), set(), set()))
    assert annotation is not None
    assert annotation.chunks == ANNOTATION.chunks


@pytest.mark.parametrize("seed", range(20))
def test_what_is_not_learnt_is_set_right_at_once(seed: int) -> None:
    again, annotation, mistakes = inject_mistakes(TRAJECTORY, ANNOTATION, ROUTES, 0.5, np.random.default_rng(seed))
    assert annotation is not None
    path, starts = again.path, [0, *annotation.ends[:-1]]
    assert annotation.ends[-1] == len(path)
    for number in sorted(mistakes.actions | mistakes.goals):
        before, wrong, right, after = path[number - 1 : number + 3]
        assert {wrong.action, right.action} == {"go to hall", "go to kitchen"}
        assert (wrong.look, wrong.inventory) == (after.look, after.inventory)  # back where it was
        assert right.look in (KITCHEN, EMPTY, HALL)
        assert right.look != wrong.look
        assert wrong.score == right.score == before.score
        if number in mistakes.goals:
            goals = [annotation.chunks[starts.index(start)].subgoal.arguments for start in (number, number + 1)]
            assert goals == [(wrong.action.removeprefix("go to "),), (right.action.removeprefix("go to "),)]
    for number in mistakes.dones:
        chunk = starts.index(number)
        assert annotation.chunks[chunk].subgoal == annotation.chunks[chunk - 1].subgoal
    trips = {number + step for number in mistakes.actions | mistakes.goals for step in (0, 1)}
    assert tuple(moment for number, moment in enumerate(path) if number not in trips) == TRAJECTORY.path


def test_a_student_goes_only_where_the_demonstration_has_been() -> None:
    trajectory, annotation = demonstration(back=0)
    for seed in range(20):
        again, _, mistakes = inject_mistakes(trajectory, annotation, ROUTES, 0.9, np.random.default_rng(seed))
        assert min([*mistakes.actions, *mistakes.goals], default=9) >= 3  # behind the first sight of the hall
        assert again.description == trajectory.description


def test_without_sub_goals_that_lead_somewhere_none_is_wrong() -> None:
    routes = Routes(ROUTES.steps, {})
    for seed in range(20):
        _, _, mistakes = inject_mistakes(TRAJECTORY, ANNOTATION, routes, 0.9, np.random.default_rng(seed))
        assert not mistakes.goals


def test_the_flat_baseline_only_goes_to_wrong_places() -> None:
    found = [inject_mistakes(TRAJECTORY, None, ROUTES, 0.5, np.random.default_rng(seed)) for seed in range(10)]
    assert all(annotation is None and not mistakes.goals and not mistakes.dones for _, annotation, mistakes in found)
    assert any(mistakes.actions for *_, mistakes in found)
