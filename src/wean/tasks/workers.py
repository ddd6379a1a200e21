"""Tasks in worker processes, with the numbers of `SerialTasks`, for tasks whose step is slow.

On two cores this does not pay for the grid rooms (a step there is cheaper than a pipe); it does for simulators.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wean.errors import UsageError, WeanError, shown_error
from wean.processes import start
from wean.tasks.contract import TextTask
from wean.tasks.situation import Situation
from wean.tasks.vector import MakeTask, Options, Plan, SerialTasks, Steps


def _serve(pipe: Connection, makers: Sequence[MakeTask]) -> None:
    """The worker's loop: answers (method, arguments) until told to close."""
    try:
        tasks = SerialTasks(makers)
    except Exception as error:
        pipe.send((False, shown_error(error, 1_000)))
        return
    pipe.send((True, (tasks.observation_space, tasks.action_space, tasks.observation)))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            break
        if method == "close":
            break
        try:
            result = getattr(tasks, method)(*arguments)
            if method == "situations":  # lazy ones hold functions: what crosses a pipe is the words themselves
                result = [Situation(s.goal, s.text, s.choices, s.key) for s in result]
            pipe.send((True, result))
        except Exception as error:  # whatever a task raises belongs to the process that asked
            pipe.send((False, shown_error(error, 1_000)))
    tasks.close()
    pipe.close()


class WorkerTasks:
    """Tasks dealt out to worker processes in blocks; see `wean.tasks.vector.Tasks`.

    Args:
        makers: One function a task; each must survive pickling (a module's function or `functools.partial`).
        workers: Number of processes.
    """

    query_stats: ClassVar[Mapping[int, Any]] = {}

    def __init__(self, makers: Sequence[MakeTask], workers: int = 2) -> None:
        self.num = len(makers)
        blocks = np.array_split(np.arange(self.num), min(workers, self.num))
        self._home = {int(index): (w, place) for w, block in enumerate(blocks) for place, index in enumerate(block)}
        self._pipes: list[Connection] = []
        self.processes = []
        for block in blocks:
            ours, theirs = Pipe()
            self.processes.append(start(_serve, theirs, [makers[i] for i in block]))
            theirs.close()
            self._pipes.append(ours)
        try:
            self.observation_space, self.action_space, self.observation = self._receive(range(len(blocks)))[0]
        except WeanError:
            self.close()
            raise

    def _send(self, worker: int, method: str, *arguments: Any) -> None:
        with contextlib.suppress(OSError):  # a dead worker is reported when its answer is read
            self._pipes[worker].send((method, arguments))

    def _receive(self, busy: Sequence[int]) -> list[Any]:
        """Reads one answer of each busy worker."""
        results: list[Any] = []
        failures: list[str | None] = []
        # All are read before any failure is raised: one left in its pipe would be taken for the next answer.
        for worker in busy:
            try:
                fine, result = self._pipes[worker].recv()
            except (EOFError, OSError):
                fine, result = False, None
            (results if fine else failures).append(result)
        if None in failures:
            raise WeanError("a worker process of the tasks died; run again with fewer workers or look at its log")
        if failures:
            raise WeanError(f"a task failed in its worker process: {failures[0]}")
        return results

    def _call(self, method: str, which: Sequence[int], *columns: Sequence[Any]) -> list[Any]:
        """Sends each worker its members' share of the columns, in parallel; returns results in `which`'s order."""
        places: list[list[int]] = [[] for _ in self._pipes]
        for place, index in enumerate(which):
            places[self._home[int(index)][0]].append(place)
        busy = [w for w, mine in enumerate(places) if mine]
        for w in busy:
            members = [self._home[int(which[place])][1] for place in places[w]]
            self._send(w, method, members, *[[column[p] for p in places[w]] for column in columns])
        results: list[Any] = [None] * len(which)
        for w, answer in zip(busy, self._receive(busy), strict=True):
            rows = list(zip(*answer, strict=True)) if isinstance(answer, Steps) else list(answer)
            for place, row in zip(places[w], rows, strict=True):
                results[place] = row
        return results

    def reset(
        self, which: Sequence[int], seeds: Sequence[int], options: Sequence[Options] | None = None
    ) -> NDArray[Any]:
        """See `Tasks.reset`."""
        return np.stack(self._call("reset", which, seeds, options or [None] * len(which)))

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`."""
        observations, *columns, infos = zip(*self._call("step", which, actions), strict=True)
        rewards, terminated, truncated, successes, primitive_steps = (np.array(column) for column in columns)
        return Steps(np.stack(observations), rewards, terminated, truncated, successes, primitive_steps, list(infos))

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """See `Tasks.situations`."""
        return self._call("situations", which)

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """See `Tasks.first_actions`."""
        return self._call("first_actions", which, plans)

    def best_actions(self, which: Sequence[int]) -> list[list[Any]]:
        """See `Tasks.best_actions`."""
        return self._call("best_actions", which)

    def scripted_actions(self, which: Sequence[int]) -> list[int]:
        """See `Tasks.scripted_actions`."""
        return self._call("scripted_actions", which)

    def achieved(self, which: Sequence[int]) -> list[tuple[str, ...]]:
        """See `Tasks.achieved`."""
        return self._call("achieved", which)

    def text_task(self, index: int) -> TextTask:
        """See `Tasks.text_task`; always refused."""
        raise UsageError("tasks in worker processes cannot be played in words; play them in this process")

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`."""
        everyone = range(len(self._pipes))
        for w in everyone:
            self._send(w, "histories")
        answers = self._receive(everyone)
        return [answers[w][place] for w, place in (self._home[index] for index in range(self.num))]

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`."""
        everyone = range(len(self._pipes))
        for w in everyone:
            self._send(w, "replay", [histories[i] for i in range(self.num) if self._home[i][0] == w])
        return np.concatenate(self._receive(everyone))

    def close(self) -> None:
        """See `Tasks.close`."""
        for w, pipe in enumerate(self._pipes):
            self._send(w, "close")
            pipe.close()
        for process in self.processes:
            process.join(timeout=5)
            if process.is_alive():  # it hangs in a step
                process.kill()
                process.join()
