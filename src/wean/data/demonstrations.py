"""Demonstrations: situation, action and reward of every step of some episodes, as a Parquet file (`wean-demos/1`).

One row a step, in the order of the episodes. The file's metadata name task, goal, policy and version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import types

import wean
from wean.errors import UsageError
from wean.files import read_parquet, writing

SCHEMA = "wean-demos/1"
ROW_GROUP = 16_384
"""Rows of a file that are read and written at once."""


class Step(NamedTuple):
    """One row: a situation, the action and its outcome.

    Attributes:
        episode: Number of the episode; the rows of an episode follow each other.
        step: 0, 1, 2, ... within the episode.
        seed: Reset seed of the episode.
        text: The situation in words.
        choices: The possible actions in words.
        action: The chosen one.
        reward: The task's reward.
        terminated: Whether the episode ended by the task's rules.
        truncated: Whether it was cut off.
        success: Whether the episode (not the step) is a success; None where it is unknown.
        next_text: The next situation in words.
        next_choices: The next possible actions.
        primitive_steps: Number of the task's own steps that the action took.
    """

    episode: int
    step: int
    seed: int
    text: str
    choices: Sequence[str]
    action: str
    reward: float
    terminated: bool
    truncated: bool
    success: bool | None
    next_text: str
    next_choices: Sequence[str]
    primitive_steps: int = 1


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """The steps of some episodes, a column each; row i is step i of N. See `Step` for what the columns mean.

    Equal texts are one object, and so are equal lists of choices: keeping them costs little, and `id` tells them apart.

    Attributes:
        task: Name of the task.
        goal: The task's goal in words, the same in every row.
        policy: Name of the policy that acted.
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
    """Writes a file of demonstrations, whole or not at all; `rows` has at least one step.

    Raises:
        UsageError: `read_demonstrations` would not accept the rows.
        WeanError: The file cannot be written.
    """
    table = table_of(rows, task=task, goal=goal, policy=policy)
    columns_of(table, f"what is to be written to {path}")
    with writing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd", row_group_size=ROW_GROUP)


def read_demonstrations(path: Path) -> Demonstrations:
    """Reads and checks a file of demonstrations; additional columns are ignored.

    Raises:
        UsageError: There is no such file, or its content is wrong: another schema, a missing column, a wrong type, no
            rows, a missing value, an infinite reward, rows out of order, an action that is not among its choices.
        WeanError: The file is damaged or half-written.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; `wean demos TASK --out {path}` writes one")
    table = read_parquet(path, SCHEMA, "write it again", list(COLUMNS))
    about = table.schema.metadata
    told = {name: about.get(name.encode(), b"").decode(errors="replace") for name in ("task", "goal", "policy")}
    return Demonstrations(**told, **columns_of(table, str(path)))


def task_of(path: Path) -> str | None:
    """The task that a file of demonstrations names; None for a file that cannot be read, or names none."""
    try:
        about = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return about.get(b"task", b"").decode(errors="replace") or None


# --- the columns of the file ----------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """A column's type when written, and what may stand in its place when read."""

    arrow: pa.DataType
    name: str
    fits: Callable[[pa.DataType], bool]


def _is_texts(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) and types.is_string(kind.value_type))


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_floating(kind) or types.is_integer(kind))


def _is_flag_or_nothing(kind: pa.DataType) -> bool:
    return bool(types.is_boolean(kind) or types.is_null(kind))


_INTEGER = _Kind(pa.int64(), "integers", types.is_integer)
_REAL = _Kind(pa.float64(), "numbers", _is_number)
_FLAG = _Kind(pa.bool_(), "true or false", types.is_boolean)
_MAYBE = _Kind(pa.bool_(), "true, false or nothing", _is_flag_or_nothing)
_TEXT = _Kind(pa.string(), "text", types.is_string)
_TEXTS = _Kind(pa.list_(pa.string()), "lists of text", _is_texts)

COLUMNS: Mapping[str, _Kind] = {
    "episode": _INTEGER,
    "step": _INTEGER,
    "seed": _INTEGER,
    "text": _TEXT,
    "choices": _TEXTS,
    "action": _TEXT,
    "reward": _REAL,
    "terminated": _FLAG,
    "truncated": _FLAG,
    "success": _MAYBE,
    "next_text": _TEXT,
    "next_choices": _TEXTS,
    "primitive_steps": _INTEGER,
}


