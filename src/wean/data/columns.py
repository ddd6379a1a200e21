"""The rows of a file of demonstrations (wean-demos/1): their columns, and what is checked when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import types

import wean
from wean.errors import UsageError

SCHEMA = "wean-demos/1"


class Step(NamedTuple):
    """One row: a moment, what was chosen in it, and what came of that.

    Attributes:
        episode: Number of the episode; the rows of an episode follow each other.
        step: 0, 1, 2, ... within the episode.
        seed: Reset seed of the episode.
        text: The situation in words.
        choices: The actions that could be taken, in words.
        action: The one that was taken.
        reward: What the task paid for it.
        terminated: Whether the episode ended by the task's rules.
        truncated: Whether it was cut off.
        success: Whether the episode (not the step) is a success; None where nobody knows.
        next_text: The situation afterwards.
        next_choices: What could be taken then.
        primitive_steps: How many steps of the task's own clock the action took.
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


class _Kind(NamedTuple):
    """A column's type when written, and what may stand in its place when read."""

    arrow: pa.DataType
    name: str
    fits: Callable[[pa.DataType], bool]


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_texts(kind: pa.DataType) -> bool:
    return bool((types.is_list(kind) or types.is_large_list(kind)) and _is_text(kind.value_type))


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_floating(kind) or types.is_integer(kind))


_INTEGER = _Kind(pa.int64(), "integers", types.is_integer)
_REAL = _Kind(pa.float64(), "numbers", _is_number)
_FLAG = _Kind(pa.bool_(), "true or false", types.is_boolean)
_MAYBE = _Kind(pa.bool_(), "true, false or nothing", types.is_boolean)
_TEXT = _Kind(pa.string(), "text", _is_text)
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
    """The rows as a table of the format, unchecked; the metadata say schema, task, goal, policy and version."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, kind.arrow) for column, kind in zip(columns, COLUMNS.values(), strict=True)]
    metadata = {"schema": SCHEMA, "task": task, "goal": goal, "policy": policy, "wean": wean.__version__}
    kinds = [pa.field(name, kind.arrow, nullable=kind is _MAYBE) for name, kind in COLUMNS.items()]
    return pa.table(arrays, pa.schema(kinds, metadata))


def columns_of(table: pa.Table, where: str) -> dict[str, Any]:
    """Checks a table and turns it into the columns of `Demonstrations`; `where` begins the message of an error."""
    lacking = [name for name in COLUMNS if name not in table.column_names]
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
    columns = {name: _column(table[name], kind, words) for name, kind in COLUMNS.items()}
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
        column = column.cast(pa.int8()).cast(pa.float64()).fill_null(np.nan)
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
