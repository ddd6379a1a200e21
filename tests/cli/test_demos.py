"""`wean demos` and `wean eval expert` from outside: files, reports, one-line errors, a real kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wean.cli import main
from wean.data.annotations import match_annotations, read_annotations
from wean.data.demonstrations import read_demonstrations
from wean.data.shipped import shipped
from wean.data.trajectories import read_trajectories


@pytest.fixture
def wean(command_line):  # type: ignore[no-untyped-def]
    """Runs the command line."""
    return command_line


def test_an_experts_file_and_its_report(wean) -> None:  # type: ignore[no-untyped-def]
    code, said, _ = wean("demos", "KitchenTomato", "--episodes", "30", "--json")
    report = json.loads(said)
    assert code == 0
    assert report == {
        "schema": "wean-demos-written/1", "file": "demos/KitchenTomato-expert.parquet", "task": "KitchenTomato",
        "policy": "expert", "episodes": 30, "share": None, "seed": 0,
        "played": 30, "kept": 30, "successful": 30, "steps": 180,
    }  # fmt: skip
    demos = read_demonstrations(Path(report["file"]))
    assert (demos.task, demos.policy, len(demos)) == ("KitchenTomato", "expert", 180)
    assert wean("demos", "KitchenTomato", "--episodes", "30")[2] == (
        "wean: demos/KitchenTomato-expert.parquet is there already; choose another --out\n"
    )
    code, said, _ = wean("demos", "KitchenTomato", "--episodes", "30", "--resume")
    assert (code, said) == (
        0,
        "demos/KitchenTomato-expert.parquet: 30 episodes (30 successful) of 30 played, 180 steps, 0.01 MB\n",
    )


def test_a_mixture_and_a_teacher(wean) -> None:  # type: ignore[no-untyped-def]
    mixed = ("demos", "KitchenTomato", "--policy", "random", "--episodes", "20", "--successful", "0.75", "--json")
    report = json.loads(wean(*mixed, "--epsilon", "0.5", "--out", "some.parquet")[1])
    assert (report["policy"], report["kept"], report["successful"]) == ("random, epsilon 0.5", 20, 15)
    assert report["played"] > 20
    taught = json.loads(wean("demos", "SimpleDoorKey", "--policy", "teacher", "--episodes", "5", "--json")[1])
    assert (taught["policy"], taught["successful"]) == ("teacher recorded:doorkey", 5)


def test_an_expert_is_evaluated_like_others(wean) -> None:  # type: ignore[no-untyped-def]
    result = json.loads(wean("eval", "expert", "--task", "Kitchen", "--episodes", "5", "--json")[1])
    assert (result["policy"], result["success"]["mean"], result["length"]["mean"]) == ("expert", 1.0, 10.0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("KeyInBox",), 2, "the shortest way is known for rooms with one key on the floor, not KeyInBox"),
        (("Kitchen", "--policy", "nowhere"), 2, "nowhere is no run folder; name one that `wean train` wrote, or"),
        (("Kitchn",), 2, "did you mean 'Kitchen'?"),
        (("CartPole-v1", "--policy", "random"), 2, "CartPole-v1 has no words (no situation())"),
        (("Kitchen", "--successful", "1.5"), 2, "Invalid value for '--successful'"),
        (("Kitchen", "--episodes", "0"), 2, "Invalid value for '--episodes'"),
        (("Kitchen", "--shorten", "scienceworld"), 2, "--shorten is for ScienceWorld, where an agent can teleport"),
        (
            ("Kitchen", "--sample", "first"),
            2,
            "--sample is for paths in words (--trajectories, --shorten); leave it out",
        ),
        (("Kitchen", "--annotations", "x"), 2, "--annotations is for paths in words (--trajectories, --shorten)"),
        (("Kitchen", "--model", "recorded:kitchen"), 2, "--model is of no use to expert; leave it out"),
        (("Kitchen", "advice.mode=soft"), 2, "key=value is of no use to expert; leave it out"),
        (("scienceworld", "--epsilon", "0.5"), 2, "--epsilon is not for the paths of a task's own solution; leave it"),
        (("scienceworld", "--shorten", "scienceworld", "--split", "dev"), 2, "--split is not for --shorten; leave it"),
        (("Kitchen", "--out", "/proc/some.parquet", "--episodes", "2"), 1, "/proc/some.parquet: cannot be written"),
        (
            ("Kitchen", "--policy", "random", "--episodes", "4", "--successful", "1", "--limit", "9"),
            1,
            "of 4 successful and 0 other episodes there were 0 and 0 after 9; raise --limit and --resume, or",
        ),
    ],
)
def test_wrong_usage_is_one_line(wean, arguments: tuple[str, ...], code: int, says: str) -> None:  # type: ignore[no-untyped-def]
    ended, out, error = wean("demos", *arguments)
    assert (ended, out) == (code, "")
    assert says in error
    assert error.count("\n") == 1
    if "--limit" not in arguments:
        assert not list(Path().rglob("*.parts")), "nothing is left to be in the way of the next try"


@pytest.mark.slow
def test_a_killed_job_goes_on_to_the_same_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wean", "demos", "KitchenRandom", "--epsilon", "0.6", "--episodes", "600"]
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    subprocess.run([*command, "--out", whole], check=True, timeout=240)
    job = subprocess.Popen([*command, "--out", killed, "--workers", "2"], start_new_session=True)
    parts = tmp_path / "killed.parquet.parts"
    until = time.monotonic() + 120
    while len(list(parts.glob("block-*"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not killed.exists()
    assert 3 <= len(list(parts.glob("block-*"))) < 24
    subprocess.run([*command, "--out", killed, "--resume"], check=True, timeout=240)
    assert killed.read_bytes() == whole.read_bytes()
    assert not parts.exists()


@pytest.mark.java
def test_a_shorter_path_is_replayed_and_written_with_its_sub_goals(wean) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("scienceworld")
    chosen = [one for one in shipped("scienceworld").trajectories if one.task == "find-animal"][:1]
    rows = [
        {"scienceworld": "1.2.3", "task": one.task, "variation": one.variation, "description": one.description,
         "path": [moment._asdict() for moment in one.path]}
        for one in chosen
    ]  # fmt: skip
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, told = wean("demos", "scienceworld", "--shorten", "own.jsonl", "--out", "short.parquet")
    assert (code, told) == (2, "wean: own.jsonl has no sub-goals; name their file with --annotations\n")
    known = dict(shipped("scienceworld").annotations)[chosen[0].key]
    row = {"task": known.task, "variation": known.variation, "subgoals": [[str(g), n] for g, n in known.chunks]}
    Path("own.subgoals.jsonl").write_text(json.dumps(row) + "\n")
    command = ("demos", "scienceworld", "--shorten", "own.jsonl", "--annotations", "own.subgoals.jsonl", "--json")
    code, out, told = wean(*command, "--out", "short.parquet")
    assert (code, told) == (0, "")
    assert json.loads(out)["kept"] == 1
    (again,) = read_trajectories(Path("short.parquet")).found
    assert again.actions[0].startswith("teleport to ")
    assert len(again.path) < len(chosen[0].path)
    assert not match_annotations(read_annotations(Path("short.subgoals.jsonl")).found, [again])[1]


@pytest.mark.parametrize("out", ["/", ".", "folder"])
def test_a_folder_in_place_of_a_file_is_refused_in_one_line(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("sys.argv", ["wean", "demos", "SimpleDoorKey", "--episodes", "1", "--out", out])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "is a folder; name a file" in capsys.readouterr().err
