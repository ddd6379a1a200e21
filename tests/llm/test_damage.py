"""A ledger that cannot be written, is damaged, was cut, or is shared with a clock that is ahead."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from wean.errors import UsageError
from wean.llm import Ledger, scripted_model
from wean.llm.answers import Answer, Question, key_of
from wean.llm.database import LedgerError
from wean.llm.transfer import export_lines, import_answers, ledger_stats


def question(text, **parameters):
    return Question.build("generate", "m", [{"role": "user", "content": text}], parameters)


def reply(text="yes"):
    return Answer(text, 3, 1, False, 0.1, 0.25, "stop", provenance={"host": "here"})


@contextmanager
def without_rights(*places, mode=0o555):
    """As a user who may read these places and write none of them; root may write everything, so it is another user."""
    before = {place: place.stat().st_mode & 0o777 for place in places}
    above = [folder for folder in places[0].parents if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2]
    kept = {folder: folder.stat().st_mode & 0o777 for folder in above}
    for folder in above:
        folder.chmod(folder.stat().st_mode | 0o055)
    for place in places:
        place.chmod(mode)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for place, was in {**before, **kept}.items():
            place.chmod(was)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="rights are POSIX's")
@pytest.mark.parametrize("what", ["file", "folder", "folder with a log"])
def test_a_ledger_that_may_not_be_written_is_replayed(tmp_path, ask, caplog, what):
    folder = tmp_path / "shared"
    folder.mkdir()
    path = folder / "l.sqlite"
    with Ledger(path) as ledger:
        scripted_model(lambda messages: "old", ledger=ledger).generate([ask("a")])
        if what == "folder with a log":
            copy = tmp_path / "copy"
            shutil.copytree(folder, copy)
            (copy / "l.sqlite-shm").unlink()
    if what == "folder with a log":
        folder, path = copy, copy / "l.sqlite"
    with without_rights(*([path] if what == "file" else [folder, *folder.iterdir()])), Ledger(path) as ledger:
        model = scripted_model(lambda messages: "new", ledger=ledger)
        assert [answer.text for [answer] in model.generate([ask("a"), ask("b"), ask("c")])] == ["old", "new", "new"]
        assert (model.counts.asked, model.counts.replayed) == (2, 1)
        assert ledger_stats(ledger)["models"][0]["answers"] == 1
        assert export_lines(ledger, io.StringIO()) == (1, 0)
        with pytest.raises(LedgerError, match="may not be written"), ledger.database.write() as connection:
            connection.execute("DELETE FROM answers")
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"the ledger {path} may not be written: it is replayed, and new answers are not kept"]
    with Ledger(path) as ledger:
        assert ledger_stats(ledger)["models"][0]["answers"] == 1


KILLED = """
import os, sys
from wean.llm import Ledger
from wean.llm.answers import Answer, Question
ledger = Ledger(sys.argv[1])
for number in range(60):
    question = Question.build("generate", "m", [{"role": "user", "content": f"{number}" + "x" * 500}], {})
    ledger.commit([(question, 0)], [Answer("yes")])
