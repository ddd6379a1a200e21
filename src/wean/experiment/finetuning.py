"""One run of sub-goal distillation from settings to a saved student: what `wean train subgoals` does, as a function."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wean.algorithms.algorithm import Update
from wean.algorithms.finetune import FinetuneConfig, Finetuning
from wean.data.annotations import Annotation
from wean.data.augmentation import Augmentation
from wean.data.shipped import Demonstrations, TrainingData, annotated, demonstrations, training_data
from wean.data.trajectories import Key, Trajectory
from wean.errors import UsageError, WeanError
from wean.experiment.run_folder import RunFolder, write_json, write_text
from wean.experiment.settings import RunConfig, command_line
from wean.graceful_stop import GracefulStop
from wean.students.text.creation import Size, merged, new_student, pretrained_student, train_tokenizer
from wean.students.text.examples import Example, augmented_passes, encode_episode, prompt_texts
from wean.students.text.prompt import PromptConfig
from wean.students.text.rules import mine_patterns
from wean.students.text.student import TextStudent, load_tokenizer, save_text_student

SCHEMA = "wean-distillation/1"


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
        passes, dev = self._passes(student, learn, annotations), self._examples(student, choose, annotations)
        algorithm = Finetuning(student, self.config, passes, dev, self._run_config.seed)
        self._continue(algorithm)
        every = math.ceil(algorithm.total / self.config.measurements)

        def on_update(update: Update) -> None:
            metrics = update.metrics
            self.folder.append_metrics({"env_steps": algorithm.done, **metrics})
            if algorithm.done % every == 0 or algorithm.done == algorithm.total:
                self._measure(algorithm)
            latest = {"exact": self._curve[-1]["exact"]} if self._curve and "exact" in self._curve[-1] else {}
            self._progress(algorithm.done / algorithm.total * self.config.num_epochs, {**metrics, **latest})
            if stop.wanted and algorithm.done < algorithm.total:
                self._checkpoint(algorithm)
                raise WeanError(
                    f"stopped after {algorithm.done} steps; the same command with --resume goes on from there"
                )

        with GracefulStop() as stop:
            algorithm.learn(on_update)
        return self._conclude(algorithm, learn, choose)

    # --- what is learnt from -------------------------------------------------------------------------------------

    def _read(self) -> TrainingData:
        """The demonstrations to learn from and to choose by, and their sub-goals."""
        config = self.config
        read = partial(read_demonstrations, config=config, note=self._say)
        return training_data(config.data, read, config.dev, config.dev_share)

    def _student(self, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation]) -> TextStudent:
        config, seed = self.config, self._run_config.seed
        prompt = PromptConfig(config.feeding, config.subgoals, config.context)
        optional = config.subgoals and config.drop_subgoals > 0
        patterns = mine_patterns(learn, annotations, config.actions, optional)
        if config.model != "scratch":
            return pretrained_student(config.model, prompt, seed, patterns, config.lora_rank)
        if config.lora_rank:
            raise UsageError("adapters are for a pretrained model; name one with model=hf:NAME, or leave lora_rank out")
        path = self.folder.path / "tokenizer.json"
        if not path.exists():
            tokenizer = train_tokenizer(prompt_texts(learn, annotations), config.vocabulary)
            write_text(path, tokenizer.to_str())
        size = Size(config.hidden, config.layers, config.heads)
        return new_student(load_tokenizer(self.folder.path), size, prompt, seed, patterns)

    def _examples(
        self, student: TextStudent, trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation]
    ) -> list[Example]:
        return [
            encode_episode(one, annotations.get(one.key), student.episode(strict=True), self.config.actions)
            for one in trajectories
        ]

    def _passes(
        self, student: TextStudent, learn: Sequence[Trajectory], annotations: Mapping[Key, Annotation]
    ) -> list[list[Example]]:
        """The examples of each pass, each a new variant of a demonstration."""
        config, augmentation = self.config, None
        examples = self._examples(student, learn, annotations)  # refuses what does not fit
        if any((config.swap_entities, config.drop_distractors, config.inject_mistakes, config.drop_subgoals)):
            augmentation = Augmentation(
                learn,
                annotations,
                swapped=config.swap_entities,
                distractors=config.drop_distractors,
                mistakes=config.inject_mistakes,
                dropped=config.drop_subgoals,
                destinations=student.patterns.destinations,
                unprompted=student.patterns.unprompted,
            )
        return augmented_passes(
            learn,
            examples,
            augmentation,
            student.episode,
            config.actions,
            config.num_epochs,
            np.random.default_rng(self._run_config.seed),
        )

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def _measure(self, algorithm: Finetuning) -> None:
        """Reads the dev demonstrations; keeps the student if it is the best so far; writes a checkpoint."""
        started = time.perf_counter()
        point = {
            "updates": algorithm.done,
            "tokens": algorithm.tokens,
            "flops": algorithm.flops,
            "seconds": algorithm.spent,
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
        self.folder.save_checkpoint(algorithm.done, tensors, {"algorithm": values, "curve": self._curve})

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
        self.folder.rewind_metrics(algorithm.done)

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
            "updates": algorithm.done,
            "tokens": algorithm.tokens,
            "tokens_per_demonstration": algorithm.tokens / self.config.num_epochs / len(learn),
            "tokens_per_second": algorithm.tokens / algorithm.spent,
            "flops": algorithm.flops,
            "seconds": algorithm.spent,
            "threads": self._run_config.threads,
            "device": str(algorithm.student.model.device),
            "best": best,
            "curve": self._curve,
        }
        write_text(self.folder.student / "README.md", _card(summary))
        write_json(self.folder.summary, summary)
        return summary


def read_demonstrations(name: str, config: FinetuneConfig, note: Callable[[str], None]) -> Demonstrations:
    """Reads demonstrations, with sub-goals if the settings want any; `note` is called with what is left out."""
    if not config.subgoals:
        return demonstrations(name, note=note)._replace(annotations={})
    return annotated(name, Path(config.annotations) if config.annotations else None, config.missing, note)


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
