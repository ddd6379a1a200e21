"""Lays claimed sub-goals over the actions of a demonstration: which action belongs to which, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from wean.annotation.answer import Claim
from wean.data.subgoals import SubGoal

_MOST_DIFFERENT = 25  # different actions in one sub-goal; with more, nothing was split


@dataclass
class Layout:
    """Sub-goals over actions, perhaps with gaps.

    Attributes:
        of_action: For each action the number of its sub-goal, or None; never falling.
        subgoals: The sub-goals.
        faults: How often something had to be put right, by kind.
    """

    of_action: list[int | None]
    subgoals: list[SubGoal]
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """(first, end) of every run of actions without a sub-goal, counted from 0."""
        gaps: list[tuple[int, int]] = []
        for index, number in enumerate(self.of_action):
            if number is None:
                if gaps and gaps[-1][1] == index:
                    gaps[-1] = (gaps[-1][0], index + 1)
                else:
                    gaps.append((index, index + 1))
        return gaps


def lay_out(claims: Sequence[Claim], actions: Sequence[str]) -> Layout:
    """Lays claims over actions.

    Claims that name numbers are put in order; an action that two claim stays with the first; numbers behind the end
    are cut off. Claims that name actions are aligned by edit distance: skipped actions become gaps, invented ones are
    dropped. Claims that name counts hold only if these sum up. A claim without an action is dropped.

    Args:
        claims: In the order of the answer.
        actions: Of the demonstration.
    """
    layout = Layout([None] * len(actions), [claim.subgoal for claim in claims])
    if any(claim.actions is not None for claim in claims):
        _by_words(layout, claims, actions)
    elif any(claim.length is not None for claim in claims):
        _by_counts(layout, claims)
    else:
        _by_numbers(layout, claims)
    _drop_shapeless(layout, actions)
    there = {number for number in layout.of_action if number is not None}
    layout.faults["empty"] += len(layout.subgoals) - len(there)
    return layout


def edit_alignment(given: Sequence[str], claimed: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of equal elements under the smallest number of insertions and deletions.

    Args:
        given: What is there.
        claimed: What is said to be there.

    Returns:
        (index in given, index in claimed), both rising.
    """
    rows, columns = len(given), len(claimed)
    distance = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows, -1, -1):
        for column in range(columns, -1, -1):
            if row == rows or column == columns:
                distance[row][column] = rows - row + columns - column
            elif given[row] == claimed[column]:
                distance[row][column] = distance[row + 1][column + 1]
            else:
                distance[row][column] = 1 + min(distance[row + 1][column], distance[row][column + 1])
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        if given[row] == claimed[column]:
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif distance[row + 1][column] <= distance[row][column + 1]:
            row += 1
        else:
            column += 1
    return pairs


def _by_numbers(layout: Layout, claims: Sequence[Claim]) -> None:
    firsts = [claim.numbers[0] for claim in claims if claim.numbers]
    if firsts != sorted(firsts):
        layout.faults["order"] += 1
        claims = sorted(claims, key=lambda claim: claim.numbers or (0, 0))
        layout.subgoals = [claim.subgoal for claim in claims]
    reached = 0
    for number, claim in enumerate(claims):
        assert claim.numbers is not None
        first, last = claim.numbers
        if last > len(layout.of_action) or first < 1:
            layout.faults["invented"] += 1
        if first <= reached:
            layout.faults["overlap"] += 1
        start, end = max(first - 1, reached), min(last, len(layout.of_action))
        layout.of_action[start:end] = [number] * max(0, end - start)
        reached = max(reached, end)


def _by_words(layout: Layout, claims: Sequence[Claim], actions: Sequence[str]) -> None:
    words: list[str] = []
    owner: list[int] = []
    for number, claim in enumerate(claims):
        for action in claim.actions or ():
            words.append(_plain(action))
            owner.append(number)
    pairs = edit_alignment([_plain(action) for action in actions], words)
    for index, said in pairs:
        layout.of_action[index] = owner[said]
    layout.faults["invented"] += len(words) - len(pairs)


def _by_counts(layout: Layout, claims: Sequence[Claim]) -> None:
    counts = [claim.length or 0 for claim in claims]
    if any(count < 0 for count in counts) or sum(counts) != len(layout.of_action):
        layout.faults["sum"] += 1  # nobody knows where the mistake is: all is left open
        return
    layout.of_action[:] = [number for number, count in enumerate(counts) for _ in range(count)]


def _drop_shapeless(layout: Layout, actions: Sequence[str]) -> None:
    """Takes actions away from a sub-goal that swallowed a whole demonstration."""
    for number in set(layout.of_action) - {None}:
        mine = [index for index, of in enumerate(layout.of_action) if of == number]
        if len({actions[index] for index in mine}) > _MOST_DIFFERENT:
            layout.faults["too few"] += 1
            for index in mine:
                layout.of_action[index] = None


def _plain(action: str) -> str:
    return " ".join(action.lower().split())