os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The files of a ledger whose process was killed: everything is in the log."""
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-c", KILLED, folder / "l.sqlite"], check=False)
    assert (folder / "l.sqlite-wal").stat().st_size > 500_000
    return folder


def cut(log, index, at):
    os.truncate(log, at)


def flip(log, index, at):
    content = bytearray(log.read_bytes())
    content[at + 200] ^= 1
    log.write_bytes(content)


FRAME = 24 + 4096


@pytest.mark.parametrize(
    ("damage", "at", "index"),
    [
        (cut, 32 + 100 * FRAME, True),
        (cut, 32 + 100 * FRAME + 1000, True),
        (cut, 32 + 100 * FRAME + 1000, False),
        (cut, 0, True),
        (flip, 32 + 100 * FRAME, True),
        (flip, 32 + 100 * FRAME, False),
        (None, 0, True),
        (None, 0, False),
    ],
)
def test_a_cut_or_damaged_log_is_said(killed, tmp_path, caplog, damage, at, index):
    for file in killed.iterdir():
        shutil.copy(file, tmp_path)
    path, log, beside = (tmp_path / f"l.sqlite{end}" for end in ("", "-wal", "-shm"))
    if damage:
        damage(log, beside, at)
    if not index:
        beside.unlink()
    with Ledger(path) as ledger:
        left = ledger_stats(ledger)["answers"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    if damage:
        assert left < 60
        assert len(said) == 1
        assert str(path) in said[0]
        assert "stored last are gone" in said[0]
    else:
        assert (left, said) == (60, [])
    caplog.clear()
    with Ledger(path) as ledger:
        assert ledger_stats(ledger)["answers"] == left
    assert not caplog.records


DAMAGES = [
    "UPDATE answers SET answer=x'ff00' WHERE rowid_like",
    "UPDATE answers SET answer=CAST(x'ff41' AS TEXT) WHERE rowid_like",
    "UPDATE answers SET prompt_tokens='many' WHERE rowid_like",
    "UPDATE answers SET completion_tokens=9223372036854775807 WHERE rowid_like",
    "UPDATE answers SET provenance='{' WHERE rowid_like",
    "UPDATE answers SET recorded=1e15 WHERE rowid_like",
    "UPDATE answers SET recorded='yesterday' WHERE rowid_like",
    "UPDATE answers SET cost_usd='free' WHERE rowid_like",
    "UPDATE questions SET messages='[' WHERE digest=?",
    "UPDATE questions SET messages='[{}]' WHERE digest=?",
    "UPDATE questions SET parameters=NULL WHERE digest=?",
    "UPDATE questions SET messages=replace(messages, 'a', 'b') WHERE digest=?",
    "DELETE FROM questions WHERE digest=?",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_is_left_out_and_counted(tmp_path, damage):
    path = tmp_path / "l.sqlite"
    samples = [(question(text), 0) for text in ("a", "x", "y")]
    with Ledger(path) as ledger:
        ledger.commit(samples, [reply()] * 3)
        with ledger.database.write() as connection:
            connection.execute("PRAGMA ignore_check_constraints=1")
            try:
                connection.execute(damage.replace("rowid_like", "digest=?"), (samples[0][0].digest,))
            except sqlite3.IntegrityError:  # this table takes no such damage
                connection.execute("DELETE FROM questions WHERE digest=?", (samples[0][0].digest,))
        out = io.StringIO()
        assert export_lines(ledger, out) == (2, 1)
        assert len(out.getvalue().splitlines()) == 2
        stats = ledger_stats(ledger)
        assert stats["answers"] + stats["damaged"] == 3
        assert len(ledger.find(samples)) >= 2
    (tmp_path / "out.jsonl").write_text(out.getvalue())
    with Ledger(":memory:") as other:
        assert import_answers(other, tmp_path / "out.jsonl").added == 2


def test_a_damaged_answer_is_asked_again_and_replaced(ledger, ask):
    model = scripted_model(lambda messages: "yes", ledger=ledger)
    model.generate([ask("a")])
    with ledger.database.write() as connection:
        connection.execute("UPDATE answers SET answer=x'ff'")
    assert ledger_stats(ledger)["damaged"] == 1
    [[answer]] = model.generate([ask("a")])
    assert (answer.text, answer.replayed) == ("yes", False)
    assert ledger_stats(ledger)["damaged"] == 0
    assert model.generate([ask("a")])[0][0].replayed


LINE = {"messages": [{"role": "user", "content": "a"}], "model": "m", "parameters": {}, "answer": "yes"}


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("recorded", "9999-12-31T23:59:59-12:00", "from 1970 to 9999"),
        ("recorded", "0001-01-01T00:00:00+12:00", "from 1970 to 9999"),
        ("recorded", "1969-12-31", "from 1970 to 9999"),
        ("prompt_tokens", 2**63, "a number from 0"),
        ("seconds", float("inf"), "a number from 0"),
        ("cost_usd", float("nan"), "a number from 0"),
        ("sample", 2**63, "a whole number from 0"),
    ],
)
def test_numbers_and_dates_beyond_reason_are_refused(ledger, tmp_path, field, value, line):
    (tmp_path / "in.jsonl").write_text(json.dumps(LINE | {field: value}) + "\n")
    with pytest.raises(UsageError, match=f"in.jsonl:1: .*{line}"):
        import_answers(ledger, tmp_path / "in.jsonl")


def test_the_last_date_there_is_comes_in_and_out_again(ledger, tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps(LINE | {"recorded": "9999-12-31T23:59:58+00:00"}) + "\n")
    assert import_answers(ledger, tmp_path / "in.jsonl").added == 1
    out = io.StringIO()
    assert export_lines(ledger, out) == (1, 0)
    assert json.loads(out.getvalue())["recorded"].startswith("9999-12-31T23:59:58")
    assert ledger_stats(ledger)["models"][0]["last"].startswith("9999")


def test_half_characters_are_taken_in(ledger, tmp_path):
    odd = {"answer": "\ud83d", "finish_reason": "\udc00", "provenance": {"served": "\ud83d"}}
    (tmp_path / "in.jsonl").write_text(json.dumps(LINE | odd) + "\n")
    assert import_answers(ledger, tmp_path / "in.jsonl").added == 1
    assert export_lines(ledger, io.StringIO()) == (1, 0)


@pytest.mark.parametrize("claim", [("elsewhere:1:x", time.time() + 86_400), ("nonsense", 9e18), (b"\xff", "soon")])
def test_a_claim_from_a_clock_ahead_is_bounded(tmp_path, ask, caplog, claim):
    with Ledger(tmp_path / "l.sqlite", claim_seconds=0.4) as ledger:
        asked = Question.build("generate", "scripted:m", ask("a"), {"max_tokens": 512})
        with ledger.database.write() as connection:
            connection.execute("INSERT INTO claims VALUES(?, ?, ?, ?)", (*key_of((asked, 0)), *claim))
        start = time.monotonic()
        model = scripted_model(lambda messages: "yes", name="m", ledger=ledger)
        assert model.generate([ask("a")])[0][0].text == "yes"
        assert time.monotonic() - start < 3
    if claim[0] == "elsewhere:1:x":
        assert ["ahead" in record.getMessage() for record in caplog.records] == [True]
        assert "0.4 s" in caplog.text
