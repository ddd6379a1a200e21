"""The run folder: what one training produced, written so that a kill at any moment loses nothing finished."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from wean.errors import UsageError, WeanError
from wean.experiment.settings import RunConfig, from_yaml
from wean.files import replacing

CHECKPOINT_SCHEMA = "wean-checkpoint/2"
_KEPT = 2  # checkpoints


class RunFolder:
    """Paths and files of one run.

    ```
    config.yaml     the resolved settings          student/      the trained student
    metrics.jsonl   one line an update             summary.json  the outcome (`wean-run/2`)
    checkpoints/    the last two                   report.html   for people
    ```
    TensorBoard's event files lie beside them.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"
        self.student = path / "student"
        self.checkpoints = path / "checkpoints"
        self._fresh = False

    def create(self, config: RunConfig, resume: bool) -> None:
        """Makes the folder, or opens it to resume its run.

        Raises:
            UsageError: It holds something else, another run's settings, or a run without `resume`.
            WeanError: It cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; choose another --out")
        if self.config.exists():
            if not resume:
                raise UsageError(
                    f"{self.path} already holds a run; add --resume to continue it or choose another --out"
                )
            text = self.config.read_text()
            if text != config.as_yaml() and from_yaml(text) != config:
                raise UsageError(f"{self.path} was started with other settings; repeat them, or choose another --out")
        elif self.path.exists() and any(self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty and holds no run; choose another --out")
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not self.config.exists():
                write_text(self.config, config.as_yaml())
                self._fresh = True
            elif not os.access(self.path, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise WeanError(f"cannot write to {self.path} ({error.strerror}); choose another --out") from None

    def discard(self) -> None:
        """Removes what `create` has made, for a run that cannot begin; a folder that held a run before is kept."""
        if self._fresh:
            shutil.rmtree(self.path, ignore_errors=True)

    def save_checkpoint(self, step: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Writes a checkpoint beside the others and renames it into place; the last two are kept."""
        final = self.checkpoints / f"step-{step:010d}"
        temporary = self.checkpoints / f".writing-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary / "state.safetensors")
        write_text(temporary / "state.json", json.dumps({"schema": CHECKPOINT_SCHEMA, "step": step, **values}))
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Reads the newest checkpoint; None if there is none.

        Raises:
            WeanError: If it is damaged or was written by something else.
        """
        for left_over in self.checkpoints.glob(".writing-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        steps = self._steps()
        if not steps:
            return None
        try:
            values = json.loads((steps[-1] / "state.json").read_text())
            tensors = load_file(steps[-1] / "state.safetensors")
        except (OSError, ValueError, SafetensorError):
            raise WeanError(f"the checkpoint {steps[-1]} is damaged; delete it to go on from the one before") from None
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != CHECKPOINT_SCHEMA:
            raise WeanError(
                f"{steps[-1]} is no checkpoint of this wean ({schema}, not {CHECKPOINT_SCHEMA}); delete it, or finish "
                "the run with the wean that wrote it"
            )
        return tensors, values

    def rewind_metrics(self, unit: str, done: int) -> None:
        """Drops the metrics after `done` units, and a torn last line: a resumed run does not write them twice."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row[unit] <= done:
                kept.append(line + "\n")
        write_text(self.metrics, "".join(kept))

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds one line to `metrics.jsonl`."""
        with self.metrics.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def _steps(self) -> list[Path]:
        return sorted(self.checkpoints.glob("step-*"))


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
