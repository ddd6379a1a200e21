"""One run from settings to report: what `wean train` does, as a function."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from wean.algorithms.algorithm import Update
from wean.algorithms.ppo import PPOConfig
from wean.errors import WeanError
from wean.experiment.build import Components, MakeTask, build, llm_counts
from wean.experiment.final_evaluation import add_counts, asking, conclude, judge
from wean.experiment.run_folder import RunFolder
from wean.experiment.settings import RunConfig
from wean.graceful_stop import GracefulStop
from wean.llm import Budget, Ledger
from wean.report.report import write_report
from wean.tasks.splits import CHOOSING_SEED

_FIRST_POINT = 0.005  # share of a run before the first point of a geometric learning curve
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class Training:
    """One run; `run` does it all.

    Args:
        config: The settings.
        out: The run folder.
        resume: Continues what is there.
        strict: A question that recorded answers lack is an error instead of "no advice".
        ledger: Where answers are kept; the user's ledger by default.
        budget: Limits on what is asked live; at the limit the run stops and can be resumed.
        progress: Called with (environment steps, latest metrics) after every update.
        say: Called with what a person should be told, each thing once, e.g. that no more may be asked.
        make: Makes one task; by default the registered one that the settings name.
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        *,
        resume: bool = False,
        strict: bool = False,
        ledger: Ledger | None = None,
        budget: Budget | None = None,
        progress: Callable[[int, dict[str, float]], None] | None = None,
        say: Callable[[str], None] | None = None,
        make: MakeTask | None = None,
    ) -> None:
        self.config, self.folder = config, RunFolder(out)
        self._resume, self._strict, self._ledger, self._progress = resume, strict, ledger, progress
        self._make, self._budget, self._say = make, budget, say
        self._stop = GracefulStop()
        self._curve: list[dict[str, Any]] = []
        self._teacher_success = 0.0
        self._seconds_before = 0.0
        self._asked_before: dict[str, Any] = {}
        self._said = 0

    def run(self) -> dict[str, Any]:
        """Trains, evaluates, and writes everything into the run folder.

        Returns:
            The summary, as in `summary.json`.

        Raises:
            UsageError: If the settings, the task or the folder are wrong.
            WeanError: If something fails or the user stops it; what is written stays and can be resumed.
        """
        self.folder.create(self.config.as_yaml(), self._resume)
        if self.folder.summary.exists():
            finished: dict[str, Any] = json.loads(self.folder.summary.read_text())
            write_report(self.folder.path)
            return finished
        try:
            with self._stop:
                return self._run()
        except OSError as error:
            if error.errno not in _DISK:
                raise
            raise WeanError(
                f"cannot write to {self.folder.path} ({error.strerror}); make room and add --resume"
            ) from error

    def _run(self) -> dict[str, Any]:
        torch.set_num_threads(self.config.threads)
        torch.manual_seed(self.config.seed)
        self._started = time.perf_counter()
        found = self.folder.load_checkpoint()
        answers = found[1].get("teacher") if found else None
        parts = build(self.config, self._make, self._ledger, self._strict, self._budget, answers)
        try:
            self._continue(parts, found)
            self._learn(parts)
            learned = {"curve": self._curve, "wall_seconds": self._seconds}
            return conclude(self.config, self.folder, parts, learned, self._asked_before)
        finally:
            parts.close()

    @property
    def _seconds(self) -> float:
        """Wall-clock seconds of the run, those before a resume included."""
        return self._seconds_before + time.perf_counter() - self._started

    # --- learning ------------------------------------------------------------------------------------------------

    def _learn(self, parts: Components) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if _matches_teacher(self.config) and parts.teacher is not None and not self._teacher_success:
            judged = judge(parts, parts.references()["teacher"], 100, CHOOSING_SEED)
            self._teacher_success = float(judged.successes.mean())
        writer = SummaryWriter(str(self.folder.path), purge_step=parts.algorithm.done)
        points = self.config.evaluation.curve_points

        def on_update(update: Update) -> None:
            self.folder.append_metrics({"env_steps": update.done, **update.metrics})
            for name, value in update.metrics.items():
                writer.add_scalar(name, value, update.done)
            self._tell(parts)
            if update.done >= _due(self.config, parts.algorithm.total, len(self._curve)):
                self._measure(parts)
                writer.add_scalar("evaluation/success", self._curve[-1]["success"], update.done)
                self._checkpoint(parts)
            if self._progress is not None:
                success = {"success": self._curve[-1]["success"]} if self._curve else {}
                self._progress(update.done, {**update.metrics, **success})
            if self._stop.wanted:
                self._checkpoint(parts)
                raise WeanError(f"stopped at step {update.done}; the same command with --resume goes on from there")

        try:
            if not self._curve and points:
                self._measure(parts)
            parts.algorithm.learn(on_update)
        finally:
            writer.close()

    def _tell(self, parts: Components) -> None:
        """Says what there is to say of the teacher and was not said yet."""
        if parts.asking is None:
            return
        parts.asking.note_silence()
        for note in parts.asking.notes[self._said :]:
            self._said += 1
            if self._say is not None:
                self._say(note)

    def _measure(self, parts: Components) -> None:
        """Adds a point to the learning curve, on the seeds for choices."""
        policy = parts.policy(self.config.evaluation.acting)
        judged = judge(parts, policy, self.config.evaluation.curve_episodes, CHOOSING_SEED)
        success = float(judged.successes.mean())
        if self._teacher_success:
            parts.algorithm.matched = success / self._teacher_success
        self._curve.append(
            {
                "env_steps": parts.algorithm.done,
                "wall_seconds": self._seconds,
                "success": success,
                "return": float(judged.returns.mean()),
                "length": float(judged.lengths.mean()),
                "teacher_weight": parts.algorithm.teacher_weight,
                "questions": parts.asking.counts["questions"] if parts.asking else 0,
                "episodes": len(judged.returns),
            }
            | asking(parts, len(judged.returns), CHOOSING_SEED)
        )

    # --- stopping and going on -----------------------------------------------------------------------------------

    def _checkpoint(self, parts: Components) -> None:
        tensors, values = parts.algorithm.state()
        tensors |= {f"student.{name}": value for name, value in parts.student.state_dict().items()}
        tensors["torch.random"] = torch.get_rng_state()
        asked = add_counts(llm_counts(parts.model), self._asked_before)
        del asked["model"]
        everything = {
            "algorithm": values,
            "teacher": parts.guide.state() if parts.guide else None,
            "llm": asked,
            "curve": self._curve,
            "teacher_success": self._teacher_success,
            "wall_seconds": self._seconds,
        }
        self.folder.save_checkpoint(parts.algorithm.done, tensors, everything)

    def _continue(self, parts: Components, found: tuple[dict[str, torch.Tensor], dict[str, Any]] | None) -> None:
        """Goes on from the newest checkpoint, if one was found."""
        if found is None:
            self.folder.rewind_metrics(-1)
            return
        tensors, values = found
        try:
            weights = {name[8:]: value for name, value in tensors.items() if name.startswith("student.")}
            parts.student.load_state_dict(weights)
            parts.algorithm.restore(tensors, values["algorithm"])
            if parts.guide is not None:
                parts.guide.restore(values["teacher"])
            if parts.asking is not None:
                self._said = len(parts.asking.notes)
            torch.set_rng_state(tensors["torch.random"])
            self._curve, self._seconds_before = values["curve"], values["wall_seconds"]
            self._asked_before, self._teacher_success = values["llm"], values["teacher_success"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeanError(
                f"the newest checkpoint in {self.folder.checkpoints} does not fit this run ({type(error).__name__}); "
                "delete it to go on from the one before"
            ) from None
        self.folder.rewind_metrics(parts.algorithm.done)


def _due(config: RunConfig, total: int, point: int) -> float:
    """The step at which a point of the learning curve is due; the point 0 is that of the untrained student."""
    points = config.evaluation.curve_points
    if not points:
        return float("inf")
    if config.evaluation.curve_spacing == "linear" or points == 1 or not point:
        return total / points * point
    return float(total * _FIRST_POINT ** ((points - point) / (points - 1)))


def _matches_teacher(config: RunConfig) -> bool:
    return isinstance(config.algorithm, PPOConfig) and config.algorithm.teacher.kind == "matching"
