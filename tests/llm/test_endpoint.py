"""An OpenAI-compatible endpoint against a real server on loopback, with everything that goes wrong."""

from __future__ import annotations

import logging
import socket
import sys
import time

import pytest
from fake_server import FakeServer

from wean.errors import UsageError, WeanError
from wean.llm import Budget, BudgetError, Ledger, open_model
from wean.llm.answers import Price

pytest.importorskip("openai")

FAST = {"retry_base": 0.01, "timeout": 0.5}


def first(faults):
    """These faults on the first attempts, then an answer."""
    return lambda body, attempt: faults[attempt - 1] if attempt <= len(faults) else None


@pytest.fixture
def opened(ledger):
    models = []

    def open_(server, **options):
        models.append(open_model(server.name, ledger=ledger, **(FAST | options)))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def test_answers_with_counts_tokens_and_identity(opened, ask):
    with FakeServer() as server:
        model = opened(server, price=Price(1.0, 2.0))
        [[one, two]] = model.generate([ask("hello")], n=2, temperature=0.5, seed=10)
        assert one.text == two.text == "echo: hello"
        assert (one.prompt_tokens, one.completion_tokens, one.tokens_estimated) == (11, 7, False)
        assert one.cost_usd == pytest.approx((11 * 1.0 + 7 * 2.0) / 1e6)
        assert not one.replayed
        assert model.identity == "fake-1"
        assert sorted(body["seed"] for body in server.bodies) == [10, 11]
        assert all(body["temperature"] == 0.5 and body["max_tokens"] == 512 for body in server.bodies)
        assert (model.counts.asked, model.counts.distinct, model.counts.tokens) == (2, 1, 36)
        [[again]] = model.generate([ask("hello")], temperature=0.5, seed=10, first_sample=1)
        assert again.replayed
        assert again.text == "echo: hello"
        assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "fault",
    [
        "429:0.05",
        "429",
        "500",
        "503:0",
        "408",
        "reset",
        "timeout",
        "broken_json",
        "cut",
        "empty_choices",
        "no_text",
        "html",
    ],
)
def test_a_fault_that_passes_ends_in_an_answer(opened, ask, fault):
    with FakeServer(first([fault, fault])) as server:
        model = opened(server, timeout=0.3)
        [[answer]] = model.generate([ask("hello")])
        assert answer.text == "echo: hello"
        assert len(server.bodies) == 3
        assert model.counts.asked == 1


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("500", "answered 500"),
        ("429", "answered 429"),
        ("reset", "connection broke"),
        ("timeout", "time-out"),
        ("broken_json", "broken JSON"),
        ("cut", "connection broke"),
        ("empty_choices", "without choices"),
        ("no_text", "without text"),
    ],
)
def test_a_fault_that_stays_ends_in_one_line(opened, ask, fault, line):
    with FakeServer(lambda body, attempt: fault) as server:
        model = opened(server, retries=2, timeout=0.2)
        with pytest.raises(WeanError, match=line) as caught:
            model.generate([ask("hello")])
        assert "tried 3 times" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("wrong_model", "answered with 'another-thing'.*any_model"),
        ("too_long", "too long.*maximum context length.*shorten"),
        ("quota", "quota is used up"),
        ("refuse=temperature", "refuses the request.*temperature"),
        ("403", "forbids this key"),
    ],
)
def test_what_trying_again_cannot_mend_is_asked_once(opened, ask, ledger, fault, line):
    with FakeServer(lambda body, attempt: fault) as server:
        model = opened(server)
        with pytest.raises(WeanError, match=line) as caught:
            model.generate([ask("hello")])
        assert "\n" not in str(caught.value)
        assert len(server.bodies) == 1
        assert ledger.claim([]).mine == []


def test_a_cut_answer_is_tried_once_more_and_names_the_limit(opened, ask):
    with FakeServer(lambda body, attempt: "length") as server:
        with pytest.raises(WeanError, match=r"cut off at max_tokens=512.*raise the option max_tokens"):
            opened(server).generate([ask("hello")])
        assert len(server.bodies) == 2


def test_any_model_accepts_a_server_that_ignores_names(opened, ask):
    with FakeServer(lambda body, attempt: "wrong_model") as server:
        [[answer]] = opened(server, any_model=True).generate([ask("hello")])
        assert answer.text == "echo: hello"


def test_answers_in_parts_are_put_together(opened, ask):
    with FakeServer(lambda body, attempt: "parts") as server:
        [[answer]] = opened(server).generate([ask("hello")])
        assert answer.text == "in parts"


