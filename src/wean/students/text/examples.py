"""Supervised examples for a text student: demonstrations encoded as episodes, their batches, and rows of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wean.data.annotations import Annotation
from wean.data.augmentation import Augmentation
from wean.data.augmentation.mistakes import NO_MISTAKES, Mistakes
from wean.data.normalize import kept_steps
from wean.data.trajectories import Key, Trajectory
from wean.errors import UsageError
from wean.runtime.folder import PolicyError
from wean.runtime.prompt import ACT, DONE, PROMPT_VERSION, EpisodeEncoder, PromptConfig, Window

_UNLIMITED = 1 << 30  # tokens of a context


@dataclass(frozen=True)
class Example:
    """One encoded demonstration: its task, and its episode in windows cut to the context; only targets are learnt."""

    task: str
    windows: tuple[Window, ...]

    @property
    def tokens(self) -> int:
        """Number of tokens in all windows."""
        return sum(len(window.ids) for window in self.windows)


def encode_episode(
    trajectory: Trajectory,
    annotation: Annotation | None,
    episode: EpisodeEncoder,
    max_actions: int,
    mistakes: Mistakes = NO_MISTAKES,
) -> Example:
    """Encodes a demonstration exactly as an agent's own episode is encoded.

    Args:
        trajectory: The demonstration.
        annotation: Its sub-goals; None for the flat baseline.
        episode: A new episode of the student.
        max_actions: Greatest number of actions.
        mistakes: Parts that are not learnt.

    Raises:
        UsageError: A prompt is longer than the context.
    """
    path, score, begun = trajectory.path, 0.0, False
    try:
        episode.begin(trajectory.description, path[0].look, path[0].inventory)
        for number, subgoal in kept_steps(trajectory, annotation, max_actions):
            if subgoal is not None:
                if begun:
                    episode.make_room()
                    episode.add_done(target=number not in mistakes.dones)
                begun = True
                episode.ask_goal()
                episode.add_goal(subgoal, target=number not in mistakes.goals)
            episode.make_room()
            episode.add_action(path[number].action, target=number not in mistakes.actions)
            after = path[number + 1] if number + 1 < len(path) else path[number]
            before, score = score, path[number].score or 0.0  # includes a rise during the steps that are left out
            episode.add_observation(path[number].observation, after.look, after.inventory, score > before)
    except PolicyError as error:
        raise UsageError(f"{trajectory.task} {trajectory.variation}: {error}") from None
    windows = (window.trimmed() for window in episode.windows)
    return Example(trajectory.task, tuple(window for window in windows if window.ids))


def augmented_passes(
    trajectories: Sequence[Trajectory],
    examples: Sequence[Example],
    augmentation: Augmentation | None,
    new_episode: Callable[[], EpisodeEncoder],
    max_actions: int,
    num_epochs: int,
    generator: np.random.Generator,
) -> list[list[Example]]:
    """The examples of each pass over the demonstrations, each a new variant.

    Args:
        trajectories: Demonstrations.
        examples: The same, encoded as they are.
        augmentation: Draws the variants; None for no augmentation.
        new_episode: Makes an episode of the student.
        max_actions: Greatest number of actions of a demonstration, injected ones not counted.
        num_epochs: Number of passes.
        generator: Source of randomness.
    """

    def variant(number: int) -> Example:
        if augmentation is None:
            return examples[number]
        drawn = augmentation.draw(trajectories[number], generator)
        return encode_episode(
            drawn.trajectory,
            drawn.annotation,
            new_episode(),
            max_actions + drawn.added,
            drawn.mistakes,
        )

    return [[variant(number) for number in draw_pass(examples, generator)] for _ in range(num_epochs)]


def prompt_texts(trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> Iterator[str]:
    """The texts that a tokenizer is trained on: every piece of every prompt."""
    for trajectory in trajectories:
        texts: list[str] = []

        def keep(text: str, texts: list[str] = texts) -> list[int]:
            texts.append(text)
            return [0] * (len(text) // 4)

        episode = EpisodeEncoder(keep, PromptConfig(context=1 << 20))
        encode_episode(trajectory, annotations.get(trajectory.key), episode, len(trajectory.actions))
        yield from texts


def sft_rows(
    trajectories: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
    form: Literal["completion", "chat"] = "completion",
    max_actions: int = 100,
) -> Iterator[dict[str, Any]]:
    """Rows of text for other trainers: each sub-goal, "done" and action as a student fed step by step reads it.

    A demonstration without annotation gives the flat baseline's rows. A row has `prompt` and `completion`, or
    `messages`; and `task`, `variation`, `kind` (`goal`, `done` or `action`) and `prompt_version`.
    """
    for trajectory in trajectories:
        episode = EpisodeEncoder(lambda text: list(map(ord, text)), PromptConfig("step", context=_UNLIMITED))
        example = encode_episode(trajectory, annotations.get(trajectory.key), episode, max_actions)
        for window in example.windows:
            first = window.targets.index(1)
            prompt, answer = ("".join(map(chr, part)) for part in (window.ids[:first], window.ids[first:]))
            texts: dict[str, Any] = {"prompt": prompt, "completion": answer}
            if form == "chat":
                texts = {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}
            yield {
                "task": trajectory.task,
                "variation": trajectory.variation,
                "kind": "action" if answer.startswith(ACT) else "done" if answer == DONE else "goal",
                "prompt_version": PROMPT_VERSION,
                **texts,
            }


# --- batches ---------------------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Windows side by side, padded at their ends.

    Attributes:
        ids: (B, T) int64.
        rows: (N,) the window of each target.
        columns: (N,) the position before each target, where it is predicted.
        labels: (N,) the targets.
        starts: (N,) whether a target is the first of its answer.
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    starts: Tensor


def draw_pass(examples: Sequence[Example], generator: np.random.Generator) -> list[int]:
    """The numbers of the examples in one pass: as many as there are, each as often as others of its task, or once more.

    A task's share falls with the square root of its mean tokens. With equal shares, two tasks of a hundred actions
    would have two fifths of all tokens; with equal tokens, a choice of two animals would be read hundreds of times.
    """
    tasks: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        tasks.setdefault(example.task, []).append(number)
    tokens = {task: np.mean([examples[i].tokens for i in of_task]) for task, of_task in tasks.items()}
    all_shares = sum(mean**-0.5 for mean in tokens.values())
    drawn: list[int] = []
    for task, of_task in tasks.items():
        times = max(1, round(len(examples) * tokens[task] ** -0.5 / all_shares))
        order = [generator.permutation(of_task) for _ in range(-(-times // len(of_task)))]
        drawn += np.concatenate(order)[:times].tolist()
    return drawn


def shuffled_batches(
    examples: Sequence[Example], token_budget: int, generator: np.random.Generator
) -> list[list[Window]]:
    """The batches of one pass, in random order; windows of similar length share a batch, so that little is padded.

    A batch has at most `token_budget` tokens, padding included; a single window may be longer.
    """
    windows = [window for example in examples for window in example.windows]
    lengths = np.array([len(window.ids) for window in windows])
    by_length = np.argsort(lengths * generator.uniform(0.9, 1.1, len(windows)))
    batches = batched([windows[i] for i in by_length], token_budget)
    return [batches[i] for i in generator.permutation(len(batches))]


def batched(windows: Sequence[Window], token_budget: int) -> list[list[Window]]:
    """Consecutive windows in batches, as many as the budget holds when all are padded to the longest."""
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
    """Windows as tensors, padded with the token `pad`."""
    ids = np.full((len(windows), max(len(window.ids) for window in windows)), pad, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
    places = [(row, i) for row, window in enumerate(windows) for i, target in enumerate(window.targets) if target]
    rows, columns = np.array(places, dtype=np.int64).T
    starts = [windows[row].targets[i] == 1 for row, i in places]
    tensors = [torch.from_numpy(array) for array in (ids, rows, columns - 1, ids[rows, columns])]
    inputs, of_row, of_column, labels = tensors
    return Batch(inputs, of_row, of_column, labels, torch.tensor(starts))
