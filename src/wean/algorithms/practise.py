"""Learning from play: what a student solves on training variations is imitated again (2104.07972, 2504.18415).

A round draws training variations, plays each a few times with sampled sub-goals and actions, and keeps the first
episode that reaches the full score: the score of the task is the only signal. The student is then trained on its own
solutions beside the demonstrations. Variations are drawn where play teaches most: a task that is always solved has
little to add, one that is never solved nothing, so that tasks are weighed by sqrt(p (1 - p)) with the share p solved in
the rounds before (Laplace's estimate: one half for a task that was not played).

Solutions are cleaned before they are learnt: what lies between two visits of the same state, as far as the student can
see it, is left out if nothing was read there for the first time and the rest still reaches the full score. (A
measurement changes nothing to be seen, and a right answer rests on it: left out, a student would learn to guess.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from wean.data.trajectories import Key
from wean.tasks.splits import Case

Solved = Mapping[str, tuple[int, int]]
"""For each task how many of its variations were solved, and how many were played."""


def counted(played: Sequence[Key], solved: Sequence[Key], before: Solved) -> dict[str, tuple[int, int]]:
    """What was solved and played so far, with another round."""
    tried, done = Counter(task for task, _ in played), Counter(task for task, _ in solved)
    found = dict(before)
    for task, count in tried.items():
        solved_before, played_before = before.get(task, (0, 0))
        found[task] = solved_before + done[task], played_before + count
    return found


def weights(tasks: Sequence[str], solved: Solved) -> dict[str, float]:
    """Weights of the tasks, sqrt(p (1 - p)), with the share p that was solved of each; they add up to 1."""
    shares = {}
    for task in tasks:
        successes, tries = solved.get(task, (0, 0))
        shares[task] = (successes + 1) / (tries + 2)
    spread = {task: float(np.sqrt(share * (1 - share))) for task, share in shares.items()}
    total = sum(spread.values())
    return {task: value / total for task, value in spread.items()}


def draw(cases: Sequence[Case], count: int, solved: Solved, generator: np.random.Generator) -> list[Case]:
    """Draws different episodes: a task by its weight, then one of its variations that was not drawn yet."""
    left: dict[str, list[Case]] = {}
    for case in cases:
        left.setdefault(case.task, []).append(case)
    left = {task: [of_task[i] for i in generator.permutation(len(of_task))] for task, of_task in left.items()}
    drawn: list[Case] = []
    while len(drawn) < count and left:
        weight = weights(list(left), solved)
        task = str(generator.choice(list(weight), p=list(weight.values())))
        drawn.append(left[task].pop())
        if not left[task]:
            del left[task]
    return drawn


def without_detours(states: Sequence[Hashable]) -> list[int]:
    """Numbers of the steps that are left when what lies between two visits of the same state is left out.

    Args:
        states: The state before each step.
    """
    last = {state: number for number, state in enumerate(states)}
    kept: list[int] = []
    number = 0
    while number < len(states):
        number = last[states[number]]
        kept.append(number)
        number += 1
    return kept
