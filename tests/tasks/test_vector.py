"""Many tasks at once: serial and worker processes give the same numbers; nothing of an episode's end is lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from small_tasks import Corridor
from wean.errors import WeanError
from wean.tasks.member import student_observation, student_space
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks, Tasks
from wean.tasks.workers import WorkerTasks

NAMES = ("SimpleDoorKey", "ColoredDoorKey", "LavaDoorKey", "ColoredDoorKey", "SimpleDoorKey")
PLANS = (("explore",), ("go to key", "pick up key"), ("go to blue key", "pick up blue key"), ("open door",), ())


class Faulty(Corridor):
    """A corridor whose third step fails."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if self.steps == 2:
            raise ValueError("the third step fails")
        return super().step(action)


def broken() -> gym.Env[Any, Any]:
    raise RuntimeError("no such simulator")


def rooms() -> list[Any]:
    return [partial(make_task, name) for name in NAMES]


@contextmanager
def closing(tasks: WorkerTasks | SerialTasks) -> Iterator[Any]:
    try:
        yield tasks
    finally:
        tasks.close()


def words(situations: list[Situation]) -> list[tuple[Any, ...]]:
    return [(s.key, s.goal, s.text, s.choices) for s in situations]


def play(tasks: Tasks, steps: int) -> list[Any]:
    """Plays subsets in mixed order, asks everything at every step, resets what ended; returns all that was given."""
    random = np.random.default_rng(3)
    log: list[Any] = []
    observations = tasks.reset(list(range(tasks.num)), [100 + i for i in range(tasks.num)])
    log.append(observations)
    for step in range(steps):
        which = [int(i) for i in random.permutation(tasks.num)[: int(random.integers(1, tasks.num + 1))]]
        log.append(words(tasks.situations(which)))
        # A plan list of its own for each member, of different lengths.
        firsts = tasks.first_actions(which, [PLANS[: 1 + i] for i in which])
        assert [len(first) for first in firsts] == [1 + i for i in which]
        log.append(firsts)
        actions = [first[-1] if first[-1] is not None else int(random.integers(7)) for first in firsts]
        stepped = tasks.step(which, actions)
        log += list(stepped)
        ended = [i for i, over in zip(which, stepped.terminated | stepped.truncated, strict=True) if over]
        if ended:
            log.append(tasks.reset(ended, [1000 + step + i for i in ended]))
    log.append(tasks.histories())
    return log


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        alike = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return one.dtype == other.dtype and alike
    return bool(one == other)


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerTasks]:
    with closing(WorkerTasks(rooms(), workers=2)) as tasks:
        yield tasks


def test_worker_processes_give_the_numbers_of_this_process(workers: WorkerTasks) -> None:
    serial = SerialTasks(rooms())
    assert workers.num == serial.num == 5
    assert workers.observation_space == serial.observation_space
    assert workers.action_space == serial.action_space
    here, there = play(serial, 150), play(workers, 150)
    assert len(here) == len(there)
    for place, (one, other) in enumerate(zip(here, there, strict=True)):
        assert equal(one, other), f"entry {place}"
    ends = sum(isinstance(entry, np.ndarray) and entry.dtype == bool and entry.any() for entry in here)
    assert ends > 0, "no episode ended: the comparison covers too little"


def test_replay_brings_every_member_back(workers: WorkerTasks) -> None:
    serial = SerialTasks(rooms())
    play(serial, 60)
    histories, everyone = serial.histories(), list(range(5))
    before = words(serial.situations(everyone))
    for tasks in (SerialTasks(rooms()), workers):
        tasks.reset(everyone, [7] * 5)
        replayed = tasks.replay(histories)
        assert tasks.histories() == histories
        assert words(tasks.situations(everyone)) == before
        # From there on, both go the same way.
        actions = [0, 2, 1, 2, 2]
        untouched = SerialTasks(rooms())
        assert (untouched.replay(histories) == replayed).all()
        assert equal(untouched.step(everyone, actions).observations, tasks.step(everyone, actions).observations)


def test_a_history_is_the_seed_and_the_actions_since() -> None:
    tasks = SerialTasks([Corridor, Corridor])
    tasks.reset([0, 1], [5, 6])
    tasks.step([1], [1])
    tasks.step([1, 0], [0, 1])
    histories = tasks.histories()
    assert histories == [(5, [1]), (6, [1, 0])]
    histories[0][1].append(9)  # a copy: what is done to it does not matter
    assert tasks.histories()[0] == (5, [1])
    tasks.reset([0], [8])
    assert tasks.histories() == [(8, []), (6, [1, 0])]


