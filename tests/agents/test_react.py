"""A language model as the agent, of skills and in words: questions, failures, what it is told, several at once."""

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wean.agents.react import ReactPolicy
from wean.cli import main
from wean.errors import UsageError
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.playing import Episode, play
from wean.evaluation.scores import query_stats_report
from wean.llm import open_model, scripted_model
from wean.llm.answers import Message
from wean.tasks.registration import make_task
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks
from wean.teachers.reading import last_named
from word_demos import Replayed, demonstration


def _tasks(task: str = "SimpleDoorKey", count: int = 5) -> SerialTasks:
    return SerialTasks([partial(make_task, task)] * count)


def _able(asked: list[dict[str, str]]) -> list[str]:
    return asked[1]["content"].split("can do something now: ")[1].split(".")[0].split(", ")


def _sensible(asked: list[dict[str, str]]) -> str:
    order = ("open door", "pick up key", "go to key", "go to door", "explore")
    held = "It holds a key" in asked[1]["content"]
    return next(name for name in order if name in _able(asked) and (held or "door" not in name))


def test_the_last_skill_that_an_answer_names_counts() -> None:
    assert (
        last_named('First {"skill": "explore"}, or rather:\n```json\n{"skill": " go to key "}\n```', "skill")
        == "go to key"
    )
    assert last_named('{"skills": ["explore"]} {"skill": 3}', "skill") is None


def test_it_solves_the_room_with_one_question_a_decision() -> None:
    asked: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages[1]["content"])
        return f'Thinking.\n{{"skill": "{_sensible(messages)}"}}'

    policy = ReactPolicy(scripted_model(answer))  # type: ignore[arg-type]
    played = play_seeds(policy, _tasks(), 10, 10_000)
    assert played.successes.all()
    stats = [episode.stats for episode in played.played]
    questions = np.array([found["questions"] for found in stats])
    assert len(questions) == 10
    assert (questions < played.lengths).all(), "a skill runs on without a question"
    assert questions.min() >= 4
    assert all(found["failed"] == 0 and found["tokens"] > 50 * found["questions"] for found in stats)
    assert set(query_stats_report(stats)) == {"questions", "failed", "tokens"}
    assert all("last decisions" not in text for text in asked)


@pytest.mark.parametrize("text", ["no idea", '{"skill": "fly to the moon"}', '{"skill": "open door"}'])
def test_an_answer_that_names_nothing_that_can_be_done_is_counted_and_chance_decides(text: str) -> None:
    policy = ReactPolicy(scripted_model(lambda asked: text))
    played = play_seeds(policy, _tasks(), 5, 10_000)
    again = ReactPolicy(scripted_model(lambda asked: text))
    assert (play_seeds(again, _tasks(count=2), 5, 10_000).lengths == played.lengths).all(), "the same chance every time"
    failed, questions = (sum(one.stats[name] for one in played.played) for name in ("failed", "questions"))
    assert failed >= questions * (0.5 if "open" in text else 1)


def test_a_history_tells_the_last_decisions_and_what_ended_them() -> None:
    asked: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        asked.append(messages[1]["content"])
        return f'{{"skill": "{_sensible(messages)}"}}'

    play_seeds(ReactPolicy(scripted_model(answer), history=2), _tasks(count=1), 1, 10_000)  # type: ignore[arg-type]
    assert asked[0].endswith("Its last decisions, the oldest first: none yet.")
    assert asked[1].endswith("Its last decisions, the oldest first: explore (the situation changed).")
    assert any("go to key (done)" in text for text in asked)
    assert max(text.count("(") for text in asked) == 2


def test_a_negative_history_is_refused() -> None:
    with pytest.raises(UsageError, match="a number of decisions from 0, not -1"):
        ReactPolicy(scripted_model(lambda asked: ""), history=-1)


@pytest.mark.parametrize("task", ["SimpleDoorKey", "KeyInBox"])
def test_the_recorded_answers_know_what_they_are_asked(task: str) -> None:
    model = open_model("recorded:react")
    policy = ReactPolicy(model)
    assert play_seeds(policy, _tasks(task), 20, 10_000).successes.mean() >= 0.9
    assert model.counts.unanswered == 0


# --- in words ---------------------------------------------------------------------------------------------------------


def _story() -> Replayed:
    trajectory = demonstration(1)[0]
    return Replayed(trajectory, tuple(sorted(set(trajectory.actions))))


def _played(policy: ReactPolicy, task: Replayed, max_moves: int = 100) -> Episode:
    (episode,) = play(policy, SerialTasks([lambda: task]), [Case("carry", 1)], max_moves=max_moves)
    return episode


def test_it_is_told_what_there_is_and_its_answers_are_done() -> None:
    asked: list[list[Message]] = []

    def answer(messages: list[Message]) -> str:
        asked.append(messages)
        plan = ["go to hall", "go to kitchen", "pick up lamp", "go to hall", "move lamp to box 1"]
        return f'I go on. {{"command": "{plan[len(asked) - 1]}"}}'

    task = _story()
    played = _played(ReactPolicy(scripted_model(answer), history=2), task)
    assert task.done == ["go to hall", "go to kitchen", "pick up lamp", "go to hall", "move lamp to box 1"]
    assert played.moves == 5
    assert (played.stats["score"], played.stats["questions"], played.stats["failed"]) == (100, 5, 0)
    assert played.stats["tokens"] > 0
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

    task = _story()
    played = _played(ReactPolicy(scripted_model(answer)), task, max_moves=1)
    assert task.done == ["go to hall"]
    assert (played.stats["questions"], played.stats["failed"], played.moves) == (3, 2, 1)
    assert asked[2].count("> fly\nThat is no command here.") == 2


def test_a_model_that_talks_nonsense_is_given_up() -> None:
    played = _played(ReactPolicy(scripted_model(lambda messages: "no idea")), _story())
    assert (played.stats["questions"], played.stats["failed"], played.moves, played.stats["score"]) == (40, 40, 0, 0)


def test_several_episodes_in_words_are_asked_about_at_once() -> None:
    sizes: list[int] = []
    model = scripted_model(first_listed)
    generate = model.generate

    def counting(questions: list[list[Message]], **how: Any) -> Any:
        sizes.append(len(questions))
        return generate(questions, **how)

    model.generate = counting  # type: ignore[method-assign, assignment]
    tasks = SerialTasks([_story] * 3)
    cases = [Case("carry", variation) for variation in range(3)]
    three = list(play(ReactPolicy(model), tasks, cases, max_moves=3))
    assert sizes == [1, 2] * 3, "one is decided by itself at first, to take the time of it"
    alone = _played(ReactPolicy(scripted_model(first_listed)), _story(), max_moves=3)
    assert [one.stats["trace"] for one in three] == [alone.stats["trace"]] * 3


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

    code, said, _ = run("--model", "scripted:test_react:first_listed")
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
