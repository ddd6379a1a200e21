"""Builds the components of runs that distil a language model's logged decisions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wean.algorithms.distill import Distillation, DistillConfig, encode, masked_logits
from wean.data.decisions import Decision, read_decisions
from wean.errors import UsageError
from wean.evaluation.coverage import (
    Judged,
    coverage_at,
    coverage_curve,
    expected_calibration_error,
    fit_temperature,
    threshold_for,
)
from wean.experiment.components import Point, Resources
from wean.experiment.run_folder import RunFolder, write_text
from wean.experiment.settings import RunConfig
from wean.report.report import decider_card
from wean.students.action_values import TextValues
from wean.students.deciding import Kind, save_decider, shown_text
from wean.students.saving import save_student, weight_bytes

_LEVELS = (0.9, 0.95, 0.98, 0.99)


@dataclass
class DecisionComponents:
    """The parts of a run that distils logged decisions; see `Components`.

    Attributes:
        config: The run's settings.
        algorithm: Trains the student.
        student: The student.
        learn: Decisions that are learned from.
        calibrate: Held-out ones that choose the checkpoint, the temperature and the thresholds.
        test: Those of the other held-out sessions, by which the student is judged.
        numbers: The kinds of prompts by their digest, numbered.
    """

    config: RunConfig
    algorithm: Distillation
    student: TextValues
    learn: Sequence[Decision]
    calibrate: Sequence[Decision]
    test: Sequence[Decision]
    numbers: Mapping[str, int]
    shown: Sequence[str] = ("exact",)

    @cached_property
    def points(self) -> list[float]:
        """See `Components`."""
        count = self.config.algorithm.measurements
        return [self.algorithm.total * point / count for point in range(1, count + 1)]

    def begin(self) -> None:
        """See `Components.begin`; there is nothing of the kind."""

    def measure(self, curve: Sequence[Point]) -> Point:
        """See `Components.measure`."""
        return {self.algorithm.unit: self.algorithm.done, **self.algorithm.measure()}

    @property
    def repeatable(self) -> bool:
        """See `Components`: nothing is played."""
        return True

    def notes(self) -> Sequence[str]:
        """See `Components.notes`; there are none."""
        return ()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Components.state`."""
        tensors, values = self.algorithm.state()
        return tensors, {"algorithm": values}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `Components.restore`."""
        self.algorithm.restore(tensors, values["algorithm"])

    def conclude(self, folder: RunFolder, so_far: Mapping[str, Any]) -> dict[str, Any]:
        """See `Components.conclude`; calibrates the student and chooses its thresholds on held-out sessions."""
        settings: DistillConfig = self.config.algorithm
        logits, targets = self._logits(self.calibrate)
        chosen = (targets == targets.max(1, keepdims=True)) / 1.0 if len(targets) else targets
        temperature = fit_temperature(logits, chosen)  # it is asked how sure the first choice is, not the others
        calibration = _judged(logits, targets, temperature)
        test = _judged(*self._logits(self.test), temperature)
        kinds = self._kinds(calibration, settings.agreement)
        save_student(self.student, folder.student, about={"task": self.config.task, "acting": "greedy"})
        save_decider(folder.student, temperature, settings.agreement, kinds)
        seconds, dollars = (_mean([getattr(one, name) for one in self.learn]) for name in ("seconds", "cost_usd"))
        known = {(one.kind, one.text, one.choices) for one in self.learn}
        new = np.array([(one.kind, one.text, one.choices) not in known for one in self.test], bool)
        levels = sorted({*_LEVELS, settings.agreement})
        summary = {
            **so_far,
            "decisions": len(self.learn),
            "calibration_decisions": len(self.calibrate),
            "test_decisions": len(self.test),
            "student_parameters": self.student.parameter_count(),
            "student_bytes": weight_bytes(folder.student),
            "steps_per_second": self.algorithm.done / max(self.algorithm.seconds["learning"], 1e-9),
            "coverage": {
                "temperature": temperature,
                "calibration_error": expected_calibration_error(test),
                "agreement": float(test.right.mean()) if len(test.right) else None,
                "new_situations": int(new.sum()),
                "new_agreement": float(test.right[new].mean()) if new.any() else None,
                "levels": coverage_at(calibration, test, levels, seconds, dollars),
                "curve": coverage_curve(test),
                "kinds": {name: {"threshold": kind.threshold, "why": kind.why} for name, kind in kinds.items()},
            },
            "time": {**self.algorithm.seconds},
        }
        write_text(folder.student / "README.md", decider_card(summary))
        return summary

    def close(self) -> None:
        """See `Components.close`."""

    def _logits(self, decisions: Sequence[Decision]) -> tuple[Any, Any]:
        """(N, A) the student's logits and the model's weights; beyond a situation's choices -1e9 and 0."""
        if not decisions:
            return np.zeros((0, 1)), np.zeros((0, 1))
        read = encode(self.student, decisions, partial(_shown, numbers=self.numbers))
        with torch.no_grad():
            logits = masked_logits(self.student, read.states).double().clamp(min=-1e9).numpy()
        return logits, read.targets[:, : logits.shape[1]].astype(float)

    def _kinds(self, calibration: Judged, agreement: float) -> dict[str, Kind]:
        """Thresholds of the kinds of prompts, each from its own calibration decisions."""
        found = {}
        of_kinds = np.array([one.kind for one in self.calibrate])
        for name, number in self.numbers.items():
            of_kind = [one for one in self.learn if one.kind == name]
            rows = of_kinds == name if len(of_kinds) else np.zeros(0, bool)
            threshold = threshold_for(calibration.at(rows), agreement)
            why = "" if threshold is not None else _why_not(calibration.at(rows), agreement)
            form = Counter(one.form for one in of_kind).most_common(1)[0][0]
            seconds, dollars = (_mean([getattr(one, cost) for one in of_kind]) for cost in ("seconds", "cost_usd"))
            found[name] = Kind(number, form, threshold, why, seconds, dollars)
        return found


