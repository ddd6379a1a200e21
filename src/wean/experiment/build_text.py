"""Builds the components of runs that fine-tune text students on demonstrations."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wean.algorithms.finetune import FinetuneConfig, Finetuning
from wean.data.annotations import Annotation, match_annotations, read_annotations
from wean.data.augmentation.drop_distractors import places_of, thinned
from wean.data.augmentation.inject_mistakes import astray, roads_of
from wean.data.augmentation.swap_entities import given_names, renamed
from wean.data.shipped import CHOSEN_BY, is_shipped, shipped
from wean.data.trajectories import Key, Trajectory, read_trajectories
from wean.errors import UsageError
from wean.experiment.components import Point, Resources
from wean.experiment.run_folder import RunFolder, write_text
from wean.experiment.settings import RunConfig
from wean.report.card import text_student_card
from wean.students.text.examples import Lesson, drawn, split_dev, tell, texts
from wean.students.text.lora import add_adapters, merged
from wean.students.text.rules.mining import habits_of
from wean.students.text.student import (
    Size,
    TextStudent,
    new_student,
    pretrained_student,
    save_text_student,
)
from wean.students.text.tokenizer import load_tokenizer, train_tokenizer

_NAMED = 4  # tasks that a message names


@dataclass
class TextComponents:
    """The parts of a run that fine-tunes a text student; see `Components`.

    Attributes:
        config: The run's settings.
        algorithm: Trains the student.
        folder: Where the best student so far is kept.
        learn: The demonstrations that are learned from.
        choose: Those that choose the checkpoint.
    """

    config: RunConfig
    algorithm: Finetuning
    folder: RunFolder
    learn: Sequence[Trajectory]
    choose: Sequence[Trajectory]
    shown: Sequence[str] = ("exact",)

    @cached_property
    def points(self) -> list[float]:
        """See `Components`."""
        every = math.ceil(self.algorithm.total / self.config.algorithm.measurements)
        return [*range(every, self.algorithm.total, every), self.algorithm.total]

    def measure(self, curve: Sequence[Point]) -> Point:
        """See `Components.measure`; on the dev demonstrations. Keeps the student if it is the best so far."""
        started = time.perf_counter()
        algorithm = self.algorithm
        point = {
            algorithm.unit: algorithm.done,
            "tokens": algorithm.tokens,
            "flops": algorithm.flops,
            "seconds": algorithm.spent,
            **algorithm.measure(),
        }
        point["measuring_seconds"] = time.perf_counter() - started
        best = max(curve, key=_merit, default=None)
        if best is None or _merit(point) > _merit(best):
            save_text_student(merged(algorithm.student), self.folder.student)
        return point

    def notes(self) -> Sequence[str]:
        """See `Components.notes`; what reading the demonstrations left out was said there."""
        return ()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Components.state`."""
        tensors, values = self.algorithm.state()
        return tensors, {"algorithm": values}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `Components.restore`."""
        self.algorithm.restore(tensors, values["algorithm"])

    def conclude(self, folder: RunFolder, so_far: Mapping[str, Any]) -> dict[str, Any]:
        """See `Components.conclude`; the best student is saved already."""
        config, algorithm = self.config.algorithm, self.algorithm
        summary = {
            **so_far,
            "num_epochs": config.num_epochs,
            "demonstrations": len(self.learn),
            "dev_demonstrations": len(self.choose),
            "tasks": sorted({one.task for one in self.learn}),
            "student_parameters": merged(algorithm.student).parameter_count(),
            "tokens": algorithm.tokens,
            "tokens_per_demonstration": algorithm.tokens / config.num_epochs / len(self.learn),
            "tokens_per_second": algorithm.tokens / algorithm.spent,
            "steps_per_second": algorithm.done / algorithm.spent,
            "flops": algorithm.flops,
            "seconds": algorithm.spent,
            "threads": self.config.threads,
            "device": str(algorithm.student.model.device),
            "best": max(so_far["curve"], key=_merit),
        }
        write_text(folder.student / "README.md", text_student_card(summary))
        return summary

    def close(self) -> None:
        """See `Components.close`."""


def build(config: RunConfig, resources: Resources) -> TextComponents:
    """Reads the demonstrations and makes the student and its trainer.

    Args:
        config: The settings; their algorithm is fine-tuning.
        resources: The run folder, which keeps the tokenizer of a new student, and where to say what is left out.

    Raises:
        UsageError: The settings or the data are wrong.
    """
    settings: FinetuneConfig = config.algorithm
    learn, choose, annotations = _read(settings, resources.say)
    student = _student(config, learn, annotations, resources.folder)
    passes = _passes(student, settings, config.seed, learn, annotations)
    dev = _lessons(student, settings, choose, annotations)
    algorithm = Finetuning(student, settings, passes, dev, config.seed)
    return TextComponents(config, algorithm, RunFolder(resources.folder), learn, choose)


def _read(
    config: FinetuneConfig, say: Callable[[str], None]
) -> tuple[list[Trajectory], list[Trajectory], Mapping[Key, Annotation]]:
    """The demonstrations to learn from and to choose by, and their sub-goals."""
    found, annotations = read_demonstrations(config.data, config, say)
    dev = config.dev or (CHOSEN_BY.get(config.data, "") if is_shipped(config.data) else "")
    if dev:
        learn, (choose, more) = found, read_demonstrations(dev, config, say)
        if {one.key for one in learn} & {one.key for one in choose}:
            raise UsageError(f"{dev} and {config.data} share demonstrations; keep them apart")
        return learn, choose, {**annotations, **more}
    learn, choose = split_dev(found, config.dev_share)
    return learn, choose, annotations


def _student(
    config: RunConfig, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation], folder: Path
) -> TextStudent:
    settings: FinetuneConfig = config.algorithm
    habits = habits_of(learn, annotations, settings)
    if settings.model != "scratch":
        student = pretrained_student(settings.model, habits, config.seed)
        if settings.lora_rank:
            add_adapters(student, settings.lora_rank)
        return student
    if settings.lora_rank:
        raise UsageError("adapters are for a pretrained model; name one with model=hf:NAME, or leave lora_rank out")
    path = folder / "tokenizer.json"
    if not path.exists():
        write_text(path, train_tokenizer(texts(learn, annotations), settings.vocabulary).to_str())
    size = Size(settings.hidden, settings.layers, settings.heads)
    return new_student(load_tokenizer(folder), size, habits, config.seed)


def _lessons(
    student: TextStudent,
    config: FinetuneConfig,
    trajectories: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
) -> list[Lesson]:
    return [tell(one, annotations.get(one.key), student.episode(strict=True), config.actions) for one in trajectories]


def _passes(
    student: TextStudent,
    config: FinetuneConfig,
    seed: int,
    learn: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
) -> list[list[Lesson]]:
    """The lessons of each pass, with other names, other mistakes and other things to see in each."""
    plain = _lessons(student, config, learn, annotations)  # refuses what does not fit
    generator = np.random.default_rng(seed)
    if not any((config.renamed, config.astray, config.thinned, config.unnamed)):
        return [[plain[number] for number in drawn(plain, generator)] for _ in range(config.num_epochs)]
    names = given_names(learn, annotations, student.habits.unprompted)
    roads = roads_of(learn, annotations, student.habits.ways)
    places = places_of(learn)

    def lesson(one: Trajectory) -> Lesson:
        annotation = annotations.get(one.key)
        right = thinned(one, annotation, places, config.thinned, generator)
        one, annotation, mistakes = astray(right, annotation, roads, config.astray, generator)
        actions = config.actions + len(one.path) - len(right.path)  # so that they do not cost the end
        if generator.random() < config.renamed:
            one, annotation = renamed(one, annotation, names, generator)
        unnamed = set(np.flatnonzero(generator.random(len(one.path)) < config.unnamed).tolist())
        return tell(one, annotation, student.episode(), actions, mistakes, unnamed)

    return [[lesson(learn[number]) for number in drawn(plain, generator)] for _ in range(config.num_epochs)]


def read_demonstrations(
    name: str, config: FinetuneConfig, say: Callable[[str], None]
) -> tuple[list[Trajectory], dict[Key, Annotation]]:
    """Reads demonstrations and their sub-goals, as the settings want them.

    Args:
        name: A file, or the name of some that come with wean.
        config: Says where the sub-goals are, whether there must be any, and what becomes of those without.
        say: Called with what is left out.

    Raises:
        UsageError: Some have no sub-goals, and the settings do not leave them out.
    """
    annotations: dict[Key, Annotation] = {}
    if is_shipped(name):
        trajectories, own = shipped(name)
        annotations = dict(own)
    else:
        trajectories, problems = read_trajectories(Path(name))
        for problem in problems:
            say(problem)
    if not config.subgoals:
        return trajectories, {}
    if config.annotations:
        read = read_annotations(Path(config.annotations))
        fitting, problems = match_annotations(read.found, trajectories)
        for problem in [*read.problems, *problems]:
            say(problem)
        annotations |= fitting
    lacking = Counter(one.task for one in trajectories if one.key not in annotations)
    if not lacking:
        return trajectories, annotations
    tasks = ", ".join(f"{task} {count}" for task, count in lacking.most_common(_NAMED))
    more = ", ..." if len(lacking) > _NAMED else ""
    text = f"{lacking.total()} of {len(trajectories)} demonstrations of {name} have no sub-goals ({tasks}{more})"
    if config.missing == "refuse" or lacking.total() == len(trajectories):
        raise UsageError(
            f"{text}; write them with `wean annotate` and name the file with annotations=, "
            "leave them out with missing=skip, or learn the actions alone with subgoals=false"
        )
    say(f"{text}; they are left out")
    return [one for one in trajectories if one.key in annotations], annotations


def _merit(point: Mapping[str, Any]) -> tuple[float, float]:
    """What makes a checkpoint better: exact matches, then the loss, both of the dev demonstrations; else its age."""
    return point.get("exact", float(point["gradient_steps"])), -point.get("loss", 0.0)
