"""The three splits of seeds, layouts and variations: for training, for choosing between runs, and for final figures.

A random layout could be drawn again under another seed. So every possible layout belongs to one split, by a number
computed from it, and a seed draws until the layout is one of its own split's: held-out layouts are disjoint from those
trained on, whatever the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from wean.errors import UsageError

T = TypeVar("T")
Split = Literal["training", "choosing", "final"]
Fold = Literal["train", "dev", "test"]
"""The splits under the names that the field gives them for tasks in words."""

CHOOSING_SEED = 5_000
FINAL_SEED = 10_000
FIRST_SEED: Mapping[Split, int] = {"training": 0, "choosing": CHOOSING_SEED, "final": FINAL_SEED}

FOLDS: tuple[Fold, ...] = ("train", "dev", "test")
SPLIT_OF_FOLD: Mapping[Fold, Split] = {"train": "training", "dev": "choosing", "test": "final"}
FOLD_OF_SPLIT: Mapping[Split, Fold] = {split: fold for fold, split in SPLIT_OF_FOLD.items()}

_PARTS = 4  # half of all layouts for training, a quarter each for choosing and for final figures
_SPLIT_OF_PART: tuple[Split, ...] = ("training", "choosing", "training", "final")


class Case(NamedTuple):
    """One episode to play: the task that it counts for, its variation (or reset seed), seed and reset options."""

    task: str = ""
    variation: int = 0
    seed: int = 0
    options: dict[str, Any] | None = None


def split_of_seed(seed: int) -> Split:
    """The split of a reset seed: training below 5,000, choosing below 10,000, final above."""
    if seed < CHOOSING_SEED:
        return "training"
    return "choosing" if seed < FINAL_SEED else "final"


def split_of_number(number: int) -> Split:
    """The split of a layout, from the number that its task computes from it."""
    return _SPLIT_OF_PART[number % _PARTS]


def draw_in_split(split: Split, draw: Callable[[], T], number: Callable[[T], int]) -> T:
    """Draws until a layout belongs to the split, by the `number` computed from it; four draws on average."""
    while split_of_number(number(layout := draw())) != split:
        pass
    return layout


def fold_of(name: str) -> Fold:
    """Returns the fold of a name.

    Raises:
        UsageError: If there is none of that name.
    """
    for fold in FOLDS:
        if fold == name:
            return fold
    raise UsageError(f"no split {name!r}; there are {', '.join(FOLDS)}")


def first_seed(fold: Fold) -> int:
    """The first reset seed of a fold."""
    return FIRST_SEED[SPLIT_OF_FOLD[fold]]
