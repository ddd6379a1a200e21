"""The 30 tasks of ScienceWorld 1.2.3 and the splits of their variations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wean.errors import UsageError, did_you_mean
from wean.tasks.splits import FIRST_SEED, FOLD_OF_SPLIT, FOLDS, Case, Fold, split_of_seed

VERSION = "1.2.3"
"""The release of ScienceWorld whose tasks these are."""


@dataclass(frozen=True)
class Task:
    """A task with its variations, numbered from train through dev to test.

    Attributes:
        id: Topic and number, such as "1-1".
        name: Such as "boil".
        train: Number of variations for training.
        dev: Number for choosing.
        test: Number for final figures.
    """

    id: str
    name: str
    train: int
    dev: int
    test: int

    @property
    def count(self) -> int:
        """The number of variations."""
        return self.train + self.dev + self.test

    def variations(self, fold: Fold) -> range:
        """The numbers of the variations of a fold."""
        first = {"train": 0, "dev": self.train, "test": self.train + self.dev}[fold]
        return range(first, first + {"train": self.train, "dev": self.dev, "test": self.test}[fold])

    def fold(self, variation: int) -> Fold:
        """The fold of a variation."""
        return next(fold for fold in FOLDS if variation in self.variations(fold))

    def of_seed(self, seed: int) -> int:
        """The variation of a reset seed: seeds for training, choosing and final figures never share one."""
        split = split_of_seed(seed)
        among = self.variations(FOLD_OF_SPLIT[split])
        return among[(seed - FIRST_SEED[split]) % len(among)]

    def check(self, variation: int) -> None:
        """Refuses a variation that the task does not have.

        Raises:
            UsageError: There is no such variation.
        """
        if not 0 <= variation < self.count:
            raise UsageError(f"{self.name} has no variation {variation}; there are 0 to {self.count - 1}")


TASKS: tuple[Task, ...] = (
    Task("1-1", "boil", 14, 7, 9),
    Task("1-2", "melt", 14, 7, 9),
    Task("1-3", "freeze", 14, 7, 9),
    Task("1-4", "change-the-state-of-matter-of", 14, 7, 9),
    Task("2-1", "use-thermometer", 270, 135, 135),
    Task("2-2", "measure-melting-point-known-substance", 218, 109, 109),
    Task("2-3", "measure-melting-point-unknown-substance", 150, 75, 75),
    Task("3-1", "power-component", 10, 5, 5),
    Task("3-2", "power-component-renewable-vs-nonrenewable-energy", 10, 5, 5),
    Task("3-3", "test-conductivity", 450, 225, 225),
    Task("3-4", "test-conductivity-of-unknown-substances", 300, 150, 150),
    Task("4-1", "find-living-thing", 150, 75, 75),
    Task("4-2", "find-non-living-thing", 150, 75, 75),
    Task("4-3", "find-plant", 150, 75, 75),
    Task("4-4", "find-animal", 150, 75, 75),
    Task("5-1", "grow-plant", 62, 31, 33),
    Task("5-2", "grow-fruit", 62, 31, 33),
    Task("6-1", "chemistry-mix", 16, 8, 8),
    Task("6-2", "chemistry-mix-paint-secondary-color", 18, 9, 9),
    Task("6-3", "chemistry-mix-paint-tertiary-color", 18, 9, 9),
    Task("7-1", "lifespan-longest-lived", 62, 31, 32),
    Task("7-2", "lifespan-shortest-lived", 62, 31, 32),
    Task("7-3", "lifespan-longest-lived-then-shortest-lived", 62, 31, 32),
    Task("8-1", "identify-life-stages-1", 6, 3, 5),
    Task("8-2", "identify-life-stages-2", 4, 2, 4),
    Task("9-1", "inclined-plane-determine-angle", 84, 42, 42),
    Task("9-2", "inclined-plane-friction-named-surfaces", 692, 346, 348),
    Task("9-3", "inclined-plane-friction-unnamed-surfaces", 80, 40, 42),
    Task("10-1", "mendelian-genetics-known-plant", 60, 30, 30),
    Task("10-2", "mendelian-genetics-unknown-plant", 240, 120, 120),
)
_KNOWN: Mapping[str, Task] = {task.name: task for task in TASKS} | {task.id: task for task in TASKS}


def find_task(name: str) -> Task:
    """Finds a task by its name or id.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in _KNOWN:
        within = [task.name for task in TASKS if name and name in task.name]
        otherwise = (
            f"several are called like it: {', '.join(within)}"
            if len(within) > 1
            else (
                "its tasks are 1-1 boil to 10-2 mendelian-genetics-unknown-plant, listed in docs/tasks/scienceworld.md"
            )
        )
        hint = f"did you mean {within[0]!r}?" if len(within) == 1 else did_you_mean(name, _KNOWN, otherwise)
        raise UsageError(f"ScienceWorld has no task {name!r}; {hint}")
    return _KNOWN[name]


def episodes(fold: Fold, count: int, only: Sequence[str] = ()) -> list[Case]:
    """The first variations of each task in a fold.

    Args:
        fold: The fold.
        count: Variations of each task, at most.
        only: Names or ids of the tasks; all 30 by default.

    Raises:
        UsageError: There is no such task.
    """
    return [
        Case(task.name, number, number, {"task": task.name, "variation": number})
        for task in ([find_task(name) for name in only] or TASKS)
        for number in task.variations(fold)[:count]
    ]
