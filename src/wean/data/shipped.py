"""Annotated demonstrations in words: those that come with wean, or a file's; to learn from, and to choose by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

from wean.data.annotations import Annotation, match_annotations, read_annotations
from wean.data.trajectories import Key, Trajectory, by_task, read_trajectories
from wean.errors import UsageError

SHIPPED = {
    "scienceworld": ("scienceworld_paths.jsonl.gz", "scienceworld_subgoals.jsonl"),
    "scienceworld-train": ("scienceworld-train_paths.parquet", "scienceworld-train_subgoals.jsonl.gz"),
    "scienceworld-dev": ("scienceworld-dev_paths.parquet", "scienceworld-dev_subgoals.jsonl.gz"),
    "scienceworld-short": ("scienceworld-short_paths.parquet", "scienceworld-short_subgoals.jsonl.gz"),
    "scienceworld-short-dev": ("scienceworld-short-dev_paths.parquet", "scienceworld-short-dev_subgoals.jsonl.gz"),
}
"""Files of the annotated demonstrations, paths and sub-goals, by name: oracle paths of ScienceWorld 1.2.3
(simplification "easy") for variations of each of its 30 tasks, training variations but for those of dev in the name.

`scienceworld`: up to five of each, 147 in all, with the sub-goals that a large language model gave them.
`scienceworld-train`: up to 50 of each, 1,085 in all, with sub-goals propagated from those, without another question.
`scienceworld-dev`: up to four dev variations of each, 116 in all, with sub-goals propagated in the same way.
`scienceworld-short`, `scienceworld-short-dev`: the last two made shorter (`wean demos scienceworld --shorten`).
"""

CHOSEN_BY = {"scienceworld-train": "scienceworld-dev", "scienceworld-short": "scienceworld-short-dev"}
"""Demonstrations by which a student that learns from others is chosen."""

RECORDED = ("scienceworld",)
"""Those whose sub-goals were asked for, one by one: what `recorded:NAME` answers with."""

_TASKS_NAMED = 4  # in a message


class Demonstrations(NamedTuple):
    """Demonstrations with the sub-goals of some or all of them.

    Attributes:
        trajectories: The demonstrations.
        annotations: The sub-goals, by task and variation.
    """

    trajectories: list[Trajectory]
    annotations: Mapping[Key, Annotation]

    @property
    def examples(self) -> list[tuple[Trajectory, Annotation]]:
        """Those that have sub-goals."""
        return [(t, self.annotations[t.key]) for t in self.trajectories if t.key in self.annotations]


class TrainingData(NamedTuple):
    """Demonstrations to learn from.

    Attributes:
        train: The demonstrations that are learnt.
        dev: Those that choose the checkpoint.
        annotations: The sub-goals of both, by task and variation; empty where none are learnt.
    """

    train: list[Trajectory]
    dev: list[Trajectory]
    annotations: Mapping[Key, Annotation]


def demonstrations(
    name: str, annotations: Path | None = None, note: Callable[[str], None] = lambda problem: None
) -> Demonstrations:
    """Demonstrations that come with wean or stand in a file, and the annotations that fit them.

    Args:
        name: A file, or a name in `SHIPPED`.
        annotations: A file with sub-goals.
        note: Called with a line for each thing that is left out.

    Raises:
        WeanError: A file cannot be read.
        UsageError: A file holds something else.
    """
    if is_shipped(name):
        found = shipped(name)
    else:
        read = read_trajectories(Path(name))
        found, problems = Demonstrations(read.found, {}), read.problems
        for problem in problems:
            note(problem)
    if annotations is None:
        return found
    subgoals = read_annotations(annotations)
    known, problems = match_annotations(subgoals.found, found.trajectories)
    for problem in [*subgoals.problems, *problems]:
        note(problem)
    return found._replace(annotations={**found.annotations, **known})


def annotated(
    name: str, annotations: Path | None, missing: Literal["refuse", "skip"], note: Callable[[str], None]
) -> Demonstrations:
    """Demonstrations that all have sub-goals.

    Args:
        name: A file, or a name in `SHIPPED`.
        annotations: A file with sub-goals; None for those that come with the demonstrations.
        missing: Whether demonstrations without sub-goals are an error or left out.
        note: Called with a line for each thing that is left out.

    Raises:
        UsageError: Some have no sub-goals and are not to be left out, or all have none.
    """
    trajectories, known = demonstrations(name, annotations, note)
    lacking = Counter(one.task for one in trajectories if one.key not in known)
    if not lacking:
        return Demonstrations(trajectories, known)
    tasks = ", ".join(f"{task} {count}" for task, count in lacking.most_common(_TASKS_NAMED))
    more = ", ..." if len(lacking) > _TASKS_NAMED else ""
    text = f"{lacking.total()} of {len(trajectories)} demonstrations of {name} have no sub-goals ({tasks}{more})"
    if missing == "refuse" or lacking.total() == len(trajectories):
        raise UsageError(
            f"{text}; write them with `wean annotate` and name the file with annotations=, "
            "leave them out with missing=skip, or learn the actions alone with subgoals=false"
        )
    note(f"{text}; they are left out")
    return Demonstrations([one for one in trajectories if one.key in known], known)


def training_data(
    name: str, read: Callable[[str], Demonstrations], dev: str = "", dev_share: float = 0.1
) -> TrainingData:
    """Demonstrations to learn from, and others that choose the checkpoint.

    Args:
        name: Demonstrations to learn from; of several, with commas between them, the first with a variation counts.
        read: Reads demonstrations of a name.
        dev: Demonstrations that choose; by default those of `CHOSEN_BY`, else a share is kept (`split_dev`).
        dev_share: See `split_dev`.

    Raises:
        UsageError: Both share demonstrations.
    """
    names = [one.strip() for one in name.split(",")]
    train, annotations = _merged([read(one) for one in names])
    dev = dev or next((CHOSEN_BY[one] for one in names if one in CHOSEN_BY and is_shipped(one)), "")
    if not dev:
        return TrainingData(*split_dev(train, dev_share), annotations)
    choose, more = read(dev)
    if {one.key for one in train} & {one.key for one in choose}:
        raise UsageError(f"{dev} and {name} share demonstrations; keep them apart")
    return TrainingData(train, choose, {**annotations, **more})


def _merged(parts: Sequence[Demonstrations]) -> Demonstrations:
    """Demonstrations of several files; of those of one variation the first."""
    trajectories: dict[Key, Trajectory] = {}
    annotations: dict[Key, Annotation] = {}
    for part in parts:
        for one in part.trajectories:
            if one.key not in trajectories:
                trajectories[one.key] = one
                if one.key in part.annotations:
                    annotations[one.key] = part.annotations[one.key]
    return Demonstrations(list(trajectories.values()), annotations)


def split_dev(trajectories: Sequence[Trajectory], share: float) -> tuple[list[Trajectory], list[Trajectory]]:
    """Splits demonstrations: the last variations of each task choose the checkpoint, the others are learned from.

    Args:
        trajectories: All of them.
        share: Share of each task's demonstrations that chooses, at least one where there are three or more.
    """
    learn: list[Trajectory] = []
    choose: list[Trajectory] = []
    for of_task in by_task(trajectories).values():
        ordered = sorted(of_task, key=lambda trajectory: trajectory.variation)
        count = max(1, round(share * len(ordered))) if share and len(ordered) > 2 else 0
        learn += ordered[: len(ordered) - count]
        choose += ordered[len(ordered) - count :]
    return learn, choose


def is_shipped(name: str) -> bool:
    """Whether a name stands for shipped demonstrations; a file of that name takes precedence."""
    return name in SHIPPED and not Path(name).exists()


def shipped(name: str) -> Demonstrations:
    """Reads annotated demonstrations that come with wean.

    Raises:
        UsageError: There are none of that name.
    """
    if name not in SHIPPED:
        raise UsageError(f"there are no shipped demonstrations {name!r}; there are {', '.join(SHIPPED)}")
    folder = resources.files("wean.data").joinpath("recorded")
    paths, subgoals = SHIPPED[name]
    with resources.as_file(folder.joinpath(paths)) as path:
        trajectories = read_trajectories(path).found
    with resources.as_file(folder.joinpath(subgoals)) as path:
        found = read_annotations(path).found
    annotations, _ = match_annotations(found, trajectories)
    return Demonstrations(trajectories, annotations)
