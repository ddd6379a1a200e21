"""`wean eval` from outside: one set of options, each of which is used or refused; files; processes."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from wean.cli import main

ROOM = ("--task", "SimpleDoorKey")
SCIENCE = ("--task", "ScienceWorld")


@pytest.fixture
def wean(command_line):  # type: ignore[no-untyped-def]
    """Runs `wean eval`."""
    return partial(command_line, "eval")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("random", *ROOM, "--model", "recorded:doorkey"), "--model is for what asks a language model; random is none"),
        (
            ("random", *ROOM, "--acting", "greedy"),
            "--acting is for a run's student that takes numbered actions, and an",
        ),
        (("random", *ROOM, "--acting", "loud"), "--acting is one of sampled, greedy, no_repeat, not 'loud'"),
        (("expert", *ROOM, "--strict"), "--strict is for what asks a language model; expert is none"),
        (("teacher", *ROOM, "--history", "2"), "--history is for llm-agent; teacher is none"),
        (("teacher", *ROOM, "--history", "0"), "--history is for llm-agent; teacher is none"),
        (("teacher", *ROOM, "--support"), "--support is for a prior: wean eval prior --support; teacher is none"),
        (("random", *ROOM, "--goals", "oracle"), "--goals is for students in words; random is none"),
        (("random", *ROOM, "--goals", "mine"), "--goals is one of student, oracle, random, random-first, random-"),
        (("random", *ROOM, "--with", "run"), "--with is for students in words; random is none"),
        (("random", *ROOM, "--data", "some.parquet"), "--data is for oracle, and for students in words with --goals"),
        (("oracle", *SCIENCE, "--annotations", "x"), "--annotations is for students in words with --goals; oracle"),
        (("random", *ROOM, "--variations", "2"), "--variations is for tasks in words; SimpleDoorKey is none"),
        (("random", *ROOM, "--split", "dev"), "--split is for tasks in words; SimpleDoorKey is none"),
        (("random", *ROOM, "--only", "boil"), "--only is for tasks in words; SimpleDoorKey is none"),
        (("oracle", *ROOM, "--data", "scienceworld"), "oracle plays tasks in words; SimpleDoorKey is none"),
        (("random", *ROOM, "advice.mode=argmax"), "advice.mode=argmax is for teacher (advice.*), prior (prior.*) and"),
        (("teacher", *ROOM, "advice.mod=argmax"), "unknown key 'advice.mod'; did you mean 'advice.mode'?"),
        (("teacher", *ROOM, "prior.k=3"), "unknown key 'prior.k'; there are advice."),
        (("teacher", *ROOM, "advice.mode=loud"), "advice.mode: input should be"),
        (("teacher", *ROOM, "advice.mode"), "'advice.mode' is not key=value"),
        (("llm-agent", *ROOM, "advice.mode=argmax"), "llm-agent uses advice.temperature alone; leave the others out"),
        (("oracle", *SCIENCE, "--only", "boil"), "name demonstrations of these variations with --data"),
        (("random", *SCIENCE, "--only", "boil", "--seed", "1"), "--seed plays by seeds; leave it out"),
        (("random", *SCIENCE, "--split", "exam"), "no split 'exam'; there are train, dev, test"),
        (("llm-agent", *SCIENCE, "--only", "boil"), "name the language model with --model"),
        (("random",), "random plays no task of its own; name one with --task"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(wean, arguments: tuple[str, ...], says: str) -> None:  # type: ignore[no-untyped-def]
    code, out, error = wean(*arguments)
    assert (code, out) == (2, ""), error
    assert says in error
    assert error.count("\n") == 1
    assert not list(Path().iterdir()), "nothing was written"


def test_settings_of_a_teacher_are_read_as_those_of_a_run(wean) -> None:  # type: ignore[no-untyped-def]
    results = [
        json.loads(wean("teacher", *mode, "--task", "ColoredDoorKey", "--episodes", "6", "--json")[1])
        for mode in ((), ("advice.mode=soft",), ("advice.mode=argmax",))
    ]
    assert results[0]["return"] == results[1]["return"] != results[2]["return"]


@pytest.mark.slow  # new processes take seconds to begin
def test_questions_of_several_processes_are_added_up(wean) -> None:  # type: ignore[no-untyped-def]
    words = ("teacher", *ROOM, "--episodes", "12", "--json")
    one, two = (json.loads(wean(*words, "--workers", workers)[1]) for workers in ("1", "2"))
    for name in ("success", "return", "length", "policy"):
        assert one[name] == two[name]
    assert one["llm"]["model"] == two["llm"]["model"] == "recorded:doorkey"
    assert two["llm"]["replayed"] >= one["llm"]["replayed"] > 0


def test_episodes_are_kept_where_a_folder_is_named(wean, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ("random", *ROOM, "--episodes", "3", "--out", "kept", "--json")
    first = json.loads(wean(*words)[1])
    assert json.loads(Path("kept/scores.json").read_text()) == first
    rows = [json.loads(line) for line in Path("kept/episodes.jsonl").read_text().splitlines()]
    assert sorted(row["seed"] for row in rows) == [10_000, 10_001, 10_002]
    assert json.loads(wean(*words)[1])["return"] == first["return"]
    assert len(Path("kept/episodes.jsonl").read_text().splitlines()) == 3, "nothing was played again"
    table = wean("random", *ROOM, "--episodes", "3")[1]
    assert "random on SimpleDoorKey" in table
    assert "3 episodes from seed 10000" in table


def test_text_tasks_are_played_by_seeds_and_by_splits(wean) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("textworld")
    coin = ("--task", "TextWorldCoin", "--json")
    seeds = json.loads(wean("expert", "--episodes", "2", *coin)[1])
    assert (seeds["success"]["mean"], seeds["score"]["mean"], seeds["seed"]) == (1.0, 100.0, 10_000)
    split = json.loads(wean("expert", "--variations", "2", *coin)[1])
    assert (split["split"], split["score"]["mean"], split["policy"]) == ("test", 100.0, "expert")
    assert Path("runs/expert/evaluations/TextWorldCoin-test-2-40/timeline.html").exists()
    chance = json.loads(wean("random", "--split", "dev", "--variations", "1", "--max-moves", "3", *coin)[1])
    assert (chance["moves"], chance["max_moves"], chance["split"]) == (3, 3, "dev")


def test_situations_of_text_tasks_are_met_by_random_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("textworld")
    monkeypatch.chdir(tmp_path)
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        json.dumps({"messages": [{"role": "user", "content": "Who are you?"}], "answer": "A pilot."}) + "\n"
    )
    told = ["wean", "ask", "TextWorldCoin", "--model", f"recorded:{answers}", "--episodes", "1", "--json"]
    monkeypatch.setattr(sys, "argv", told)
    with pytest.raises(SystemExit) as ended:
        main()
    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert said["rows"]
    assert all(row["plans"] == [] for row in said["rows"])


def test_demonstrations_are_refused_where_the_student_plans_itself(wean, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    student = tmp_path / "run" / "student"
    student.mkdir(parents=True)
    (student / "config.json").write_text('{"type": "text"}')
    code, _, error = wean("run", *SCIENCE, "--data", "scienceworld")
    assert code == 2
    assert "--data is for oracle, and for students in words with --goals; name who gives sub-goals" in error


def test_a_split_is_named_as_its_task_names_it(wean) -> None:  # type: ignore[no-untyped-def]
    alfworld = ("expert", "--task", "alfworld", "--split", "valid_unseen", "--json")
    found = json.loads(wean(*alfworld, "--episodes", "8")[1])
    assert (found["split"], found["episodes"], found["max_moves"]) == ("valid_unseen", 8, 50)
    assert (found["success"]["mean"], len(found["tasks"])) == (1.0, 6)
    (played,) = Path().glob("runs/expert/evaluations/*/episodes.jsonl")
    trace = json.loads(played.read_text().splitlines()[0])["trace"]
    assert trace[0]["observation"].startswith("You arrive at ")
    longer = json.loads(wean("random", *alfworld[1:], "--variations", "1", "--only", "3", "--max-moves", "60")[1])
    assert (longer["max_moves"], longer["moves"]) == (60, 60)
    code, _, error = wean(*alfworld, "--episodes", "135")
    assert (code, "valid_unseen of ALFWorld has 134 episodes" in error) == (2, True)
