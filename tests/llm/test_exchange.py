"""What servers refuse is adapted once and noted; only whole answers are kept; refused ones cost what they cost."""

from __future__ import annotations

import json

import pytest
from fake_server import FakeServer, Reply, completion, question_of

from wean.errors import WeanError
from wean.llm import Budget, BudgetError, open_model
from wean.llm.answers import Price
from wean.llm.exchange import read_completion, without_system
from wean.llm.retry import Refusal, TransientError, read_refusal

pytest.importorskip("openai")

FAST = {"retry_base": 0.005, "timeout": 2.0}
CHAT = [{"role": "system", "content": "rules"}, {"role": "user", "content": "hello"}]
ASKED = {"temperature": 0.0, "top_p": 0.5, "seed": 3, "schema": {"type": "object"}}


def refused(message, status=400, **error):
    return Reply({"error": {"message": message, **error}}, status)


def notes(ledger):
    with ledger.database.read() as connection:
        rows = connection.execute("SELECT json_extract(provenance, '$.adapted') FROM answers").fetchall()
    return {row[0] for row in rows}


def open_(server, ledger, **options):
    return open_model(server.name, ledger=ledger, **(FAST | options))


# ---- adaptation -----------------------------------------------------------------------------------------------------


TAKES_NOT = [
    (
        "max_tokens",
        "max_completion_tokens for max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        {"code": "unsupported_parameter", "param": "max_tokens"},
    ),
    (
        "temperature",
        "temperature left out",
        "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is "
        "supported.",
        {"code": "unsupported_value", "param": "temperature"},
    ),
    ("temperature", "temperature left out", "invalid temperature: only 1 is allowed for this model", {}),
    ("temperature", "temperature left out", "`temperature` is deprecated for this model.", {}),
    ("top_p", "top_p left out", "Unknown parameter: top_p", {}),
    ("seed", "seed left out", "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs ...'}]", {}),
    ("response_format", "schema left out", "json_schema is not supported by this model", {}),
    ("response_format", "schema left out", "Failed to initialize samplers: failed to parse grammar", {}),
]


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize(("field", "note", "message", "error"), TAKES_NOT)
def test_a_refused_field_is_adapted_once_and_noted(ledger, field, note, message, error, status):
    def behave(body, attempt):
        return refused(message, status, **error) if field in body else None

    with FakeServer(behave) as server, open_(server, ledger, concurrency=1) as model:
        chats = [[CHAT[0], {"role": "user", "content": f"{i}"}] for i in range(5)]
        assert [a.text for [a] in model.generate(chats, **ASKED)] == [f"echo: {i}" for i in range(5)]
        assert sum(field in body for body in server.bodies) == 1
        assert len(server.bodies) == 6
    assert notes(ledger) == {note}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "System role not supported"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (400, "Only user and assistant roles are supported!"),
        (400, "Only user, assistant and tool roles are supported, got system."),
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        (422, "messages.0.role: Input should be 'user' or 'assistant'"),
        (500, "Jinja Exception: System role not supported"),
        (500, ""),
        (500, "Internal Server Error"),
    ],
)
def test_a_refused_system_message_is_merged_into_the_users(ledger, status, message):
    def behave(body, attempt):
        return Reply(message, status) if body["messages"][0]["role"] == "system" else None

    with FakeServer(behave) as server, open_(server, ledger) as model:
        assert model.generate([CHAT])[0][0].text == "echo: hello"
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "rules\n\nhello"}]
        sent = len(server.bodies)
        model.generate([CHAT], first_sample=1)
        assert len(server.bodies) == sent + 1
    assert notes(ledger) == {"system message merged"}


def test_system_messages_come_before_the_next_user_message():
    talk = [("system", "a"), ("user", "b"), ("assistant", "c"), ("system", "d"), ("user", "e"), ("system", "f")]
    merged = without_system([{"role": role, "content": content} for role, content in talk])
    told = [(message["role"], message["content"]) for message in merged]
    assert told == [("user", "a\n\nb"), ("assistant", "c"), ("user", "d\n\ne"), ("user", "f")]


@pytest.mark.parametrize("field", ["response_format", "seed"])
def test_a_server_that_fails_by_chance_is_not_adapted_to(ledger, field):
    def behave(body, attempt):
        return refused("oh no", 500) if attempt in (2, 3, 4) else None

    with FakeServer(behave) as server, open_(server, ledger) as model:
        model.generate([CHAT], **ASKED)  # the server has shown that it takes everything
        model.generate([CHAT], **ASKED, first_sample=1)
        assert all(field in body and len(body["messages"]) == 2 for body in server.bodies)
    assert notes(ledger) == {None}