def test_retry_after_is_honoured_by_all_threads(opened, ask):
    times = []

    def behave(body, attempt):
        times.append(time.monotonic())
        return "429:0.6" if len(times) == 1 else None

    with FakeServer(behave) as server:
        model = opened(server, concurrency=4)
        model.generate([ask(f"question {i}") for i in range(12)])
    waited = [moment - times[0] for moment in times[1:]]
    # At most those that were under way when the server said so come earlier.
    assert sum(wait < 0.55 for wait in waited) <= 3 * 3
    assert max(waited) >= 0.6


def test_a_longer_retry_after_than_we_wait_is_said(opened, ask):
    with (
        FakeServer(lambda body, attempt: "429:4000") as server,
        pytest.raises(WeanError, match="asks to wait 4000 s"),
    ):
        opened(server).generate([ask("hello")])


def test_unreachable_host_fails_soon_and_clearly(ledger, ask):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    start = time.monotonic()
    with (
        open_model(f"http://127.0.0.1:{port}/v1#m", ledger=ledger, retry_base=0.1) as model,
        pytest.raises(WeanError, match=f"127.0.0.1:{port}: cannot be reached.*check the address"),
    ):
        model.generate([ask("hello")])
    assert time.monotonic() - start < 5


def test_wrong_key_never_shows(tmp_path, ask, caplog, capfd, monkeypatch):
    secret = "sk-secret-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    caplog.set_level(logging.DEBUG)
    with (
        FakeServer(key="sk-right") as server,
        Ledger(tmp_path / "l.sqlite") as ledger,
        open_model(server.name, ledger=ledger, **FAST) as model,
    ):
        with pytest.raises(WeanError, match=r"refused the API key.*OPENAI_API_KEY") as caught:
            model.generate([ask("hello")])
        assert server.headers[0]["authorization"] == f"Bearer {secret}"
        assert len(server.bodies) == 1
        seen = f"{caught.value!r} {model.name} {model.identity} {model!r}"
    captured = capfd.readouterr()
    assert secret not in seen + caplog.text + captured.out + captured.err
    for file in tmp_path.iterdir():
        if file.is_file():
            assert secret.encode() not in file.read_bytes()


def test_a_key_in_a_servers_complaint_is_blotted_out(ledger, ask):
    from wean.llm.retry import scrub

    assert scrub("bad key sk-abc123456 or Bearer tok.en", "") == "bad key *** or ***"
    assert scrub("bad key hunter22", "hunter22") == "bad key ***"
    assert len(scrub("x" * 1000, "")) == 300


def test_password_in_the_address_stays_out_of_names(ledger, ask):
    with open_model("http://me:secret@localhost:1/v1#m", ledger=ledger, **FAST) as model:
        assert "secret" not in model.name + model.identity
        with pytest.raises(WeanError, match="localhost:1: cannot be reached") as caught:
            model.generate([ask("hello")])
        assert "secret" not in str(caught.value)


def test_unknown_model_lists_what_there_is(ledger, ask):
    with (
        FakeServer() as server,
        open_model(f"{server.url}#nobody", ledger=ledger, **FAST) as model,
        pytest.raises(UsageError, match="no model 'nobody'; it serves fake-1"),
    ):
        model.generate([ask("hello")])


def test_wrong_path_is_told_apart_from_a_wrong_model(ledger, ask):
    with (
        FakeServer() as server,
        open_model(f"{server.url.removesuffix('/v1')}#fake-1", ledger=ledger, **FAST) as model,
        pytest.raises(WeanError, match="does the URL end in /v1"),
    ):
        model.generate([ask("hello")])


def test_schema_is_sent_and_done_without_where_refused(opened, ask, ledger):
    schema = {"type": "object", "properties": {"plan": {"type": "string"}}}
    with FakeServer() as server:
        opened(server).generate([ask("a")], schema=schema)
        assert server.bodies[0]["response_format"]["json_schema"]["schema"] == schema

    refuse = "refuse=response_format"
    with FakeServer(lambda body, attempt: refuse if "response_format" in body else None) as server:
        model = opened(server)
        model.generate([ask("b"), ask("c")], schema=schema)
        assert sum("response_format" in body for body in server.bodies) <= 2
        assert "response_format" not in server.bodies[-1]
        with ledger.database.read() as connection:
            query = "SELECT count(*) FROM answers WHERE provenance LIKE '%schema left out%'"
            assert connection.execute(query).fetchone() == (2,)


def test_new_name_of_the_limit_is_learnt(opened, ask):
    def behave(body, attempt):
        return "refuse='max_tokens' use 'max_completion_tokens' instead" if "max_tokens" in body else None

    with FakeServer(behave) as server:
        opened(server).generate([ask("a")], max_tokens=33)
        assert server.bodies[-1]["max_completion_tokens"] == 33


def test_missing_usage_is_estimated_and_marked(opened, ask):
    with FakeServer(usage=False) as server:
        [[answer]] = opened(server).generate([ask("x" * 40)])
        assert answer.tokens_estimated
        assert answer.prompt_tokens == 10
        assert answer.completion_tokens > 0


