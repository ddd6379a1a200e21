"""`wean practise`: a student plays, what it solves is learnt, and a stopped one goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

import wean
from fetching import TASK, Fetching, wanted, write_demonstrations
from wean.cli import main
from wean.data.annotations import read_annotations, subgoal_of
from wean.data.trajectories import read_trajectories
from wean.runtime.normalize import render_subgoal

TINY = ("model=scratch", "hidden=32", "layers=1", "heads=2", "vocabulary=320", "context=256", "measurements=1")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["wean", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None), arguments


@pytest.fixture(scope="module")
def beginner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that has read demonstrations of two of four things."""
    folder = tmp_path_factory.mktemp("beginner")
    paths = write_demonstrations(folder, range(10))
    with pytest.MonkeyPatch.context() as patch:
        settings = (*TINY, f"data={paths}", "num_epochs=12", "dev_share=0", "swap_entities=0")
        run(patch, "train", "subgoals", *settings, "--task", TASK, "--out", folder / "run")
    return folder / "run"


def practised(beginner: Path, out: Path, rounds: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    settings = ("num_epochs=30", "learning_rate=0.003", "swap_entities=0", "measurements=1", "dev_share=0")
    amount = ("--rounds", rounds, "--episodes", 16, "--tries", 8, "--temperature", 3.0)
    run(monkeypatch, "practise", beginner, *settings, *amount, "--out", out)
    done: list[dict[str, Any]] = json.loads((out / "summary.json").read_text())["done"]
    return done


def test_a_student_solves_more_after_it_has_practised(
    beginner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (first,) = practised(beginner, out, 1, monkeypatch)
    assert 0 < first["solved"] <= first["played"] == 16
    before, after = (
        wean.evaluate(wean.load(one), Fetching, 24, seed=20_000).as_dict()["solved"]
        for one in (beginner, Path(first["run"]))
    )
    assert after > before, first
    assert f"round 1: {first['solved']} of 16 episodes solved" in capsys.readouterr().out

    # What was kept reached the full score, by actions that stand beside their sub-goals; nothing idle is left in it.
    own = read_trajectories(out / "round-1" / "own.parquet").found
    planned = {one.key: one for one in read_annotations(out / "round-1" / "own.subgoals.jsonl").found}
    assert len(own) == first["solved"]
    for one in own:
        assert one.path[-1].score == 100
        assert [step.action for step in one.path] == [f"take {wanted(one.description)}"]
        assert planned[one.key].ends[-1] == len(one.path)
        assert planned[one.key].origin == "played"

    # The same with another round goes on from there.
    weights = (Path(first["run"]) / "student/model.safetensors").stat()
    again, second = practised(beginner, out, 2, monkeypatch)
    assert again == first
    assert (Path(first["run"]) / "student/model.safetensors").stat() == weights
    assert second["played"] == 16


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("practise", "nowhere"), "has no student that reads"),
        (("practise", "RUN", "context=512"), "was trained with context=256; set the same"),
        (("practise", "RUN", "lora_rank=4"), "leave lora_rank and frozen_layers out"),
    ],
)
def test_wrong_input_is_one_line(
    beginner: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    named = [str(beginner) if one == "RUN" else one for one in arguments]
    amount = ("--episodes", "4", "--tries", "20", "--temperature", "2", "--out", str(tmp_path / "out"))
    monkeypatch.setattr("sys.argv", ["wean", *named, *amount])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_where_nothing_is_solved_nothing_is_learnt(
    beginner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Fetching, "step", lambda self, action: ("No.", 0.0, True, False, {"moves": 1}))
    monkeypatch.setattr("sys.argv", ["wean", "practise", str(beginner), "--episodes", "3", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "none of 3 episodes of round 1 was solved, so there is nothing to learn from" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["pick up metal pot", "wait", "move jug 2 to self - watering pot", "3 times"])
def test_a_sub_goal_in_words_is_written_as_a_call_and_read_as_the_same_words(text: str) -> None:
    words = render_subgoal(str(subgoal_of(text)))
    assert words == (text if text[0].isalpha() else f"do {text}")
