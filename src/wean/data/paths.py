"""Trajectories as Parquet (`wean-trajectories/1`): one row a step, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from wean.data.files import writing
from wean.errors import UsageError, WeanError

SCHEMA = "wean-trajectories/1"
_TEXTS = ("task", "description", "action", "observation", "look", "inventory")
COLUMNS = ("task", "variation", "step", "description", "action", "observation", "look", "inventory", "score")


def write_paths(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> None:
    """Writes trajectories.

    Args:
        path: The file; it gets its name when it is whole.
        rows: Objects with `task`, `variation`, `description` and `path`, as a line of JSONL has them.
        about: Metadata: `version` ("scienceworld 1.2.3"), `simplification`, `job` and what else is worth knowing.

    Raises:
        WeanError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: pa.string() for name in _TEXTS}
    kinds |= {"variation": pa.int64(), "step": pa.int64(), "score": pa.float64()}
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for number, moment in enumerate(row["path"]):
            told = {**row, **moment, "step": number}
            for name, column in columns.items():
                column.append(told[name])
    schema = pa.schema([(name, kinds[name]) for name in COLUMNS], {"schema": SCHEMA, **about})
    with writing(path) as unfinished:
        pq.write_table(pa.table(columns, schema), unfinished, compression="zstd")


def path_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file of trajectories.

    Raises:
        WeanError: The file cannot be read, or is half-written.
        UsageError: It is of another format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise WeanError(f"{path}: cannot be read (no such file); check the name") from None
    except (pa.ArrowException, OSError):
        raise WeanError(f"{path} is damaged or half-written; write it anew with wean demos") from None
    metadata = {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}
    if metadata.get("schema") != SCHEMA:
        raise UsageError(f"{path} holds {metadata.get('schema') or 'something else'}, not trajectories ({SCHEMA})")
    return metadata


def read_paths(path: Path) -> list[dict[str, Any]]:
    """Reads trajectories as the objects that lines of JSONL would be.

    Raises:
        WeanError: The file cannot be read, or is half-written.
        UsageError: It is of another format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = path_metadata(path)
    try:
        table = pq.read_table(path, columns=list(COLUMNS)).to_pylist()
    except (pa.ArrowException, OSError, KeyError):
        raise WeanError(f"{path} is damaged or half-written; write it anew with wean demos") from None
    rows = []
    for (task, variation), steps in groupby(table, key=lambda step: (step["task"], step["variation"])):
        moments = list(steps)
        rows.append(
            {
                "task": task,
                "variation": variation,
                "description": moments[0]["description"],
                "version": metadata.get("version", ""),
                "path": [{name: step[name] for name in COLUMNS[4:]} for step in moments],
            }
        )
    return rows