def table_of(rows: Iterable[Step], *, task: str, goal: str, policy: str) -> pa.Table:
    """The rows as an unchecked table of the format, with schema, task, goal, policy and version as metadata."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, kind.arrow) for column, kind in zip(columns, COLUMNS.values(), strict=True)]
    metadata = {"schema": SCHEMA, "task": task, "goal": goal, "policy": policy, "wean": wean.__version__}
    kinds = [pa.field(name, kind.arrow, nullable=kind is _MAYBE) for name, kind in COLUMNS.items()]
    return pa.table(arrays, pa.schema(kinds, metadata))


def columns_of(table: pa.Table, where: str) -> dict[str, Any]:
    """Checks a table and turns it into the columns of `Demonstrations`; `where` begins the message of an error."""
    lacking = [name for name in COLUMNS if table.column_names.count(name) != 1]
    if lacking:
        some = f"column{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
        raise UsageError(f"{where} lacks the {some}; docs/data.md says what belongs there")
    for name, kind in COLUMNS.items():
        found = table.schema.field(name).type
        if not kind.fits(found):
            raise UsageError(f"{where}: the column {name} must hold {kind.name}, not {found}")
        if kind is not _MAYBE and table[name].null_count:
            row = table[name].is_null().to_pylist().index(True)
            raise UsageError(f"{where}: the column {name} has no value in row {row}")
    if not len(table):
        raise UsageError(f"{where} holds no steps; at least one episode is needed")
    words: dict[Any, Any] = {}  # every text and every list once
    try:
        columns = {name: _column(table[name], kind, words) for name, kind in COLUMNS.items()}
    except pa.ArrowInvalid:
        raise UsageError(f"{where}: a whole number is beyond 64 bits; docs/data.md says what belongs there") from None
    _check_rows(columns, where)
    numbers = np.zeros(len(table), np.int64)
    for row, (action, choices) in enumerate(zip(columns["action"], columns["choices"], strict=True)):
        if action not in choices:
            place = f"row {row} (episode {columns['episode'][row]}, step {columns['step'][row]})"
            raise UsageError(f"{where}: the action {action!r} in {place} is not among its choices: {_some(choices)}")
        numbers[row] = choices.index(action)
    return {**columns, "number": numbers}


def _column(column: pa.ChunkedArray, kind: _Kind, words: dict[Any, Any]) -> Any:
    """A column as a list or a NumPy array; `words` holds every text and every list once."""
    if kind is _TEXT:
        return [text for chunk in column.chunks for text in _texts(chunk, words)]
    if kind is _TEXTS:
        return [choices for chunk in column.chunks for choices in _lists(chunk, words)]
    if kind is _MAYBE:
        column = column.cast(pa.bool_()).cast(pa.int8()).cast(pa.float64()).fill_null(np.nan)
    else:
        column = column.cast(kind.arrow)
    return column.to_numpy()


def _texts(array: pa.Array, words: dict[Any, Any]) -> list[str]:
    encoded = array.dictionary_encode()
    known = [words.setdefault(text, text) for text in encoded.dictionary.to_pylist()]
    return [known[place] for place in encoded.indices.to_pylist()]


def _lists(array: pa.Array, words: dict[Any, Any]) -> list[tuple[str, ...]]:
    encoded = array.flatten().fill_null("").dictionary_encode()
    known = [words.setdefault(text, text) for text in encoded.dictionary.to_pylist()]
    places = encoded.indices.to_numpy()
    ends = np.cumsum(array.value_lengths().to_numpy()).tolist()
    cut: dict[bytes, tuple[str, ...]] = {}
    lists = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        key = places[begin:end].tobytes()
        if key not in cut:
            choices = tuple(known[place] for place in places[begin:end])
            cut[key] = words.setdefault(choices, choices)
        lists.append(cut[key])
    return lists


def _check_rows(columns: Mapping[str, Any], where: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(columns["reward"]))
    if len(wrong):
        raise UsageError(f"{where}: the reward in row {wrong[0]} is no finite number")
    episode, step = columns["episode"], columns["step"]
    first = np.diff(episode, prepend=episode[0] - 1) != 0
    wrong = np.flatnonzero(step != np.where(first, 0, np.concatenate([[-1], step[:-1]]) + 1))
    if len(wrong):
        row = wrong[0]
        raise UsageError(
            f"{where}: row {row} is step {step[row]} of episode {episode[row]}, but the steps of an episode follow "
            "each other from 0; sort the rows by episode and step"
        )
    again = episode[first]
    if len(np.unique(again)) < len(again):
        raise UsageError(f"{where}: two episodes have the same number; number them anew")


def _some(choices: Sequence[str]) -> str:
    shown = ", ".join(choices[:8])
    return f"{shown}, ..." if len(choices) > 8 else shown or "there are none"
