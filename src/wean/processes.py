"""Worker processes, which end when their parent ends, signals that stop long work gracefully, and locks."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol, TypeVar, cast

from wean.errors import UsageError, WeanError
from wean.files import remove_unfinished

Kind = Literal["processes", "ray"]
"""Where work is done: in processes of this machine, or in tasks of a Ray cluster."""

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_PATIENCE = 15.0  # seconds; service managers often send SIGKILL 30 seconds after SIGTERM
_AGAIN = 2.0
_DEATHS = 3  # of processes, one after the other without a result in between
_CONTEXT = multiprocessing.get_context("spawn")


class Worker(Protocol[Result_co]):
    """Does pieces of work, one after the other, with resources that it keeps in between."""

    def __call__(self, *args: Any) -> Result_co:
        """Does a piece of work."""

    def close(self) -> None:
        """Releases its resources."""


def work(
    make: Callable[[], Worker[Result]],
    pieces: Iterable[tuple[Any, ...]],
    workers: int,
    remedy: str,
    kind: Kind = "processes",
) -> Iterator[Result]:
    """Yields the results of pieces of work in their order, computed in this process or in several.

    Pieces are taken at most two per worker ahead, so that later ones can depend on results. A piece whose process died
    is done once more, so it must bear that.

    Args:
        make: Makes the worker of a process; with several processes it, the pieces and the results must be picklable.
        pieces: The arguments of each call of a worker.
        workers: Number of processes; 1 is this process, unless they are of a cluster.
        remedy: What the error advises when processes die again and again.
        kind: Where they are.

    Raises:
        WeanError: Processes die again and again.
    """
    pieces = iter(pieces)
    if workers <= 1 and kind == "processes":
        worker: Worker[Result] | None = None
        try:
            for piece in pieces:
                worker = worker or make()
                yield worker(*piece)
        finally:
            if worker is not None:
                worker.close()
        return
    ahead: deque[Future[Result]] = deque()
    try:
        with executor(workers, _set_maker, (make,), kind) as pool:
            while True:
                ahead.extend(pool.submit(_do, piece) for piece in islice(pieces, 2 * workers - len(ahead)))
                if not ahead:
                    break
                yield ahead.popleft().result()
    except BrokenExecutor:
        raise WeanError(f"a worker process died; {remedy}") from None


_make: Callable[[], Worker[Any]]  # of a worker process
_worker: Worker[Any] | None = None


def _set_maker(make: Callable[[], Worker[Any]]) -> None:
    global _make, _worker
    if _worker is not None:  # a process of a cluster works for one after the other
        _worker.close()
    _make, _worker = make, None


def _do(piece: tuple[Any, ...]) -> Any:
    global _worker
    _worker = _worker or _make()
    return _worker(*piece)


def executor(
    workers: int,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    kind: Kind = "processes",
    *,
    apart: bool = False,
) -> Executor:
    """A pool of processes; with one worker, functions run in this process as they are submitted.

    With several, the initializer, its arguments and everything submitted must be picklable. When a process dies, what
    was under way is done once more in new ones; a future raises `BrokenExecutor` when they die again and again. A pool
    that is left by an exception ends its processes.

    Args:
        workers: How many functions run at a time.
        initializer: Called first in every process.
        initargs: Its arguments.
        kind: Where the processes are.
        apart: A single worker is a process of its own, too.
    """
    if kind == "ray":
        from wean.cluster import RayTasks

        return RayTasks(workers, initializer, initargs)
    if workers <= 1 and not apart:
        return _SameProcess(initializer, initargs)
    return _Processes(workers, initializer, initargs)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_kind(name: str) -> Kind:
    """The kind of workers with a name from a command line.

    Raises:
        UsageError: There is none, or it is not installed.
    """
    if name not in ("processes", "ray"):
        raise UsageError(f"--executor is processes or ray, not {name!r}")
    if name == "ray":
        from wean.extras import require

        require("ray", extra="ray")
    return cast("Kind", name)


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


class _Processes(Executor):
    """A pool of processes that is replaced when one of them dies, with what was under way."""

    def __init__(self, workers: int, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        self._make = partial(ProcessPoolExecutor, workers, _CONTEXT, _begin_worker, (initializer, initargs))
        self._others = set(multiprocessing.active_children())
        self._pool = self._make()
        self._change = threading.Condition(threading.RLock())  # of the pool, and of the numbers below
        self._under_way, self._deaths = 0, 0
        self._lost: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        future: Future[Any] = Future()
        with self._change:
            self._under_way += 1
        self._give(future, partial(fn, *args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`; with `cancel_futures` processes are asked to end what they are at, too."""
        with self._change:
            self._ended = cancel_futures
            while wait and not cancel_futures and self._under_way:
                self._change.wait()
        if cancel_futures:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: Any, *_: object) -> None:
        """Waits for what was submitted; after an exception ends it: it may take long, or for ever."""
        self.shutdown(cancel_futures=kind is not None)

    def _give(self, future: Future[Any], call: Callable[[], Any]) -> None:
        """Gives a call to the pool, without the lock: a pool that breaks holds its own while it tells `_take`."""
        pool = self._pool
        try:
            inner = pool.submit(call)
        except BrokenExecutor:
            self._lose(pool, future, call)
        else:
            inner.add_done_callback(partial(self._take, pool, future, call))

    def _take(
        self, pool: ProcessPoolExecutor, future: Future[Any], call: Callable[[], Any], inner: Future[Any]
    ) -> None:
        """Passes on what came of a call, or has it done once more."""
        error = None if inner.cancelled() else inner.exception()
        if isinstance(error, BrokenExecutor) and not self._ended:
            self._lose(pool, future, call)
            return
        self._deaths = 0
        if inner.cancelled():
            future.cancel()
        self._finish(future, error, None if error or inner.cancelled() else inner.result())

    def _finish(self, future: Future[Any], error: BaseException | None, result: Any = None) -> None:
        if future.set_running_or_notify_cancel():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
        with self._change:
            self._under_way -= 1
            self._change.notify_all()

    def _lose(self, pool: ProcessPoolExecutor, future: Future[Any], call: Callable[[], Any]) -> None:
        """Keeps a call for the next pool, and begins to make that where nobody has."""
        with self._change:
            replaced = pool is not self._pool
            if not replaced:
                self._lost.append((future, call))
                if len(self._lost) == 1:
                    # Not here: the pool's own thread tells of a death before it has ended the other processes.
                    threading.Thread(target=self._renew, daemon=True).start()
        if replaced:
            self._give(future, call)

    def _renew(self) -> None:
        """Replaces the pool when all of its processes have ended, and gives it what was under way."""
        self._pool.shutdown()
        with self._change:
            lost, self._lost = self._lost, []
            self._deaths += 1
            going_on = self._deaths < _DEATHS and not self._ended
            if going_on:
                self._pool = self._make()
        for future, call in lost:
            if going_on:
                self._give(future, call)
            else:
                self._finish(future, BrokenExecutor("worker processes died again and again"))


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


