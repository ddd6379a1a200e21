import asyncio
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

import wean
from scripted_decisions import CHOICES, Words, decision
from scripted_upstream import upstream
from wean.data.decisions import split_sessions, write_decisions
from wean.data.messages import parse_conversation
from wean.errors import UsageError
from wean.llm import Ledger
from wean.runtime.server import running
from wean.serving.gateway import front
from wean.serving.gateway.deciding import Rules
from wean.serving.gateway.serve import Place, make_gateway, serve_gateway
from wean.serving.gateway.trust import Trust
from wean.students import action_values, deciding
from wean.teachers.logs import decisions_of, read_logs

GOAL = "Walk."
KEY = "sk-very-secret"


def prompt(place):
    listed = "\n".join(f"- {choice}" for choice in CHOICES)
    return [
        {"role": "system", "content": GOAL},
        {"role": "user", "content": f"You stand at place {place}.\n\nThe choices are:\n{listed}"},
    ]


def right(body):
    place = int(body["messages"][-1]["content"].split("place ")[1].split(".")[0])
    return {"content": CHOICES[place % 3]}


def wrong(body):
    place = int(body["messages"][-1]["content"].split("place ")[1].split(".")[0])
    return {"content": CHOICES[(place + 1) % 3]}


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(action_values, "CachedEncoder", Words)
        row = {"messages": prompt(1), "answer": "right"}
        kind = decisions_of([parse_conversation(row)]).decisions[0].kind
        rows = [decision(f"s{one}", step, (one + step) % 12) for one in range(80) for step in range(10)]
        rows = [one.__class__(**{**one.__dict__, "kind": kind, "cost_usd": 0.01, "seconds": 2.0}) for one in rows]
        write_decisions(folder / "d.parquet", split_sessions(rows, 0.5))
        wean.train("distill", data=str(folder / "d.parquet"), gradient_steps=200, out=folder / "run")
    return folder / "run"


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(deciding, "CachedEncoder", Words)


@contextmanager
def serving(app):
    config = uvicorn.Config(app, port=0, log_config=None, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)

    async def run():
        await server.serve()
        await app.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client
    server.should_exit = True
    thread.join()


@contextmanager
def gateway(tmp_path, student, url, audits=5, floor=0.001, **place):
    notes = []
    app = make_gateway(
        student, Place(url, **place), Rules(audits, floor, 50), tmp_path / "ledger.sqlite", None, notes.append
    )
    with serving(app) as client:
        client.notes = notes
        yield client


def ask(client, place, **more):
    body = {"model": "m", "messages": prompt(place), **more}
    return client.post("/v1/chat/completions", json=body, headers={"x-session-id": f"s{place}"})


def said(response):
    return response.json()["choices"][0]["message"]["content"]


def numbers(client):
    return client.get("/gateway/numbers").json()


def test_the_student_decides_after_its_audits_and_gives_way_when_the_model_changes(tmp_path, student):
    answers = [right]
    with upstream(lambda body: answers[0](body)) as (url, met), gateway(tmp_path, student, url, floor=0.3) as client:
        for place in range(5):
            assert said(ask(client, place)) == CHOICES[place % 3]
        assert len(met) == 5
        for place in range(40):
            assert said(ask(client, place % 12)) == CHOICES[place % 3]
        found = numbers(client)
        assert found["alone"] > 10
        assert found["alone"] + len(met) == 45
        assert found["agreement"][0] == 1
        assert found["saved_dollars"] == pytest.approx(found["alone"] * 0.01)
        answers[0] = wrong
        for place in range(60):
            ask(client, place % 12)
        assert "agreement fell" in numbers(client)["switches"][-1]
        before = numbers(client)["alone"]
        assert said(ask(client, 3)) == CHOICES[1]
        assert numbers(client)["alone"] == before


def test_everything_else_is_passed_on_as_it_came(tmp_path, student):
    with upstream(lambda body: {"content": "A poem."}) as (url, met), gateway(tmp_path, student, url) as client:
        body = {"model": "m", "temperature": 0.5, "messages": [{"role": "user", "content": "Write."}], "odd": [1]}
        assert said(client.post("/v1/chat/completions", json=body)) == "A poem."
        path, headers, sent = met[0]
        assert (path, sent, headers["authorization"]) == ("/v1/chat/completions", body, f"Bearer {KEY}")
        assert client.get("/v1/models").json()["data"] == [{"id": "m"}]
        large = {**body, "messages": [{"role": "user", "content": "x" * 5_000_000}]}
        assert said(client.post("/v1/chat/completions", json=large)) == "A poem."


