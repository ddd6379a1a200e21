"""The ledger: what is asked once is never asked again, by whomever."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sqlite3
import threading
import time

import pytest
from fake_server import FakeServer

from wean.errors import WeanError
from wean.llm import Ledger, default_ledger_path, open_model, scripted_model
from wean.llm.answers import Answer, Question, key_of
from wean.llm.database import FORMAT, LedgerError
from wean.llm.ledger import is_void
from wean.llm.transfer import ledger_stats


def question(text, **parameters):
    return Question.build("generate", "m", [{"role": "user", "content": text}], parameters)


def reply(text="yes"):
    return Answer(text, 3, 1, False, 0.1, 0.25, "stop", provenance={"host": "here"})


def test_stored_answers_are_found_by_question_and_sample(ledger):
    asked = question("a", temperature=0.5)
    ledger.commit([(asked, 0), (asked, 2)], [reply("zero"), reply("two")])
    found = ledger.find([(question("a", temperature=0.5), number) for number in range(3)])
    assert {key[1]: answer.text for key, answer in found.items()} == {0: "zero", 2: "two"}
    assert all(answer.replayed and answer.cost_usd == 0.25 for answer in found.values())
    assert ledger.find([(question("a", temperature=0.6), 0), (question("b"), 0)]) == {}


@pytest.mark.parametrize(
    "other",
    [
        Question.build("generate", "m2", [{"role": "user", "content": "a"}], {"seed": 1}),
        Question.build("score", "m", [{"role": "user", "content": "a"}], {"seed": 1}),
        Question.build("generate", "m", [{"role": "system", "content": "a"}], {"seed": 1}),
        Question.build("generate", "m", [{"role": "user", "content": "a "}], {"seed": 1}),
        Question.build("generate", "m", [{"role": "user", "content": "a"}], {"seed": 2}),
        Question.build("generate", "m", [{"role": "user", "content": "a"}], {"seed": 1, "schema": {}}),
    ],
)
def test_whatever_may_change_the_answer_changes_the_key(other):
    assert other.digest != question("a", seed=1).digest


def test_key_is_the_sha256_of_the_canonical_question():
    # Computed by hand: kind, model, messages, parameters as compact JSON with sorted keys.
    import hashlib

    text = '["generate","m",[{"content":"ä","role":"user"}],{"seed":1,"top_p":0.5}]'
    built = question("ä", top_p=0.5, seed=1, temperature=None)
    assert built.digest == hashlib.sha256(text.encode()).digest()
    assert key_of((built, 3)) == (built.digest, 3)


def test_the_first_answer_stays(ledger):
    asked = question("a")
    ledger.commit([(asked, 0)], [reply("first")])
    late = ledger.commit([(asked, 0)], [reply("second")])
    assert late[key_of((asked, 0))].text == "first"


def test_a_claim_excludes_others_until_released_or_committed(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as one, Ledger(tmp_path / "l.sqlite") as other:
        samples = [(question("a"), 0), (question("b"), 0)]
        assert one.claim(samples).mine == samples
        assert one.claim(samples).theirs == samples
        assert other.claim(samples).theirs == samples
        one.release(samples[:1])
        assert other.claim(samples).mine == samples[:1]
        one.commit(samples[1:], [reply()])
        assert other.claim(samples).answered.keys() == {key_of(samples[1])}


def test_claims_are_renewed_while_held_and_expire_when_nobody_renews(tmp_path):
    with Ledger(tmp_path / "l.sqlite", claim_seconds=0.3) as one, Ledger(tmp_path / "l.sqlite") as other:
        sample = (question("a"), 0)
        one.claim([sample])
        time.sleep(0.8)
        assert other.claim([sample]).theirs == [sample]
        one.close()
        time.sleep(0.5)
        assert other.claim([sample]).mine == [sample]


def test_claims_of_a_dead_process_are_void_at_once():
    child = multiprocessing.get_context("spawn").Process(target=_nothing)
    child.start()
    child.join()
    with Ledger(":memory:") as ledger:
        machine = _owner(ledger).rsplit(":", 2)[0]
    later = time.time() + 100
    assert is_void(f"{machine}:{child.pid}:x", later, time.time())
    assert not is_void(f"{machine}:{os.getpid()}:x", later, time.time())
    assert not is_void(f"elsewhere:{child.pid}:x", later, time.time())
    assert is_void(f"elsewhere:{child.pid}:x", time.time() - 1, time.time())


def _nothing():
    pass


def test_identical_questions_of_many_threads_make_one_call(ledger, ask):
    calls = []

    def slow(messages):
        calls.append(1)
        time.sleep(0.1)
        return "yes"

    answers = []

    def run():
        model = scripted_model(slow, name="slow", ledger=ledger)
        answers.append((model.generate([ask("a")])[0][0].text, model.counts.asked))

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert [text for text, _ in answers] == ["yes"] * 20
    assert sum(asked for _, asked in answers) == 1


def ask_many(path, url, count, gate, results):
    """In a process of its own: `count` threads that ask the same question at once."""
    ledger = Ledger(path)
    counts = []

    def run():
        with open_model(url, ledger=ledger) as model:
            gate.wait()
            model.generate([[{"role": "user", "content": "the same"}]])
            counts.append((model.counts.asked, model.counts.replayed))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    results.put((sum(a for a, _ in counts), sum(r for _, r in counts)))


def test_100_identical_questions_from_4_processes_make_one_call(tmp_path):
    pytest.importorskip("openai")
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(100), context.Queue()
    with FakeServer(delay=0.3) as server:
        workers = [
            context.Process(target=ask_many, args=(tmp_path / "l.sqlite", server.name, 25, gate, results))
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        totals = [results.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join()
        assert len(server.bodies) == 1
        assert sum(asked for asked, _ in totals) == 1
        assert sum(replayed for _, replayed in totals) == 99


def open_at_once(path, gate, results):
    gate.wait()
    try:
        with Ledger(path) as ledger:
            ledger.commit([(question(f"{os.getpid()}"), 0)], [reply()])
        results.put(None)
    except WeanError as error:
        results.put(str(error))


def test_many_processes_may_make_the_same_ledger_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(5):
        gate, results = context.Barrier(6), context.Queue()
        path = tmp_path / f"{attempt}.sqlite"
        workers = [context.Process(target=open_at_once, args=(path, gate, results)) for _ in range(6)]
        for worker in workers:
            worker.start()
        assert [results.get(timeout=30) for _ in workers] == [None] * 6
        for worker in workers:
            worker.join()
        with Ledger(path) as ledger:
            assert ledger_stats(ledger)["models"][0]["answers"] == 6


def test_failure_of_one_asker_lets_another_ask(ledger, ask):
    def broken(messages):
        raise WeanError("no")

    with pytest.raises(WeanError, match="no"):
        scripted_model(broken, name="x", ledger=ledger).generate([ask("a")])
    model = scripted_model(lambda messages: "yes", name="x", ledger=ledger)
    assert model.generate([ask("a")])[0][0].text == "yes"
    assert ledger_stats(ledger)["unanswered"] == 0


def test_replay_only_asks_nothing_and_notes_what_is_missing(tmp_path, ask):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        scripted_model(lambda messages: "yes", ledger=ledger).generate([ask("a")])
    with Ledger(path, replay_only=True) as ledger:
        model = scripted_model(lambda messages: pytest.fail("asked"), ledger=ledger)
        assert model.generate([ask("a")])[0][0].text == "yes"
        with pytest.raises(WeanError, match=r"2 question\(s\).*only replays.*export --unanswered"):
            model.generate([ask("a"), ask("b"), ask("c")])
        assert ledger_stats(ledger)["unanswered"] == 2


def test_can_be_read_while_somebody_writes(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as writer, Ledger(path) as reader:
        writer.commit([(question("a"), 0)], [reply()])
        with writer.database.write() as connection:
            connection.execute("DELETE FROM answers")
            start = time.monotonic()
            assert len(reader.find([(question("a"), 0)])) == 1
            assert ledger_stats(reader)["models"][0]["answers"] == 1
            assert time.monotonic() - start < 1.0


def test_survives_fork_and_pickling(tmp_path):
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.commit([(question("a"), 0)], [reply()])
        with pickle.loads(pickle.dumps(ledger)) as copy:
            assert len(copy.find([(question("a"), 0)])) == 1
        child = multiprocessing.get_context("fork").Process(target=_commit_b, args=(ledger,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert ledger.find([(question("b"), 0)])
        assert ledger.find([(question("a"), 0)])


def _owner(ledger):
    """Who claims a question with this ledger."""
    ledger.claim([(question("b"), 0)])
    with ledger.database.read() as connection:
        return connection.execute("SELECT owner FROM claims").fetchone()[0]


def _commit_b(ledger):
    assert f":{os.getpid()}:" in _owner(ledger)
    ledger.commit([(question("b"), 0)], [reply()])


def test_default_path(monkeypatch, tmp_path):
    assert default_ledger_path() == tmp_path / "data" / "wean" / "ledger.sqlite"
    monkeypatch.setenv("WEAN_LEDGER", str(tmp_path / "mine.sqlite"))
    assert default_ledger_path() == tmp_path / "mine.sqlite"
    with Ledger() as ledger:
        assert ledger.path == str(tmp_path / "mine.sqlite")


# What can go wrong with the file.


def test_newer_format_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        ledger.commit([(question("a"), 0)], [reply()])
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={FORMAT + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"format {FORMAT + 1}.*upgrade wean"):
        Ledger(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE things(x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="is a database but no ledger"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "l.sqlite"
    path.write_text("hello " * 1000)
    with pytest.raises(LedgerError, match=r"damaged or no SQLite file.*wean ledger import") as caught:
        Ledger(path)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "hello " * 1000


def test_a_damaged_page_is_one_line_and_the_paid_answer_is_rescued(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        for start in range(0, 400, 100):
            samples = [(question(f"{i} " + "x" * 500), 0) for i in range(start, start + 100)]
            ledger.commit(samples, [reply()] * 100)
    content = bytearray(path.read_bytes())
    content[8192 : len(content)] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with (
        Ledger(path) as ledger,
        pytest.raises(LedgerError, match="damaged") as caught,
    ):
        ledger.commit([(question("new"), 0)], [reply("paid for")])
    [rescued] = tmp_path.glob("wean-rescued-*.jsonl")
    assert str(rescued) in str(caught.value)
    assert json.loads(rescued.read_text())["answer"] == "paid for"


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, ask):
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        model = scripted_model(lambda messages: messages[-1]["content"], ledger=ledger)
        model.generate([ask("before")])
        with ledger.database.read() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite then says what it says of a full disk
        with pytest.raises(LedgerError, match="disk is full; free some space") as caught:
            model.generate([ask(f"{i} " + "y" * 3000) for i in range(5)])
        assert "\n" not in str(caught.value)
        with ledger.database.read() as connection:
            connection.execute("PRAGMA max_page_count=1000000")
        assert model.generate([ask("before")])[0][0].replayed
        [rescued] = tmp_path.glob("wean-rescued-*.jsonl")
        from wean.llm.transfer import import_answers

        assert import_answers(ledger, rescued).added == len(rescued.read_text().splitlines())


def test_places_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(LedgerError, match=r"cannot make the ledger's folder.*WEAN_LEDGER"):
        Ledger(blocker / "below" / "l.sqlite")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path)


def test_replays_are_fast(ledger):
    requests = [[{"role": "user", "content": f"situation {i} " + "words " * 200}] for i in range(1000)]
    samples = [(Question.build("generate", "scripted:m", request, {}), 0) for request in requests]
    ledger.commit(samples, [reply()] * 1000)
    model = scripted_model(lambda messages: pytest.fail("asked"), name="m", ledger=ledger)
    model.generate(requests[:10], max_tokens=None)
    start = time.perf_counter()
    model.generate(requests, max_tokens=None)
    # The benchmark measures; here only a ledger that got slow by an order of magnitude fails.
    assert 1000 / (time.perf_counter() - start) > 2000
    assert model.counts.replayed == 1010
