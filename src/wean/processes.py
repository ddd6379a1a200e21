"""Worker processes, which end when their parent ends, and how Ctrl-C or SIGTERM stops long work gracefully."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, Protocol, TypeVar

from wean.errors import WeanError

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_CONTEXT = multiprocessing.get_context("spawn")


class Worker(Protocol[Result_co]):
    """Does pieces of work, one after the other, with resources that it keeps in between."""

    def __call__(self, *args: Any) -> Result_co:
        """Does a piece of work."""

    def close(self) -> None:
        """Releases its resources."""


def work(
    make: Callable[[], Worker[Result]], pieces: Iterable[tuple[Any, ...]], workers: int, remedy: str
) -> Iterator[Result]:
    """Yields the results of pieces of work in their order, computed in this process or in several.

    Pieces are taken at most two per worker ahead, so that later ones can depend on results.

    Args:
        make: Makes the worker of a process; with several processes it, the pieces and the results must be picklable.
        pieces: The arguments of each call of a worker.
        workers: Number of processes; 1 is this process.
        remedy: What the error of a process that died advises.

    Raises:
        WeanError: A process died.
    """
    pieces = iter(pieces)
    if workers <= 1:
        worker: Worker[Result] | None = None
        try:
            for piece in pieces:
                worker = worker or make()
                yield worker(*piece)
        finally:
            if worker is not None:
                worker.close()
        return
    pool = executor(workers, _set_maker, (make,))
    ahead: deque[Future[Result]] = deque()
    try:
        while True:
            ahead.extend(pool.submit(_do, piece) for piece in islice(pieces, 2 * workers - len(ahead)))
            if not ahead:
                break
            yield ahead.popleft().result()
    except BrokenProcessPool:
        raise WeanError(f"a worker process died; {remedy}") from None
    finally:
        pool.shutdown(cancel_futures=True)


_make: Callable[[], Worker[Any]]  # of a worker process
_worker: Worker[Any] | None = None


def _set_maker(make: Callable[[], Worker[Any]]) -> None:
    global _make
    _make = make


def _do(piece: tuple[Any, ...]) -> Any:
    global _worker
    _worker = _worker or _make()
    return _worker(*piece)


def executor(
    workers: int, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
) -> Executor:
    """A pool of processes; with one worker, functions run in this process as they are submitted.

    With more than one worker the initializer, its arguments and everything submitted must be picklable.
    """
    if workers <= 1:
        return _SameProcess(initializer, initargs)
    return ProcessPoolExecutor(workers, _CONTEXT, _begin_worker, (initializer, initargs))


def start(target: Callable[..., object], *args: Any) -> SpawnProcess:
    """Starts a process that runs a picklable function."""
    process = _CONTEXT.Process(target=_run, args=(target, args), daemon=True)
    if sys.platform == "win32":
        process.start()
        return process
    # A process inherits the mask, so that a Ctrl-C cannot end it before it ignores them.
    resource_tracker.ensure_running()  # it unblocks SIGINT when it is first started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


class _SameProcess(Executor):
    """Runs submitted functions at once, in this process."""

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
    """Ends this process when the parent has ended.

    A killed parent closes no pipes that other workers hold open too, so that waiting for its messages never ends.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class GracefulStop:
    """Context in which the first SIGINT or SIGTERM sets `wanted`, and the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GracefulStop:
        """Installs the signal handlers; does nothing outside the main thread, where Python forbids it."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the previous signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
