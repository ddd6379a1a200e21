"""One run from settings to report: what `wean train` does, as an object."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from wean.algorithms.algorithm import Unit, Update
from wean.errors import WeanError
from wean.experiment.components import Components, Point, Resources
from wean.experiment.run_folder import RunFolder, write_json, write_text
from wean.experiment.settings import RunConfig, command_line, python_call
from wean.experiment.trackers import TrackedRun, Trackers, tracker_names
from wean.files import CANNOT_WRITE
from wean.processes import GracefulStop, Stopped
from wean.report.report import run_card, write_report
from wean.report.run_files import RUN_SCHEMA, UNITS, read_summary


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        unit: What is counted: the algorithm's unit, and while somebody is evaluated `episodes`.
        done: How much of it is done.
        total: How much of it there is, in the whole run or in this evaluation.
        metrics: While it learns, the latest ones by name, and those of the last evaluation.
        doing: What is being done: `training`, or `evaluating` and who.
    """

    unit: Unit | Literal["episodes"]
    done: int
    total: int
    metrics: dict[str, float]
    doing: str = "training"


class Runner:
    """One run, done by `run`.

    Args:
        config: The settings.
        out: The run folder.
        resume: Continues an unfinished run.
        log: Where metrics are shown beside `metrics.jsonl`: names in `TRACKERS`, with commas or as a list.
        progress: Called after every update, and after every episode of an evaluation.
        say: Called once with each note for the user, e.g. that no more may be asked.
        **resources: The fields of `Resources`.
    """

    def __init__(
        self,
        config: RunConfig,
        out: str | Path,
        *,
        resume: bool = False,
        log: str | Sequence[str] = "tensorboard",
        progress: Callable[[Progress], None] | None = None,
        say: Callable[[str], None] | None = None,
        **resources: Any,
    ) -> None:
        self.config, self.folder = config, RunFolder(Path(out))
        self._log, self._written = tracker_names(log), -1
        self._resume, self._progress = resume, progress or (lambda now: None)
        self._say = say or (lambda note: None)
        self._resources = resources
        self._stop = GracefulStop()
        self._curve: list[Point] = []
        self._unmeasured = False
        self._seconds_before = 0.0
        self._said = 0

    def run(self) -> dict[str, Any]:
        """Trains, evaluates, writes everything into the run folder, and returns the summary, as in `summary.json`.

        Raises:
            UsageError: The settings, the task, the data or the folder are wrong.
            Stopped: A stop signal ended it; `resume` goes on.
            WeanError: Something fails; what is written stays and can be resumed.
        """
        with self.folder.of_this_process() as self.folder, self.folder.opened(self.config, self._resume):
            if self.folder.summary.exists():
                write_report(self.folder.path)
                return read_summary(self.folder.path)
            try:
                with self._stop:
                    return self._run()
            except KeyboardInterrupt:
                raise Stopped(
                    "stopped; the same command with --resume goes on from the last checkpoint, if there is one"
                ) from None
            except OSError as error:
                if not self.folder.config.exists():
                    raise WeanError(
                        f"{self.folder.path} was taken away while the run was at work; train anew"
                    ) from error
                if error.errno not in CANNOT_WRITE:
                    raise
                raise WeanError(
                    f"cannot write to {self.folder.path} ({error.strerror}); make room and add --resume"
                ) from error

    def _run(self) -> dict[str, Any]:
        torch.set_num_threads(self.config.threads)
        torch.manual_seed(self.config.seed)
        self._started = time.perf_counter()
        found = self.folder.load_checkpoint(self._say)
        components = self._build(found[1].get("teacher") if found else None)
        new = self.folder.begin(self.config)
        try:
            components.begin()
            self._continue(components, found)
            self._learn(components)
            return self._conclude(components)
        except (WeanError, OSError):
            if new and not self.folder.metrics.exists():
                self.folder.discard()  # it could not begin: the corrected command finds no folder in its way
            raise
        finally:
            components.close()

    def _build(self, answers: dict[str, Any] | None) -> Components:
        resources = Resources(
            **self._resources, folder=self.folder.path, answers=answers, say=self._say, watch=self._watch
        )
        components: Components = self.config.method.builder(self.config, resources)
        return components

    def _watch(self, who: str, done: int, total: int) -> None:
        """Tells how far an evaluation has come."""
        self._progress(Progress("episodes", done, total, {}, f"evaluating {who}"))

    @property
    def _seconds(self) -> float:
        """Wall-clock seconds of the run, those before a resume included."""
        return self._seconds_before + time.perf_counter() - self._started

    # --- learning ------------------------------------------------------------------------------------------------

    def _learn(self, components: Components) -> None:
        algorithm, path = components.algorithm, self.folder.path
        settings = self.config.model_dump(mode="json")
        tracked = TrackedRun(path, path.resolve().name, settings, algorithm.unit, algorithm.done)
        trackers = Trackers(self._log, tracked, self._written, self._say)

        def on_update(update: Update) -> None:
            self.folder.append_metrics({algorithm.unit: update.done, **update.metrics})
            trackers.update(update.metrics, update.done)
            self._tell(components)
            points = components.points
            due = len(self._curve) < len(points) and update.done >= points[len(self._curve)]
            if self._stop.wanted:
                self._checkpoint(components, unmeasured=due)
                raise Stopped(
                    f"stopped after {update.done} {UNITS[algorithm.unit]}; the same command with --resume goes on "
                    "from there"
                )
            if due:
                with self._stop.held(False):
                    self._measure(components, trackers)
            metrics = {**update.metrics, **self._latest(components)}
            self._progress(Progress(algorithm.unit, update.done, algorithm.total, metrics))

        try:
            if self._unmeasured or (not self._curve and components.points and components.points[0] == 0):
                self._measure(components, trackers)
            with self._stop.held():
                algorithm.learn(on_update)
        finally:
            trackers.close()

    def _tell(self, components: Components) -> None:
        """Passes on the notes that are new."""
        for note in components.notes()[self._said :]:
            self._said += 1
            self._say(note)

    def _measure(self, components: Components, trackers: Trackers) -> None:
        """Adds a point to the learning curve, and writes a checkpoint."""
        done = components.algorithm.done
        self._curve.append({**components.measure(self._curve), "wall_seconds": self._seconds})
        trackers.evaluation(self._latest(components), done)
        if done:
            self._checkpoint(components)

    def _latest(self, components: Components) -> dict[str, float]:
        """The last point of the learning curve, as far as it is shown."""
        point = self._curve[-1] if self._curve else {}
        return {name: point[name] for name in components.shown if point.get(name) is not None}

    def _conclude(self, components: Components) -> dict[str, Any]:
        """Evaluates the trained student and writes the last files."""
        config, algorithm = self.config, components.algorithm
        command = command_line(config, str(self.folder.path))
        if names := [name for name in ("make", "teacher", "student") if self._resources.get(name) is not None]:
            command = python_call(config, str(self.folder.path), names)
        so_far = {
            "schema": RUN_SCHEMA,
            "command": command,
            "method": config.method.name,
            "task": config.task,
            "seed": config.seed,
            "unit": algorithm.unit,
            algorithm.unit: algorithm.done,
            "wall_seconds": self._seconds,
            "curve": self._curve,
        }
        summary = components.conclude(self.folder, so_far)
        card = self.folder.student / "README.md"
        write_text(self.folder.path / "README.md", run_card(card.read_text(encoding="utf-8")))
        write_json(self.folder.summary, summary)
        write_report(self.folder.path)
        return summary

    # --- stopping and going on -----------------------------------------------------------------------------------

    def _checkpoint(self, components: Components, unmeasured: bool = False) -> None:
        """Writes a checkpoint; `unmeasured` is one that a stop kept from being a point of the learning curve."""
        tensors, values = components.state()
        values |= {"curve": self._curve, "wall_seconds": self._seconds, "unmeasured": unmeasured}
        self.folder.save_checkpoint(components.algorithm.done, tensors, values)

    def _continue(self, components: Components, found: tuple[dict[str, torch.Tensor], dict[str, Any]] | None) -> None:
        """Goes on from the newest checkpoint, if one was found."""
        if found is None:
            self._written = self.folder.rewind_metrics(components.algorithm.unit, -1)
            return
        tensors, values = found
        try:
            components.restore(tensors, values)
            self._curve, self._seconds_before = values["curve"], values["wall_seconds"]
            self._unmeasured = bool(values.get("unmeasured"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeanError(
                f"the newest checkpoint in {self.folder.checkpoints} does not fit this run ({type(error).__name__}); "
                "delete it to go on from the one before"
            ) from None
        self._said = len(components.notes())
        if not components.repeatable:
            self._say(
                f"goes on from the last checkpoint ({components.algorithm.done:,} {UNITS[components.algorithm.unit]}); "
                "the task does not repeat an episode with its seed, so the numbers differ from those of a run that was "
                "never stopped"
            )
        self._written = self.folder.rewind_metrics(components.algorithm.unit, components.algorithm.done)


def default_folder(config: RunConfig) -> Path:
    """The default run folder: `runs/METHOD-TASK-SEED`."""
    task = config.task.split("/")[-1].removesuffix("-v0")
    return Path("runs") / f"{config.method.name}-{task}-{config.seed}"
