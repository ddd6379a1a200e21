"""Learners for bandits against hand-computed choices, and on bandits that each must solve."""

import numpy as np
import pytest

from wean.algorithms.bandits import UCB, Advice, Exploring, LinUCB, Moment, Thompson, play
from wean.tasks.bandits import Bandit, ContextualBandit
from wean.tasks.situation import Situation
from wean.teachers.priors import Prior

NOTHING = Moment(np.zeros(0), Situation("", "Now.", ("a", "b")))
RANDOM = np.random.default_rng(0)


def test_ucb_weighs_means_and_doubt() -> None:
    learner = UCB(2)
    for arm, reward in ((0, 1.0), (0, 0.0), (0, 1.0), (0, 0.0), (1, 0.0)):
        learner.learn(NOTHING, arm, reward)
    # ln 5 = 1.609: 0.5 + sqrt(3.219 / 4) = 1.397 and 0 + sqrt(3.219 / 1) = 1.794
    assert learner.choose(NOTHING, RANDOM) == 1
    learner.learn(NOTHING, 1, 0.0)
    # ln 6 = 1.792: 0.5 + sqrt(3.584 / 4) = 1.447 and 0 + sqrt(3.584 / 2) = 1.339
    assert learner.choose(NOTHING, RANDOM) == 0


def test_ucb_begins_with_what_it_is_told() -> None:
    learner = UCB(2, width=0.0, prior=np.array([0.2, 0.8]), strength=4)
    assert learner.choose(NOTHING, RANDOM) == 1
    for _ in range(4):
        learner.learn(NOTHING, 1, -0.5)  # (3.2 - 2) / 8 = 0.15
    assert learner.choose(NOTHING, RANDOM) == 0


def test_linucb_is_ridge_regression_with_a_bound() -> None:
    learner = LinUCB(2, features=1, alpha=1.0)
    moment = Moment(np.array([1.0]), NOTHING.situation)
    learner.learn(moment, 0, 1.0)
    # x = (1, 1): A = I + xx' has A^-1 x = x / 3, so the mean is 2/3 and the bound sqrt(2/3); untried: 0 + sqrt(2).
    assert learner.choose(moment, RANDOM) == 0  # 0.667 + 0.816 = 1.483 beside 1.414
    learner.learn(moment, 0, 0.0)
    # A^-1 x = x / 5: 2/5 + sqrt(2/5) = 1.032 beside 1.414
    assert learner.choose(moment, RANDOM) == 1


@pytest.mark.parametrize(
    ("learner", "reward"),
    [(UCB(5), "bernoulli"), (Thompson(5), "bernoulli"), (Thompson(5, bernoulli=False), "gaussian")],
)
def test_they_find_the_best_arm(learner: UCB | Thompson, reward: str) -> None:
    regret = play(Bandit(reward=reward, gap=0.5, horizon=2000), learner, seed=3)
    assert regret.shape == (2000,)
    assert regret[-1] < 0.25 * 2000 * 0.4  # a quarter of what chance loses
    assert regret[-1] - regret[-500] < 0.1 * 500 * 0.4


def test_linucb_learns_iris_and_a_prior_helps() -> None:
    task = ContextualBandit(data="iris", horizon=600)
    alone = play(task, LinUCB(3, 4), seed=1)[-1]
    assert alone < 80  # chance loses 400
    right = {}
    task.reset(seed=0)
    for _ in range(600):
        situation = task.situation()
        right[situation.text] = {situation.choices[task.best_actions()[0]]: 1.0}
        task.step(0)
    prior = Prior(right)
    assert play(task, LinUCB(3, 4, prior=prior), seed=1)[-1] < alone


def test_advice_is_followed_and_chance_stands_in_for_silence() -> None:
    advice = Advice(Prior({"Now.": {"b": 0.9, "a": 0.1}}))
    assert {advice.choose(NOTHING, RANDOM) for _ in range(10)} == {1}
    other = Moment(np.zeros(0), Situation("", "Later.", ("a", "b")))
    assert {advice.choose(other, RANDOM) for _ in range(30)} == {0, 1}
    assert advice.asked == 40


def test_exploring_falls_off() -> None:
    followed = Advice(Prior({"Now.": {"b": 1.0}}))
    learner = Exploring(followed, arms=2, start=10)
    chosen = [learner.choose(NOTHING, RANDOM) for _ in range(2000)]
    assert 0 in chosen[:20]
    assert np.mean(chosen[1000:]) > 0.98
    assert followed.asked > 1900
