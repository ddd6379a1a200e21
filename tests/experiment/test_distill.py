import json

import numpy as np
import pytest

import wean
from scripted_decisions import CHOICES, Words, decision
from wean.algorithms.distill import advantage_weights
from wean.data.decisions import split_sessions, write_decisions
from wean.errors import UsageError, WeanError
from wean.evaluation.coverage import (
    Judged,
    coverage_curve,
    expected_calibration_error,
    fit_temperature,
    threshold_for,
)
from wean.students import action_values, deciding


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(action_values, "CachedEncoder", Words)
    monkeypatch.setattr(deciding, "CachedEncoder", Words)


def written(path, sessions=80, places=12):
    rows = [
        decision(f"s{one}", step, (one + step) % places, seconds=2.0, cost_usd=0.01)
        for one in range(sessions)
        for step in range(10)
    ]
    write_decisions(path, split_sessions(rows, 0.5))
    return str(path)


def test_a_student_learns_the_decisions_of_a_log_and_says_what_it_can_take_alone(tmp_path):
    data = written(tmp_path / "d.parquet")
    run = wean.train("distill", data=data, gradient_steps=200, out=tmp_path / "run")
    coverage = run.summary["coverage"]
    (row,) = [one for one in coverage["levels"] if one["wanted"] == 0.98]
    assert row["share"] > 0.95
    assert row["agreement"]["mean"] == 1
    assert row["dollars_saved"] == pytest.approx(10 * row["share"])
    assert "taken alone" in (tmp_path / "run" / "report.html").read_text()
    decider = deciding.Decider(tmp_path / "run")
    verdict = decider.decide("kind", "You stand at place 4.", CHOICES)
    assert verdict.weights.argmax() == 1
    assert verdict.confidence >= decider.kinds["kind"].threshold
    assert decider.kinds["kind"].cost_usd == pytest.approx(0.01)
    assert decider.decide("another kind", "You stand at place 4.", CHOICES) is None
    assert decider.decide("kind", "Nobody ever saw this.", ("a", "b")).weights.shape == (2,)


def test_a_stopped_run_goes_on_to_the_same_student(tmp_path):
    data, settings = written(tmp_path / "d.parquet", 20), {"gradient_steps": 40, "measurements": 4}
    whole = wean.train("distill", data=data, out=tmp_path / "whole", **settings)

    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.done >= 20:
            raise StoppedError

    with pytest.raises(StoppedError):
        wean.train("distill", data=data, out=tmp_path / "run", progress=stop, **settings)
    again = wean.train("distill", data=data, out=tmp_path / "run", resume=True, **settings)
    assert again.summary["coverage"] == whole.summary["coverage"]


def test_too_few_calibration_decisions_take_nothing_alone_and_say_why(tmp_path):
    data = written(tmp_path / "d.parquet", sessions=6)
    run = wean.train("distill", data=data, gradient_steps=50, out=tmp_path / "run")
    assert deciding.Decider(tmp_path / "run").kinds["kind"].threshold is None
    assert "too few" in run.summary["coverage"]["kinds"]["kind"]["why"]
    assert "too few" in (tmp_path / "run" / "report.html").read_text()


def test_without_decisions_one_line_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="wean logs"):
        wean.train("distill", out=tmp_path / "run")


def test_a_damaged_student_ends_in_one_line(tmp_path):
    wean.train("distill", data=written(tmp_path / "d.parquet", 6), gradient_steps=5, out=tmp_path / "run")
    file = tmp_path / "run" / "student" / "decider.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "kinds": {"kind": {"number": 1}}}))
    with pytest.raises(WeanError, match="wean train distill"):
        deciding.Decider(tmp_path / "run")


def test_better_outcomes_weigh_more():
    rows = [decision("good", 0, 1), decision("good", 1, 2, reward=1.0), decision("bad", 0, 1, reward=0.0)]
    good, last, bad = advantage_weights([*rows], 1.0)
    assert good == last > bad
    assert np.mean([good, last, bad]) == pytest.approx(1)
    assert advantage_weights(rows, 0.0).tolist() == [1, 1, 1]


def test_the_threshold_is_the_least_confidence_with_enough_agreement():
    confidence = np.linspace(1, 0, 1000)
    judged = Judged(confidence, np.arange(1000) < 500)
    threshold = threshold_for(judged, 0.98)
    assert threshold == pytest.approx(confidence[501], abs=0.01)
    assert threshold_for(judged.at(np.arange(188)), 0.98) is None
    assert threshold_for(judged.at(np.arange(189)), 0.98) == confidence[188]
    curve = coverage_curve(judged)
    assert curve[-1]["agreement"] == 0.5
    assert curve[49] == {"share": 0.5, "agreement": 1.0, "threshold": confidence[499]}


def test_calibration_finds_the_temperature():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3))
    true = np.exp(logits / 0.5)
    drawn = (random.random(4000)[:, None] < (true / true.sum(1, keepdims=True)).cumsum(1)).argmax(1)
    assert fit_temperature(logits, np.eye(3)[drawn]) == pytest.approx(0.5, rel=0.1)
    assert expected_calibration_error(Judged(np.full(10, 0.8), np.arange(10) < 6)) == pytest.approx(0.2)
