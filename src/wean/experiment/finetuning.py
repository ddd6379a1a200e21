"""One run of sub-goal distillation from settings to a saved student: what `wean train subgoals` does, as a function."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wean.algorithms.finetune import FinetuneConfig, Finetuning
from wean.data.annotations import Annotation, match_annotations, read_annotations
from wean.data.augmentation.drop_distractors import places_of, thinned
from wean.data.augmentation.inject_mistakes import astray, roads_of
from wean.data.augmentation.swap_entities import given_names, renamed
from wean.data.shipped import CHOSEN_BY, is_shipped, shipped
from wean.data.trajectories import Key, Trajectory, read_trajectories
from wean.errors import UsageError, WeanError
from wean.experiment.run_folder import RunFolder, write_json, write_text
from wean.experiment.settings import RunConfig, command_line
from wean.graceful_stop import GracefulStop
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

SCHEMA = "wean-distillation/1"
_NAMED = 4  # tasks that a message names


class Distilling:
    """One run; `run` does it all.

    Args:
        config: The settings; their algorithm is sub-goal distillation.
        out: The run folder.
        resume: Continues what is there.
        progress: Called with (epochs done, latest metrics) after every gradient step.
        say: Called with what a person should be told.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Callable[[float, dict[str, float]], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        assert isinstance(config.algorithm, FinetuneConfig)
        self._run_config, self.config, self.folder = config, config.algorithm, RunFolder(out)
        self._resume = resume
        self._progress = progress or (lambda done, metrics: None)
        self._say = say or (lambda note: None)
        self._curve: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Trains, and writes everything into the run folder.

        Returns:
            The summary, as in `summary.json`.

        Raises:
            UsageError: The settings, the data or the folder are wrong.
            WeanError: Something fails; what is written stays and can be resumed.
        """
        torch.set_num_threads(self._run_config.threads)
        learn, choose, annotations = self._read()
        self.folder.create(self._run_config.as_yaml(), self._resume)
        if self.folder.summary.exists():
            finished: dict[str, Any] = json.loads(self.folder.summary.read_text())
            return finished
        student = self._student(learn, annotations)
        passes, dev = self._passes(student, learn, annotations), self._lessons(student, choose, annotations)
        algorithm = Finetuning(student, self.config, passes, dev, self._run_config.seed)
        self._continue(algorithm)
        every = math.ceil(algorithm.total / self.config.measurements)

        def on_update(metrics: dict[str, float]) -> None:
            self.folder.append_metrics({"env_steps": algorithm.updates, "tokens": algorithm.tokens, **metrics})
            if algorithm.updates % every == 0 or algorithm.updates == algorithm.total:
                self._measure(algorithm)
            latest = {"exact": self._curve[-1]["exact"]} if self._curve and "exact" in self._curve[-1] else {}
            self._progress(algorithm.updates / algorithm.total * self.config.epochs, {**metrics, **latest})
            if stop.wanted and algorithm.updates < algorithm.total:
                self._checkpoint(algorithm)
                raise WeanError(
                    f"stopped after {algorithm.updates} steps; the same command with --resume goes on from there"
                )

        with GracefulStop() as stop:
            algorithm.learn(on_update)
        return self._conclude(algorithm, learn, choose)

    # --- what is learnt from -------------------------------------------------------------------------------------

    def _read(self) -> tuple[list[Trajectory], list[Trajectory], Mapping[Key, Annotation]]:
        """The demonstrations to learn from and to choose by, and their sub-goals."""
        found, annotations = read_demonstrations(self.config.data, self.config, self._say)
        dev = self.config.dev or (CHOSEN_BY.get(self.config.data, "") if is_shipped(self.config.data) else "")
        if dev:
            learn, (choose, more) = found, read_demonstrations(dev, self.config, self._say)
            if {one.key for one in learn} & {one.key for one in choose}:
                raise UsageError(f"{dev} and {self.config.data} share demonstrations; keep them apart")
            return learn, choose, {**annotations, **more}
        learn, choose = split_dev(found, self.config.dev_share)
        return learn, choose, annotations

    def _student(self, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> TextStudent:
        config = self.config
        habits = habits_of(learn, annotations, config)
        if config.model != "scratch":
            student = pretrained_student(config.model, habits, self._run_config.seed)
            if config.lora_rank:
                add_adapters(student, config.lora_rank)
            return student
        if config.lora_rank:
            raise UsageError("adapters are for a pretrained model; name one with model=hf:NAME, or leave lora_rank out")
        path = self.folder.path / "tokenizer.json"
        if not path.exists():
            tokenizer = train_tokenizer(texts(learn, annotations), config.vocabulary)
            write_text(path, tokenizer.to_str())
        return new_student(
            load_tokenizer(self.folder.path),
            Size(config.hidden, config.layers, config.heads),
            habits,
            self._run_config.seed,
        )

    def _lessons(
        self, student: TextStudent, trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]
    ) -> list[Lesson]:
        return [
            tell(one, annotations.get(one.key), student.episode(strict=True), self.config.actions)
            for one in trajectories
        ]

    def _passes(
        self, student: TextStudent, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation]
    ) -> list[list[Lesson]]:
        """The lessons of each pass, with other names, other mistakes and other things to see in each."""
        config, habits = self.config, student.habits
        plain = self._lessons(student, learn, annotations)  # refuses what does not fit
        generator = np.random.default_rng(self._run_config.seed)
        if not any((config.renamed, config.astray, config.thinned, config.unnamed)):
            return [[plain[number] for number in drawn(plain, generator)] for _ in range(config.epochs)]
        names = given_names(learn, annotations, habits.unprompted)
        roads = roads_of(learn, annotations, habits.ways)
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

        return [[lesson(learn[number]) for number in drawn(plain, generator)] for _ in range(config.epochs)]

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def _measure(self, algorithm: Finetuning) -> None:
        """Reads the dev demonstrations; keeps the student if it is the best so far; writes a checkpoint."""
        started = time.perf_counter()
        point = {
            "updates": algorithm.updates,
            "tokens": algorithm.tokens,
            "flops": algorithm.flops,
            "seconds": algorithm.seconds,
            **algorithm.measure(),
        }
        point["measuring_seconds"] = time.perf_counter() - started
        best = max(self._curve, key=_merit, default=None)
        self._curve.append(point)
        if best is None or _merit(point) > _merit(best):
            save_text_student(merged(algorithm.student), self.folder.student)
        self._checkpoint(algorithm)

    def _checkpoint(self, algorithm: Finetuning) -> None:
        tensors, values = algorithm.state()
        self.folder.save_checkpoint(algorithm.updates, tensors, {"algorithm": values, "curve": self._curve})

    def _continue(self, algorithm: Finetuning) -> None:
        found = self.folder.load_checkpoint()
        if found is None:
            self.folder.rewind_metrics(-1)
            return
        tensors, values = found
        try:
            algorithm.restore(tensors, values["algorithm"])
            self._curve = values["curve"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeanError(
                f"the newest checkpoint in {self.folder.checkpoints} does not fit this run ({type(error).__name__}); "
                "delete it to go on from the one before"
            ) from None
        self.folder.rewind_metrics(algorithm.updates)

    def _conclude(
        self, algorithm: Finetuning, learn: Sequence[Trajectory], choose: Sequence[Trajectory]
    ) -> dict[str, Any]:
        best = max(self._curve, key=_merit)
        summary = {
            "schema": SCHEMA,
            "command": command_line(self._run_config, str(self.folder.path)),
            "method": self._run_config.method,
            "task": self._run_config.task,
            "seed": self._run_config.seed,
            "demonstrations": len(learn),
            "dev_demonstrations": len(choose),
            "tasks": sorted({one.task for one in learn}),
            "student_parameters": merged(algorithm.student).parameter_count(),
            "updates": algorithm.updates,
            "tokens": algorithm.tokens,
            "tokens_per_demonstration": algorithm.tokens / self.config.epochs / len(learn),
            "tokens_per_second": algorithm.tokens / algorithm.seconds,
            "flops": algorithm.flops,
            "seconds": algorithm.seconds,
            "threads": self._run_config.threads,
            "device": str(algorithm.student.model.device),
            "best": best,
            "curve": self._curve,
        }
        write_text(self.folder.student / "README.md", _card(summary))
        write_json(self.folder.summary, summary)
        return summary


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
    return point.get("exact", float(point["updates"])), -point.get("loss", 0.0)


def _card(summary: Mapping[str, Any]) -> str:
    best = summary["best"]
    chosen = f"{100 * best['exact']:.1f} % of the answers exactly right" if "exact" in best else "no dev demonstrations"
    return (
        f"# A text student ({summary['method']})\n\n"
        f"{summary['student_parameters']:,} parameters, trained on {summary['demonstrations']} demonstrations of "
        f"{len(summary['tasks'])} tasks ({summary['tokens']:,} tokens, {summary['seconds']:,.0f} s on "
        f"{summary['device']}). It acts without a language model beside it.\n\n"
        f"Checkpoint after {best['updates']:,} of {summary['updates']:,} steps, chosen on "
        f"{summary['dev_demonstrations']} demonstrations kept for that: {chosen}.\n\n"
        f"    {summary['command']}\n"
    )
