"""Replay: what is kept, how it is drawn, and sums over n steps by hand."""

import numpy as np
import pytest

from wean.data.replay import NStep, Replay


def _replay(capacity: int = 8, alpha: float = 0.0) -> Replay:
    return Replay(capacity, np.random.default_rng(0), alpha)


def _held(replay: Replay) -> list[tuple[float, ...]]:
    state = replay.state()
    names = ("moments", "actions", "rewards", "discounts", "following")
    return list(zip(*(state[name].tolist() for name in names), strict=True))


def test_the_newest_are_kept_and_drawn_uniformly() -> None:
    replay = _replay(capacity=3)
    for number in range(5):
        replay.add(number, 1, number / 2, 0.5, number + 1)
    assert len(replay) == 3
    assert sorted(_held(replay)) == [(2, 1, 1, 0.5, 3), (3, 1, 1.5, 0.5, 4), (4, 1, 2, 0.5, 5)]
    _, drawn, weights = replay.draw(9000)
    assert np.bincount(drawn.moments)[2:] / 9000 == pytest.approx(1 / 3, abs=0.02)
    assert (drawn.rewards == drawn.moments / 2).all()
    assert (drawn.following == drawn.moments + 1).all()
    assert (weights == 1).all()


def test_priorities_decide_how_often_and_weights_make_up_for_it() -> None:
    replay = _replay(alpha=0.5)
    for number in range(3):
        replay.add(number, 0, 0, 1, 0)
    replay.set_priorities(np.arange(3), np.array([-0.999, 3.999, 8.999], np.float32))  # 1, 4, 9: roots 1, 2, 3
    places, _, weights = replay.draw(12_000)
    assert np.bincount(places) / 12_000 == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.02)
    assert [weights[places == place].mean() for place in range(3)] == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-4)
    half = replay.draw(100, beta=0.5)
    assert half[2][half[0] == 2] == pytest.approx((1 / 3) ** 0.5, rel=1e-4)


def test_what_is_new_has_the_highest_priority_so_far() -> None:
    replay = _replay(alpha=1.0)
    replay.add(0, 0, 0, 1, 0)
    replay.set_priorities(np.array([0]), np.array([6.0], np.float32))
    replay.add(1, 0, 0, 1, 0)
    assert replay.state()["priorities"].tolist() == pytest.approx([6.001, 6.001])


@pytest.mark.parametrize(("terminated", "last"), [(True, [0.0, 0.0]), (False, [0.25, 0.5])])
def test_rewards_of_two_steps_are_summed_by_hand(terminated: bool, last: list[float]) -> None:
    replay = _replay()
    steps = NStep(replay, members=1, n=2, gamma=0.5)
    for number, reward in enumerate((1.0, 2.0, 4.0)):
        ended = number == 2
        steps.add(0, number, 7, reward, number + 1, terminated and ended, ended)
    # An episode that was cut off keeps the value of its last moment; one that ended does not.
    assert _held(replay) == [(0, 7, 2, 0.25, 2), (1, 7, 4, last[0], 3), (2, 7, 4, last[1], 3)]


def test_members_wait_on_their_own_and_go_on_after_a_resume() -> None:
    replay = _replay()
    steps = NStep(replay, members=2, n=2, gamma=1.0)
    steps.add(0, 10, 0, 1.0, 11, False, False)
    steps.add(1, 20, 0, 5.0, 21, False, False)
    assert len(replay) == 0
    resumed = NStep(replay, members=2, n=2, gamma=1.0)
    resumed.restore(steps.state())
    resumed.add(0, 11, 0, 2.0, 12, False, False)
    assert _held(replay) == [(10, 0, 3, 1, 12)]


def test_a_restored_replay_draws_what_the_first_would_have_drawn() -> None:
    one, other = _replay(alpha=0.6), _replay(alpha=0.6)
    for number in range(11):
        one.add(number, 0, number, 1, 0)
    other.restore(one.state())
    assert _held(other) == _held(one)
    assert other.draw(50)[0].tolist() == one.draw(50)[0].tolist()
    one.add(99, 0, 0, 0, 0)
    other.add(99, 0, 0, 0, 0)
    assert _held(other) == _held(one)
