"""Unfinished files: finished parts lie in a folder beside the file, and are merged at the end.

The parts of a file of demonstrations are blocks of episodes:

```
kitchen.parquet.parts/job.json          what the file will hold
kitchen.parquet.parts/block-000007.parquet   rows of the episodes 7 * BLOCK and up, as in the file
```
A part is written whole or not at all, so a killed job loses only its unfinished parts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wean.data.demonstrations import COLUMNS, ROW_GROUP, SCHEMA, Step, table_of
from wean.errors import UsageError, WeanError
from wean.files import read_parquet, read_text, writing

_REMEDY = "delete it and go on with --resume"
BLOCK = 25  # episodes: the same however many processes play, since what runs side by side is the same then


class Parts:
    """A file in the making: the folder beside it, `FILE.parts`, whose `job.json` says what the file will be of.

    Args:
        path: The file that shall come of it.
        job: What it is of: JSON-ready values, equal for the same file.
        resume: Whether to go on with what is there.
        read: Gives the job that a finished file was made of, empty where it does not say, and what a person is told of
            a file of another job.

    Raises:
        UsageError: If the file, or an unfinished one, is there without `resume`, or is of another job.

    Attributes:
        path: The file.
        folder: Where its parts lie.
        described: The file there that says what they are of.
        job: The job as one text.
        finished: Whether the file is there already, of this very job.
    """

    def __init__(
        self, path: Path, job: Mapping[str, Any], resume: bool, read: Callable[[Path], tuple[str, str]]
    ) -> None:
        self.path, self.folder = path, path.with_name(f"{path.name}.parts")
        self.job = json.dumps(job, sort_keys=True)
        self.described = self.folder / "job.json"
        self.finished = path.exists()
        if self.finished:
            if not resume:
                raise UsageError(f"{path} is there already; choose another --out")
            found, told = read(path)
            if found != self.job:
                raise UsageError(f"{path} is there already, {told}; choose another --out")
            self.remove()  # a kill may have come just before it
        elif self.described.exists():
            if not resume:
                raise UsageError(f"{self.folder} holds an unfinished file; add --resume to continue it, or delete it")
            if read_text(self.described, "delete it") != self.job:
                raise UsageError(f"{self.folder} was begun with other settings; repeat them, or delete it")

    def begin(self) -> None:
        """Writes down what the file will be of, unless that was done."""
        if not self.described.exists():
            with writing(self.described) as unfinished:
                unfinished.write_text(self.job)

    def remove(self) -> None:
        """Removes the parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Blocks:
    """The blocks of one file of demonstrations; arguments, errors and `finished` are those of `Parts`.

    Raises:
        WeanError: The file exists and is damaged.
    """

    def __init__(self, path: Path, job: Mapping[str, Any], resume: bool) -> None:
        self._parts = Parts(path, job, resume, _job_of)
        self.path, self.folder, self.finished = path, self._parts.folder, self._parts.finished

    def outcomes(self, number: int) -> list[bool] | None:
        """Which of a block's episodes are successes; None where the block is still to be played.

        Raises:
            WeanError: If the block is damaged.
        """
        block = self._block(number)
        if not block.exists():
            return None
        try:
            outcomes: list[bool] = json.loads(_read(block, []).schema.metadata[b"outcomes"])
        except (KeyError, ValueError):
            raise WeanError(f"{block} is damaged; {_REMEDY}") from None
        return outcomes

    def add(self, number: int, rows: Sequence[Step], outcomes: Sequence[bool], **about: str) -> None:
        """Writes a finished block.

        Args:
            number: The block's.
            rows: The steps of the episodes that may be kept.
            outcomes: Whether each episode played is a success.
            about: The file's `task`, `goal` and `policy`.

        Raises:
            WeanError: The block cannot be written.
        """
        self._parts.begin()
        table = table_of(rows, **about)
        with writing(self._block(number)) as unfinished:
            _write(unfinished, [table], {**table.schema.metadata, "outcomes": json.dumps(list(outcomes))})

    def merge(self, kept: Sequence[int], played: int) -> None:
        """Puts the file together and removes the blocks.

        Args:
            kept: Numbers of the played episodes that belong in the file, ascending; they are numbered anew.
            played: How many were played, for the file's metadata.
        """
        tables, about = [], {}
        for number in sorted({episode // BLOCK for episode in kept}):
            table = _read(self._block(number), list(COLUMNS))
            about = {name: value for name, value in table.schema.metadata.items() if name != b"outcomes"}
            found = table["episode"].to_numpy()
            place = table.column_names.index("episode")
            table = table.set_column(place, table.schema.field(place), pa.array(np.searchsorted(kept, found)))
            tables.append(table.filter(pa.array(np.isin(found, kept))))
        with writing(self.path) as unfinished:
            _write(unfinished, tables, {**about, "job": self._parts.job, "played": str(played)})
        self._parts.remove()

    def report(self) -> dict[str, Any]:
        """What the finished file holds: episodes `played` and `kept`, how many `successful` (or None), and `steps`."""
        table = _read(self.path, ["step", "success"])
        first = table.filter(pc.equal(table["step"], 0))
        return {
            "played": int(table.schema.metadata[b"played"]),
            "kept": len(first),
            "successful": pc.sum(first["success"]).as_py(),
            "steps": len(table),
        }

    def _block(self, number: int) -> Path:
        return self.folder / f"block-{number:06d}.parquet"


def _job_of(path: Path) -> tuple[str, str]:
    return _read(path, []).schema.metadata.get(b"job", b"").decode(errors="replace"), "and of other settings"


def _write(path: Path, tables: Sequence[pa.Table], metadata: Mapping[Any, Any]) -> None:
    table = pa.concat_tables([table.replace_schema_metadata(metadata) for table in tables])
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    return read_parquet(path, SCHEMA, _REMEDY, columns)