def test_unknown_price_stays_unknown(opened, ask):
    with FakeServer() as server:
        model = opened(server)
        [[answer]] = model.generate([ask("a")])
        assert answer.cost_usd is None
        assert model.counts.cost_usd is None
        with pytest.raises(UsageError, match=r"price of .* is unknown.*prices.yaml"):
            opened(server, budget=Budget(dollars=1.0))


def test_concurrency_is_bounded(opened, ask):
    with FakeServer(delay=0.03) as server:
        opened(server, concurrency=3).generate([ask(f"{i}") for i in range(15)])
        assert server.most_at_once <= 3
        assert server.most_at_once >= 2


def test_rate_limit(opened, ask):
    with FakeServer() as server:
        start = time.monotonic()
        opened(server, requests_per_minute=1200, concurrency=4).generate([ask(f"{i}") for i in range(11)])
        assert time.monotonic() - start >= 10 * 60 / 1200


def test_budget_of_calls_keeps_what_was_answered(opened, ask, ledger):
    with FakeServer() as server:
        model = opened(server, budget=Budget(calls=5))
        questions = [ask(f"{i}") for i in range(9)]
        with pytest.raises(BudgetError, match=r"budget of 5 calls.*raise the budget"):
            model.generate(questions)
        assert len(server.bodies) == 5
        more = opened(server, budget=Budget(calls=4))
        assert [a.text for [a] in more.generate(questions)] == [f"echo: {i}" for i in range(9)]
        assert (more.counts.asked, more.counts.replayed) == (4, 5)
        assert len(server.bodies) == 9


def test_extra_body_is_sent_and_part_of_the_key(opened, ask):
    with FakeServer() as server:
        opened(server).generate([ask("a")])
        opened(server, extra_body={"reasoning_effort": "low"}).generate([ask("a")])
        assert len(server.bodies) == 2
        assert server.bodies[1]["reasoning_effort"] == "low"


def test_port_and_host_are_no_part_of_the_key(opened, ask):
    with FakeServer() as one, FakeServer() as other:
        opened(one).generate([ask("a")])
        opened(other).generate([ask("a")])
        assert (len(one.bodies), len(other.bodies)) == (1, 0)
        opened(other, revision="2").generate([ask("a")])
        assert len(other.bodies) == 1


def test_environment_names_key_and_address(ledger, ask, monkeypatch):
    with FakeServer(key="sk-right") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right\n")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_model("openai:fake-1", ledger=ledger, **FAST) as model:
            [[answer]] = model.generate([ask("a")])
            assert answer.text == "echo: a"


def test_a_missing_key_matters_only_when_something_is_asked(ledger, ask):
    with (
        open_model("openai:gpt-5", ledger=ledger) as model,
        pytest.raises(UsageError, match="set OPENAI_API_KEY"),
    ):
        model.generate([ask("a")])


def test_without_the_sdk_the_extra_is_named(ledger, ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with (
        open_model("http://localhost:1/v1#m", ledger=ledger) as model,
        pytest.raises(UsageError, match=r"needs the extra llm: pip install '.\[llm\]'"),
    ):
        model.generate([ask("a")])


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("http://#m", {}, "address looks like"),
        ("http://localhost:99999/v1#m", {}, "address looks like"),
        ("http://localhost:1/v1", {}, "model's name is missing"),
        ("openai:", {}, "model's name is missing"),
        ("openai:gpt-5", {"nonsense": 1}, "takes no option nonsense"),
        ("openai:gpt-5", {"concurrency": 0}, "option concurrency: .*greater than or equal to 1"),
        ("openai:gpt-5", {"requests_per_minute": 0}, "option requests_per_minute: .*greater than 0"),
        ("gpt-5", {}, "names no model; the forms are"),
    ],
)
def test_wrong_names_and_options(ledger, name, options, line):
    with pytest.raises(UsageError, match=line):
        open_model(name, ledger=ledger, **options)


@pytest.mark.parametrize(
    ("asked", "served", "wrong"),
    [
        ("gpt-5", "gpt-5-2025-08-07", False),
        ("gpt-5", "openai/gpt-5", False),
        ("openai/gpt-5", "gpt-5", False),
        ("qwen3", "qwen3:latest", False),
        ("Qwen/Qwen3-32B", "qwen3-32b", False),
        ("/models/a.gguf", "a", False),
        ("m", "", False),
        ("gpt-5", "gpt-5-mini", True),
        ("gpt-5-mini", "gpt-5", True),
        ("qwen3", "llama3", True),
    ],
)
def test_which_served_names_are_the_same_model(asked, served, wrong):
    from wean.llm.endpoint import served_something_else

    assert served_something_else(asked, served) is wrong
