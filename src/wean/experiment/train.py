"""Training and loading from Python: what `wean.train` and `wean.load` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from wean.agents.policy import Policy, load_policy
from wean.agents.text_student import TextStudentPolicy
from wean.errors import UsageError
from wean.experiment.build import read_config
from wean.experiment.presets import Method, find_method
from wean.experiment.runner import Progress, Runner, default_folder
from wean.experiment.settings import resolve
from wean.llm import Budget, Ledger
from wean.llm.model import LanguageModel
from wean.students.no_repeat import Acting
from wean.students.text.student import is_text_student, load_ensemble
from wean.tasks.registration import short_name
from wean.tasks.vector import MakeTask
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: The run folder.
        summary: What came of it, as in `summary.json` (`wean-run/2`).
    """

    folder: Path
    summary: Mapping[str, Any]

    def policy(self, acting: Acting | None = None) -> Policy:
        """The trained student at work; by default it acts as the run ships it."""
        return load(self.folder, acting)


def train(
    method: str | Method,
    make: str | MakeTask | None = None,
    *,
    teacher: Any = None,
    student: nn.Module | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int = 1,
    total_timesteps: int | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    strict: bool = False,
    **settings: Any,
) -> Run:
    """Trains a student and writes a run folder with it, its scores and a report.

    ```python
    run = train("ppo", "FrozenLake4x4", total_timesteps=20_000, out="runs/lake", evaluation={"episodes": 100})
    policy = run.policy()
    ```

    Args:
        method: A preset, or its name (`wean list methods`).
        make: Name of the task, or a function that makes it; the preset's own task by default.
        teacher: Instead of the preset's: the name of a language model, `{text: {choice: probability}}`, a function from
            situations to advice, a `Teacher`, or for methods with a prior a `Prior`.
        student: A module to train that keeps the contract of `wean.students.student.Student`, or settings of the
            student, as fields of `StudentConfig`.
        out: The run folder; `runs/METHOD-TASK-SEED` by default.
        seed: Seeds the student's first weights, its actions and its episodes.
        total_timesteps: Environment steps to train for; the preset's by default.
        resume: Continues what is in `out`; returns a finished run as it is.
        progress: Called after every update.
        say: Called with what a person should be told.
        ledger: Where answers are kept; the user's ledger by default.
        budget: Limits on what is asked live.
        strict: A question that recorded answers lack is an error instead of "no advice".
        **settings: Fields of the algorithm's settings (`gamma=0.99`), and sections as mappings or as config objects
            (`advice={"mode": "argmax"}`); `wean list settings METHOD` shows them.

    Raises:
        UsageError: If a name, setting or argument is wrong.
        WeanError: If training fails or is stopped; `resume=True` goes on.
    """
    preset = find_method(method)
    if total_timesteps is not None:
        settings["total_timesteps"] = total_timesteps
    if isinstance(student, Mapping):
        settings["student"], student = student, None
    model, source = _teacher(preset, teacher)
    task: str | None = None
    maker: MakeTask | None = None
    if isinstance(make, str):
        task = short_name(make)
    elif make is not None:
        task, maker = _name(make), make
    config = resolve(preset, task, model, seed, **settings)
    folder = Path(out) if out is not None else default_folder(config)
    runner = Runner(
        config,
        folder,
        resume=resume,
        progress=progress,
        say=say,
        make=maker,
        teacher=source,
        student=student,
        ledger=ledger,
        budget=budget,
        strict=strict,
    )
    return Run(folder, runner.run())


def load(path: str | Path, acting: Acting | None = None) -> Policy:
    """Loads a trained student as a policy.

    Args:
        path: A run folder, or a student's folder.
        acting: How it acts; as its run ships it by default.

    Raises:
        UsageError: If the student cannot act so, or needs more than its folder.
        WeanError: If there is no student, or it is damaged.
    """
    folder = Path(path)
    student = folder / "student" if (folder / "config.yaml").exists() else folder
    if is_text_student(student):
        return TextStudentPolicy(load_ensemble([student]))
    if acting is None and (student.parent / "config.yaml").exists():
        acting = read_config(student.parent).evaluation.acting
    return load_policy(student, acting)


def _teacher(preset: Method, teacher: Any) -> tuple[str | None, Any]:
    """What the settings call a teacher, and the object that answers where it is no language model's name."""
    if teacher is not None and not preset.teaches:
        raise UsageError(f"{preset.name} asks no teacher; leave teacher out, or take a method that does")
    if teacher is None or isinstance(teacher, str):
        return teacher, None
    if isinstance(teacher, Teacher | Prior | LanguageModel):
        model = teacher if isinstance(teacher, LanguageModel) else teacher.model
        return (model.name if model else type(teacher).__name__), teacher
    return "dict" if isinstance(teacher, Mapping) else _name(teacher), teacher


def _name(function: Any) -> str:
    """What a function is called in settings and reports: its module and its own name."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return f"{function.__module__}.{function.__qualname__}"
