"""Demonstrations: what was said, chosen and earned in every step of some episodes, as one Parquet file (wean-demos/1).

One row a step, in the order of the episodes. The file's metadata say task, goal, policy and version. A file is
written beside its place and renamed, so it is whole or not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wean.data.columns import COLUMNS, SCHEMA, Step, columns_of, table_of
from wean.errors import UsageError, WeanError

_ROW_GROUP = 16_384  # rows that are read and written at once


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """The steps of some episodes, a column each; row i is step i of N. See `Step` for what the columns mean.

    Equal texts are one object, and so are equal lists of choices: keeping them costs little, and `id` tells them apart.

    Attributes:
        task: Name of the task.
        goal: The task's goal in words, the same in every row.
        policy: Who acted.
        episode: (N,) int64.
        step: (N,) int64.
        seed: (N,) int64.
        text: N situations in words.
        choices: N lists of actions.
        action: N actions in words, each one of its choices.
        number: (N,) int64, the place of the action among its choices, from 0.
        reward: (N,) float64.
        terminated: (N,) bool.
        truncated: (N,) bool.
        success: (N,) float64, 1 or 0, NaN where unknown; the same in all rows of an episode.
        next_text: N situations in words.
        next_choices: N lists of actions.
        primitive_steps: (N,) int64.
    """

    task: str
    goal: str
    policy: str
    episode: NDArray[np.int64]
    step: NDArray[np.int64]
    seed: NDArray[np.int64]
    text: list[str]
    choices: list[tuple[str, ...]]
    action: list[str]
    number: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    success: NDArray[np.float64]
    next_text: list[str]
    next_choices: list[tuple[str, ...]]
    primitive_steps: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of steps, N."""
        return len(self.step)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(E,) the row in which each episode begins."""
        return np.flatnonzero(np.diff(self.episode, prepend=self.episode[0] - 1))

    def subset(self, seed: int, *, episodes: int | None = None, share: float | None = None) -> Demonstrations:
        """Draws whole episodes at random, for learning curves over the amount of data.

        The same seed gives nested subsets: the fewer are among the more. The order stays that of the file.

        Args:
            seed: Of the draw.
            episodes: How many; or instead
            share: Which part of all, above 0 to 1; at least one episode is drawn.

        Raises:
            UsageError: If not exactly one of both is given, or there are not so many episodes.
        """
        starts = self.starts
        if (episodes is None) == (share is None):
            raise UsageError("say how many episodes, or which share of them, and not both")
        if share is not None:
            if not 0 < share <= 1:
                raise UsageError(f"a share of episodes lies above 0 and up to 1, not at {share}")
            episodes = max(1, round(share * len(starts)))
        if episodes is None or not 1 <= episodes <= len(starts):
            raise UsageError(f"there are {len(starts)} episodes to draw from, not {episodes}")
        drawn = np.zeros(len(starts), bool)
        drawn[np.random.default_rng(seed).permutation(len(starts))[:episodes]] = True
        rows = np.flatnonzero(np.repeat(drawn, np.diff(starts, append=len(self))))
        return replace(self, **{name: _at(getattr(self, name), rows) for name in _COLUMN_FIELDS})


_COLUMN_FIELDS = tuple(field.name for field in fields(Demonstrations) if field.name not in ("task", "goal", "policy"))


def _at(column: Any, rows: NDArray[np.int64]) -> Any:
    return [column[row] for row in rows] if isinstance(column, list) else column[rows]


def write_demonstrations(path: Path, rows: Iterable[Step], *, task: str, goal: str, policy: str) -> None:
    """Writes a file of demonstrations, whole or not at all.

    Args:
        path: The file; its folder is made if need be.
        rows: Its rows in order, at least one.
        task: Name of the task.
        goal: The task's goal in words.
        policy: Who acted.

    Raises:
        UsageError: If the rows are none, or not what a reader accepts; see `read_demonstrations`.
        WeanError: If the file cannot be written.
    """
    table = table_of(rows, task=task, goal=goal, policy=policy)
    columns_of(table, f"what is to be written to {path}")
    with writing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd", row_group_size=_ROW_GROUP)


def read_demonstrations(path: Path) -> Demonstrations:
    """Reads a file of demonstrations and checks it. Columns that are not of the format are passed over.

    Raises:
        UsageError: If there is no such file, or what is in it is not right: another schema, a missing column, a
            wrong type, no rows, a missing value, a reward that is no finite number, rows out of order, an action
            that is not among its choices. The message names the place.
        WeanError: If the file is damaged, as one is that was half written.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; `wean demos TASK --out {path}` writes one")
    try:
        file = pq.ParquetFile(path)
        about = file.schema_arrow.metadata or {}
        if about.get(b"schema") != SCHEMA.encode():
            found = about.get(b"schema", b"none").decode(errors="replace")
            raise UsageError(
                f"{path} is no file of demonstrations (schema {found}, not {SCHEMA}); `wean demos` writes one"
            )
        table = file.read([name for name in COLUMNS if name in file.schema_arrow.names])
    except (pa.ArrowException, OSError):
        raise WeanError(f"{path} is damaged or was not written to its end; write it again") from None
    told = {name: about.get(name.encode(), b"").decode() for name in ("task", "goal", "policy")}
    return Demonstrations(**told, **columns_of(table, str(path)))


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Gives the name of an unfinished file, which gets the name `path` when all went well and vanishes otherwise.

    Raises:
        WeanError: If the file system refuses.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise WeanError(f"cannot write {path} ({error.strerror or error}); free some space or choose another") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
