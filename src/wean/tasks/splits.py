"""Which seeds are for training, for choosing and for final figures, and how drawn layouts are kept apart between them.

A layout that is drawn at random could be drawn again under another seed. So every possible layout belongs to one
split, by a number computed from it, and a seed draws until the layout is one of its own split's: held-out layouts
are disjoint from those trained on, whatever the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

T = TypeVar("T")
Split = Literal["training", "choosing", "final"]

CHOOSING_SEED = 5_000
FINAL_SEED = 10_000
FIRST_SEED: Mapping[Split, int] = {"training": 0, "choosing": CHOOSING_SEED, "final": FINAL_SEED}

_PARTS = 4  # half of all layouts for training, a quarter each for choosing and for final figures
_SPLIT_OF_PART: tuple[Split, ...] = ("training", "choosing", "training", "final")


def split_of_seed(seed: int) -> Split:
    """Tells the split of a reset seed: training below 5,000, final from 10,000 on, choosing between."""
    if seed < CHOOSING_SEED:
        return "training"
    return "choosing" if seed < FINAL_SEED else "final"


def split_of_number(number: int) -> Split:
    """Tells the split of a layout from the number that its task computes from it."""
    return _SPLIT_OF_PART[number % _PARTS]


def draw_in_split(split: Split, draw: Callable[[], T], number: Callable[[T], int]) -> T:
    """Draws until a layout belongs to the split.

    Args:
        split: Whose layouts are wanted.
        draw: Draws one of all layouts; called four times on average.
        number: Maps a layout to the number that decides its split.
    """
    while split_of_number(number(layout := draw())) != split:
        pass
    return layout