@pytest.mark.parametrize("kind", ["serial", "workers"])
def test_the_last_observation_and_situation_of_an_episode_are_not_lost(kind: str) -> None:
    makers = [Corridor, Corridor]
    with closing(SerialTasks(makers) if kind == "serial" else WorkerTasks(makers)) as tasks:
        tasks.reset([0, 1], [0, 1])
        for _ in range(4):
            stepped = tasks.step([0, 1], [1, 0])
        assert stepped.terminated.tolist() == [True, False]
        assert stepped.observations.tolist() == [4, 0]
        assert stepped.rewards.tolist() == [1.0, 0.0]
        assert stepped.rewards.dtype == np.float64
        # Nothing is reset by itself: the last situation can still be read.
        assert [s.text for s in tasks.situations([0, 1])] == ["You are in cell 4.", "You are in cell 0."]
        for _ in range(6):
            stepped = tasks.step([1], [0])
        assert (stepped.terminated.tolist(), stepped.truncated.tolist()) == ([False], [True])
        assert tasks.reset([0], [3]).tolist() == [0]
        assert [s.text for s in tasks.situations([0])] == ["You are in cell 0."]


# --- faults ----------------------------------------------------------------------------------------------------------


def one_line(error: pytest.ExceptionInfo[WeanError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_task_that_raises_in_a_worker_is_one_line_and_the_others_go_on() -> None:
    with closing(WorkerTasks([Faulty, Corridor], workers=2)) as tasks:
        tasks.reset([0, 1], [0, 1])
        for _ in range(2):
            tasks.step([0, 1], [1, 1])
        with pytest.raises(WeanError) as error:
            tasks.step([0, 1], [1, 1])
        assert "ValueError: the third step fails" in one_line(error)
        # The other worker had answered: its answer must not be taken for that to the next question.
        assert tasks.situations([1])[0].text == "You are in cell 3."
        assert tasks.reset([0, 1], [0, 1]).tolist() == [0, 0]
        assert tasks.step([0, 1], [1, 1]).observations.tolist() == [1, 1]


def test_a_task_that_cannot_be_made_in_a_worker_says_why() -> None:
    with pytest.raises(WeanError) as error:
        WorkerTasks([Corridor, broken], workers=2)
    assert "RuntimeError: no such simulator" in one_line(error)


def test_a_worker_that_dies_is_one_line_and_closing_still_works() -> None:
    with closing(WorkerTasks([Corridor, Corridor], workers=2)) as tasks:
        tasks.reset([0, 1], [0, 1])
        tasks.processes[0].kill()
        tasks.processes[0].join()
        for _ in range(2):  # whether the pipe breaks when writing or when reading
            with pytest.raises(WeanError, match="worker process of the tasks died"):
                tasks.step([0, 1], [1, 1])
    assert not any(process.is_alive() for process in tasks.processes)


def test_ctrl_c_in_a_terminal_does_not_stop_the_workers() -> None:
    # The owner decides: it stops at the next update, and needs its tasks until then.
    with closing(WorkerTasks([Corridor], workers=1)) as tasks:
        tasks.reset([0], [0])
        os.kill(tasks.processes[0].pid, signal.SIGINT)
        assert tasks.step([0], [1]).observations.tolist() == [1]


def test_a_task_without_words_names_the_remedy() -> None:
    tasks = SerialTasks([partial(make_task, "CartPole-v1")])
    tasks.reset([0], [0])
    with pytest.raises(WeanError) as error:
        tasks.situations([0])
    assert "CartPole" in one_line(error)
    assert "DescribedTask" in one_line(error)
    with pytest.raises(WeanError, match="DescribedTask"):
        tasks.first_actions([0], [[("left",)]])


# --- what a student sees ---------------------------------------------------------------------------------------------


def test_a_student_sees_the_image_of_a_dict_and_anything_else_as_it_is() -> None:
    space = gym.spaces.Dict({"image": gym.spaces.Box(0, 9, (2, 2)), "mission": gym.spaces.Text(9)})
    assert student_space(space) == space["image"]
    assert student_observation({"image": np.ones((2, 2)), "mission": "go"}).tolist() == [[1, 1], [1, 1]]
    assert student_space(gym.spaces.Discrete(4)) == gym.spaces.Discrete(4)
    assert student_observation(3).shape == ()
    with pytest.raises(WeanError, match="FlattenObservation"):
        student_space(gym.spaces.Dict({"position": gym.spaces.Box(0, 1, (2,))}))
