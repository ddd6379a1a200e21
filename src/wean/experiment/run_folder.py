"""The run folder: what one training produced, written so that a kill at any moment loses nothing finished."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wean.errors import UsageError, WeanError
from wean.experiment.settings import RunConfig, from_yaml
from wean.files import (
    is_unfinished,
    is_whole,
    parse_json,
    read_text,
    remove_unfinished,
    replacing,
    write_sums,
    write_tensors,
)
from wean.processes import locked

CHECKPOINT_SCHEMA = "wean-checkpoint/2"
_KEPT = 2  # checkpoints
_LOCK = ".lock"
TRACKERS = "trackers.json"
"""Names the tracked runs of a run folder, so that a resumed run goes on in them."""
_STATE = ("state.safetensors", "state.json")


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

    @contextmanager
    def opened(self, config: RunConfig, resume: bool, patience: float = 0.0) -> Iterator[None]:
        """Keeps the folder for this process, after checking that the run may begin or go on in it; writes nothing yet.

        Waits `patience` seconds for another process that works in it.

        Raises:
            UsageError: It holds something else, another run's settings, or a run without `resume`.
            WeanError: Another process works in it, or it cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; choose another --out")
        if not self._holds_nothing() and not self.config.exists():
            raise UsageError(f"{self.path} is not empty and holds no run; choose another --out")
        with locked(self.path / _LOCK, str(self.path), patience):
            if not self._holds_nothing():
                self._check(config, resume)
            yield

    @contextmanager
    def of_this_process(self) -> Iterator[RunFolder]:
        """This folder, or a copy that goes when all is done, for all processes but the first of several that train one
        student together (`RANK`, as launchers set it): each reads the same checkpoint, and one of them writes.
        """
        if os.environ.get("RANK", "0") == "0":
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="wean-rank-") as scratch:
            copy = RunFolder(Path(scratch) / "run")
            for path in (self.config, self.metrics, self.summary):
                if path.exists():
                    copy.path.mkdir(exist_ok=True)
                    shutil.copy(path, copy.path)
            if self.checkpoints.exists():
                shutil.copytree(self.checkpoints, copy.checkpoints)
            yield copy

    def _holds_nothing(self) -> bool:
        """Whether there is no more than what a run leaves that was killed before its first update."""
        if not self.path.exists():
            return True
        left_over = {self.config.name, self.checkpoints.name, _LOCK, TRACKERS}
        there = [path for path in self.path.iterdir() if path.name not in left_over and not is_unfinished(path)]
        return not there and not self._steps()

    def _check(self, config: RunConfig, resume: bool) -> None:
        """Checks that the run that is there is the one that is to go on."""
        if not self.config.exists():
            raise UsageError(f"{self.path} is not empty and holds no run; choose another --out")
        if not resume:
            raise UsageError(f"{self.path} already holds a run; add --resume to continue it or choose another --out")
        text = read_text(self.config, "copy it anew, or choose another --out")
        if text != config.as_yaml() and not config.goes_on(from_yaml(text)):
            raise UsageError(f"{self.path} was started with other settings; repeat them, or choose another --out")

    def begin(self, config: RunConfig) -> bool:
        """Writes the settings and removes what a killed process has left unfinished; returns whether the run is new."""
        new = self._holds_nothing()
        self.checkpoints.mkdir(exist_ok=True)
        for folder in (self.path, self.student):
            remove_unfinished(folder)
        for left_over in (*self.checkpoints.glob(".writing-*"), *self.path.glob(".*.writing")):
            shutil.rmtree(left_over, ignore_errors=True)
        if new:
            write_text(self.config, config.as_yaml())
        return new

    def discard(self) -> None:
        """Removes everything that `begin` and learning have made, for a run that could not begin."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)

    def save_checkpoint(self, step: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Writes a checkpoint beside the others and renames it into place; the last two are kept."""
        final = self.checkpoints / f"step-{step:010d}"
        temporary = self.checkpoints / f".writing-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            write_tensors(temporary / "state.safetensors", tensors)
            write_text(temporary / "state.json", json.dumps({"schema": CHECKPOINT_SCHEMA, "step": step, **values}))
            write_sums(temporary, _STATE)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def load_checkpoint(self, say: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest undamaged checkpoint, or None if there is none; `say` is called with a note on damaged ones.

        Raises:
            WeanError: If all are damaged, or were written by something else.
        """
        damaged = []
        for folder in reversed(self._steps()):
            try:
                found = _read_checkpoint(folder)
            except (OSError, ValueError, SafetensorError):
                damaged.append(str(folder))
                continue
            if damaged:
                say(f"{' and '.join(damaged)} is damaged; going on from {folder.name}")
            return found
        if damaged:
            raise WeanError(f"{' and '.join(damaged)}: damaged; delete {self.checkpoints} to begin anew with --resume")
        return None

    def rewind_metrics(self, unit: str, done: int) -> int:
        """Drops the metrics after `done` units, and a torn last line: a resumed run does not write them twice.

        Returns how far they went before; -1 where there were none.
        """
        if not self.metrics.exists():
            return -1
        kept = []
        farthest = -1
        try:
            text = self.metrics.read_text(encoding="utf-8", errors="replace")
        except IsADirectoryError:
            raise WeanError(f"{self.metrics} is a folder; remove it, and the metrics begin anew") from None
        for line in text.splitlines():
            try:
                row = parse_json(line)
                farthest = max(farthest, row[unit])
                if row[unit] <= done:
                    kept.append(line + "\n")
            except (ValueError, TypeError, KeyError):
                continue
        write_text(self.metrics, "".join(kept))
        return farthest

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds one line to `metrics.jsonl`."""
        with self.metrics.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def _steps(self) -> list[Path]:
        return sorted(self.checkpoints.glob("step-*"))


def _read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and values of a checkpoint.

    Raises:
        OSError, ValueError, SafetensorError: It is damaged.
        WeanError: Another version of wean, or something else, wrote it.
    """
    if not is_whole(folder, _STATE):
        raise ValueError(f"{folder} differs from its checksums")
    values = parse_json((folder / "state.json").read_text(encoding="utf-8"))
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != CHECKPOINT_SCHEMA:
        raise WeanError(
            f"{folder} is no checkpoint of this wean ({schema}, not {CHECKPOINT_SCHEMA}); delete it, or finish the run "
            "with the wean that wrote it"
        )
    return load_file(folder / "state.safetensors"), values


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
