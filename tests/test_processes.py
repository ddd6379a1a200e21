"""Worker processes: they leave Ctrl-C to their parent, and end when it ends, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path

import pytest

from wean.errors import WeanError
from wean.processes import executor, work


class Adder:
    """Adds to what it has."""

    def __init__(self, log: Path, start: int = 0) -> None:
        self._log, self.total = log, start
        self._write("made")

    def __call__(self, number: int) -> int:
        if number < 0:
            os._exit(9)
        return number + self.total

    def close(self) -> None:
        self._write("closed")

    def _write(self, word: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{word} ")


def test_in_this_process_a_worker_is_made_at_its_first_piece_and_closed_after_the_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    make = partial(Adder, log, 10)
    assert list(work(make, [], 1, "")) == []
    assert not log.exists()
    assert list(work(make, [(1,), (2,)], 1, "")) == [11, 12]
    assert log.read_text() == "made closed "
    results = work(make, [(1,), (2,)], 1, "")
    assert next(results) == 11
    results.close()
    assert log.read_text() == "made closed made closed "


def test_pieces_may_depend_on_earlier_results(tmp_path: Path) -> None:
    found: list[int] = []

    def pieces() -> Iterator[tuple[int]]:
        while len(found) < 4:
            yield (sum(found) + 1,)

    for result in work(partial(Adder, tmp_path / "log"), pieces(), 1, ""):
        found.append(result)
    assert found == [1, 2, 4, 8]


def test_one_worker_of_a_pool_is_this_process() -> None:
    begun: list[str] = []
    with executor(1, begun.append, ("begun",)) as pool:
        assert begun == []
        assert [pool.submit(os.getpid).result() for _ in range(2)] == [os.getpid()] * 2
    assert begun == ["begun"]


@pytest.mark.slow  # new processes take seconds to begin
def test_results_of_processes_come_in_the_order_of_their_pieces(tmp_path: Path) -> None:
    make = partial(Adder, tmp_path / "log", 10)
    assert list(work(make, ((number,) for number in range(20)), 2, "")) == list(range(10, 30))
    with pytest.raises(WeanError, match="a worker process died; try again"):
        list(work(make, ((number,) for number in (1, -1, 2)), 2, "try again"))


def die_at_first(mark: Path, number: int) -> int:
    """Ends its process by SIGKILL where nobody has left the mark yet."""
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * number


@pytest.mark.slow
def test_what_was_under_way_when_a_process_died_is_done_again(tmp_path: Path) -> None:
    with executor(2) as pool:
        futures = [pool.submit(die_at_first, tmp_path / "mark", number) for number in range(6)]
        assert [future.result() for future in futures] == [0, 10, 20, 30, 40, 50]
    assert (tmp_path / "mark").exists()


def count_and_die(log: Path) -> None:
    with log.open("a") as stream:
        stream.write("died\n")
    os._exit(9)


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_given_up(tmp_path: Path) -> None:
    with executor(1, apart=True) as pool, pytest.raises(BrokenExecutor):
        pool.submit(count_and_die, tmp_path / "log").result()
    assert (tmp_path / "log").read_text() == "died\n" * 3


@pytest.mark.slow
def test_a_pool_that_is_left_by_an_exception_ends_its_processes() -> None:
    started = time.monotonic()
    pool = executor(2)
    pids = {pool.submit(os.getpid).result() for _ in range(4)}
    waiting = [pool.submit(time.sleep, 300) for _ in range(3)]
    with pytest.raises(KeyboardInterrupt), pool:
        raise KeyboardInterrupt
    assert time.monotonic() - started < 60
    assert not [pid for pid in pids if alive(pid)]
    assert all(future.done() for future in waiting)


PARENT = """
import os, sys, time
from functools import partial
from wean.processes import executor, start
from wean.tasks.registration import make_task
from wean.tasks.workers import WorkerTasks

if __name__ == "__main__":
    kind = sys.argv[1]
    if kind == "tasks":
        tasks = WorkerTasks([partial(make_task, "CartPole-v1")] * 2, workers=2)
        pids = [process.pid for process in tasks.processes]
    elif kind == "pool":
        pool = executor(2)
        pids = list({pool.submit(os.getpid).result() for _ in range(8)})
        waiting = [pool.submit(time.sleep, 300) for _ in range(2)]
    else:
        pids = [start(time.sleep, 300).pid for _ in range(2)]
    print(*pids, flush=True)
    time.sleep(300)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("kind", ["tasks", "pool", "start"])
def test_no_worker_remains_when_the_parent_is_killed(tmp_path: Path, kind: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script, kind], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            workers = [int(pid) for pid in parent.stdout.readline().split()]
            assert workers
            assert all(map(alive, workers))
            for pid in workers:
                os.kill(pid, signal.SIGINT)  # as Ctrl-C in a terminal does, which is for the parent to answer
            time.sleep(0.3)
            assert all(map(alive, workers))
            parent.kill()
            parent.wait()
            until = time.monotonic() + 20
            while any(map(alive, workers)) and time.monotonic() < until:
                time.sleep(0.05)
            assert not [pid for pid in workers if alive(pid)]
        finally:
            parent.kill()
