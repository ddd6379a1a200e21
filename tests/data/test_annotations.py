"""Files of trajectories and annotations: what is written is read, and one clear line for what cannot be used."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wean.data.annotations import (
    Annotation,
    AnnotationWriter,
    Chunk,
    check_fits,
    match_annotations,
    parse_annotation,
    parse_subgoal,
    read_annotations,
)
from wean.data.shipped import shipped
from wean.data.trajectories import PathStep, check_versions, read_trajectories, write_paths
from wean.errors import UsageError, WeanError

WALK = {"task": "walk", "description": "Walk.", "path": ["go north", {"action": "go south", "observation": "A hall."}]}
ROW: dict[str, Any] = {"task": "walk", "variation": 0, "subgoals": [["go(north)", 1], ["go(south)", 1]]}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("navigate_to(kitchen)", "navigate_to(kitchen)"),
        ("Navigate to (The  Kitchen)", "navigate_to(the kitchen)"),
        ("wait()", "wait()"),
        (" Move-it( 'red box' ,Cup )", "move_it(red box, cup)"),
    ],
)
def test_sub_goals(text: str, read: str) -> None:
    assert str(parse_subgoal(text)) == read


@pytest.mark.parametrize("text", ["kitchen", "go(", "go(a, )", "go(a(b))", "1(a)", "go(a) then"])
def test_no_sub_goals(text: str) -> None:
    with pytest.raises(UsageError, match=r"write verb\(argument, argument\)"):
        parse_subgoal(text)


def test_trajectories_of_any_environment(tmp_path: Path) -> None:
    plain = lines(tmp_path / "some.jsonl", WALK, WALK | {"variation": 7})
    found, problems = read_trajectories(plain)
    assert problems == []
    assert [one.key for one in found] == [("walk", 0), ("walk", 7)]
    assert found[0].actions == ("go north", "go south")
    assert [moment.observation for moment in found[0].path] == ["", "A hall."]
    packed = tmp_path / "some.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [one.digest for one in read_trajectories(packed).found] == [one.digest for one in found]
    plain.write_text(plain.read_text() + '{"task": "wal')
    found, problems = read_trajectories(plain)
    assert (len(found), problems) == (2, [f"{plain}: the last line is half-written and left out"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"task": "walk"}], ':1: "task" and "description" must be texts'),
        ([WALK | {"path": []}], ':1: "path" must be a list of actions, at least one'),
        ([WALK | {"path": [{"look": "a hall"}]}], ':1: every step of "path" is an action, or an object with "action"'),
        ([WALK | {"variation": "one"}], ":1: \"variation\" is a whole number, not 'one'"),
        ([WALK | {"variation": 1}, WALK | {"variation": 1}], ":2: walk 1 is there twice; give it another variation"),
        (
            [WALK, WALK | {"scienceworld": "1.1.3"}],
            ":2: a path of scienceworld 1.1.3 among those of an unknown version",
        ),
        ([[1]], ":1: a line must be a JSON object; mend or remove the line"),
        ([], " holds no trajectory; give a JSONL file with task, description and path in each line"),
    ],
)
def test_no_trajectories(tmp_path: Path, rows: list[object], said: str) -> None:
    file = lines(tmp_path / "some.jsonl", *rows)
    with pytest.raises(UsageError) as raised:
        read_trajectories(file)
    assert str(raised.value).startswith(f"{file}{said}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WeanError, match="cannot be read"):
        read_trajectories(tmp_path / "none.jsonl")
    (tmp_path / "odd.jsonl.gz").write_bytes(b"not packed")
    with pytest.raises(WeanError, match="cannot be unpacked"):
        read_trajectories(tmp_path / "odd.jsonl.gz")
    (tmp_path / "broken.jsonl").write_text('{"task": \n{}\n')
    with pytest.raises(UsageError, match=r"broken.jsonl:1: broken JSON"):
        read_trajectories(tmp_path / "broken.jsonl")


def test_paths_of_another_version_do_not_teach(tmp_path: Path) -> None:
    ours, _ = read_trajectories(lines(tmp_path / "a.jsonl", WALK | {"scienceworld": "1.2.3"}))
    theirs, _ = read_trajectories(lines(tmp_path / "b.jsonl", WALK | {"scienceworld": "1.1.3"}))
    check_versions(ours, ours)
    with pytest.raises(UsageError, match=r"the paths are of scienceworld 1.2.3, the annotated examples of .* 1.1.3"):
        check_versions(ours, theirs)


def test_what_is_written_is_read_and_the_last_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "out.jsonl"
    first = parse_annotation(ROW)
    later = Annotation("walk", 0, (Chunk(parse_subgoal("go(away)"), 2),), "propagated", "m", "2026-01-01", 0.25, "ab")
    writer = AnnotationWriter(file)
    writer.write([first])
    writer.write([later])
    assert read_annotations(file) == ([later], [], False)
    writer.replace([first])
    assert read_annotations(file).found == [first]
    file.write_text(file.read_text() + '{"task": "walk", "vari')
    assert read_annotations(file).problems == [f"{file}: the last line is half-written and left out"]
    AnnotationWriter(file).write([later])
    assert read_annotations(file) == ([later], [], False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variation": True}, 'an annotation needs "task", a text, and "variation", a whole number'),
        ({"schema": "wean-annotation/9"}, "this version of wean reads 'wean-annotation/1'"),
        ({"subgoals": []}, 'walk 0: "subgoals" must be a list of [sub-goal, number of actions]'),
        ({"subgoals": [["go(north)", 0]]}, "walk 0: go(north) has 0 actions; a sub-goal has 1 to 100,000"),
        ({"subgoals": [["north", 2]]}, "walk 0: 'north' is no sub-goal"),
        ({"subgoals": ["go(north)"]}, "walk 0: 'go(north)' is not [sub-goal, number of actions]"),
        ({"origin": "guessed"}, "\"origin\" is one of asked, propagated, corrected, played, not 'guessed'"),
        ({"confidence": 2}, '"confidence" is a number from 0 to 1, not 2'),
    ],
)
def test_a_bad_annotation_is_left_out_and_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = lines(tmp_path / "some.jsonl", ROW | change, ROW | {"variation": 1})
    found, problems, _ = read_annotations(file)
    assert [annotation.variation for annotation in found] == [1]
    assert len(problems) == 1
    assert said in problems[0]
    assert problems[0].endswith("; left out")


def test_annotations_of_other_actions_do_not_fit(tmp_path: Path) -> None:
    (path,), _ = read_trajectories(lines(tmp_path / "some.jsonl", WALK))
    check_fits(parse_annotation(ROW | {"digest": path.digest}), path)
    too_long = parse_annotation(ROW | {"subgoals": [["go(north)", 5]]})
    other = parse_annotation(ROW | {"digest": "0" * 12})
    for annotation, said in ((too_long, "the sub-goals have 5 actions, the path has 2"), (other, "of another path")):
        fitting, problems = match_annotations([annotation], [path])
        assert fitting == {}
        assert len(problems) == 1
        assert said in problems[0]
        assert "annotate it again" in problems[0]
    assert match_annotations([parse_annotation(ROW | {"task": "run"})], [path]) == ({}, [])


def test_what_comes_with_wean() -> None:
    trajectories, annotations = shipped("scienceworld")
    assert len(trajectories) == len(annotations) == 147
    assert len({one.task for one in trajectories}) == 30
    assert {one.version for one in trajectories} == {"scienceworld 1.2.3"}
    assert all(annotations[one.key].digest == one.digest for one in trajectories)
    with pytest.raises(UsageError, match="there are scienceworld"):
        shipped("kitchen")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"task": "walk", "variation": ' + "9" * 5_000 + "}", "a number with thousands of digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"task": "walk", "variation": 1' + "0" * 300 + "}", '"task" and "description" must be texts'),
    ],
)
def test_what_goes_beyond_reason_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "paths.jsonl"
    file.write_text(f"{json.dumps(WALK)}\n{line}\n")
    with pytest.raises(UsageError) as raised:
        read_trajectories(file)
    assert str(raised.value).startswith(f"{file}:2: ")
    assert said in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    file = tmp_path / "paths.jsonl"
    file.write_text(json.dumps(WALK) + "\n", encoding="utf-8-sig")
    assert len(read_trajectories(file).found) == 1


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    file = tmp_path / "paths.jsonl"
    file.write_text(json.dumps(WALK | {"description": "Walk \ud800 there."}) + "\n")
    assert read_trajectories(file).found[0].description == "Walk ? there."


@pytest.mark.parametrize("how", ["dictionary", "large", "other order"])
def test_paths_are_read_however_parquet_stores_them(tmp_path: Path, how: str) -> None:
    file, path = tmp_path / "paths.parquet", [PathStep("north", "You walk.", "A hall.", "Nothing.", 1.0)._asdict()]
    write_paths(file, [{"task": "walk", "variation": 3, "description": "Walk.", "path": path}], {"version": "2"})
    table = pq.read_table(file)
    for name in ("task", "action", "look") if how != "other order" else ():
        column = table[name].combine_chunks()
        stored = column.dictionary_encode() if how == "dictionary" else column.cast(pa.large_string())
        table = table.set_column(table.column_names.index(name), name, stored)
    pq.write_table(table.select(table.column_names[::-1]) if how == "other order" else table, file)
    (found,) = read_trajectories(file).found
    assert (found.task, found.variation, found.path[0]) == ("walk", 3, PathStep(**path[0]))


def test_paths_that_lack_a_column_are_one_line(tmp_path: Path) -> None:
    file, path = tmp_path / "paths.parquet", [PathStep("north")._asdict()]
    write_paths(file, [{"task": "walk", "variation": 3, "description": "Walk.", "path": path}], {"version": "2"})
    pq.write_table(pq.read_table(file).drop_columns(["look"]), file)
    with pytest.raises(UsageError, match=r"paths.parquet lacks look; write it anew with wean demos"):
        read_trajectories(file)
