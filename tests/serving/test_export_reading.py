"""Students that read leave: they plan and choose as in PyTorch, wrong input and damage in one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wean
from reading_students import Carrying, reading_student
from wean.agents.reading import ReaderPolicy, reader_of
from wean.cli import main
from wean.runtime import ExportError, PolicyError, ReadingPolicy, load
from wean.runtime.reading import Reader, Sight
from wean.students.text.student import save_text_student

pytest.importorskip("onnx", reason="export needs an extra: pip install '.[export]'")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["scratch", "pretrained"])
def sent(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A student's folder, what was exported, and what was said then."""
    where = tmp_path_factory.mktemp("reading")
    student = reading_student(request.param, subgoals=request.param == "scratch")
    save_text_student(student, where / "own")
    return student, where / "out", wean.export(where / "own", where / "out", make=Carrying, observations=60)


TASK = "reading_students:Carrying"


def sight(task: Any, observation: str = "") -> Sight:
    choices = task.situation().choices
    return Sight(task.description, task.look(), choices, observation, task.inventory(), task.score)


def played(act: Any) -> list[str]:
    """The actions of an episode."""
    task, done = Carrying(), []
    task.reset()
    observation, ended = "", False
    while not ended:
        shown = sight(task, observation)
        done.append(shown.choices[act(shown)])
        observation, _, ended, _, _ = task.step(done[-1])
    return done


def test_it_computes_the_same_in_held_out_prompts(sent: Any) -> None:
    parity = sent[2].parity
    assert parity.observations >= 60
    assert parity.difference <= 1e-5
    assert parity.agreement == 1


def test_it_plans_and_acts_as_in_pytorch(sent: Any) -> None:
    student, out, _ = sent
    policy, own = load(out), reader_of(student)
    assert isinstance(policy, ReadingPolicy)
    for _ in range(2):
        policy.reset()
        own.reset()
        goals: list[tuple[str, str]] = []

        def act(shown: Sight, own: Reader = own, goals: list[tuple[str, str]] = goals) -> int:
            place = policy.act({**shown._asdict(), "choices": list(shown.choices)})
            assert shown.choices[place] == own.act(shown)
            goals.append((policy.goal, own.goal))
            return place

        played(act)
        assert all(one == other for one, other in goals)
        assert any(one for one, _ in goals) == student.prompt.subgoals


def test_what_had_the_same_result_twice_is_not_taken_again(sent: Any) -> None:
    policy, greedy = load(sent[1]), load(sent[1], "greedy")
    shown = {"goal": "Wait.", "text": "A hall.", "choices": ["go to hall", "take lamp", "wait"], "observation": "No."}
    taken = [policy.act(shown) for _ in range(6)]
    assert sorted(taken) == [0, 0, 1, 1, 2, 2]
    assert policy.act(shown) in (0, 1, 2)  # when nothing else is left
    policy.reset()
    assert policy.act(shown) == taken[0] == greedy.act(shown)
    policy.reset()
    idle = {**shown, "idle": [shown["choices"][taken[0]]]}
    first = [policy.act(idle) for _ in range(3)]
    assert taken[0] in first
    policy.reset()
    answers = [policy.act({**shown, "observation": f"{number} times."}) for number in range(3)]
    assert len(answers) == 3  # every answer is another result, so nothing is ruled out


def test_a_sub_goal_lasts_while_the_task_asks(sent: Any) -> None:
    policy = load(sent[1])
    shown = {"goal": "Take the lamp.", "text": "A hall.", "choices": ["0", "1"]}
    policy.act(shown)
    named = policy.goal
    policy.act({**shown, "asked": True})
    assert policy.goal == named


def test_it_plays_in_weans_tasks_as_the_original_does(sent: Any) -> None:
    student, out, _ = sent
    own = wean.evaluate(ReaderPolicy(reader_of(student)), Carrying, 2)
    found = wean.evaluate(wean.load(out), Carrying, 2)
    traces = [[episode.stats["trace"] for episode in one.episodes.played] for one in (own, found)]
    assert traces[0] == traces[1]
    assert found.score is not None
    with pytest.raises(wean.UsageError, match="choose greedy or no_repeat"):
        wean.load(out, "sampled")