def test_streams_come_through_and_the_student_streams_too(tmp_path, student):
    with upstream(right) as (url, _), gateway(tmp_path, student, url, audits=1) as client:
        for _ in range(2):
            told = ask(client, 1, stream=True)
            lines = [line[6:] for line in told.text.splitlines() if line.startswith("data: ")]
            chunks = [json.loads(line) for line in lines[:-1]]
            text = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)
            assert (lines[-1], text.strip()) == ("[DONE]", "right")
        assert numbers(client)["alone"] == 1


@pytest.mark.parametrize(("fault", "status"), [(429, 429), (500, 500), ("hang", 504), ("cut", 502)])
def test_faults_of_the_endpoint_reach_the_client(tmp_path, student, fault, status):
    with upstream(right, lambda body: fault, 1.5) as (url, _), gateway(tmp_path, student, url, seconds=0.5) as client:
        told = ask(client, 1)
        assert told.status_code == status
        assert "error" in told.json()
        assert numbers(client)["logged"] == 0


def test_a_cut_stream_is_cut_for_the_client_and_not_logged(tmp_path, student):
    with upstream(right, lambda body: "cut") as (url, _), gateway(tmp_path, student, url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client, 1, stream=True)
        assert numbers(client)["logged"] == 0


def test_completed_answers_are_in_the_ledger_with_their_session_and_no_key(tmp_path, student):
    with upstream(right) as (url, _), gateway(tmp_path, student, url, audits=100) as client:
        for place in (1, 2, 1):
            ask(client, place)
        assert numbers(client)["logged"] == 3
        found = read_logs([tmp_path / "ledger.sqlite"]).decisions
        assert sorted((one.session, one.answer) for one in found) == [("s1", 1), ("s1", 1), ("s2", 2)]
        shown = client.get("/gateway").text + json.dumps(numbers(client))
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite*"))
    assert KEY not in shown
    assert "stand at" not in shown
    assert KEY.encode() not in kept


def test_calls_of_tools_go_through_the_ledger(tmp_path):
    queue = {"type": "string", "enum": ["billing", "technical"]}
    function = {"name": "route", "parameters": {"properties": {"queue": queue}, "required": ["queue"]}}
    called = {"id": "1", "type": "function", "function": {"name": "route", "arguments": '{"queue": "technical"}'}}
    answer = {"content": None, "tool_calls": [called]}
    with upstream(lambda body: answer) as (url, _), gateway(tmp_path, None, url) as client:
        body = {"messages": [{"role": "user", "content": "It is broken."}], "model": "m"}
        body["tools"] = [{"type": "function", "function": function}]
        client.post("/v1/chat/completions", json=body)
    (one,) = read_logs([tmp_path / "ledger.sqlite"]).decisions
    assert (one.choices, one.answer, one.form) == (("billing", "technical"), 1, "tool")


def test_a_damaged_student_passes_everything_on(tmp_path, student):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "config.json").write_text("{}")
    with upstream(right) as (url, _), gateway(tmp_path, tmp_path, url, audits=1) as client:
        assert "everything is passed on" in client.notes[0]
        assert [said(ask(client, 4)) for _ in range(3)] == ["right"] * 3


def test_a_student_that_fails_at_work_costs_no_answer(tmp_path, student, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("You stand at place 4.")

    monkeypatch.setattr(deciding.Decider, "decide", fail)
    with upstream(right) as (url, _), gateway(tmp_path, student, url, audits=1) as client:
        assert said(ask(client, 4)) == "right"
        assert numbers(client)["notes"] == ["could not ask the student: RuntimeError"]


def test_a_ledger_that_cannot_be_written_costs_no_answer(tmp_path, student, monkeypatch):
    def full(*arguments):
        raise OSError("no space")

    monkeypatch.setattr(Ledger, "commit", full)
    with upstream(right) as (url, _), gateway(tmp_path, student, url) as client:
        assert said(ask(client, 4)) == "right"
        assert (numbers(client)["logged"], numbers(client)["failures"]) == (0, 1)


def test_a_disk_that_is_full_costs_no_answer_and_no_earlier_row(tmp_path, student):
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with upstream(right) as (url, _), gateway(tmp_path, student, url, audits=100) as client:
        ask(client, 1)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, kept[1]))
            assert said(ask(client, 2)) == CHOICES[2]
            found = numbers(client)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, kept)
            signal.signal(signal.SIGXFSZ, handler)
        assert (found["logged"], found["failures"]) == (1, 1)
        assert said(ask(client, 3)) == CHOICES[0]
        assert numbers(client)["logged"] == 2
    found = read_logs([tmp_path / "ledger.sqlite"]).decisions
    assert sorted(one.session for one in found) == ["s1", "s3"]