ENDLESS = [
    "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 256 tokens.",
    "max_tokens is too large: 512. This model supports at most 100 completion tokens, unsupported.",
    "the request exceeds the available context size. max_tokens max_completion_tokens",
]
EVERYTHING = "unsupported: max_tokens, max_completion_tokens, temperature, top_p, seed, system role, response_format"


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_that_refuses_everything_is_not_asked_for_ever(ledger, status):
    with FakeServer(lambda body, attempt: refused(EVERYTHING, status)) as server:
        with open_(server, ledger, retries=1) as model, pytest.raises(WeanError) as caught:
            model.generate([CHAT], **ASKED)
        assert "\n" not in str(caught.value)
        assert len(server.bodies) <= 8


@pytest.mark.parametrize("message", ENDLESS)
def test_too_long_is_said_at_once(ledger, message):
    with FakeServer(lambda body, attempt: refused(message)) as server:
        with open_(server, ledger) as model, pytest.raises(WeanError, match=r"too long.*shorten"):
            model.generate([CHAT], **ASKED)
        assert len(server.bodies) == 1


def test_a_wrong_value_is_said_and_not_left_out(ledger):
    message = "temperature must be between 0 and 1"
    with FakeServer(lambda body, attempt: refused(message) if "temperature" in body else None) as server:
        with open_(server, ledger) as model, pytest.raises(WeanError, match=message):
            model.generate([CHAT], temperature=1.5)
        assert len(server.bodies) == 1


# ---- whole answers --------------------------------------------------------------------------------------------------


def without_usage(answer):
    del answer["usage"]
    return answer


NO_ANSWER = {
    "empty": completion(""),
    "blank": completion(" \n"),
    "null": completion(None),
    "thoughts alone": completion(None, reasoning_content="hmm"),
    "thoughts in the text": completion("<think>a key, perhaps"),
    "parts without text": completion([{"type": "text", "text": None}]),
    "filtered": completion("half an ans", "content_filter"),
    "error": completion("half an ans", "error"),
    "aborted": completion("half an ans", "abort"),
    "out of resources": completion("half an ans", "insufficient_system_resource"),
    "cut": completion("half an ans", "length"),
    "cut, in Google's words": completion("half an ans", "MAX_TOKENS"),
    "no message": {"choices": [{"finish_reason": "stop"}], "usage": completion("")["usage"]},
}


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_what_is_no_whole_answer_is_tried_again_and_never_kept(ledger, kind):
    with FakeServer(lambda body, attempt: Reply(NO_ANSWER[kind]) if attempt == 1 else None) as server:
        with open_(server, ledger, price=Price(1.0, 1.0)) as model:
            assert model.generate([CHAT])[0][0].text == "echo: hello"
            assert (model.counts.asked, model.counts.refused, model.counts.tokens) == (1, 1, 36)
            assert model.counts.cost_usd == pytest.approx(36e-6)
        assert len(server.bodies) == 2
    with FakeServer(lambda body, attempt: Reply(NO_ANSWER[kind])) as server:
        with open_(server, ledger, retries=1) as model, pytest.raises(WeanError) as caught:
            model.generate([CHAT], first_sample=1)
        assert "\n" not in str(caught.value)
        assert "tried 2 times" in str(caught.value)
        assert model.counts.tokens == 36
        assert model.counts.cost_usd is None
    with ledger.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)


