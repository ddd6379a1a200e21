"""Propagation: new things in old sub-goals, confidence, and what comes with wean held out."""

import json
from pathlib import Path

import pytest

from agreement import agreement
from households import errand, errands, right
from wean.annotation.pipeline import select_diverse
from wean.annotation.propagation import COEFFICIENTS, Propagator
from wean.data.annotations import Annotation, Chunk, parse_subgoal
from wean.data.shipped import shipped
from wean.data.trajectories import Trajectory
from wean.errors import UsageError

RESULTS = Path(__file__).parents[2] / "benchmarks/results"


def test_things_and_rooms_are_named_anew() -> None:
    examples = [(one, right(one)) for one in errands(4)]
    propagator = Propagator(examples)
    for variation in range(4, 20):
        new = errand(variation)
        propagated = propagator.propagate(new)
        assert propagated.chunks == right(new).chunks
        assert (propagated.origin, propagated.model, propagated.digest) == ("propagated", "tester", new.digest)


def test_names_with_brackets_make_no_sub_goal_that_cannot_be_read() -> None:
    named = errand(6)  # an old name in the words of a new one
    path = tuple(moment._replace(action=moment.action.replace("old lamp", "lamp (old, brass")) for moment in named.path)
    odd = Trajectory(named.task, named.variation, "Your task is to bring the lamp (old, brass).", path)
    propagator = Propagator([(one, right(one)) for one in errands(4)])
    propagated = propagator.propagate(odd)
    assert [parse_subgoal(str(chunk.subgoal)) for chunk in propagated.chunks] == [c.subgoal for c in propagated.chunks]
    assert (propagated.confidence or 0) < (propagator.propagate(named).confidence or 0)


def test_one_example_of_each_form_is_enough_and_less_certain_than_four() -> None:
    few = Propagator([(one, right(one)) for one in errands(1)]).propagate(errand(6))
    many = Propagator([(one, right(one)) for one in errands(4)]).propagate(errand(6))
    assert few.chunks == many.chunks == right(errand(6)).chunks
    assert 0 < (few.confidence or 0) < (many.confidence or 0) < 1


def test_where_examples_contradict_each_other_the_confidence_is_low() -> None:
    ones = errands(4)
    consistent = [(one, right(one)) for one in ones]
    odd = [(one, Annotation("fetch", one.variation, (Chunk(parse_subgoal(f"do(thing {i})"), len(one.path)),)))
           for i, one in enumerate(ones)]  # fmt: skip
    sure = Propagator(consistent)
    unsure = Propagator([*consistent[:2], *odd[2:]])
    assert unsure.trust("fetch") < sure.trust("fetch") == 5 / 6  # Laplace: (4 + 1) / (4 + 2)
    assert (unsure.propagate(errand(6)).confidence or 0) < (sure.propagate(errand(6)).confidence or 0)


def test_the_same_twice() -> None:
    examples = [(one, right(one)) for one in errands(3)]
    assert Propagator(examples).propagate(errand(9)) == Propagator(examples).propagate(errand(9))


def test_nothing_to_learn_from() -> None:
    with pytest.raises(UsageError, match="ask about one of each task first"):
        Propagator([])


def test_agreement_by_hand() -> None:
    one = right(errand(1))  # sub-goals of 3, 1, 1, 1 actions
    other = Annotation("fetch", 1, (one.chunks[0], one.chunks[1], Chunk(one.chunks[2].subgoal, 2)))
    told = agreement([(one, one), (one, other)]).as_row()
    assert told["demonstrations"] == 2
    assert told["boundary_f1"] == pytest.approx(2 * 5 / (6 + 5))  # 3 + 2 shared of 3 + 3 and 3 + 2
    assert told["subgoal_f1"] == pytest.approx(2 * 6 / (8 + 7))  # 4 + 2 shared of 4 + 4 and 4 + 3
    assert (told["boundaries_exact"], told["exact"]) == (0.5, 0.5)


def test_the_most_telling_are_a_typical_one_and_then_the_least_alike() -> None:
    ones = errands(8)
    chosen = select_diverse(ones, [], 2)
    assert {one.variation % 2 for one in chosen} == {0, 1}  # one through a door, one without
    assert select_diverse(ones[:1], [], 3) == ones[:1]
    assert select_diverse(ones, chosen[:1], 1)[0].variation % 2 != chosen[0].variation % 2


def test_tasks_that_come_with_wean_each_demonstration_left_out() -> None:
    examples = [e for e in shipped("scienceworld").examples if e[0].task in ("find-animal", "lifespan-longest-lived")]
    propagator = Propagator(examples)
    for example in examples:
        assert propagator.carry_without(example).chunks == example[1].chunks


def test_the_confidence_is_the_one_that_was_fitted() -> None:
    fitted = json.loads((RESULTS / "confidence.json").read_text())["results"]["coefficients"]
    assert fitted == COEFFICIENTS


def test_the_measured_numbers_reach_what_is_promised() -> None:
    told = json.loads((RESULTS / "propagation.json").read_text())["results"]["propagation"]["all"]
    assert told["boundary_f1"] >= 0.98
    assert told["subgoal_f1"] >= 0.95
