"""Models that think before they answer teach from the command line, behind servers that behave like the real ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fake_server import FakeServer, Reply, completion

from households import answer as annotation
from households import errands
from wean.cli import main
from wean.llm import Ledger
from wean.llm.transfer import ledger_stats

pytest.importorskip("openai")

THOUGHTS = 1500  # tokens that each of these spends before it answers
TINY = ("total_timesteps=128", "num_envs=2", "num_steps=16", "student.hidden=8", "evaluation.curve_points=1")
TINY += ("evaluation.curve_episodes=2", "evaluation.episodes=2", "evaluation.recorded_episodes=0")


def said(body):
    """What the model says after its thoughts: sub-goals for demonstrations, plans otherwise."""
    if "sub-goal" in body["messages"][0]["content"]:
        asked = body["messages"][-1]["content"]
        return annotation([{"role": "user", "content": asked[asked.rindex("Task:") :]}])
    return 'It knows no key.\n{"plans": [{"skills": ["explore"], "probability": 0.8}]}'


def refused(message, status=400, **error):
    return Reply({"error": {"message": message, "type": "invalid_request_error", **error}}, status)


def gpt_5(body, attempt):
    for field, value in (("max_tokens", "max_completion_tokens"), ("temperature", None)):
        if field in body:
            hint = f" Use '{value}' instead." if value else " Only the default (1) value is supported."
            code = "unsupported_parameter" if value else "unsupported_value"
            return refused(f"Unsupported: '{field}' is not supported with this model.{hint}", code=code, param=field)
    enough = body.get("max_completion_tokens", 9999) > THOUGHTS
    content, finish = (said(body), "stop") if enough else ("", "length")
    return Reply(completion(content, finish, model="gpt-5-2025-08-07", refusal=None))


def qwen3_behind_vllm(body, attempt):
    if body["max_tokens"] > 8192:
        return refused(f"'max_tokens' or 'max_completion_tokens' is too large: {body['max_tokens']}.")
    content, finish = (said(body), "stop") if body["max_tokens"] > THOUGHTS else (None, "length")
    return Reply(completion(content, finish, model=body["model"], reasoning_content="The key? Pick up key first."))


def deepseek_r1_behind_vllm(body, attempt):
    # The template has opened the thoughts already, so that only their end is in the answer.
    if body["messages"][0]["role"] == "system":
        return refused("System role not supported")
    thoughts = 'Perhaps {"plans": [{"skills": ["pick up key"], "probability": 1.0}]}. No.'
    if body["max_tokens"] <= THOUGHTS:
        return Reply(completion(thoughts, "length", model=body["model"]))
    return Reply(completion(f"{thoughts}\n</think>\n\n{said(body)}", model=body["model"]))


def llama_cpp(body, attempt):
    if body["messages"][0]["role"] == "system":
        return refused("Jinja Exception: System role not supported", 500)
    if body["max_tokens"] <= THOUGHTS:
        return Reply(completion("<think>pick up key or", "length", model="gemma-thinks.gguf"))
    return Reply(completion(f"<think>pick up key or explore</think>{said(body)}", model="gemma-thinks.gguf"))


def ollama(body, attempt):
    content, finish = (said(body), "stop") if body["max_tokens"] > THOUGHTS else ("", "length")
    return Reply(completion(content, finish, model="qwen3:8b", reasoning="pick up key?"))


SERVERS = {
    "gpt-5": (gpt_5, "gpt-5", ()),
    "qwen3 behind vllm": (qwen3_behind_vllm, "Qwen/Qwen3-32B", ()),
    "deepseek-r1 behind vllm": (deepseek_r1_behind_vllm, "deepseek-ai/DeepSeek-R1", ()),
    "llama.cpp": (llama_cpp, "default", ("--option", "any_model=true")),
    "ollama": (ollama, "qwen3:8b", ("--option", "extra_body.reasoning_effort=low")),
}


@pytest.fixture
def wean(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAN_LEDGER", str(tmp_path / "ledger.sqlite"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wean", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


_QUICK = ("gpt-5", "llama.cpp")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in _QUICK else pytest.mark.slow) for n in SERVERS])
def test_they_teach_from_the_command_line(wean, name):
    behave, model, options = SERVERS[name]
    with FakeServer(behave, model=model) as server:
        asked = ("--model", server.name, *options)
        ask = ("ask", "SimpleDoorKey", "--episodes", "2", "--json", *asked)
        code, _, line = wean(*ask)
        assert (code, line.count("\n")) == (1, 1)
        assert "cut off at max_tokens=512" in line
        enough = (*asked, "--option", "max_tokens=4000")
        code, out, line = wean(*ask, *enough[len(asked) :])
        assert code == 0, line
        rows = json.loads(out)["rows"]
        assert all(row["plans"] == [{"skills": ["explore"], "probability": 1.0}] for row in rows)
        train = ("train", "llm4teach", "--task", "SimpleDoorKey", "--out", "run", "--resume", *TINY)
        code, _, line = wean(*train, *asked)
        assert (code, line.count("\n")) == (1, 1)
        assert "cut off at max_tokens=512" in line
        code, _, line = wean(*train, *enough)
        assert code == 0, line
        summary = json.loads(Path("run/summary.json").read_text())
        assert summary["llm"]["asked"] + summary["llm"]["replayed"] > 0
        assert summary["unadvised"] < summary["advice"]["moments"] / 2
        code, out, line = wean("eval", "teacher", "--task", "SimpleDoorKey", "--episodes", "2", "--json", *enough)
        assert code == 0, line
        rows = [{"task": one.task, "description": one.description, "path": one.actions} for one in errands(4)]
        Path("errands.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        code, out, line = wean("annotate", "errands.jsonl", "--json", *enough)
        assert code == 0, line
        assert json.loads(out)["asked"] > 0
        code, out, _ = wean("ledger", "stats")
        assert code == 0
    with Ledger(Path("ledger.sqlite")) as ledger:
        adapted = {text for entry in ledger_stats(ledger)["models"] for text in entry["adapted"]}
    expected = {
        "gpt-5": "max_completion_tokens for max_tokens, temperature left out",
        "deepseek-r1 behind vllm": "system message merged",
        "llama.cpp": "system message merged",
    }
    assert expected.get(name) is None or expected[name] in adapted
    assert (name in expected) == ("was asked otherwise" in out)


def test_a_model_under_another_name_needs_any_model(wean):
    with FakeServer(llama_cpp, model="default") as server:
        code, _, line = wean("ask", "SimpleDoorKey", "--model", server.name, "--option", "max_tokens=4000")
    assert code == 1
    assert "answered with 'gemma-thinks.gguf'" in line
    assert "any_model=true" in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("ask", "SimpleDoorKey", "--option", "max_token=3"), "takes no option max_token; it takes max_tokens, temp"),
        (("ask", "SimpleDoorKey", "--option", "timeout=0"), "option timeout: input should be greater than 0"),
        (("ask", "SimpleDoorKey", "--option", "timeout"), "is not KEY=VALUE"),
        (("ask", "SimpleDoorKey", "--option", "api_key=sk-1"), "set OPENAI_API_KEY"),
        (("ask", "SimpleDoorKey", "--option", "timeout=3"), "recorded:doorkey takes no option timeout; it takes none"),
        (("ask", "SimpleDoorKey", "--model", ""), "--model is empty"),
        (("train", "llm4teach", "--model", "openai:m", "--option", "dtype=x"), "takes no option dtype; it takes max_"),
        (("train", "ppo", "--option", "timeout=3"), "ppo asks no language model"),
        (("train", "llm4teach", "options.tempature=1"), "did you mean 'options.temperature'"),
        (("eval", "random", "--task", "SimpleDoorKey", "--option", "timeout=3"), "--option is for what asks"),
        (("eval", "random", "--task", "SimpleDoorKey", "--max-calls", "3"), "--max-calls is for what asks"),
        (("eval", "teacher", "--task", "SimpleDoorKey", "--max-calls", "3", "--workers", "2"), "in one process"),
        (("annotate", "scienceworld", "--option", "timeout=3"), "takes no option timeout; it takes none"),
        (("ledger", "export"), "there is no ledger"),
    ],
)
def test_options_that_cannot_be_used_are_refused(wean, arguments, line):
    code, _, told = wean(*arguments)
    assert code == 2
    assert line in told
    assert told.count("\n") == 1
    assert not list(Path().glob("runs/*"))


def test_the_ledger_after_recorded_answers_alone_has_nothing_to_count(wean):
    code, shown, _ = wean("ledger", "stats")
    assert code == 0
    assert "0 unanswered" in shown
    assert "no answers yet" in shown


def test_a_budget_stops_ask_and_the_agent(wean):
    with FakeServer(lambda body, attempt: Reply(completion("ACTION: forward"))) as server:
        asked = ("--model", server.name, "--max-calls", "3")
        code, _, line = wean("ask", "SimpleDoorKey", *asked)
        assert (code, len(server.bodies)) == (1, 3)
        assert "the budget of 3 calls" in line
        code, _, line = wean("eval", "llm-agent", "--task", "SimpleDoorKey", "--episodes", "1", *asked)
        assert (code, len(server.bodies)) == (1, 6)
        assert "the budget of 3 calls" in line
        code, out, _ = wean("ask", "SimpleDoorKey", "--episodes", "1", "--model", server.name)
        assert code == 0
        assert "price unknown" in out
        assert f"ledger: {Path('ledger.sqlite').absolute()}" in out
    code, out, _ = wean("ledger", "stats")
    assert code == 0
    assert "fake-1" in out
