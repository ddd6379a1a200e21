"""Tasks in worker processes: the same promises and numbers as `SerialTasks`, for tasks whose step is slow.

On two cores this does not pay for the grid rooms (a step there is cheaper than a pipe); it does for simulators.
"""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wean.errors import WeanError
from wean.tasks.situation import Situation, Words
from wean.tasks.vector import MakeTask, Plan, SerialTasks, Steps


def _serve(pipe: Connection, makers: Sequence[MakeTask]) -> None:
    """Runs in the worker: answers one (method, arguments) after the other until told to close."""
    tasks = SerialTasks(makers)
    pipe.send((True, (tasks.observation_space, tasks.action_space)))
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            break
        if method == "close":
            break
        try:
            result = getattr(tasks, method)(*arguments)
            if method == "situations":  # lazy ones hold functions: what crosses a pipe is the words themselves
                result = [Words(s.goal, s.text, s.choices, s.key) for s in result]
            pipe.send((True, result))
        except Exception as error:  # whatever a task raises belongs to the process that asked
            pipe.send((False, f"{type(error).__name__}: {error}"))
    tasks.close()
    pipe.close()


class WorkerTasks:
    """Tasks dealt out to worker processes in blocks; see `wean.tasks.vector.Tasks`.

    Args:
        makers: One function a task; each must survive pickling (a module's function or `functools.partial`).
        workers: Number of processes.
    """

    def __init__(self, makers: Sequence[MakeTask], workers: int = 2) -> None:
        self.num = len(makers)
        context = mp.get_context("spawn")
        blocks = np.array_split(np.arange(self.num), min(workers, self.num))
        self._home = {int(index): (w, place) for w, block in enumerate(blocks) for place, index in enumerate(block)}
        self._pipes: list[Connection] = []
        self._processes = []
        for block in blocks:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, [makers[i] for i in block]), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        spaces = [self._receive(pipe) for pipe in self._pipes]
        self.observation_space, self.action_space = spaces[0]

    def _receive(self, pipe: Connection) -> Any:
        try:
            fine, result = pipe.recv()
        except (EOFError, ConnectionResetError):
            raise WeanError(
                "a worker process of the tasks died; run again with fewer workers or look at its log"
            ) from None
        if not fine:
            raise WeanError(f"a task failed in its worker process: {result}")
        return result

    def _call(self, method: str, which: Sequence[int], *columns: Sequence[Any]) -> list[Any]:
        """Sends each worker its members' share of the columns, in parallel; returns results in `which`'s order."""
        places: list[list[int]] = [[] for _ in self._pipes]
        for place, index in enumerate(which):
            places[self._home[int(index)][0]].append(place)
        busy = [w for w, mine in enumerate(places) if mine]
        for w in busy:
            members = [self._home[int(which[place])][1] for place in places[w]]
            self._pipes[w].send((method, (members, *[[column[p] for p in places[w]] for column in columns])))
        results: list[Any] = [None] * len(which)
        for w in busy:
            answer = self._receive(self._pipes[w])
            rows = list(zip(*answer, strict=True)) if isinstance(answer, Steps) else list(answer)
            for place, row in zip(places[w], rows, strict=True):
                results[place] = row
        return results

    def reset(self, which: Sequence[int], seeds: Sequence[int]) -> NDArray[Any]:
        """See `Tasks.reset`."""
        return np.stack(self._call("reset", which, seeds))

    def step(self, which: Sequence[int], actions: Sequence[Any]) -> Steps:
        """See `Tasks.step`."""
        rows = self._call("step", which, actions)
        observations, rewards, terminated, truncated = zip(*rows, strict=True)
        return Steps(np.stack(observations), np.array(rewards), np.array(terminated), np.array(truncated))

    def situations(self, which: Sequence[int]) -> list[Situation]:
        """See `Tasks.situations`."""
        return self._call("situations", which)

    def first_actions(self, which: Sequence[int], plans: Sequence[Sequence[Plan]]) -> list[list[int | None]]:
        """See `Tasks.first_actions`."""
        return self._call("first_actions", which, plans)

    def histories(self) -> list[tuple[int, list[Any]]]:
        """See `Tasks.histories`."""
        for pipe in self._pipes:
            pipe.send(("histories", ()))
        answers = [self._receive(pipe) for pipe in self._pipes]
        return [answers[w][place] for w, place in (self._home[index] for index in range(self.num))]

    def replay(self, histories: Sequence[tuple[int, Sequence[Any]]]) -> NDArray[Any]:
        """See `Tasks.replay`."""
        for w, pipe in enumerate(self._pipes):
            pipe.send(("replay", ([histories[i] for i in range(self.num) if self._home[i][0] == w],)))
        return np.concatenate([self._receive(pipe) for pipe in self._pipes])

    def close(self) -> None:
        """See `Tasks.close`."""
        for pipe in self._pipes:
            pipe.send(("close", ()))
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
