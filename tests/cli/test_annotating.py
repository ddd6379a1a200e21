"""`wean annotate` from outside: files, the report, corrections, resume, one-line errors."""

import json
from functools import partial
from pathlib import Path

import pytest

from households import errands, right
from wean.data.annotations import read_annotations
from wean.data.shipped import shipped


@pytest.fixture
def wean(command_line):  # type: ignore[no-untyped-def]
    """Runs `wean annotate` in a folder that has 12 errands."""
    rows = [{"task": one.task, "description": one.description, "path": one.actions} for one in errands(12)]
    Path("errands.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return partial(command_line, "annotate")


ASK = ("errands.jsonl", "--model", "scripted:households:answer", "--per-task", "4", "--confidence", "0.5")


def test_files_report_and_resume(wean) -> None:  # type: ignore[no-untyped-def]
    code, said, _ = wean(*ASK, "--json")
    report = json.loads(said)
    assert code == 0
    assert report == {
        "schema": "wean-annotate/1", "demonstrations": 12, "asked": 4, "propagated": 8, "corrected": 0, "missing": 0,
        "questions": 4,
        "answers": {"at_once": 4, "repaired": 0, "second_question": 0, "refused": 0, "unanswered": 0},
        "faults": {}, "annotations": "errands.subgoals.jsonl", "page": "errands.subgoals.html",
    }  # fmt: skip
    written = read_annotations(Path("errands.subgoals.jsonl")).found
    assert [annotation.chunks for annotation in written] == [right(one).chunks for one in errands(12)]
    before = Path("errands.subgoals.jsonl").read_text()
    code, said, _ = wean(*ASK)
    assert code == 0
    assert said.splitlines()[:2] == [
        "12 demonstrations: 4 asked about, 8 propagated, 0 corrected, 0 without sub-goals",
        "0 questions in this call: 0 answers held at once, 0 were repaired, 0 needed a second question, "
        "0 were refused, 0 had no answer",
    ]
    assert Path("errands.subgoals.jsonl").read_text() == before


def test_a_half_written_file_is_told_and_completed(wean) -> None:  # type: ignore[no-untyped-def]
    wean(*ASK)
    file = Path("errands.subgoals.jsonl")
    whole = file.read_text()
    file.write_text(whole[:-30])
    code, _, told = wean(*ASK)
    assert (code, told) == (0, "note: errands.subgoals.jsonl: the last line is half-written and left out\n")
    assert file.read_text() == whole


def test_a_weak_annotator_is_repaired_or_refused(wean) -> None:  # type: ignore[no-untyped-def]
    code, said, told = wean("errands.jsonl", "--model", "scripted:households:muddled", "--ask-all", "--json")
    report = json.loads(said)
    assert code == 0
    assert report["answers"]["repaired"] == 10
    assert report["answers"]["refused"] == 2
    assert report["faults"]["skipped"] == report["faults"]["invented"] == 10
    assert (report["asked"], report["propagated"], report["missing"]) == (10, 2, 0)
    assert told.splitlines() == [
        f"note: fetch {variation}: no answer that holds after 2 questions; left to propagation" for variation in (4, 9)
    ]
    for annotation in read_annotations(Path(report["annotations"])).found:
        assert annotation.ends[-1] == len(errands(12)[annotation.variation].actions)


def test_corrections_are_read_back_and_teach(wean) -> None:  # type: ignore[no-untyped-def]
    wean(*ASK)
    corrected = {"task": "fetch", "variation": 5, "origin": "corrected", "subgoals": [["fetch(book)", 6]]}
    Path("corrections.jsonl").write_text(json.dumps(corrected) + "\n")
    for arguments in ((*ASK, "--corrections", "corrections.jsonl", "--json"), (*ASK, "--json")):
        report = json.loads(wean(*arguments)[1])
        assert (report["corrected"], report["questions"]) == (1, 0)
        found = {one.variation: one for one in read_annotations(Path(report["annotations"])).found}
        assert [(str(goal), count) for goal, count in found[5].chunks] == [("fetch(book)", 6)]
        assert found[5].origin == "corrected"


def test_a_budget_of_questions(wean) -> None:  # type: ignore[no-untyped-def]
    report = json.loads(wean(*ASK, "--budget", "1", "--json")[1])
    assert (report["questions"], report["asked"], report["propagated"]) == (1, 1, 11)


def test_shipped_demonstrations_are_annotated_without_a_question_to_anyone(wean) -> None:  # type: ignore[no-untyped-def]
    report = json.loads(wean("scienceworld", "--ask-all", "--json")[1])
    assert (report["demonstrations"], report["asked"], report["missing"]) == (147, 147, 0)
    assert report["answers"]["at_once"] == 147


def test_shipped_demonstrations_teach_others_without_a_question(wean) -> None:  # type: ignore[no-untyped-def]
    known = [example for example in shipped("scienceworld").examples if example[0].task == "find-animal"]
    rows = [
        {"scienceworld": "1.2.3", "task": one.task, "variation": 1000 + one.variation, "description": one.description,
         "path": [moment._asdict() for moment in one.path]}
        for one, _ in known
    ]  # fmt: skip
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = json.loads(wean("own.jsonl", "--examples", "scienceworld", "--budget", "0", "--json")[1])
    assert (report["propagated"], report["questions"], report["missing"]) == (len(known), 0, 0)
    found = read_annotations(Path(report["annotations"])).found
    assert [one.chunks for one in found] == [annotation.chunks for _, annotation in known]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.jsonl",), "wean: none.jsonl: cannot be read (No such file or directory); check the name\n"),
        (("errands.jsonl", "--model", "somebody"), "wean: 'somebody' names no model; the forms are openai:NAME, "
         "http://HOST:PORT/v1#NAME, hf:NAME-OR-PATH, recorded:NAME-OR-FILE\n"),
        (("errands.jsonl", "--model", "recorded:scienceworld"), "wean: nobody could say the sub-goals of any of these "
         "demonstrations: recorded:scienceworld has none of them; name another --model\n"),
        (("errands.jsonl", "--examples", "kitchen"),
         "wean: there are no shipped demonstrations 'kitchen'; there are scienceworld, scienceworld-train, "
         "scienceworld-dev, scienceworld-short, scienceworld-short-dev\n"),
        (("errands.jsonl", "--examples", "scienceworld"), "wean: the paths are of an unknown version, the annotated "
         "examples of scienceworld 1.2.3; make the paths with that version, or annotate without these examples\n"),
        ((*ASK, "--corrections", "other.jsonl"),
         "wean: other.jsonl corrects none of these demonstrations; give the file that their page saved\n"),
    ],
)  # fmt: skip
def test_one_clear_line(wean, arguments: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    Path("other.jsonl").write_text('{"task": "other", "variation": 0, "subgoals": [["go(on)", 1]]}\n')
    code, out, told = wean(*arguments)
    assert (code, out) == (1 if arguments[0] == "none.jsonl" else 2, "")
    assert told == said
