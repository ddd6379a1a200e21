"""Worker processes, which end when their parent ends, signals that stop long work gracefully, and locks."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

from wean.errors import WeanError
from wean.files import remove_unfinished

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_PATIENCE = 15.0  # seconds; service managers often send SIGKILL 30 seconds after SIGTERM
_AGAIN = 2.0
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
    others = set(multiprocessing.active_children())
    pool = executor(workers, _set_maker, (make,))
    ahead: deque[Future[Result]] = deque()
    finished = False
    try:
        while True:
            ahead.extend(pool.submit(_do, piece) for piece in islice(pieces, 2 * workers - len(ahead)))
            if not ahead:
                break
            yield ahead.popleft().result()
        finished = True
    except BrokenProcessPool:
        raise WeanError(f"a worker process died; {remedy}") from None
    finally:
        if not finished:  # what they are at may take long, or for ever
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
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
    # Ctrl-C and the end of a terminal reach all of its processes; whether to stop is decided by the parent.
    for number in stop_signals():
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
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


def stop_signals() -> list[int]:
    """The signals that ask a process to end, without those that its parent has it ignore (as `nohup` does)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


class GracefulStop:
    """Context in which a stop signal raises KeyboardInterrupt; within `held` the first one sets `wanted` instead."""

    def __init__(self) -> None:
        self.wanted = False
        self._held = False
        self._before: dict[int, Any] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> GracefulStop:
        """Installs the signal handlers; does nothing outside the main thread, where Python forbids it."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on) for number in stop_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the previous signal handlers."""
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self, held: bool = True) -> Iterator[None]:
        """Context whose code looks at `wanted` itself; it is interrupted all the same where that takes too long.

        `held(False)` is for a part of it that does not.
        """
        before, self._held = self._held, held
        try:
            if self.wanted and not held:
                raise KeyboardInterrupt
            yield
        finally:
            self._held = before

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        again, self.wanted = self.wanted, True
        now = again or not self._held
        # Once more: an exception that is raised in the midst of a destructor is lost.
        self._timer = threading.Timer(_AGAIN if now else _PATIENCE, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()
        if now:
            raise KeyboardInterrupt


# --- one process at a time --------------------------------------------------------------------------------------------


@contextmanager
def locked(lock: Path, what: str) -> Iterator[None]:
    """Holds a lock file, which ends with the process; folders that it had to make go with it where they stay empty.

    Raises:
        WeanError: Another process holds it, or it cannot be made; the message names `what` is written.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _take(lock)
    except OSError as error:
        _remove_empty(made)
        raise WeanError(f"{what}: cannot be written ({error.strerror}); choose another --out") from None
    if file is None:
        raise WeanError(f"another process is writing {what}; wait for it, or choose another --out")
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()  # while it is held: who has opened it meanwhile sees that it is gone
        os.close(file)
        _remove_empty(made)


@contextmanager
def file_locked(path: Path) -> Iterator[None]:
    """Keeps a file for this process to write; what killed ones have left of it unfinished is removed.

    Raises:
        WeanError: Another process writes it, or its folder cannot be written.
    """
    with locked(path.with_name(f".{path.name}.lock"), str(path)):
        remove_unfinished(path.parent, path.name)
        yield


def _take(lock: Path) -> int | None:
    """Opens and locks a file; None if another process has it."""
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(file):
                os.close(file)
                return None
            if os.path.samestat(os.fstat(file), os.stat(lock)):
                return file
        except FileNotFoundError:
            pass  # its last holder has removed it since it was opened
        os.close(file)


def _lock(file: int) -> bool:
    """Whether this process could lock an open file; file systems without locks let everybody."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def _remove_empty(folders: Sequence[Path]) -> None:
    """Removes folders, the innermost first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
