from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wean.evaluation import statistics
from wean.evaluation.statistics import (
    Interval,
    bootstrap_mean,
    interquartile_mean,
    iqm,
    median_steps,
    paired_difference,
    steps_to,
    wilson,
)


def test_interval_has_three_keys() -> None:
    assert Interval(0.5, 0.25, 0.75).as_dict() == {"mean": 0.5, "low": 0.25, "high": 0.75}


# Score intervals (method 3) of R. G. Newcombe, Statistics in Medicine 17 (1998), table I.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_wilson_matches_published_values(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson(successes, n)
    assert interval.mean == successes / n
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_wilson_at_the_ends_in_closed_form() -> None:
    z2 = 1.959963984540054**2
    assert wilson(500, 500).low == pytest.approx(500 / (500 + z2), rel=1e-12)
    assert wilson(500, 500).high == 1.0
    assert wilson(0, 500).high == pytest.approx(z2 / (500 + z2), rel=1e-12)
    assert wilson(0, 500).low == 0.0


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_solve_the_score_equation(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval = wilson(successes, n, confidence=0.9)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    z2 = 1.6448536269514722**2
    for end in (interval.low, interval.high):
        assert (end - interval.mean) ** 2 == pytest.approx(z2 * end * (1 - end) / n, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_bootstrap_mean_of_two_values_by_hand() -> None:
    # Means of two draws from {0, 1}: 0, 1/2, 1 with probability 1/4, 1/2, 1/4. The 2.5 and 97.5 % points are
    # 0 and 1; the 30 % and 70 % points are both 1/2.
    assert bootstrap_mean([0, 1]).as_dict() == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert bootstrap_mean([0, 1], confidence=0.4).as_dict() == {"mean": 0.5, "low": 0.5, "high": 0.5}


def test_bootstrap_mean_approaches_the_exact_distribution() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    exact = np.array([np.mean(draw) for draw in itertools.product(values, repeat=5)])
    low, high = np.quantile(exact, [0.025, 0.975])
    found = bootstrap_mean(values, resamples=40_000)
    assert found.mean == pytest.approx(6.2)
    assert found.low == pytest.approx(low, abs=0.21)
    assert found.high == pytest.approx(high, abs=0.21)


def test_bootstrap_mean_has_the_normal_width() -> None:
    values = np.random.default_rng(7).normal(3.0, 2.0, size=2500)
    found = bootstrap_mean(values)
    half = 1.96 * values.std() / math.sqrt(values.size)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_bootstrap_is_seeded_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).exponential(size=50)
    whole = bootstrap_mean(values, seed=5)
    assert bootstrap_mean(values, seed=5) == whole
    assert bootstrap_mean(values, seed=6) != whole
    monkeypatch.setattr(statistics, "CHUNK_VALUES", 700)
    assert bootstrap_mean(values, seed=5) == whole


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0, 2.0]], [1.0, math.inf]])
def test_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_mean([1.0, 2.0], confidence=confidence)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=confidence)


def test_one_value_has_no_spread() -> None:
    assert bootstrap_mean([0.7]) == Interval(0.7, 0.7, 0.7)


def test_paired_difference_is_narrower_than_two_means() -> None:
    difficulty = np.random.default_rng(0).normal(0, 10, size=200)
    better = difficulty + 1.0
    assert paired_difference(better, difficulty).as_dict() == pytest.approx({"mean": 1, "low": 1, "high": 1})
    unpaired = bootstrap_mean(better)
    assert unpaired.high - unpaired.low > 2
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0, 2.0], [1.0])


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean(np.array([100.0, 1.0, 2.0, 3.0])) == 2.5
    # Nine values: two are cut at either end, five stay.
    assert interquartile_mean(np.arange(9.0) ** 2) == (4 + 9 + 16 + 25 + 36) / 5
    rows = np.array([[0.0, 1.0, 2.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    assert interquartile_mean(rows).tolist() == [1.5, 1.0]


def test_iqm_resamples_within_tasks() -> None:
    # Runs of a task agree and tasks differ: drawing runs within tasks changes nothing, drawing over all does.
    scores = np.tile([0.0, 0.2, 0.6, 1.0], (5, 1))
    assert iqm(scores).as_dict() == pytest.approx({"mean": 0.4, "low": 0.4, "high": 0.4})
    spread = iqm(np.array([0.1, 0.5, 0.6, 0.9]))
    assert spread.mean == pytest.approx(0.55)
    assert spread.low < 0.55 < spread.high
    assert iqm(np.array([0.1, 0.5, 0.6, 0.9])) == spread


def test_iqm_withstands_one_failed_run() -> None:
    scores = np.array([0.95, 0.96, 0.97, 0.98, 0.0])
    assert iqm(scores).mean == pytest.approx((0.95 + 0.96 + 0.97) / 3)
    with pytest.raises(ValueError, match="runs, tasks"):
        iqm(np.zeros((2, 2, 2)))


CURVE = [
    {"env_steps": 0, "success": 0.0, "return": 0.0},
    {"env_steps": 1000, "success": 0.92, "return": 0.5},
    {"env_steps": 2000, "success": 0.85, "return": 0.6},
    {"env_steps": 3000, "success": None, "return": 0.6},
    {"env_steps": 4000, "success": 0.9, "return": 0.7},
    {"env_steps": 5000, "success": 0.95, "return": 0.8},
]


def test_steps_to_reads_the_first_point_or_the_first_that_holds() -> None:
    assert steps_to(CURVE, 0.9) == 1000
    assert steps_to(CURVE, 0.9, hold=2) == 4000
    assert steps_to(CURVE, 0.75, key="return") == 5000
    assert steps_to(CURVE, 0.99) is None
    assert steps_to([], 0.5) is None
    with pytest.raises(ValueError, match="hold"):
        steps_to(CURVE, 0.9, hold=0)


def test_median_counts_censored_runs_as_late() -> None:
    assert median_steps([3000, 1000, None]).as_dict() == {"median": 3000, "reached": 2, "runs": 3}
    assert median_steps([1000, 2000]).median == 1500
    late = median_steps([1000, None])
    assert late.median is None
    assert late.censored == 1
    assert median_steps([None]).as_dict() == {"median": None, "reached": 0, "runs": 1}
    with pytest.raises(ValueError, match="at least one run"):
        median_steps([])
