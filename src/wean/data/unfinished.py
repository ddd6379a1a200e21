"""A file in the making: the folder beside it, `FILE.parts`, whose `job.json` says what the file will be of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wean.data.demonstrations import writing
from wean.errors import UsageError


class Unfinished:
    """Begins a file, or goes on with it.

    Args:
        path: The file that shall come of it.
        job: What it is of: JSON-ready values, equal for the same file.
        resume: Whether to go on with what is there.
        read: Gives the job that a finished file was made of, empty where it does not say, and what a person is told of
            a file of another job.

    Raises:
        UsageError: If the file, or an unfinished one, is there without `resume`, or is of another job.

    Attributes:
        path: The file.
        folder: Where its parts lie.
        job: The job as one text.
        finished: Whether the file is there already, of this very job.
    """

    def __init__(
        self, path: Path, job: Mapping[str, Any], resume: bool, read: Callable[[Path], tuple[str, str]]
    ) -> None:
        self.path, self.folder = path, path.with_name(f"{path.name}.parts")
        self.job = json.dumps(job, sort_keys=True)
        self._described = self.folder / "job.json"
        self.finished = path.exists()
        if self.finished:
            if not resume:
                raise UsageError(f"{path} is there already; choose another --out")
            found, told = read(path)
            if found != self.job:
                raise UsageError(f"{path} is there already, {told}; choose another --out")
        elif self._described.exists():
            if not resume:
                raise UsageError(f"{self.folder} holds an unfinished file; add --resume to continue it, or delete it")
            if self._described.read_text() != self.job:
                raise UsageError(f"{self.folder} was begun with other settings; repeat them, or delete it")

    def begin(self) -> None:
        """Writes down what the file will be of, unless that was done."""
        if not self._described.exists():
            with writing(self._described) as unfinished:
                unfinished.write_text(self.job)

    def remove(self) -> None:
        """Removes the parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