def test_what_clients_have_is_in_the_ledger_when_a_gateway_is_killed(tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    with upstream(right) as (url, _):
        words = ["gateway", "--upstream", url, "--port", "0", "--ledger", str(ledger)]
        process = subprocess.Popen([sys.executable, "-m", "wean", *words], stdout=subprocess.PIPE, text=True)
        at = process.stdout.readline().split(" at ")[1].split("/v1")[0]
        with httpx.Client(base_url=at) as client:
            assert [said(ask(client, place)) for place in range(3)] == [CHOICES[place % 3] for place in range(3)]
        process.kill()
        process.communicate()
    assert [one.session for one in read_logs([ledger]).decisions] == ["s0", "s1", "s2"]


@pytest.mark.slow
def test_a_gateway_that_ends_with_a_request_in_flight_says_so_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a request and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        words = ["gateway", "--upstream", url, "--port", "0", "--ledger", str(tmp_path / "ledger.sqlite")]
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-m", "wean", *words], stdout=pipe, stderr=pipe, text=True)
        at = process.stdout.readline().split(" at ")[1].split("/v1")[0]
        with httpx.Client(base_url=at, timeout=30) as client, ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, client, 1)
            accepted, _ = silent.accept()
            with accepted:
                accepted.recv(1)
                process.send_signal(signal.SIGTERM)
                _, told = process.communicate(timeout=30)
                assert asked.result().status_code >= 500
    assert (process.returncode, told) == (130, "wean: stopped\n")


def test_a_student_is_trained_anew_on_request(tmp_path, student, monkeypatch):
    commands = []

    async def trained(*words):
        commands.append(words)
        if words[0] == "train":
            shutil.copytree(student, words[-1])

    monkeypatch.setattr(front, "_wean", trained)
    with upstream(right) as (url, _), gateway(tmp_path, None, url, audits=2) as client:
        ask(client, 1)
        client.post("/gateway/retrain", json={})
        while (told := numbers(client)["training"]) == "training":
            time.sleep(0.01)
        assert told.startswith("trained anew")
        assert [words[0] for words in commands] == ["logs", "train"]
        for place in range(5):
            assert said(ask(client, place)) == CHOICES[place % 3]
        assert numbers(client)["alone"] == 3


def test_training_that_fails_leaves_the_student_in_its_place(tmp_path, student):
    with upstream(right) as (url, _), gateway(tmp_path, student, url, audits=1) as client:
        client.post("/gateway/retrain", json={})
        while (told := numbers(client)["training"]) == "training":
            time.sleep(0.05)
        assert "the student stays" in told
        for _ in range(2):
            assert said(ask(client, 4)) == CHOICES[1]
        assert numbers(client)["alone"] == 1


def test_the_page_is_for_this_machine_alone(tmp_path, student):
    with upstream(right) as (url, _), gateway(tmp_path, student, url) as client:
        assert client.get("/gateway").status_code == 200
        assert client.get("/gateway", headers={"host": "evil.example"}).status_code == 400
        assert client.post("/gateway/retrain", content="{}").status_code == 415
    with upstream(right) as (url, _), gateway(tmp_path, student, url, host="0.0.0.0") as client:
        assert client.get("/gateway", headers={"host": "evil.example"}).status_code == 404
        assert said(client.post("/v1/chat/completions", json={"messages": prompt(1)}, headers={"host": "a.b"}))


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/v1", "https://key@host/v1", "https://host/v1?key=1"])
def test_addresses_that_cannot_be_used_are_refused(tmp_path, url):
    with pytest.raises(UsageError, match="address"):
        make_gateway(None, Place(url), Rules(), tmp_path / "l.sqlite", None, print)


def test_a_connection_outlasts_the_time_that_the_endpoint_has(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(running, "run", lambda app, host, port, limits, ready: taken.append(limits))
    place = Place("http://127.0.0.1:9/v1", seconds=600)
    serve_gateway(make_gateway(None, place, Rules(), tmp_path / "l.sqlite", None, print), place, print)
    assert taken[0].idle_seconds > 600


def test_trust_is_earned_lost_and_earned_again():
    trust = Trust(0.9, needed=10, window=50)
    assert [trust.record(True) for _ in range(10)] == [False] * 9 + [True]
    lost = next(count for count in range(1, 60) if trust.record(count % 2 == 0))
    assert lost < 30
    assert not trust.alone
    assert any(trust.record(True) for _ in range(10))
