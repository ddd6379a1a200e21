"""Answers and questions in and out of the ledger, and the command that does it."""

from __future__ import annotations

import gzip
import json

import pytest
from typer.testing import CliRunner

from wean.errors import UsageError, WeanError
from wean.llm import Budget, BudgetError, Ledger, open_model, scripted_model
from wean.llm.transfer import import_answers, ledger_stats

cli = CliRunner()


def run(*words):
    from wean.cli.ask import app

    result = cli.invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def filled(tmp_path, ask):
    """A ledger with three answers of one model and one of another, and its path."""
    path = tmp_path / "filled.sqlite"
    with Ledger(path) as ledger:
        scripted_model(lambda m, sample: f"{m[-1]['content']}{sample}", name="one", ledger=ledger).generate(
            [ask("ä")], n=3, temperature=0.5
        )
        scripted_model(lambda m: "b", name="two", price=None, ledger=ledger).generate([ask("b")])
    return path


def test_export_and_import_bring_everything_across(filled, tmp_path, ask):
    out = tmp_path / "out.jsonl"
    run("export", out, "--ledger", filled)
    assert len(out.read_text().splitlines()) == 4
    assert all(json.loads(line)["schema"] == "wean-ledger/1" for line in out.read_text().splitlines())
    with Ledger(tmp_path / "new.sqlite") as ledger:
        assert import_answers(ledger, out).added == 4
        again = import_answers(ledger, out)
        assert (again.added, again.kept) == (0, 4)
        model = scripted_model(lambda m: pytest.fail("asked"), name="one", ledger=ledger)
        assert [a.text for a in model.generate([ask("ä")], n=3, temperature=0.5)[0]] == ["ä0", "ä1", "ä2"]
        before, after = (ledger_stats(source) for source in (Ledger(filled), ledger))
    for stats in (before, after):
        del stats["path"], stats["bytes"]
    assert before == after


def test_an_export_is_a_recorded_model(filled, tmp_path, ask):
    out = tmp_path / "out.jsonl"
    run("export", out, "--model", "scripted:one", "--ledger", filled)
    [answers] = open_model(f"recorded:{out}", strict=True).generate([ask("ä")], n=3)
    assert [answer.text for answer in answers] == ["ä0", "ä1", "ä2"]


