"""The file of demonstrations: what is written is read, subsets, and one clear line for every file that is not right."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wean.data.demonstrations import SCHEMA, Demonstrations, Step, read_demonstrations, table_of, write_demonstrations
from wean.errors import UsageError, WeanError

ABOUT = {"task": "Walk", "goal": "Walk to the end.", "policy": "random"}
BOTH, ONE = ("left", "right"), ("right",)


def walk(episode: int, length: int, success: bool | None = True) -> list[Step]:
    """An episode of a walk to the right."""
    return [
        Step(
            episode, step, 100 + episode, f"in cell {step}", ONE if step == 0 else BOTH, "right",
            float(step == length - 1), success is not False and step == length - 1,
            success is False and step == length - 1, success, f"in cell {step + 1}", BOTH, 1 + step,
        )
        for step in range(length)
    ]  # fmt: skip


def walks(*lengths: int) -> list[Step]:
    return [row for episode, length in enumerate(lengths) for row in walk(episode, length)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "walks.parquet"
    write_demonstrations(path, [*walk(0, 2), *walk(7, 3, None), *walk(3, 1, False)], **ABOUT)
    return path


def test_what_is_written_is_read(file: Path) -> None:
    read = read_demonstrations(file)
    assert (read.task, read.goal, read.policy) == tuple(ABOUT.values())
    assert len(read) == 6
    assert read.episode.tolist() == [0, 0, 7, 7, 7, 3]
    assert read.step.tolist() == [0, 1, 0, 1, 2, 0]
    assert read.seed.tolist() == [100, 100, 107, 107, 107, 103]
    assert read.text == [f"in cell {step}" for step in read.step]
    assert read.next_text == [f"in cell {step + 1}" for step in read.step]
    assert read.choices == [ONE, BOTH, ONE, BOTH, BOTH, ONE]
    assert read.next_choices == [BOTH] * 6
    assert read.action == ["right"] * 6
    assert read.number.tolist() == [0, 1, 0, 1, 1, 0]
    assert read.reward.tolist() == [0, 1, 0, 0, 1, 1]
    assert read.terminated.tolist() == [False, True, False, False, True, False]
    assert read.truncated.tolist() == [False] * 5 + [True]
    assert np.array_equal(read.success, [1, 1, np.nan, np.nan, np.nan, 0], equal_nan=True)
    assert read.primitive_steps.tolist() == [1, 2, 1, 2, 3, 1]
    assert read.starts.tolist() == [0, 2, 5]
    assert [read.reward.dtype, read.terminated.dtype, read.success.dtype] == [np.float64, np.bool_, np.float64]
    assert read.text[1] is read.next_text[0], "equal texts are one object"
    assert read.choices[1] is read.next_choices[5]
    assert [p.name for p in file.parent.iterdir()] == [file.name], "nothing is left beside the file"


def test_many_row_groups_and_wide_types_read_alike(tmp_path: Path) -> None:
    rows = walks(*[5] * 20)
    write_demonstrations(tmp_path / "one.parquet", rows, **ABOUT)
    table = table_of(rows, **ABOUT)
    wide = {
        name: pa.large_string() if kind == pa.string() else pa.int32() if kind == pa.int64() else kind
        for name, kind in zip(table.column_names, table.schema.types, strict=True)
    }
    fields = [pa.field(name, kind) for name, kind in wide.items()]
    table = table.cast(pa.schema(fields, table.schema.metadata)).append_column("note", pa.array(["mine"] * 100))
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=7)
    one, many = (read_demonstrations(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    for name in vars(one):
        here, there = getattr(one, name), getattr(many, name)
        assert here == there if isinstance(here, list | str) else np.array_equal(here, there), name


def test_subsets_are_whole_episodes_nested_and_repeatable(tmp_path: Path) -> None:
    lengths = [1 + episode % 4 for episode in range(40)]
    write_demonstrations(tmp_path / "all.parquet", walks(*lengths), **ABOUT)
    everything = read_demonstrations(tmp_path / "all.parquet")

    def drawn(**size: Any) -> list[int]:
        some = everything.subset(3, **size)
        assert isinstance(some, Demonstrations)
        numbers = some.episode[some.starts].tolist()
        assert len(some) == sum(lengths[n] for n in numbers)
        assert some.text == [f"in cell {step}" for step in some.step]
        assert some.seed.tolist() == (some.episode + 100).tolist()
        assert numbers == sorted(numbers)
        return numbers

    assert drawn(episodes=40) == drawn(share=1.0) == list(range(40))
    assert set(drawn(episodes=4)) < set(drawn(share=0.25)) < set(range(40))
    assert drawn(share=0.1) == drawn(episodes=4)
    assert len(drawn(share=0.001)) == 1
    other = everything.subset(4, episodes=4)
    assert other.episode[other.starts].tolist() != drawn(episodes=4)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ({}, "how many episodes, or which share"),
        ({"episodes": 1, "share": 0.5}, "how many episodes, or which share"),
        ({"episodes": 0}, "there are 3 episodes to draw from, not 0"),
        ({"episodes": 4}, "there are 3 episodes to draw from, not 4"),
        ({"share": 0.0}, "above 0 and up to 1, not at 0.0"),
        ({"share": 1.5}, "above 0 and up to 1, not at 1.5"),
    ],
)
def test_a_subset_that_cannot_be_drawn(file: Path, size: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_demonstrations(file).subset(0, **size)


def altered(path: Path, name: str, values: list[Any] | None, kind: Any = None) -> None:
    """Writes a file of two walks with one column replaced, or left out."""
    table = table_of(walks(2, 3), **ABOUT)
    place = table.column_names.index(name)
    metadata = table.schema.metadata
    if values is None:
        table = table.remove_column(place)
    else:
        table = table.set_column(place, name, pa.array(values, kind or table.schema.types[place]))
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("name", "values", "kind", "says"),
    [
        ("reward", None, None, "lacks the column reward; docs"),
        ("reward", ["1"] * 5, pa.string(), "the column reward must hold numbers, not string"),
        ("step", [0.0, 1, 0, 1, 2], pa.float64(), "the column step must hold integers, not double"),
        ("text", [1] * 5, pa.int64(), "the column text must hold text, not int64"),
        ("choices", ["right"] * 5, pa.string(), "the column choices must hold lists of text, not string"),
        ("choices", [[1]] * 5, pa.list_(pa.int64()), "the column choices must hold lists of text, not list"),
        ("terminated", [0] * 5, pa.int64(), "the column terminated must hold true or false, not int64"),
        ("success", ["yes"] * 5, pa.string(), "the column success must hold true, false or nothing, not string"),
        ("text", ["a", "b", None, "d", "e"], None, "the column text has no value in row 2"),
        ("next_choices", [ONE, ONE, ONE, ONE, None], None, "the column next_choices has no value in row 4"),
        ("reward", [0, 0, 0, float("nan"), 0], None, "the reward in row 3 is no finite number"),
        ("reward", [0, float("inf"), 0, 0, 0], None, "the reward in row 1 is no finite number"),
        ("step", [0, 1, 0, 2, 1], None, "row 3 is step 2 of episode 1, but the steps .* follow each other"),
        ("step", [1, 2, 0, 1, 2], None, "row 0 is step 1 of episode 0"),
        ("episode", [0, 1, 1, 1, 1], None, "row 1 is step 1 of episode 1"),
        (
            "action",
            ["right", "right", "right", "fly", "right"],
            None,
            r"the action 'fly' in row 3 \(episode 1, step 1\) is not among its choices: left, right",
        ),
        ("choices", [BOTH, BOTH, [], BOTH, BOTH], None, r"'right' in row 2 .* its choices: there are none"),
    ],
)
def test_a_file_that_is_not_right_is_one_line_that_names_the_place(
    tmp_path: Path, name: str, values: list[Any] | None, kind: Any, says: str
) -> None:
    path = tmp_path / "bad.parquet"
    altered(path, name, values, kind)
    with pytest.raises(UsageError, match=says) as error:
        read_demonstrations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_two_missing_columns_are_named_together(tmp_path: Path) -> None:
    table = table_of(walks(2), **ABOUT)
    pq.write_table(table.drop_columns(["action", "seed"]), tmp_path / "bad.parquet")
    with pytest.raises(UsageError, match="lacks the columns seed, action; docs"):
        read_demonstrations(tmp_path / "bad.parquet")


def test_an_episode_number_that_comes_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two episodes have the same number"):
        write_demonstrations(tmp_path / "bad.parquet", [*walk(0, 2), *walk(1, 2), *walk(0, 1)], **ABOUT)


def test_an_empty_file_is_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    with pytest.raises(UsageError, match="holds no steps"):
        write_demonstrations(path, [], **ABOUT)
    assert not path.exists()
    pq.write_table(table_of([], **ABOUT), path)
    with pytest.raises(UsageError, match="holds no steps; at least one episode"):
        read_demonstrations(path)


@pytest.mark.parametrize(("schema", "says"), [(None, "schema none, not"), ("wean-demos/9", "schema wean-demos/9, not")])
def test_a_file_of_another_schema(tmp_path: Path, schema: str | None, says: str) -> None:
    table = table_of(walks(2), **ABOUT).replace_schema_metadata({"schema": schema} if schema else None)
    pq.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(UsageError, match=f"{says} {SCHEMA}"):
        read_demonstrations(tmp_path / "other.parquet")


def test_a_file_that_is_not_there_or_half_written(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*nowhere.parquet; `wean demos TASK --out"):
        read_demonstrations(tmp_path / "nowhere.parquet")
    whole = file.read_bytes()
    for kept in (0, 3, len(whole) // 2, len(whole) - 4):
        file.write_bytes(whole[:kept])
        with pytest.raises(WeanError, match="is damaged or half-written; write it again"):
            read_demonstrations(file)
    file.write_bytes(whole[:200] + bytes(200) + whole[400:])
    with pytest.raises(WeanError, match="is damaged"):
        read_demonstrations(file)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeanError, match=r"cannot write .*walks\.parquet"):
        write_demonstrations(tmp_path / "file" / "walks.parquet", walks(1), **ABOUT)
    with pytest.raises(WeanError, match="cannot write"):
        write_demonstrations(tmp_path, walks(1), **ABOUT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_columns_are_read_however_parquet_stores_them(file: Path) -> None:
    wanted, table = read_demonstrations(file), pq.read_table(file)
    stored = {
        "text": table["text"].combine_chunks().dictionary_encode(),
        "action": table["action"].cast(pa.large_string()),
        "choices": table["choices"].cast(pa.large_list(pa.large_string())),
        "next_text": table["next_text"].cast(pa.large_string()).combine_chunks().dictionary_encode(),
        "step": table["step"].cast(pa.int16()),
    }
    for name, column in stored.items():
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table.select(table.column_names[::-1]), file)
    found = read_demonstrations(file)
    assert (found.text, found.action, found.choices) == (wanted.text, wanted.action, wanted.choices)
    assert (found.next_text, found.step.tolist()) == (wanted.next_text, wanted.step.tolist())


def test_a_success_that_nobody_knows_may_be_a_column_of_nothing(file: Path) -> None:
    table = pq.read_table(file)
    place = table.column_names.index("success")
    pq.write_table(table.set_column(place, "success", pa.nulls(len(table))), file)
    assert np.isnan(read_demonstrations(file).success).all()


@pytest.mark.parametrize("name", ["episode", "text", "choices", "success", "next_choices"])
@pytest.mark.parametrize("other", [pa.array([{"a": 1}]), pa.array([b"\xff"]), pa.array([2.5]), pa.array([[[1]]])])
def test_a_column_of_something_else_is_one_line(file: Path, name: str, other: pa.Array) -> None:
    table = pq.read_table(file)
    column = pa.concat_arrays([other] * len(table))
    pq.write_table(table.set_column(table.column_names.index(name), name, column), file)
    with pytest.raises(UsageError, match=f"the column {name} must hold"):
        read_demonstrations(file)


def test_a_flipped_bit_is_noticed_or_harmless(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(0, len(whole), 37):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        with suppress(WeanError):
            read_demonstrations(file)
