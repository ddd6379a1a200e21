"""Students and tasks for the tests of export: small, untrained, one of every kind."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from small_tasks import Corridor, Lamps, Recall
from wean.students.action_values import ActionValues, TableValues
from wean.students.camera import CameraStudent
from wean.students.config import StudentConfig
from wean.students.grid import GridStudent
from wean.students.saving import save_student
from wean.students.student import DenseStudent, Student
from wean.tasks.options import OptionTasks
from wean.tasks.registration import make_task
from wean.tasks.situation import Situation
from wean.tasks.vector import SerialTasks, num_actions


class Kind(NamedTuple):
    """A kind of student, and the task that it acts in."""

    student: Student | ActionValues
    make: Any


def corridor_situation(cell: int) -> Situation:
    return Situation("Walk to the end of the corridor.", f"You are in cell {cell}.", ("left", "right"))


def kind(name: str) -> Kind:
    """A student with random weights, large enough that actions differ."""
    torch.manual_seed(3)
    room = partial(make_task, "SimpleDoorKey")
    if name == "table":
        values = TableValues(2, rows=16)
        torch.nn.init.normal_(values.head.weight)
        met = values.meet([corridor_situation(cell) for cell in range(3)])
        assert met.tolist() == [0, 1, 2]
        with torch.no_grad():
            values.head.weight[3:] = 0  # rows of situations that were not met, as in training
        return Kind(values, Corridor)
    kinds = {
        "grid": lambda: Kind(GridStudent(10, 10, 7, StudentConfig(hidden=16)), room),
        "grid with every option": lambda: Kind(
            GridStudent(10, 10, 7, StudentConfig(hidden=16, reflection=True, object_set=True, border_distances=True)),
            room,
        ),
        "grid of skills, with a memory": lambda: Kind(_skills(), room),
        "states": lambda: Kind(DenseStudent(5, 2, True, StudentConfig(hidden=8)), Corridor),
        "camera": lambda: Kind(CameraStudent(20, 22, 2, 2, StudentConfig(hidden=8)), Lamps),
        "memory": lambda: Kind(DenseStudent(1, 2, config=StudentConfig(hidden=8, recurrent=True)), Recall),
    }
    found = kinds[name]()
    with torch.no_grad():
        for parameter in found.student.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return found


def _skills() -> GridStudent:
    tasks = OptionTasks(SerialTasks([partial(make_task, "SimpleDoorKey")]))
    return GridStudent(10, 10, num_actions(tasks.action_space), StudentConfig(hidden=16, recurrent=True), masked=True)


def saved(name: str, folder: Path) -> Kind:
    """The student, written to a folder."""
    found = kind(name)
    turns = ["turn left", "turn right", "go", "take", "drop", "use", "stop"]
    about = {"task": "SimpleDoorKey", "actions": turns, "acting": "no_repeat"} if name == "grid" else None
    save_student(found.student, folder, about=about)
    return found
