"""Closes the gaps of a layout: a single action joins its neighbour, longer runs need a second answer, or refusal."""

from __future__ import annotations

from collections.abc import Sequence

from wean.annotation.alignment import Layout, lay_out
from wean.annotation.answer import Claim
from wean.data.subgoals import Chunk


def close_single_gaps(layout: Layout) -> None:
    """Gives every single action without a sub-goal to the sub-goal before it, the first action to the one behind."""
    for first, end in layout.gaps:
        if end - first > 1 or not layout.subgoals:
            continue
        neighbour = layout.of_action[first - 1] if first else None
        if neighbour is None and end < len(layout.of_action):
            neighbour = layout.of_action[end]
        if neighbour is not None:
            layout.of_action[first] = neighbour
            layout.faults["skipped"] += 1


def fill_gaps(layout: Layout, claims: Sequence[Claim], actions: Sequence[str]) -> Layout:
    """A layout whose gaps are filled with the claims of a second answer, as far as they fit.

    Args:
        layout: With gaps.
        claims: Of the second answer.
        actions: Of the demonstration.
    """
    second = lay_out(claims, actions)
    filled = Layout(list(layout.of_action), list(layout.subgoals), layout.faults + second.faults)
    offset = len(layout.subgoals)
    filled.subgoals += second.subgoals
    for first, end in layout.gaps:
        for index in range(first, end):
            number = second.of_action[index]
            filled.of_action[index] = None if number is None else offset + number
    return filled


def chunks_of(layout: Layout) -> tuple[Chunk, ...] | None:
    """The finished sub-goals, one for each run of actions; None where an action still has none."""
    chunks: list[Chunk] = []
    before: int | None = None
    for number in layout.of_action:
        if number is None:
            return None
        if number == before:
            chunks[-1] = chunks[-1]._replace(actions=chunks[-1].actions + 1)
        else:
            chunks.append(Chunk(layout.subgoals[number], 1))
        before = number
    return tuple(chunks)
