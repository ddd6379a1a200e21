"""The asking view: who is asked when, what it costs, what is seen, and going on after a stop."""

import numpy as np
import pytest

from asking_tasks import PLANS, Errand, errands
from small_tasks import Corridor
from wean.errors import UsageError
from wean.tasks.vector import SerialTasks
from wean.teachers.ask_or_act import ASK, GO_ON, NEVER_ASK, AskingCost, AskOrAct, QueryStats
from wean.teachers.elicitation import Advice, AdviceConfig
from wean.teachers.teacher import Teacher

COST = AskingCost(first=0.01, change=0.0, repeat=0.06)


def _play(view: AskOrAct, actions: list[int]) -> list[float]:
    view.reset([0], [0])
    return [float(view.step([0], [action]).rewards[0]) for action in actions]


def test_costs_by_hand() -> None:
    assert COST.of(None, ("walk",)) == 0.01
    assert COST.of(("walk",), ("walk",)) == 0.06
    assert COST.of(("walk",), ("turn back",)) == 0.0


def test_the_first_question_is_forced_a_repeated_one_costs_more_and_a_new_plan_less() -> None:
    view = errands(cost=COST)
    # Cell 1: forced, walk to 2, where the bell rings. Ask: turn back to 1. Ask once more: the same plan, to 0, home.
    assert _play(view, [GO_ON, ASK, ASK]) == pytest.approx([-0.01, 0.0, 1 - 3 / 15 - 0.06])
    assert view.query_stats == {0: QueryStats(questions=3, forced=1, repeated=1, tokens=10 + 7 + 7)}
    assert view.questions == 3


def test_a_plan_is_followed_to_its_end_and_then_a_question_is_forced() -> None:
    view = errands()
    rewards = _play(view, [GO_ON] * 9)  # four steps to the wall, a forced question, five steps home
    assert rewards[-1] == pytest.approx(1 - 9 / 15)
    assert view.query_stats[0][:3] == (2, 2, 0)


def test_who_never_asks_acts_at_random_when_the_plan_is_over_and_the_same_way_every_time() -> None:
    view = errands()
    moves = []
    for _ in range(2):
        view.reset([0], [3])
        view.step([0], [NEVER_ASK])
        for _ in range(11):
            view.step([0], [NEVER_ASK])
        moves.append([primitive for primitive, _ in view.histories()[0][1]])
        assert view.query_stats[3].questions == 1
    assert moves[0] == moves[1]
    assert moves[0][:4] == [1] * 4
    assert set(moves[0][4:]) == {0, 1}


def test_who_may_wait_has_a_third_choice_and_the_first_question_all_the_same() -> None:
    tasks = SerialTasks([Errand])
    view = AskOrAct(tasks, errands()._teacher, waits=True)
    assert view.action_space.n == len(view.action_names()) == 3
    assert errands().action_space.n == 2
    view.reset([0], [3])
    for _ in range(12):
        view.step([0], [NEVER_ASK])
    assert view.questions == 1


@pytest.mark.parametrize("advice", [Advice(()), Advice(((("fly", "rest"), 1.0),))])
def test_no_advice_is_counted_and_asked_for_again(advice: Advice) -> None:
    view = errands(answer=lambda situation: advice)
    _play(view, [GO_ON] * 12)
    assert next(iter(view.query_stats.values())).questions >= 5
    assert view._teacher.unadvised == view.questions


def test_words_tell_what_can_be_named_now_and_when_asked_and_what_the_plan_is() -> None:
    view = errands()
    first = view.reset([0], [0])[0]
    assert first.tolist() == [1, *[0] * 11, 1]  # the first skill can be named; no plan: a question is forced
    after = view.step([0], [GO_ON]).observations[0]
    assert after.reshape(-1)[:12].reshape(4, 3).tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert after[12] == 0
    assert view.observation_space.contains(after)


def test_of_several_plans_the_most_probable_or_a_drawn_one_is_followed() -> None:
    mixed = Advice(((("turn back",), 0.4), (("walk", "turn back"), 0.6)))
    view = errands(answer=lambda situation: mixed)
    assert view.reset([0], [0]) is not None
    seen = view.step([0], [ASK]).observations[0]
    assert seen[6:12].tolist() == [1, 0, 0, 0, 1, 0]  # walking, and turning back comes after
    drawn = errands(400, mode="sampled", answer=lambda situation: mixed)
    drawn.reset(range(400), range(400))
    drawn.step(range(400), [ASK] * 400)
    first = np.array([entries[0][0] for _, entries in drawn.histories()])
    assert first.mean() == pytest.approx(0.6, abs=0.08)


def test_a_replayed_view_goes_on_as_before_and_asks_nobody() -> None:
    def refuse(situations: object) -> list[Advice]:
        raise AssertionError("asked again")

    view = errands(2)
    view.reset([0, 1], [5, 6])
    for actions in ([0, 0], [1, 0], [0, 0]):
        view.step([0, 1], actions)
    other = AskOrAct(SerialTasks([Errand] * 2), Teacher(refuse, AdviceConfig(mode="argmax")))
    seen = other.replay(view.histories())
    assert seen.tolist() == view._observe([0, 1]).tolist()
    one, two = view.step([1], [GO_ON]), other.step([1], [GO_ON])
    assert one.observations.tolist() == two.observations.tolist()
    assert view.histories()[1] == other.histories()[1]


def test_what_does_not_fit_is_one_line() -> None:
    teacher = Teacher(lambda situations: [PLANS["Silence."]] * len(situations), AdviceConfig(mode="argmax"))
    with pytest.raises(UsageError, match=r"does not list its skills; give it `skill_names`"):
        AskOrAct(SerialTasks([Corridor]), teacher)
    with pytest.raises(UsageError, match=r"one plan at a time; set advice.mode=argmax"):
        AskOrAct(SerialTasks([Errand]), Teacher(lambda situations: [], AdviceConfig(mode="soft")))
