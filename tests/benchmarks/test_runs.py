"""What benchmarks keep of their runs: found again elsewhere, as long as the settings are the line's."""

import json
from pathlib import Path
from typing import Any

import pytest

from runs import Line, Runs

LINE = Line("dqn-50", "dqn", "fifty steps", ("FrozenLake",), seeds=3, overrides=("total_timesteps=50",))


def _finish(runs: Runs, seed: int, success: float) -> None:
    """What a finished run leaves."""
    folder = runs.path(LINE, "FrozenLake", seed)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(LINE.config("FrozenLake", seed).as_yaml())
    (folder / "summary.json").write_text(json.dumps({"command": f"--out {folder}", "seed": seed, "success": success}))


def _found(runs: Runs, line: Line = LINE) -> list[tuple[int, float]]:
    return [(summary["seed"], summary["success"]) for summary in runs.of("FrozenLake", line)]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Tables beside which the runs of seeds 1 and 3 are kept; their folders are gone."""
    runs = Runs("lake", tmp_path / "runs", with_kept=False, results=tmp_path / "results")
    _finish(runs, 1, 0.25)
    _finish(runs, 3, 0.75)
    runs.keep([LINE])
    return tmp_path / "results"


def test_kept_runs_stand_in_for_those_that_are_not_there(kept: Path, tmp_path: Path) -> None:
    runs = Runs("lake", tmp_path / "elsewhere", with_kept=True, results=kept)
    assert _found(runs) == [(1, 0.25), (3, 0.75)]
    _finish(runs, 2, 0.5)
    _finish(runs, 3, 1.0)
    assert _found(runs) == [(1, 0.25), (2, 0.5), (3, 1.0)]
    runs.keep([LINE])
    assert _found(Runs("lake", tmp_path / "nowhere", with_kept=True, results=kept)) == [(1, 0.25), (2, 0.5), (3, 1.0)]


def test_without_them_only_what_is_there_counts(kept: Path, tmp_path: Path) -> None:
    assert _found(Runs("lake", tmp_path / "elsewhere", with_kept=False, results=kept)) == []


def test_runs_of_other_settings_do_not_count(kept: Path, tmp_path: Path) -> None:
    runs = Runs("lake", tmp_path / "elsewhere", with_kept=True, results=kept)
    assert _found(runs, LINE._replace(overrides=("total_timesteps=60",))) == []


def test_where_a_run_lay_is_not_kept(kept: Path, tmp_path: Path) -> None:
    (summary, _) = Runs("lake", tmp_path / "elsewhere", with_kept=True, results=kept).of("FrozenLake", LINE)
    assert "command" not in summary


@pytest.mark.parametrize(("seeds", "shown"), [(2, "saved"), (5, "new"), (6, "new")])
def test_a_saved_row_gives_way_to_one_of_as_many_seeds(tmp_path: Path, seeds: int, shown: str) -> None:
    (tmp_path / "lake.json").write_text(
        json.dumps({"results": {"rows": [_row("dqn", 5, "saved"), _row("gone", 1, "saved")]}})
    )
    runs = Runs("lake", tmp_path, with_kept=True, results=tmp_path)
    rows = runs.with_saved([_row("dqn", seeds, "new"), _row("chance", None, "new")], "rows")
    assert [(row["method"], row["from"]) for row in rows] == [("dqn", shown), ("gone", "saved"), ("chance", "new")]


def _row(method: str, seeds: int | None, source: str) -> dict[str, Any]:
    return {"task": "FrozenLake", "method": method, "seeds": seeds, "from": source}


def test_what_a_run_played_is_kept_without_its_traces(tmp_path: Path) -> None:
    runs = Runs("lake", tmp_path / "runs", with_kept=False, results=tmp_path / "results", episodes="test.jsonl")
    _finish(runs, 1, 0.25)
    (runs.path(LINE, "FrozenLake", 1) / "test.jsonl").write_text('{"task": "boil", "score": 7, "trace": [1, 2]}\n')
    runs.keep([LINE])
    (summary,) = Runs("lake", tmp_path / "nowhere", True, tmp_path / "results").of("FrozenLake", LINE)
    assert summary["episodes"] == [{"task": "boil", "score": 7}]