class Stopped(WeanError):
    """A stop signal has ended work that can go on later."""


class GracefulStop:
    """Context in which a stop signal raises KeyboardInterrupt; within `held` the first one sets `wanted` instead."""

    def __init__(self) -> None:
        self.wanted = False
        self._held = self._late = False
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
        # A worker process is told to end by several others, which all want the same.
        again = self._late or (self.wanted and multiprocessing.parent_process() is None)
        self.wanted = True
        now = again or not self._held
        # Once more: an exception that is raised in the midst of a destructor is lost.
        self._timer = threading.Timer(_AGAIN if now else _PATIENCE, self._insist, (number,))
        self._timer.daemon = True
        self._timer.start()
        if now:
            raise KeyboardInterrupt

    def _insist(self, number: int) -> None:
        self._late = True
        os.kill(os.getpid(), number)


# --- one process at a time --------------------------------------------------------------------------------------------


@contextmanager
def locked(lock: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Holds a lock file, which ends with the process; folders that it had to make go with it where they stay empty.

    Args:
        lock: The file.
        what: What is written, for errors.
        patience: Seconds to wait for another process.

    Raises:
        WeanError: Another process holds it, or it cannot be made; the message names `what` is written.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + patience
        while (file := _take(lock)) is None and time.monotonic() < until:
            time.sleep(0.1)
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
        UsageError: It is a folder.
        WeanError: Another process writes it, or its folder cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
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
