"""What a text student learns from: demonstrations with sub-goals, told as episodes, cut into windows and batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wean.data.annotations import Annotation
from wean.data.trajectories import Key, Trajectory, by_task
from wean.errors import UsageError
from wean.students.text.prompt import EpisodeText, Window, is_idle

Step = tuple[int, str | None]
"""Number of an action in its path, and the sub-goal that begins with it, if one does."""


@dataclass(frozen=True)
class Lesson:
    """One demonstration as the student reads it.

    Attributes:
        task: Its task.
        windows: The stretches of the episode; only tokens that are targets are learnt.
    """

    task: str
    windows: tuple[Window, ...]

    @property
    def tokens(self) -> int:
        """Of all windows."""
        return sum(len(window.ids) for window in self.windows)


@dataclass(frozen=True)
class Mistakes:
    """Components of a demonstration that are told as what the student said, and not learnt, by the numbers of actions.

    Attributes:
        goals: With which a wrong sub-goal begins.
        actions: Those that are wrong themselves.
        dones: Before which a sub-goal was given up too early.
    """

    goals: AbstractSet[int] = frozenset()
    actions: AbstractSet[int] = frozenset()
    dones: AbstractSet[int] = frozenset()


class Batch(NamedTuple):
    """Windows side by side, padded at their ends.

    Attributes:
        ids: (B, T) int64.
        rows: (N,) which window each target is in, and
        columns: (N,) where: the target is read off one token before.
        labels: (N,) the targets.
        starts: (N,) whether a target is the first of its answer.
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    starts: Tensor


def steps_of(trajectory: Trajectory, annotation: Annotation | None, actions: int) -> list[Step]:
    """The actions that are learnt, with the sub-goals where they begin.

    Actions that change nothing (`is_idle`) are left out; a sub-goal of which nothing else remains goes with them.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for none.
        actions: Most actions.
    """
    path = trajectory.path
    kept = [number for number, moment in enumerate(path) if not is_idle(moment.action, moment.observation)][:actions]
    if annotation is None:
        return [(number, None) for number in kept]
    steps: list[Step] = []
    current = -1
    for number in kept:
        chunk = annotation.chunk_of[number]
        steps.append((number, str(annotation.chunks[chunk].subgoal) if chunk != current else None))
        current = chunk
    return steps


def tell(
    trajectory: Trajectory,
    annotation: Annotation | None,
    episode: EpisodeText,
    actions: int,
    mistakes: Mistakes = Mistakes(),
    unnamed: AbstractSet[int] = frozenset(),
) -> Lesson:
    """Tells a demonstration as the agent at work is told its episode.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for the flat baseline.
        episode: A new episode of the student.
        actions: Most actions.
        mistakes: What of it is not learnt.
        unnamed: Numbers of actions; a right sub-goal that begins with one is neither told nor learnt, but its end is.

    Raises:
        UsageError: An opening is longer than the context.
    """
    path, score, begun = trajectory.path, 0.0, False
    try:
        episode.begin(trajectory.description, path[0].look, path[0].inventory)
        for number, subgoal in steps_of(trajectory, annotation, actions):
            if subgoal is not None:
                if begun:
                    episode.ask()
                    episode.say_done(target=number not in mistakes.dones)
                begun = True
                if number in mistakes.goals or number not in unnamed:
                    episode.ask_goal()
                    episode.say_goal(subgoal, target=number not in mistakes.goals)
            episode.ask()
            episode.say_action(path[number].action, target=number not in mistakes.actions)
            after = path[number + 1] if number + 1 < len(path) else path[number]
            before, score = score, path[number].score or 0.0  # a rise that came with what is left out is told, too
            episode.observe(path[number].observation, after.look, after.inventory, score > before)
    except UsageError as error:
        raise UsageError(f"{trajectory.task} {trajectory.variation}: {error}") from None
    windows = (window.trimmed() for window in episode.windows)
    return Lesson(trajectory.task, tuple(window for window in windows if window.ids))


