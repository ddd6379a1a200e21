"""Trajectories: tasks solved step by step, with actions in words; read from JSONL or Parquet, written as Parquet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wean.errors import UsageError, shown
from wean.files import Lines, is_integer, is_number, read_lines, read_parquet, writing

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "wean-trajectories/1"
_TEXTS = ("task", "description", "action", "observation", "look", "inventory")
COLUMNS = ("task", "variation", "step", "description", "action", "observation", "look", "inventory", "score")
_REMEDY = "write it anew with wean demos"

Key = tuple[str, int]
"""Names a demonstration: its task and variation."""


class PathStep(NamedTuple):
    """One action and the texts around it; empty where the file has none.

    Attributes:
        action: The action in words.
        observation: The environment's answer.
        look: The description of the place, before the action.
        inventory: The inventory, before the action.
        score: The score after the action.
    """

    action: str
    observation: str = ""
    look: str = ""
    inventory: str = ""
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A demonstration; compared by identity.

    Attributes:
        task: Name of the task.
        variation: Number of the task's variation.
        description: The task in words, as the agent reads it.
        path: The steps, at least one.
        version: Environment and version, such as "scienceworld 1.2.3"; empty if unknown.
    """

    task: str
    variation: int
    description: str
    path: tuple[PathStep, ...]
    version: str = ""

    @property
    def key(self) -> Key:
        """Task and variation."""
        return self.task, self.variation

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """The actions in words."""
        return tuple(moment.action for moment in self.path)

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the actions' SHA-256: the same exactly where all actions are."""
        return hashlib.sha256("\n".join(self.actions).encode()).hexdigest()[:12]


class Trajectories(NamedTuple):
    """What a file holds.

    Attributes:
        found: The trajectories in their order.
        problems: One line for each thing that was left out.
    """

    found: list[Trajectory]
    problems: list[str]


def read_trajectories(path: Path) -> Trajectories:
    """Reads trajectories from JSONL (`.gz` is unpacked), one object a line, or from Parquet (`wean-trajectories/1`).

    A line has `task`, `description` and `path`, a list of actions or of objects with `action` and, where there are
    any, `observation`, `look`, `inventory`, `score`. `variation` numbers the trajectories of a task; without it they
    are counted. `scienceworld` is the version that made the path.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A line is no trajectory, or is there twice, or comes of another version than the first.
    """
    lines = Lines(list(enumerate(read_paths(path), 1)), False) if path.suffix == ".parquet" else read_lines(path)
    found: list[Trajectory] = []
    seen: set[Key] = set()
    counted: Counter[str] = Counter()
    for number, row in lines.rows:
        try:
            trajectory = _trajectory(row, counted)
        except UsageError as error:
            raise UsageError(f"{path}:{number}: {error}") from None
        if trajectory.key in seen:
            raise UsageError(
                f"{path}:{number}: {trajectory.task} {trajectory.variation} is there twice; give it another variation"
            )
        if found and trajectory.version != found[0].version:
            raise UsageError(
                f"{path}:{number}: a path of {trajectory.version or 'an unknown version'} among those of "
                f"{found[0].version or 'an unknown version'}; keep versions in files of their own"
            )
        seen.add(trajectory.key)
        found.append(trajectory)
    problems = [f"{path}: the last line is half-written and left out"] if lines.cut else []
    if not found:
        raise UsageError(f"{path} holds no trajectory; give a JSONL file with task, description and path in each line")
    return Trajectories(found, problems)


def check_versions(trajectories: Iterable[Trajectory], examples: Iterable[Trajectory]) -> None:
    """Checks that paths and annotated examples come from one version: names and lengths differ between versions.

    Raises:
        UsageError: The versions differ.
    """
    ours, theirs = ({trajectory.version for trajectory in group} for group in (trajectories, examples))
    if ours and theirs and ours != theirs:
        raise UsageError(
            f"the paths are of {_versions(ours)}, the annotated examples of {_versions(theirs)}; "
            "make the paths with that version, or annotate without these examples"
        )


def _versions(versions: set[str]) -> str:
    return ", ".join(sorted(version or "an unknown version" for version in versions))


def _trajectory(row: Mapping[str, Any], counted: Counter[str]) -> Trajectory:
    task, description, path = row.get("task"), row.get("description"), row.get("path")
    if not isinstance(task, str) or not task or not isinstance(description, str) or not description:
        raise UsageError('"task" and "description" must be texts')
    if not isinstance(path, list) or not path:
        raise UsageError('"path" must be a list of actions, at least one')
    variation = row.get("variation", counted[task])
    counted[task] += 1
    if not is_integer(variation):
        raise UsageError(f'"variation" is a whole number, not {shown(variation)}')
    version = f"scienceworld {row['scienceworld']}" if "scienceworld" in row else str(row.get("version", ""))
    return Trajectory(task, variation, description, tuple(map(_moment, path)), version)


def _moment(step: Any) -> PathStep:
    if isinstance(step, str):
        step = {"action": step}
    if not isinstance(step, Mapping) or not isinstance(step.get("action"), str) or not step["action"].strip():
        raise UsageError('every step of "path" is an action, or an object with "action"')
    texts = observation, look, inventory = [step.get(name, "") for name in ("observation", "look", "inventory")]
    score = step.get("score")
    if not all(isinstance(text, str) for text in texts):
        raise UsageError('"observation", "look" and "inventory" must be texts')
    if score is not None and not is_number(score):
        raise UsageError(f'"score" is a number, not {shown(score)}')
    return PathStep(step["action"].strip(), observation, look, inventory, score)


def by_task(trajectories: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    """The trajectories of each task, in their order."""
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault(trajectory.task, []).append(trajectory)
    return groups


def write_paths(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> None:
    """Writes trajectories as Parquet, whole or not at all.

    Args:
        path: The file.
        rows: Objects with `task`, `variation`, `description` and `path`, like lines of JSONL.
        about: Metadata: `version` ("scienceworld 1.2.3"), `simplification`, `job` and others.

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
        WeanError: The file cannot be read, or is damaged or half-written.
        UsageError: It is of another format.
    """
    return _metadata(read_parquet(path, SCHEMA, _REMEDY, []))


def _metadata(table: pa.Table) -> dict[str, str]:
    found = table.schema.metadata.items()
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found}


def read_paths(path: Path) -> list[dict[str, Any]]:
    """Reads a Parquet file of trajectories as the objects of JSONL lines.

    Raises:
        WeanError: The file cannot be read, or is damaged or half-written.
        UsageError: It is of another format, or lacks a column.
    """
    table = read_parquet(path, SCHEMA, _REMEDY, COLUMNS)
    lacking = [name for name in COLUMNS if table.column_names.count(name) != 1]
    if lacking:
        raise UsageError(f"{path} lacks {', '.join(lacking)}; write it anew with wean demos")
    version = _metadata(table).get("version", "")
    rows = []
    for (task, variation), steps in groupby(table.to_pylist(), key=lambda step: (step["task"], step["variation"])):
        moments = list(steps)
        rows.append(
            {
                "task": task,
                "variation": variation,
                "description": moments[0]["description"],
                "version": version,
                "path": [{name: step[name] for name in COLUMNS[4:]} for step in moments],
            }
        )
    return rows
