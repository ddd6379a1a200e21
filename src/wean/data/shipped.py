"""Annotated demonstrations that come with wean."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from wean.data.annotations import Annotation, match_annotations, read_annotations
from wean.data.trajectories import Key, Trajectory, read_trajectories
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


def demonstrations(name: str, annotations: Path | None = None) -> Demonstrations:
    """Those that come with wean, or those of a file; with the sub-goals of another file that fit them.

    Raises:
        WeanError: A file cannot be read.
        UsageError: A file holds something else.
    """
    found = shipped(name) if is_shipped(name) else Demonstrations(read_trajectories(Path(name)).found, {})
    if annotations is None:
        return found
    known, _ = match_annotations(read_annotations(annotations).found, found.trajectories)
    return found._replace(annotations={**found.annotations, **known})


def is_shipped(name: str) -> bool:
    """Whether a name means demonstrations that come with wean; a file of the same name goes first."""
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