WRONG = {
    "a text": ("a hall", "not str"),
    "nothing": ({}, "has no goal"),
    "no choices": ({"goal": "g", "text": "t"}, "has no choices"),
    "empty choices": ({"goal": "g", "text": "t", "choices": []}, "at least one choice"),
    "a choice that is none": ({"goal": "g", "text": "t", "choices": ["go", 1]}, "all of them strings"),
    "an empty choice": ({"goal": "g", "text": "t", "choices": ["go", " "]}, "say something"),
    "a number as text": ({"goal": "g", "text": 3, "choices": ["go"]}, "text is no text"),
    "half a sign": ({"goal": "g", "text": "\ud800", "choices": ["go"]}, "text is no text"),
    "a score that is none": ({"goal": "g", "text": "t", "choices": ["go"], "score": float("nan")}, "no number"),
    "asked, but not yes or no": ({"goal": "g", "text": "t", "choices": ["go"], "asked": 1}, "no truth value"),
    "idle, but no list": ({"goal": "g", "text": "t", "choices": ["go"], "idle": "go"}, "no list of strings"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_situation_is_refused_in_one_line(sent: Any, what: str) -> None:
    wrong, said = WRONG[what]
    policy = load(sent[1])
    with pytest.raises(PolicyError, match=said) as error:
        policy.act(wrong)
    assert "\n" not in str(error.value)
    assert policy.act({"goal": "g", "text": "t", "choices": ["go"]}) == 0


def test_a_situation_longer_than_the_context_is_cut(sent: Any) -> None:
    policy = load(sent[1])
    shown = {"goal": "Take the lamp.", "text": "a lamp\n" * 2_000, "choices": ["take lamp", "wait"]}
    assert policy.act(shown) in (0, 1)


def _config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


DAMAGE = {
    "another prompt": lambda folder: _config(folder, prompt_version="wean-prompt/1"),
    "no prompt": lambda folder: _config(folder, prompt=None),
    "a wrong prompt": lambda folder: _config(folder, prompt={"context": 300, "colour": "red"}),
    "a longer context": lambda folder: _config(folder, prompt={"context": 100_000}),
    "a cut tokenizer": lambda folder: (folder / "tokenizer.json").write_text('{"version'),
    "a cut network": lambda folder: (folder / "model.onnx").write_bytes(b"onnx"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(sent: Any, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(sent[1], folder)
    DAMAGE[what](folder)
    with pytest.raises(ExportError) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_the_card_says_what_it_reads_and_the_example_runs(sent: Any, tmp_path: Path) -> None:
    folder = sent[1]
    card = (folder / "README.md").read_text()
    assert "probabilities of tokens" in card
    assert "same best token" in card
    (tmp_path / "wean_runtime").symlink_to(ROOT / "src" / "wean" / "runtime")
    guard = "import sys; sys.modules.update(torch=None, transformers=None, wean=None); import runpy; "
    command = [sys.executable, "-c", guard + f"runpy.run_path({str(folder / 'example.py')!r})"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("->") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--acting", "sampled"], "choose greedy or no_repeat"),
        (["--task", "FrozenLake4x4"], "plays tasks in words"),
        (["--goals", "oracle"], "--goals is for students in words"),
    ],
)
def test_eval_refuses_what_it_cannot_do(
    sent: Any, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [] if "--task" in arguments else ["--task", TASK]
    monkeypatch.setattr(sys, "argv", ["wean", "eval", str(sent[1]), *arguments, *more])
    with pytest.raises(SystemExit) as code:
        main()
    assert code.value.code == 2
    assert said in capsys.readouterr().err


def test_eval_plays_held_out_episodes(
    sent: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--task", TASK, "--seed", "10000", "--episodes", "2", "--json"]
    monkeypatch.setattr(sys, "argv", ["wean", "eval", str(sent[1]), *how])
    with pytest.raises(SystemExit) as code:
        main()
    assert code.value.code == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["policy"], result["episodes"]) == ("student", 2)
    assert result["score"]["mean"] == wean.evaluate(wean.load(sent[1]), Carrying, 2).score.mean


def test_a_student_that_reads_is_not_served(sent: Any) -> None:
    from wean.runtime.server.app import make_app

    with pytest.raises(PolicyError, match="students that read are not served"):
        make_app(load(sent[1]))
