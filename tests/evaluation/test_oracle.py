"""Paths of oracles: which are chosen, how they are kept, resumed and read."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wean.data.shipped import shipped
from wean.data.trajectories import check_versions, path_metadata, read_trajectories
from wean.errors import UsageError, WeanError
from wean.evaluation.oracle import ScienceWorldOracle, choose_variations, write_oracle_paths
from wean.tasks.registration import episodes_of


class _Tea:
    """Makes tea, but not in variation 2, and counts in a file what it played."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def play(self, task: str, variation: int) -> dict[str, Any]:
        with self._log.open("a") as log:
            log.write(f"{variation}\n")
        path = [
            {"action": action, "observation": "ok", "look": "a kitchen", "inventory": "nothing", "score": 50.0 * n}
            for n, action in enumerate(("take kettle", f"use kettle {variation}"), 1)
        ]
        score = 0 if variation == 2 else 100
        return {"task": task, "variation": variation, "description": "Tea.", "path": path, "moves": 2, "score": score}

    def close(self) -> None:
        pass


JOB = {"task": "tea", "version": "scienceworld 1.2.3", "simplification": "easy"}
WANTED = [("tea", number) for number in range(4)]


def test_paths_are_kept_if_they_reach_the_score_and_are_read_as_jsonl_is(tmp_path: Path) -> None:
    out = tmp_path / "tea.parquet"
    make = partial(_Tea, tmp_path / "log")
    report = write_oracle_paths(out, make, WANTED, JOB)
    assert report == {"tried": 4, "kept": 3, "failed": 1, "long": 0, "steps": 6}
    found = read_trajectories(out).found
    assert [t.key for t in found] == [("tea", 0), ("tea", 1), ("tea", 3)]
    assert found[2].actions == ("take kettle", "use kettle 3")
    assert found[0].path[1][1:] == ("ok", "a kitchen", "nothing", 100.0)
    assert found[0].version == "scienceworld 1.2.3"
    assert path_metadata(out)["simplification"] == "easy"
    check_versions(found, shipped("scienceworld").trajectories)
    assert write_oracle_paths(out, make, WANTED, JOB, resume=True) == report
    with pytest.raises(UsageError, match="is there already; choose another --out"):
        write_oracle_paths(out, make, WANTED, JOB)
    with pytest.raises(UsageError, match=r"of scienceworld 1\.2\.3 and other settings"):
        write_oracle_paths(out, make, WANTED, {**JOB, "version": "scienceworld 1.3.0"}, resume=True)


def test_what_was_played_before_a_stop_is_not_played_again(tmp_path: Path) -> None:
    out, log = tmp_path / "tea.parquet", tmp_path / "log"
    parts = tmp_path / "tea.parquet.parts"
    parts.mkdir()
    (parts / "job.json").write_text(json.dumps({**JOB, "wanted": [list(item) for item in WANTED]}, sort_keys=True))
    (parts / "tea-00001.json").write_text(json.dumps(_Tea(log).play("tea", 1)))
    log.write_text("")
    with pytest.raises(UsageError, match="add --resume"):
        write_oracle_paths(out, partial(_Tea, log), WANTED, JOB)
    assert write_oracle_paths(out, partial(_Tea, log), WANTED, JOB, resume=True)["kept"] == 3
    assert log.read_text().split() == ["0", "2", "3"]
    assert not parts.exists()


def test_a_half_written_file_and_other_versions_are_told(tmp_path: Path) -> None:
    out = tmp_path / "tea.parquet"
    write_oracle_paths(out, partial(_Tea, tmp_path / "log"), WANTED, {**JOB, "version": "scienceworld 1.3.0"})
    with pytest.raises(UsageError, match=r"the paths are of scienceworld 1\.3\.0, the annotated examples of"):
        check_versions(read_trajectories(out).found, shipped("scienceworld").trajectories)
    out.write_bytes(out.read_bytes()[:-20])
    with pytest.raises(WeanError, match="damaged or half-written"):
        read_trajectories(out)
    with pytest.raises(WeanError, match="no such file"):
        read_trajectories(tmp_path / "none.parquet")


def test_variations_are_spread_over_the_split_and_the_papers_sample_is_drawn_across_splits() -> None:
    assert choose_variations("train", 2, ["boil", "4-3"], None) == [
        ("boil", 0),
        ("boil", 7),
        ("find-plant", 0),
        ("find-plant", 75),
    ]
    played = [(case.task, case.variation) for case in episodes_of("ScienceWorld", "test", 10)]
    assert choose_variations("test", 10, [], "first") == played
    assert len(played) == 271
    assert len(choose_variations("train", None, [], None)) == 3592
    drawn = [len(choose_variations(fold, None, ["9-2"], "paper")) for fold in ("train", "dev", "test")]  # type: ignore[arg-type]
    assert sum(drawn) == 50
    with pytest.raises(UsageError, match="there are first, paper"):
        choose_variations("train", None, [], "papre")


@pytest.mark.java
def test_the_oracle_of_scienceworld_reaches_the_full_score_again_with_the_same_actions() -> None:
    pytest.importorskip("scienceworld")
    oracle = ScienceWorldOracle()
    try:
        first = oracle.play("find-plant", 3)
        oracle.play("find-non-living-thing", 1)
        again = oracle.play("find-plant", 3)
    finally:
        oracle.close()
    assert first["score"] == 100
    assert first["path"][0]["look"].startswith("This ")
    assert "inventory" in first["path"][0]["inventory"]
    assert again == first
