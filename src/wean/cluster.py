"""A Ray cluster as an executor: what is submitted is a task, which Ray repeats when its process or machine is lost."""

from __future__ import annotations

import os
import pickle
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from wean.errors import WeanError, shown_error
from wean.extras import require

_RETRIES = 3  # of one task
_PATIENCE = 20.0  # seconds in which tasks may end by themselves when they are cancelled
_OBJECTS = 256 * 2**20  # bytes of shared memory of a cluster of this machine alone
_QUIET = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}


class RayTasks(ThreadPoolExecutor):
    """Submits functions as tasks of a Ray cluster, each from a thread that waits for it.

    The cluster is that of `RAY_ADDRESS`, or one that runs on this machine; where there is none, one is started, and
    ended with this. The functions run in the working directory of this process, which all machines must share, and find
    their modules where this process does.

    Args:
        workers: How many tasks run at a time, as far as the cluster has processors.
        initializer: Called in every process before the first task of this executor.
        initargs: Its arguments.

    Raises:
        UsageError: Ray is not installed.
        WeanError: The cluster cannot be reached.
    """

    def __init__(self, workers: int, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        self._ray = require("ray", extra="ray")
        self._connected = not self._ray.is_initialized()
        if self._connected:
            _connect(self._ray, workers)
        super().__init__(workers, "ray")
        ours = {name: value for name, value in os.environ.items() if name.startswith("WEAN_")}
        first = None if initializer is None else pickle.dumps(partial(initializer, *initargs))
        place = _Place(uuid.uuid4().hex, os.getcwd(), sys.path, ours, first)
        self._place = self._ray.put(place)  # once for all tasks
        self._task = self._ray.remote(_run).options(max_retries=_RETRIES)
        self._running: set[Any] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        return super().submit(self._wait_for, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`; with `cancel_futures` tasks are asked to end what they are at, too."""
        if cancel_futures:
            super().shutdown(wait=False, cancel_futures=True)
            if running := list(self._running):
                for reference in running:
                    self._ray.cancel(reference)
                self._ray.wait(running, num_returns=len(running), timeout=_PATIENCE)
        if self._connected and (wait or cancel_futures):
            if not cancel_futures:
                super().shutdown(wait=True)
            self._connected = False
            self._ray.shutdown()
        super().shutdown(wait=wait)

    def __exit__(self, kind: Any, *_: object) -> None:
        """Waits for what was submitted; after an exception cancels it."""
        self.shutdown(cancel_futures=kind is not None)

    def _wait_for(self, call: Callable[[], Any]) -> Any:
        errors = self._ray.exceptions
        reference = self._task.remote(self._place, pickle.dumps(call))
        self._running.add(reference)
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError as error:
            raise BrokenExecutor(f"Ray lost a task {_RETRIES + 1} times: {error}") from None
        finally:
            self._running.discard(reference)


def _connect(ray: Any, workers: int) -> None:
    # Nothing is sent to Ray's makers, and its hints are for people who call it themselves.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        try:
            ray.init(address="auto", **_QUIET)
        except ConnectionError:
            if "RAY_ADDRESS" in os.environ:
                raise
            ray.init(address="local", num_cpus=workers, object_store_memory=_OBJECTS, **_QUIET)
    except Exception as error:  # a plain one where Ray's own processes do not come up in time
        raise WeanError(
            f"Ray cannot be used ({shown_error(error)}); check RAY_ADDRESS, or leave out --executor"
        ) from None


# --- in the processes of the cluster ----------------------------------------------------------------------------------


class _Place(NamedTuple):
    """What the processes of an executor have in common.

    Attributes:
        mark: Of the executor.
        folder: The working directory.
        path: Where modules are found.
        variables: Of the environment.
        first: The first call, pickled: it can be read when its modules are found.
    """

    mark: str
    folder: str
    path: Sequence[str]
    variables: Mapping[str, str]
    first: bytes | None


_mark = ""  # of the executor that this process has begun to work for


def _run(place: _Place, call: bytes) -> Any:
    global _mark
    if _mark != place.mark:
        try:
            os.chdir(place.folder)
        except OSError as error:
            raise WeanError(
                f"{place.folder} cannot be opened on {os.uname().nodename} ({error.strerror}); the machines of a "
                "cluster need one folder in common"
            ) from None
        os.environ.update(place.variables)
        sys.path += [folder for folder in place.path if folder not in sys.path]
        if place.first is not None:
            pickle.loads(place.first)()
        _mark = place.mark
    return pickle.loads(call)()
