"""Bandits in words: Gymnasium's contract, their rewards and regret, and their words."""

from collections.abc import Callable

import numpy as np
import pytest

from wean.errors import UsageError
from wean.tasks.bandits import Bandit, ContextualBandit
from wean.tasks.contract import check_task
from wean.tasks.registration import make_task


@pytest.mark.parametrize("name", ["BanditVideos", "BanditShirts", "BanditIris", "BanditWine", "BanditCancer"])
def test_they_keep_the_contract(name: str) -> None:
    check_task(make_task(name, horizon=30))


@pytest.mark.parametrize("reward", ["bernoulli", "gaussian"])
def test_the_means_are_a_gap_apart_and_regret_counts_it(reward: str) -> None:
    task = Bandit(arms=3, reward=reward, gap=0.4, horizon=4000)
    task.reset(seed=5)
    (best,) = task.best_actions()
    other = (best + 1) % 3
    drawn: dict[int, list[float]] = {best: [], other: []}
    for number in range(4000):
        arm = (best, other)[number % 2]
        observation, reward_now, terminated, truncated, info = task.step(arm)
        drawn[arm].append(reward_now)
        assert info["regret"] == pytest.approx(0.0 if arm == best else 0.4)
        assert not terminated
        assert truncated == (number == 3999)
    assert np.mean(drawn[best]) == pytest.approx(0.7, abs=0.08)
    assert np.mean(drawn[other]) == pytest.approx(0.3, abs=0.08)
    assert observation[[best, other]].tolist() == [0.5, 0.5]
    assert observation[3 + best] == pytest.approx(np.mean(drawn[best]), abs=1e-5)


def test_seeds_place_the_best_arm_everywhere() -> None:
    task = Bandit(arms=4)
    found = []
    for seed in range(40):
        task.reset(seed=seed)
        found += task.best_actions()
    assert set(found) == {0, 1, 2, 3}


def test_its_words_tell_counts_or_rounded_means() -> None:
    task = Bandit(arms=2, horizon=10)
    task.reset(seed=0)
    _, reward, *_ = task.step(1)
    assert task.situation().text == (
        "1 rounds are over. What each has brought so far:\n- video A: never chosen\n"
        f"- video B: chosen 1 times, mean {reward:.2f}"
    )
    assert task.situation().choices == ("video A", "video B")
    assert [task.first_action([word]) for word in ("Video B", "shirt B")] == [1, None]
    means = Bandit(arms=2, summary="means", horizon=10)
    means.reset(seed=0)
    means.step(1)
    assert means.situation().text.endswith(f"- video A: never chosen\n- video B: mean {reward:.1f}")


def test_the_right_class_brings_1() -> None:
    task = ContextualBandit(data="iris", horizon=50)
    observation, _ = task.reset(seed=2)
    assert observation.shape == (4,)
    assert "petal length (cm): " in task.situation().text
    for number in range(50):
        (right,) = task.best_actions()
        arm = (right + number % 2) % 3
        _, reward, _, _, info = task.step(arm)
        assert reward == 1 - number % 2 == 1 - info["regret"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Bandit(arms=1), "2 to 26"),
        (lambda: Bandit(gap=0), "gap"),
        (lambda: Bandit(reward="points"), "bernoulli"),
        (lambda: Bandit(summary="all"), "counts"),
        (lambda: Bandit(horizon=0), "horizon"),
        (lambda: ContextualBandit(data="flowers"), "iris, wine, cancer"),
        (lambda: ContextualBandit(render_mode="ansi"), "not drawn"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_an_arm_that_is_not_there() -> None:
    task = Bandit()
    task.reset(seed=0)
    with pytest.raises(UsageError, match="no arm 5; take 0 to 4"):
        task.step(5)
