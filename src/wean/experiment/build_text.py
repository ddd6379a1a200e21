"""Builds the components of runs that fine-tune text students on demonstrations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wean.algorithms.finetune import RUN, SCRATCH, FinetuneConfig, Finetuning
from wean.data.annotations import Annotation
from wean.data.augmentation import Augmentation
from wean.data.shipped import Demonstrations, annotated, demonstrations, training_data
from wean.data.trajectories import Key, Trajectory
from wean.errors import UsageError
from wean.experiment.components import Point, Resources
from wean.experiment.run_folder import RunFolder, write_text
from wean.experiment.settings import RunConfig
from wean.report.report import text_student_card
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import Size, Trained, merged, new_student, pretrained_student, train_tokenizer
from wean.students.text.examples import Example, augmented_passes, encode_episode, prompt_texts
from wean.students.text.student import TextStudent, load_text_student, load_tokenizer, save_text_student

_TOKENIZER = "tokenizer.json"


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

    def begin(self) -> None:
        """See `Components.begin`; keeps the tokenizer of a new student."""
        path = self.folder.path / _TOKENIZER
        if self.config.algorithm.model == SCRATCH and not path.exists():
            write_text(path, self.algorithm.student.tokenizer.to_str())

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

    @property
    def repeatable(self) -> bool:
        """See `Components`: nothing is played."""
        return True

    def notes(self) -> Sequence[str]:
        """See `Components.notes`: the number type of the products."""
        return (f"trains in {self.algorithm.precision}",)

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

    Raises:
        UsageError: The settings or the data are wrong.
    """
    settings: FinetuneConfig = config.algorithm
    read = partial(read_demonstrations, config=settings, note=resources.say)
    learn, choose, annotations = training_data(settings.data, read, settings.dev, settings.dev_share)
    if settings.model == SCRATCH:
        student = _new_student(config, learn, annotations, resources.folder)
    elif settings.model.startswith(RUN):
        student = _student_of_run(settings)
    else:
        student = _pretrained_student(config, [*learn, *choose], annotations)
    passes = _passes(student, settings, config.seed, learn, annotations)
    dev = _examples(student, choose, annotations, settings.actions)
    algorithm = Finetuning(student, settings, passes, dev, config.seed)
    return TextComponents(config, algorithm, RunFolder(resources.folder), learn, choose)


def _prompt(settings: FinetuneConfig) -> PromptConfig:
    return PromptConfig(settings.feeding, settings.subgoals, settings.context)


def _student_of_run(settings: FinetuneConfig) -> TextStudent:
    """The student of another run, which is trained further.

    Raises:
        UsageError: It reads other prompts than the settings say, or is to be trained in part.
        WeanError: The folder holds no text student, or a damaged one.
    """
    folder = Path(settings.model.removeprefix(RUN))
    student = load_text_student(folder / "student")
    own, wanted = asdict(student.prompt), asdict(_prompt(settings))
    if own != wanted:
        said = ", ".join(f"{name}={str(value).lower()}" for name, value in own.items() if value != wanted[name])
        raise UsageError(f"the student of {folder} was trained with {said}; set the same")
    if settings.lora_rank or settings.frozen_layers:
        raise UsageError("the student of a run is trained as a whole; leave lora_rank and frozen_layers out")
    return student


def _pretrained_student(
    config: RunConfig, read: Sequence[Trajectory], annotations: Mapping[Key, Annotation]
) -> TextStudent:
    """A pretrained student, its vocabulary cut to demonstrations, those of dev among them."""
    settings: FinetuneConfig = config.algorithm
    texts = list(dict.fromkeys(prompt_texts(read, annotations)))
    return pretrained_student(
        settings.model,
        _prompt(settings),
        config.seed,
        Trained(settings.lora_rank, settings.frozen_layers),
        texts,
        settings.vocabulary,
    )


def _new_student(
    config: RunConfig, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation], folder: Path
) -> TextStudent:
    """A new student, whose tokenizer is trained unless the run folder has it."""
    settings: FinetuneConfig = config.algorithm
    if settings.lora_rank or settings.frozen_layers:
        raise UsageError(
            "adapters and frozen layers are for a pretrained model; name one with model=hf:NAME, or leave lora_rank "
            "and frozen_layers out"
        )
    if (folder / _TOKENIZER).exists():
        tokenizer = load_tokenizer(folder)
    else:
        tokenizer = train_tokenizer(prompt_texts(learn, annotations), settings.vocabulary)
    size = Size(settings.hidden, settings.layers, settings.heads)
    return new_student(tokenizer, size, _prompt(settings), config.seed)


def _examples(
    student: TextStudent,
    trajectories: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
    max_actions: int,
) -> list[Example]:
    return [
        encode_episode(one, annotations.get(one.key), student.episode(strict=True), max_actions) for one in trajectories
    ]


def _passes(
    student: TextStudent,
    config: FinetuneConfig,
    seed: int,
    learn: Sequence[Trajectory],
    annotations: Mapping[Key, Annotation],
) -> list[list[Example]]:
    """The examples of each pass, each a new variant of a demonstration."""
    augmentation = None
    if any((config.swap_entities, config.drop_distractors, config.inject_mistakes)):
        augmentation = Augmentation(
            learn,
            annotations,
            swapped=config.swap_entities,
            distractors=config.drop_distractors,
            mistakes=config.inject_mistakes,
        )
    return augmented_passes(
        learn,
        _examples(student, learn, annotations, config.actions),  # refuses what does not fit
        augmentation,
        student.episode,
        config.actions,
        math.ceil(config.num_epochs),
        np.random.default_rng(seed),
    )


def read_demonstrations(name: str, config: FinetuneConfig, note: Callable[[str], None]) -> Demonstrations:
    """Reads demonstrations, with sub-goals if the settings want any; `note` is called with what is left out."""
    if not config.subgoals:
        return demonstrations(name, note=note)._replace(annotations={})
    beside = Path(name).with_suffix(".subgoals.jsonl")
    annotations = Path(config.annotations) if config.annotations else beside if beside.exists() else None
    return annotated(name, annotations, config.missing, note)


def _merit(point: Mapping[str, Any]) -> tuple[float, float]:
    """What orders checkpoints: exact matches, then the loss, both on the dev demonstrations; without those, the age."""
    return point.get("exact", float(point["gradient_steps"])), -point.get("loss", 0.0)
