"""Worker processes: they leave Ctrl-C to their parent, and end when it ends, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("spawn")


def executor(
    workers: int, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
) -> Executor:
    """Returns a pool of processes; with one worker everything runs in this process, when it is submitted.

    Args:
        workers: Number of processes.
        initializer: Called in each of them before its first task.
        initargs: Arguments of the initializer; they, it, and what is submitted must survive pickling if there is more
            than one worker.
    """
    if workers <= 1:
        return _SameProcess(initializer, initargs)
    return ProcessPoolExecutor(workers, _CONTEXT, _begin_worker, (initializer, initargs))


def start(target: Callable[..., object], *args: Any) -> SpawnProcess:
    """Starts a process that runs a function, which must survive pickling as its arguments must."""
    process = _CONTEXT.Process(target=_run, args=(target, args), daemon=True)
    process.start()
    return process


class _SameProcess(Executor):
    """Runs what is submitted at once, in this process."""

    def __init__(self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        self._initializer, self._initargs = initializer, initargs

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs the function; the future is done already."""
        if self._initializer is not None:
            self._initializer(*self._initargs)
            self._initializer = None
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _run(target: Callable[..., object], args: tuple[Any, ...]) -> None:
    _begin_worker(None, ())
    target(*args)


def _begin_worker(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of a terminal; whether to stop is decided by the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    """Waits until the parent has ended, and ends this process.

    A killed parent closes no pipes that other workers hold open too, so that waiting for its messages never ends.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
