"""Where metrics are shown beside `metrics.jsonl`: TensorBoard, Weights & Biases, Trackio."""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wean.errors import UsageError, did_you_mean, shown_error
from wean.experiment.run_folder import TRACKERS as TRACKERS_FILE
from wean.extras import require
from wean.files import read_json, replacing

SCHEMA = "wean-trackers/1"
PROJECT = "wean"
_LOGIN_SECONDS = 20


class TrackedRun(NamedTuple):
    """What a tracker is told about a run when it starts.

    Attributes:
        folder: The run folder.
        name: Of the run: that of its folder.
        settings: As in `config.yaml`.
        unit: What progress is counted in.
        done: How far the run has come.
        project: Under which trackers keep it.
    """

    folder: Path
    name: str
    settings: Mapping[str, Any]
    unit: str
    done: int
    project: str = PROJECT


class Tracker(Protocol):
    """A place where metrics are shown while a run learns."""

    def write(self, values: Mapping[str, float], done: int) -> None:
        """Shows values by name, measured when `done` units were done."""

    def close(self) -> None:
        """Ends the tracked run, with all that was written."""


class TensorBoard:
    """Event files in the run folder; what a stopped run wrote after its checkpoint is hidden.

    Args:
        run: What is tracked.
        key: Unused: the folder names the run.
        say: Unused: nothing can be missing.
    """

    def __init__(self, run: TrackedRun, key: str, say: Callable[[str], None]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.folder), purge_step=run.done)

    def write(self, values: Mapping[str, float], done: int) -> None:
        """See `Tracker.write`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, done)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases, offline where nobody is logged in or the server does not answer.

    Its files lie in the run folder's `wandb`, or in $WANDB_DIR. `wandb sync` sends what was kept offline.

    Args:
        run: What is tracked.
        key: The identity of the tracked run.
        say: Called with a note where it stays offline.
    """

    def __init__(self, run: TrackedRun, key: str, say: Callable[[str], None]) -> None:
        wandb = require("wandb", extra="wandb")
        about = {
            "project": os.environ.get("WANDB_PROJECT", run.project),
            "id": key,
            "name": run.name,
            "config": dict(run.settings),
            "resume": "allow",
            "dir": os.environ.get("WANDB_DIR", str(run.folder)),
        }
        quiet = {"silent": True, "console": "off", "init_timeout": _LOGIN_SECONDS, "login_timeout": _LOGIN_SECONDS}
        settings = wandb.Settings(**quiet)
        wanted = os.environ.get("WANDB_MODE")
        if wanted is None and wandb.api.api_key is None:
            say("nobody is logged in to Weights & Biases; the run is kept offline, `wandb sync` sends it")
            wanted = "offline"
        try:
            self._run = wandb.init(**about, settings=settings, mode=wanted)
        except Exception as error:
            say(f"Weights & Biases cannot be reached ({shown_error(error)}); the run is kept offline")
            self._run = wandb.init(**about, settings=settings, mode="offline")
        self._unit = run.unit
        self._run.define_metric("*", step_metric=run.unit)

    def write(self, values: Mapping[str, float], done: int) -> None:
        """See `Tracker.write`."""
        # The unit is a value of its own: the server's step counts calls, and would refuse a smaller one after a resume.
        self._run.log({self._unit: done, **values})

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


class Trackio:
    """A run in Trackio's database on this machine, or on the Space that $TRACKIO_SPACE_ID names.

    Args:
        run: What is tracked.
        key: The identity of the tracked run, a part of its name there.
        say: Unused: it needs no login.
    """

    def __init__(self, run: TrackedRun, key: str, say: Callable[[str], None]) -> None:
        trackio = require("trackio", extra="trackio")
        with _unprinted():
            self._run = trackio.init(
                os.environ.get("TRACKIO_PROJECT", run.project),
                name=f"{run.name}-{key}",
                config=dict(run.settings),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def write(self, values: Mapping[str, float], done: int) -> None:
        """See `Tracker.write`."""
        self._run.log(dict(values), step=done)

    def close(self) -> None:
        """See `Tracker.close`."""
        with _unprinted():
            self._run.finish()


TRACKERS: Mapping[str, Callable[[TrackedRun, str, Callable[[str], None]], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
}
_EXTRAS = ("wandb", "trackio")


class Trackers:
    """All trackers of a run; one that fails is closed with a note, and the run goes on without it.

    Args:
        names: Of the trackers, as `tracker_names` has checked them.
        run: What is tracked.
        written: How far the run had come when it stopped; what is learnt again up to there is not tracked twice.
        say: Called with a note on each tracker that fails, or stays offline.
    """

    def __init__(self, names: Sequence[str], run: TrackedRun, written: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._open: dict[str, Tracker] = {}
        self._written: dict[str, int] = {}
        known = _keys(run.folder)
        begun = {name: known[name] if name in known else uuid.uuid4().hex[:8] for name in names if name in _EXTRAS}
        if begun:
            with replacing(run.folder / TRACKERS_FILE) as unfinished:
                unfinished.write_text(json.dumps({"schema": SCHEMA, **known, **begun}) + "\n", encoding="utf-8")
        for name in names:
            self._written[name] = written if name in known else -1
            with self._guarded(name):
                self._open[name] = TRACKERS[name](run, begun.get(name, ""), say)

    def update(self, metrics: Mapping[str, float], done: int) -> None:
        """Shows the metrics of an update."""
        for name, tracker in list(self._open.items()):
            if done > self._written[name]:
                with self._guarded(name):
                    tracker.write(metrics, done)

    def evaluation(self, values: Mapping[str, float], done: int) -> None:
        """Shows a point of the learning curve."""
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                tracker.write({f"evaluation/{key}": value for key, value in values.items()}, done)

    def close(self) -> None:
        """Ends all of them."""
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                tracker.close()
        self._open.clear()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except UsageError:
            raise
        except Exception as error:  # a tracker is somebody else's code and server, and may fail in any way
            self._open.pop(name, None)
            self._say(f"{name} failed ({shown_error(error)}); the run goes on without it, metrics.jsonl has everything")


def tracker_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """The trackers of a list with commas, each once, after checking that each can be used; "" is none.

    Raises:
        UsageError: There is no such tracker, or its package is not installed.
    """
    wanted = names.split(",") if isinstance(names, str) else names
    found = tuple(dict.fromkeys(name.strip().lower() for name in wanted if name.strip()))
    for name in found:
        if name not in TRACKERS:
            hint = did_you_mean(name, TRACKERS, f"there are {', '.join(TRACKERS)}")
            raise UsageError(f"unknown tracker {name[:80]!r}; {hint}")
        if name in _EXTRAS:
            require(name, extra=name)
    return found


def _keys(folder: Path) -> dict[str, str]:
    """The tracked runs of a run folder by tracker."""
    try:
        found = read_json(folder / TRACKERS_FILE, "remove it, and new tracked runs begin")
    except FileNotFoundError:
        return {}
    return {name: key for name, key in found.items() if name in _EXTRAS and isinstance(key, str)}


@contextmanager
def _unprinted() -> Iterator[None]:
    """Keeps what a package prints away from the output of a command."""
    with redirect_stdout(io.StringIO()):
        yield