def test_unanswered_questions_go_out_and_answers_come_in(tmp_path, ask):
    path, out = tmp_path / "l.sqlite", tmp_path / "open.jsonl"
    with Ledger(path) as ledger:
        model = scripted_model(lambda m: pytest.fail("asked"), ledger=ledger, budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            model.generate([ask("a"), ask("b")], n=2, temperature=1)
        run("export", out, "--unanswered", "--ledger", path)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert len(rows) == 4
        assert all(row["answer"] is None and row["reason"] == "budget" for row in rows)
        filled = [row | {"answer": f"{row['sample']}"} for row in rows[:3]] + rows[3:]
        out.write_text("".join(json.dumps(row) + "\n" for row in filled))
        result = run("import", out, "--ledger", path, "--json")
        expected = {
            "schema": "wean-ledger/1",
            "file": str(out),
            "added": 3,
            "kept": 0,
            "open": 1,
            "unmatched": 0,
        }
        assert json.loads(result.stdout) == expected
        assert ledger_stats(ledger)["unanswered"] == 1
        assert [a.text for a in model.generate([ask("a")], n=2, temperature=1)[0]] == ["0", "1"]


def test_lines_of_messages_and_answer_alone_answer_what_was_noted(tmp_path, ask):
    lines = tmp_path / "hand.jsonl"
    rows = [("a", "first"), ("nobody asked", "x"), ("a", "second")]
    lines.write_text("".join(json.dumps({"messages": ask(q), "answer": a}) + "\n" for q, a in rows))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        model = scripted_model(lambda m: pytest.fail("asked"), ledger=ledger, budget=Budget(calls=0))
        with pytest.raises(BudgetError):
            model.generate([ask("a")], n=3, temperature=0.7)
        result = import_answers(ledger, lines)
        assert (result.added, result.unmatched) == (2, 1)
        assert [a.text for a in model.generate([ask("a")], n=2, temperature=0.7)[0]] == ["first", "second"]
        assert import_answers(ledger, lines, model="other").unmatched == 3


def test_packed_answers_are_read_and_damaged_ones_are_told(filled, tmp_path):
    out, packed = tmp_path / "out.jsonl", tmp_path / "out.jsonl.gz"
    run("export", out, "--ledger", filled)
    whole = gzip.compress(out.read_bytes())
    packed.write_bytes(whole)
    with Ledger(tmp_path / "plain.sqlite") as plain, Ledger(tmp_path / "packed.sqlite") as ledger:
        assert import_answers(ledger, packed) == import_answers(plain, out)
    for damaged in (out.read_bytes(), whole[:-12], whole[:12] + bytes(8) + whole[20:]):
        packed.write_bytes(damaged)
        with Ledger(tmp_path / "new.sqlite") as ledger, pytest.raises(WeanError, match="cannot be read"):
            import_answers(ledger, packed)


def test_a_broken_line_imports_nothing(filled, tmp_path):
    out = tmp_path / "out.jsonl"
    run("export", out, "--ledger", filled)
    out.write_text(out.read_text() + '{"messages": 3, "answer": "x", "parameters": {}, "model": "m"}\n')
    with Ledger(tmp_path / "new.sqlite") as ledger:
        with pytest.raises(UsageError, match=r"out.jsonl:5: .*nothing was imported"):
            import_answers(ledger, out)
        assert ledger_stats(ledger)["models"] == []
        with pytest.raises(WeanError, match="cannot be read"):
            import_answers(ledger, tmp_path / "missing.jsonl")
        row = {"kind": "score", "model": "m", "messages": [{"role": "user", "content": "a"}], "answer": "[1]"}
        out.write_text(json.dumps(row | {"parameters": {"candidates": ["x", "y"]}}) + "\n")
        with pytest.raises(UsageError, match="one number for each"):
            import_answers(ledger, out)
        out.write_text('{"messages": [], "answer": "x", "parameters": {}}\n')
        with pytest.raises(UsageError, match='"model" is missing'):
            import_answers(ledger, out)


def test_stats(filled):
    printed = run("stats", "--ledger", filled).output
    assert "scripted:one" in printed
    assert "unknown" in printed
    stats = json.loads(run("stats", "--ledger", filled, "--json").stdout)
    assert stats["schema"] == "wean-ledger/1"
    assert (stats["questions"], stats["answers"], stats["unpriced"], stats["cost_usd"]) == (2, 4, 1, None)
    one, two = stats["models"]
    assert (one["model"], one["answers"], one["questions"], one["cost_usd"]) == ("scripted:one", 3, 1, 0.0)
    assert (two["cost_usd"], two["unpriced"]) == (None, 1)


def test_export_to_standard_output_keeps_it_clean(filled):
    result = run("export", "--ledger", filled)
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["generate"] * 4
    assert "4 answers written" in result.stderr


def test_export_replaces_nothing_by_accident(filled, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("precious")
    with pytest.raises(UsageError, match="exists; name another file, or replace it with --force"):
        run("export", out, "--ledger", filled)
    assert out.read_text() == "precious"
    result = json.loads(run("export", out, "--force", "--json", "--ledger", filled).stdout)
    assert (result["written"], result["what"]) == (4, "answers")
    with pytest.raises(WeanError, match="cannot be written"):
        run("export", tmp_path / "missing" / "out.jsonl", "--ledger", filled)
    with pytest.raises(UsageError, match="--json needs a file"):
        run("export", "--json", "--ledger", filled)
    assert {file.name for file in tmp_path.iterdir() if ".part" in file.name} == set()


def test_no_ledger_yet(tmp_path):
    for command in ("stats", "export"):
        with pytest.raises(UsageError, match=r"no ledger .* yet"):
            run(command, "--ledger", tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
