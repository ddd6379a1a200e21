"""A language model in the loop plays a task in words."""

import json
import re
import sys
from pathlib import Path

import pytest
from wean.agents.text_react import LanguageAgent

from wean.cli import main
from wean.llm import scripted_model
from wean.llm.answers import Message
from word_demos import Replayed, demonstration


def _task() -> Replayed:
    trajectory = demonstration(1)[0]
    return Replayed(trajectory, tuple(sorted(set(trajectory.actions))))


def test_it_is_told_what_there_is_and_its_answers_are_done() -> None:
    asked: list[list[Message]] = []

    def answer(messages: list[Message]) -> str:
        asked.append(messages)
        plan = ["go to hall", "go to kitchen", "pick up lamp", "go to hall", "move lamp to box 1"]
        return f'I go on. {{"command": "{plan[len(asked) - 1]}"}}'

    task = _task()
    played = LanguageAgent(scripted_model(answer), history=2).play(task, 100)
    assert task.done == ["go to hall", "go to kitchen", "pick up lamp", "go to hall", "move lamp to box 1"]
    assert (played.score, played.moves, played.questions, played.failed) == (100, 5, 5, 0)
    assert played.tokens > 0
    first, last = asked[0][1]["content"], asked[-1][1]["content"]
    assert "carry the lamp to box 1" in asked[0][0]["content"]
    assert "A door to the hall" in first
    assert "none yet" in first
    assert "The commands that can be given now:\n" in first
    assert "> pick up lamp\nYou move the lamp to the inventory." in last
    assert "> go to kitchen" not in last, "two commands back are told"


def test_what_names_no_command_costs_no_move_but_is_told() -> None:
    asked: list[str] = []

    def answer(messages: list[Message]) -> str:
        asked.append(messages[1]["content"])
        return 'Hm. {"command": "fly"}' if len(asked) < 3 else '{"command": "Go to hall!"}'

    task = _task()
    played = LanguageAgent(scripted_model(answer)).play(task, 1)
    assert task.done == ["go to hall"]
    assert (played.questions, played.failed, played.moves) == (3, 2, 1)
    assert asked[2].count("> fly\nThat is no command here.") == 2


def test_a_model_that_talks_nonsense_is_given_up() -> None:
    played = LanguageAgent(scripted_model(lambda messages: "no idea")).play(_task(), 100)
    assert (played.questions, played.failed, played.moves, played.score) == (40, 40, 0, 0)


def first_listed(messages: list[Message]) -> str:
    """Takes the first of the listed commands."""
    listed = re.split(r"given now.*:\n", messages[1]["content"])[1]
    return json.dumps({"command": listed.split("\n")[0]})


def test_it_plays_registered_tasks_beside_students(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textworld")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        told = ["wean", "eval", "llm-agent", "--task", "TextWorldCoin", "--variations", "2", "--max-moves", "6"]
        monkeypatch.setattr(sys, "argv", [*told, "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, said, _ = run("--model", "scripted:test_language_agent:first_listed")
    assert code == 0
    found = json.loads(said)
    assert found["episodes"] == 2
    assert found["questions"] == found["actions"] > 0
    assert found["failed"] == 0
    assert list(tmp_path.glob("runs/llm-agent/evaluations/TextWorldCoin-test-2-6-scripted-*/timeline.html"))
    page = next(tmp_path.rglob("timeline.html")).read_text()
    assert f"{found['questions']:.1f} questions to a language model an episode" in page
    assert "no question to a language model" not in page
    code, _, complaint = run()
    assert code
    assert "name the language model with --model" in complaint