def texts(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> Iterator[str]:
    """What a tokenizer learns from: every prompt as it is told, with nothing learnt of its tokens."""
    for trajectory in trajectories:
        told: list[str] = []

        def keep(text: str, told: list[str] = told) -> list[int]:
            told.append(text)
            return [0] * (len(text) // 4)

        tell(trajectory, annotations.get(trajectory.key), EpisodeText(keep, 1 << 20), len(trajectory.actions))
        yield from told


def drawn(lessons: Sequence[Lesson], generator: np.random.Generator) -> list[int]:
    """The lessons of one pass, by number: as many as there are, each as often as others of its task, or once more.

    Tasks are read the less often the longer they are, by the square root of their mean tokens. Equally often, two tasks
    of a hundred actions would have two fifths of all tokens; equally many tokens would be hundreds of passes over a
    choice between two animals.

    Args:
        lessons: All lessons.
        generator: Draws.
    """
    tasks: dict[str, list[int]] = {}
    for number, lesson in enumerate(lessons):
        tasks.setdefault(lesson.task, []).append(number)
    tokens = {task: np.mean([lessons[i].tokens for i in of_task]) for task, of_task in tasks.items()}
    all_shares = sum(mean**-0.5 for mean in tokens.values())
    read: list[int] = []
    for task, of_task in tasks.items():
        times = max(1, round(len(lessons) * tokens[task] ** -0.5 / all_shares))
        order = [generator.permutation(of_task) for _ in range(-(-times // len(of_task)))]
        read += np.concatenate(order)[:times].tolist()
    return read


def epoch(lessons: Sequence[Lesson], token_budget: int, generator: np.random.Generator) -> list[list[Window]]:
    """The batches of one pass, in drawn order. Windows of like length lie together, so that little is padded.

    Args:
        lessons: Of the pass.
        token_budget: Most tokens of a batch, padding included; one window may be longer.
        generator: Draws.
    """
    windows = [window for lesson in lessons for window in lesson.windows]
    lengths = np.array([len(window.ids) for window in windows])
    batches = batched(
        [windows[i] for i in np.argsort(lengths * generator.uniform(0.9, 1.1, len(windows)))], token_budget
    )
    return [batches[i] for i in generator.permutation(len(batches))]


def batched(windows: Sequence[Window], token_budget: int) -> list[list[Window]]:
    """Neighbouring windows together, as many as the budget holds when all are padded to the longest."""
    batches: list[list[Window]] = []
    longest = 0
    for window in windows:
        longest = max(longest, len(window.ids))
        if batches and longest * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(window)
        else:
            batches.append([window])
            longest = len(window.ids)
    return batches


def collate(windows: Sequence[Window], pad: int) -> Batch:
    """Windows as tensors."""
    ids = np.full((len(windows), max(len(window.ids) for window in windows)), pad, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
    places = [(row, i) for row, window in enumerate(windows) for i, target in enumerate(window.targets) if target]
    rows, columns = np.array(places, dtype=np.int64).T
    starts = [windows[row].targets[i] == 1 for row, i in places]
    tensors = [torch.from_numpy(array) for array in (ids, rows, columns - 1, ids[rows, columns])]
    inputs, of_row, of_column, labels = tensors
    return Batch(inputs, of_row, of_column, labels, torch.tensor(starts))


def split_dev(trajectories: Sequence[Trajectory], share: float) -> tuple[list[Trajectory], list[Trajectory]]:
    """Components demonstrations: the last variations of every task are kept for choosing the checkpoint.

    Args:
        trajectories: All of them.
        share: Of each task that is kept, at least one where there are three or more.

    Returns:
        Those to learn from and those to choose by.
    """
    learn: list[Trajectory] = []
    choose: list[Trajectory] = []
    for of_task in by_task(trajectories).values():
        ordered = sorted(of_task, key=lambda trajectory: trajectory.variation)
        count = max(1, round(share * len(ordered))) if share and len(ordered) > 2 else 0
        learn += ordered[: len(ordered) - count]
        choose += ordered[len(ordered) - count :]
    return learn, choose