def test_refused_answers_use_up_the_budget(ledger):
    costly = completion(None) | {"usage": {"prompt_tokens": 100, "completion_tokens": 400}}
    with FakeServer(lambda body, attempt: Reply(costly)) as server:
        budget = Budget(tokens=1000)
        with open_(server, ledger, budget=budget) as model, pytest.raises(BudgetError, match=r"1000 tokens.*raise"):
            model.generate([CHAT], max_tokens=400)
        assert budget.spent.tokens == 1000
        assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("body", "line", "requests"),
    [
        ({"error": {"message": "Insufficient credits", "code": 402}}, "quota is used up.*Insufficient credits", 1),
        ({"error": {"message": "bad key", "code": "401"}}, "refused the API key.*bad key", 1),
        ({"error": {"message": "no more", "code": "insufficient_quota"}}, "quota is used up.*no more", 1),
        ({"object": "error", "message": "context length is 12", "code": 400}, "too long", 1),
        ({"error": {"message": "Provider returned error", "code": 502}}, "answered 502.*Provider returned", 3),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "529.*Overloaded", 3),
        ({"error": "something broke"}, "answered with an error.*something broke", 3),
        ({"detail": "nobody at home"}, "nobody at home", 3),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "insufficient balance", 3),
        ({"choices": [{"error": {"code": 402, "message": "pay"}, "message": {"content": "h"}}]}, "used up.*pay", 1),
        ([], "without choices", 3),
        ("[" * 100_000 + "]" * 100_000, "broken JSON", 3),
        ('{"choices": ' + "9" * 5000 + "}", "broken JSON", 3),
    ],
)
def test_an_error_that_says_200_is_told_by_its_code(ledger, body, line, requests):
    with FakeServer(lambda _, attempt: Reply(body)) as server:
        with open_(server, ledger, retries=2) as model, pytest.raises(WeanError, match=line) as caught:
            model.generate([CHAT])
        assert "\n" not in str(caught.value)
        assert len(server.bodies) == requests


def test_odd_answers_are_read_within_bounds(ledger):
    odd = completion("half an emoji \ud83d", model="fake-1")
    odd["usage"] = {"prompt_tokens": 2**63, "completion_tokens": 7}
    odd["choices"][0]["finish_reason"] = None
    with FakeServer(lambda body, attempt: Reply(odd)) as server, open_(server, ledger) as model:
        [[answer]] = model.generate([CHAT])
        assert answer.text == "half an emoji ?"
        assert answer.tokens_estimated
        [[again]] = model.generate([CHAT])
        assert again.replayed
        assert json.dumps(again.text)


def test_parts_without_text_are_left_out():
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": None}, {"type": "text", "text": "yes"}, "x"]
    assert read_completion(json.dumps(completion(parts)).encode()).text == "yes"


@pytest.mark.parametrize("content", [b"null", b"3", b'{"choices": {}}', b'{"choices": [3]}', b"\xff", b""])
def test_what_is_no_completion_is_said(content):
    with pytest.raises(TransientError):
        read_completion(content)


def test_a_choice_with_an_error_of_its_own_is_an_error():
    found = read_completion(b'{"choices": [{"error": {"message": "x", "code": 429}}], "usage": {"a": 1}}')
    assert isinstance(found, Refusal)
    assert (found.status, found.message, found.usage) == (429, "x", {"a": 1})


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, [{"error": {"code": 400, "message": "Unknown name: seed"}}], "Unknown name: seed"),
        (400, {"error": {"error": {"message": "Unknown name: seed"}}}, "Unknown name: seed"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "Unknown field"}]}, "body.seed: Unknown field"),
        (400, {"error": "Unknown name: seed"}, "Unknown name: seed"),
        (400, {"object": "error", "message": "Unknown name: seed", "code": 400}, "Unknown name: seed"),
        (400, "Unknown name: seed", "Unknown name: seed"),
        (400, None, "no reason given"),
        (400, {"error": {}}, ""),
        (400, [], ""),
        (400, {"errors": [{"code": 7, "message": "Unknown name: seed"}]}, "Unknown name: seed"),
    ],
)
def test_errors_are_read_in_every_form(status, body, message):
    found = read_refusal(body, status)
    assert found.status == status
    assert message in found.message


def test_an_error_may_say_what_it_cost(ledger):
    told = {"error": {"message": "broke off", "code": 503}, "usage": {"prompt_tokens": 5, "completion_tokens": 40}}
    with FakeServer(lambda body, attempt: Reply(told, 503) if attempt == 1 else None) as server:
        with open_(server, ledger) as model:
            model.generate([CHAT])
        assert (model.counts.refused, model.counts.tokens) == (1, 63)


def test_dripping_answers_end_at_the_time_out(ledger):
    import time

    def behave(body, attempt):
        return Reply(completion("slow"), drip=0.05) if question_of(body) == "hello" else None

    with FakeServer(behave) as server, open_(server, ledger, timeout=0.3, retries=1) as model:
        start = time.monotonic()
        with pytest.raises(WeanError, match=r"no answer within the time-out of 0.3 s"):
            model.generate([CHAT])
        assert time.monotonic() - start < 2
        assert model.generate([[{"role": "user", "content": "other"}]])[0][0].text == "echo: other"
