"""Corral between a language model and a learner: its step against hand-computed numbers, its shares and its bound."""

import numpy as np
import pytest

from wean.algorithms.bandits import UCB, Advice, LinUCB, Moment, play
from wean.algorithms.model_selection import Corral, mirror_step
from wean.errors import UsageError
from wean.tasks.bandits import ContextualBandit
from wean.tasks.situation import Situation
from wean.teachers.priors import Prior

MOMENT = Moment(np.zeros(0), Situation("", "Now.", ("a", "b")))


def test_a_mirror_step_solves_its_equation() -> None:
    # p = (1/2, 1/2), l = (1, 0), eta = 1: 1 / (3 - c) + 1 / (2 - c) = 1 has c = (3 - sqrt 5) / 2.
    c = (3 - 5**0.5) / 2
    found = mirror_step(np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    assert found == pytest.approx([1 / (3 - c), 1 / (2 - c)], abs=1e-9)
    assert mirror_step(np.array([0.2, 0.8]), np.array([0.7, 0.7]), np.array([1.0, 1.0])) == pytest.approx([0.2, 0.8])


def test_the_floor_decays_and_a_learner_that_loses_is_left() -> None:
    advice, learner = Advice(Prior({"Now.": {"a": 1.0}})), UCB(2)
    both = Corral([advice, learner], rounds=2000, rate=0.2, floor=0.2)
    assert both.probabilities == pytest.approx([0.6, 0.4])
    random = np.random.default_rng(0)
    for _ in range(2000):
        arm = both.choose(MOMENT, random)
        both.learn(MOMENT, arm, float(arm == 1))
    assert both.probabilities[0] >= 0.2 / 2000**0.5  # never below its floor
    assert both.shares.sum() == 2000
    assert both.shares[0] < 0.1 * 2000
    assert advice.asked == both.shares[0]


def test_a_price_decides_between_equals() -> None:
    shares = []
    for price in (0.0, 0.3):
        both = Corral([Advice(Prior({"Now.": {"a": 1.0}})), UCB(2)], rounds=3000, price=price)
        random = np.random.default_rng(1)
        for _ in range(3000):
            arm = both.choose(MOMENT, random)
            both.learn(MOMENT, arm, 1.0)
        shares.append(both.shares[0] / 3000)
    assert shares[1] < 0.1 < shares[0]


def test_its_regret_keeps_its_bound() -> None:
    task, rounds = ContextualBandit(data="wine", horizon=2000), 2000
    alone = play(task, LinUCB(3, 13), seed=1)[-1]
    both = Corral([Advice(Prior(lambda situations: [{"Barbera": 1.0}] * len(situations))), LinUCB(3, 13)], rounds)
    assert play(task, both, seed=1)[-1] <= alone + both.bound
    # 2 ln 2000 / 0.1 + 0.1 * 2000 + 1 + 2 * 0.1 * sqrt 2000
    assert both.bound == pytest.approx(152.02 + 200 + 1 + 8.94, abs=0.1)


@pytest.mark.parametrize("settings", [{"floor": 1.0}, {"rate": 0.0}, {"price": -1.0}, {"low": 1.0}, {"rounds": 1}])
def test_wrong_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Corral([UCB(2), UCB(2)], **{"rounds": 100, **settings})


def test_one_learner_is_no_choice() -> None:
    with pytest.raises(UsageError, match="two learners"):
        Corral([UCB(2)], rounds=100)