def build(config: RunConfig, resources: Resources) -> DecisionComponents:
    """Reads the decisions and makes the student and its trainer.

    Raises:
        UsageError: The settings or the data are wrong.
    """
    settings: DistillConfig = config.algorithm
    if not settings.data:
        raise UsageError("no decisions to learn from; find some with `wean logs` and name them with data=FILE")
    found = read_decisions(Path(settings.data))
    if not found.train:
        raise UsageError(f"{settings.data} has no decisions to learn from; import logs of several sessions")
    numbers = {kind: number for number, kind in enumerate(sorted({one.kind for one in found.train}), 1)}
    held_out = [one for one in found.held_out if one.kind in numbers]
    sessions = sorted({one.session for one in held_out}, key=lambda name: hashlib.sha256(name[::-1].encode()).digest())
    first = set(sessions[: (len(sessions) + 1) // 2])
    calibrate = [one for one in held_out if one.session in first]
    test = [one for one in held_out if one.session not in first]
    student = TextValues(settings.encoder, hidden=settings.hidden, temperature=0.0)
    shown = partial(_shown, numbers=numbers)
    algorithm = Distillation(student, settings, found.train, calibrate, shown, config.seed)
    return DecisionComponents(config, algorithm, student, found.train, calibrate, test, numbers)


def _shown(decision: Decision, numbers: Mapping[str, int]) -> str:
    return shown_text(decision.text, numbers[decision.kind], len(numbers))


def _judged(logits: Any, targets: Any, temperature: float) -> Judged:
    scaled = logits / temperature
    scaled = np.exp(scaled - scaled.max(1, keepdims=True)) if len(scaled) else scaled
    confidence = scaled.max(1) / scaled.sum(1) if len(scaled) else np.zeros(0)
    if not len(logits):
        return Judged(confidence, np.zeros(0, bool))
    chosen = np.take_along_axis(targets, logits.argmax(1)[:, None], 1)[:, 0]
    return Judged(confidence, chosen >= targets.max(1) - 1e-6)  # of choices that the model weighs alike each is its own


def _why_not(calibration: Judged, agreement: float) -> str:
    count = len(calibration.right)
    if threshold_for(Judged(np.ones(count), np.ones(count, bool)), agreement) is None:
        return f"{count:,} calibration decisions are too few to tell an agreement of {agreement:g}; import more logs"
    return f"the student agrees in {calibration.right.mean():.1%} of {count:,} calibration decisions, too rarely"


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) / len(told) if told else None
