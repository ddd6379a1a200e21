"""Students that read leave: they plan and choose as in PyTorch, wrong input and damage in one line."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from mcp import Client

import wean
from reading_students import Carrying, reading_student
from wean.agents.reading import ReaderPolicy, reader_of
from wean.cli import main
from wean.runtime import ExportError, PolicyError, ReadingPolicy, load
from wean.runtime.reading import Reader, Sight
from wean.runtime.server.app import guarded, make_app
from wean.runtime.server.limits import Limits
from wean.serving.mcp import make_server
from wean.serving.page import add_page
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


LONG = {
    "a long task": ({"goal": "lamp " * 400}, "the task and what is carried have"),
    "a lot to carry": ({"carried": "lamp\n" * 400}, "the task and what is carried have"),
    "a long choice": ({"choices": ["take lamp", "lamp " * 150]}, "a choice has more than 128 tokens"),
    "a choice of blanks": ({"choices": ["take" + " " * 2_000]}, "or 1,000 characters"),
}


@pytest.mark.parametrize("what", LONG)
def test_what_cannot_be_left_out_of_a_prompt_has_a_length(sent: Any, what: str) -> None:
    wrong, said = LONG[what]
    with pytest.raises(PolicyError, match=said):
        load(sent[1]).act({"goal": "g", "text": "t", "choices": ["go"], **wrong})


@pytest.fixture
def server(sent: Any) -> TestClient:
    return TestClient(guarded(make_app(load(sent[1]))), base_url="http://127.0.0.1")


def begun(server: TestClient) -> str:
    return str(server.post("/sessions", json={}).json()["session"])


def as_json(shown: Sight) -> dict[str, Any]:
    return {**shown._asdict(), "choices": list(shown.choices), "idle": list(shown.idle)}


def test_a_served_student_that_reads_acts_as_in_the_hand(sent: Any, server: TestClient) -> None:
    policy, session = load(sent[1]), begun(server)
    assert isinstance(policy, ReadingPolicy)
    told: dict[str, Any] = {}
    for _ in range(2):
        policy.reset()

        def act(shown: Sight) -> int:
            start = not shown.observation
            nonlocal told
            told = server.post("/act", json={"session": session, "start": start, "observation": as_json(shown)}).json()
            assert told["action"] == policy.act(as_json(shown))
            assert told["name"] == shown.choices[told["action"]]
            assert told["goal"] == policy.goal
            return int(told["action"])

        played(act)
    assert set(told) == {"action", "name", "goal"}


def test_served_episodes_do_not_mix(sent: Any, server: TestClient) -> None:
    shown = {"goal": "Wait.", "text": "A hall.", "choices": ["go to hall", "take lamp", "wait"], "observation": "No."}
    others = [{**shown, "goal": "Take the lamp.", "observation": f"{number} times."} for number in range(6)]
    first, second = load(sent[1]), load(sent[1])
    sessions = [begun(server), begun(server)]
    for other in others:
        told = server.post("/act", json={"sessions": sessions, "observations": [shown, other]}).json()
        assert told["actions"] == [first.act(shown), second.act(other)]
        # One that cannot be read: nobody acts.
        wrong = server.post("/act", json={"sessions": sessions, "observations": [shown, {"goal": "g"}]})
        assert wrong.status_code == 422
        assert "has no text" in wrong.json()["error"]


def test_requests_at_one_moment_act_one_after_the_other(sent: Any) -> None:
    shown = {"goal": "Wait.", "text": "A hall.", "choices": ["go to hall", "take lamp", "wait"], "observation": "No."}
    policy = load(sent[1])
    transport = httpx.ASGITransport(guarded(make_app(load(sent[1]))))

    async def ask() -> list[Any]:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            session = (await client.post("/sessions", json={})).json()["session"]
            asked = [client.post("/act", json={"session": session, "observation": shown}) for _ in range(5)]
            asked.append(client.post("/act", json={"session": session, "start": True, "observation": shown}))
            return [answer.json()["action"] for answer in await asyncio.gather(*asked)]

    wanted = [policy.act(shown) for _ in range(5)]
    policy.reset()
    assert asyncio.run(ask()) == [*wanted, policy.act(shown)]


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({}, 409, "begin a session"),
        ({"session": None, "probabilities": True}, 422, "gives no probabilities"),
        ({"session": None, "observation": {"goal": "g", "text": "t", "choices": ["lamp " * 150]}}, 422, "shorten it"),
    ],
)
def test_a_served_student_that_reads_refuses(server: TestClient, asked: Any, status: int, said: str) -> None:
    body = {"observation": {"goal": "g", "text": "t", "choices": ["go"]}, **asked}
    answer = server.post("/act", json=body | ({"session": begun(server)} if "session" in body else {}))
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_memory_bounds_the_sessions(sent: Any) -> None:
    policy = load(sent[1])
    assert isinstance(policy, ReadingPolicy)
    assert f"up to {policy.episode_bytes / 1e6:,.1f} MB" in (sent[1] / "README.md").read_text()
    assert 100_000 < policy.episode_bytes < 1_000_000
    server = TestClient(guarded(make_app(policy, Limits(reading_megabytes=1))), base_url="http://127.0.0.1")
    most = server.get("/health").json()["most_sessions"]
    assert most == 1_000_000 // policy.episode_bytes
    names = [begun(server) for _ in range(most)]
    assert server.post("/sessions", json={}).status_code == 503
    server.delete(f"/sessions/{names[0]}")
    assert server.post("/sessions", json={}).status_code == 201


def test_a_student_that_reads_is_a_tool_without_a_page(sent: Any) -> None:
    app = make_app(load(sent[1]))
    assert "ask this one at /act" in str(add_page(app, "exported", None))
    shown = {"goal": "Take the lamp.", "text": "A hall.", "choices": ["take lamp", "wait"]}

    async def ask() -> Any:
        async with Client(make_server(sent[1])) as client:
            return await client.call_tool("act", {"observation": shown, "start": True})

    assert asyncio.run(ask()).structured_content["action"] == load(sent[1]).act(shown)
