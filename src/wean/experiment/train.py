"""Training, loading and evaluating from Python: `wean.train`, `wean.load` and `wean.evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from wean.agents.exported import load_exported
from wean.agents.policy import Policy, load_policy, policy_of
from wean.agents.reading import ReaderPolicy, reader_of
from wean.agents.references import PriorPolicy, TeacherPolicy
from wean.errors import UsageError, shown
from wean.evaluation.evaluate import evaluate as play_episodes
from wean.evaluation.scores import Scores
from wean.experiment.build import read_config
from wean.experiment.presets import Method, find_method
from wean.experiment.runner import Progress, Runner, default_folder
from wean.experiment.settings import resolve
from wean.files import is_exported
from wean.llm import Budget, Ledger
from wean.llm.model import LanguageModel
from wean.students.action_values import ActionValues
from wean.students.config import Acting
from wean.students.saving import shipped_acting
from wean.students.student import Student
from wean.students.text.student import is_text_student, load_text_student
from wean.tasks.registration import short_name
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import MakeTask
from wean.teachers.priors import Prior
from wean.teachers.teacher import Teacher


@dataclass(frozen=True)
class Run:
    """A finished run.

    Example:
        >>> few = {"episodes": 10, "curve_points": 2, "curve_episodes": 10}
        >>> run = train("ppo", "FrozenLake4x4", total_timesteps=2_048, out="runs/few", evaluation=few)
        >>> run.folder.name
        'few'

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
    log: str | Sequence[str] = "tensorboard",
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    strict: bool = False,
    **settings: Any,
) -> Run:
    """Trains a student and writes a run folder with it, its scores and a report.

    Example:
        >>> few = {"episodes": 10, "curve_points": 2, "curve_episodes": 10}
        >>> run = train("ppo", "FrozenLake4x4", total_timesteps=2_048, out="runs/lake", evaluation=few)
        >>> run.summary["env_steps"]
        2048

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
        log: Where metrics are shown beside `metrics.jsonl`: `tensorboard`, `wandb`, `trackio`, with commas or as a
            list.
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
        log=log,
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

    Example:
        >>> few = {"episodes": 10, "curve_points": 2, "curve_episodes": 10}
        >>> _ = train("ppo", "FrozenLake4x4", total_timesteps=2_048, out="runs/small", evaluation=few)
        >>> policy = load("runs/small")
        >>> policy.reset(seed=1)
        >>> policy.act(0) in range(4)
        True

    Args:
        path: A run folder, a student's folder, or one that `wean export` wrote.
        acting: How it acts; as its run ships it by default.

    Raises:
        UsageError: If the student cannot act so, or needs more than its folder.
        WeanError: If there is no student, or it is damaged.
    """
    folder = Path(path)
    student = folder / "student" if (folder / "config.yaml").exists() else folder
    if is_exported(student):
        return load_exported(student, acting)
    if is_text_student(student):
        return ReaderPolicy(reader_of(load_text_student(student)))
    if acting is None and shipped_acting(student) is None and (student.parent / "config.yaml").exists():
        acting = read_config(student.parent).evaluation.acting  # of a student of an earlier version
    return load_policy(student, acting)


def evaluate(
    policy: Policy | Student | ActionValues | Teacher | Prior | str | Path,
    make: str | MakeTask,
    episodes: int = 500,
    seed: int = FINAL_SEED,
    *,
    workers: int = 1,
    out: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    max_steps: int | None = None,
) -> Scores:
    """Plays held-out episodes and returns their scores.

    Example:
        >>> scores = evaluate("random", "FrozenLake4x4", episodes=20)
        >>> scores.lengths.low <= scores.lengths.mean <= scores.lengths.high
        True

    Args:
        policy: A policy; a student, a teacher or a prior, which acts alone; a run folder; or the name of a policy that
            needs nothing but the task: `random`, `random-skills`, `expert`, `explorer`.
        make: Name of the task, or a function that makes it.
        episodes: Number of episodes.
        seed: Reset seed of the first; 10,000 and up are wean's held-out seeds.
        workers: Number of processes; with more than one, `policy` and `make` must be picklable.
        out: JSONL file of finished episodes, from which a stopped evaluation goes on.
        progress: Called with the number of finished episodes.
        max_steps: Steps after which an episode is over; by default where the task ends it.

    Raises:
        UsageError: There is no such policy or task, an episode has no end, or `out` holds something else.
        WeanError: `out` cannot be written, or a process died.
    """
    file = None if out is None else Path(out)
    return play_episodes(
        _policy(policy), make, episodes, seed, workers=workers, out=file, progress=progress, max_steps=max_steps
    )


def _policy(policy: Any) -> Policy | str:
    """The policy that plays for a student, teacher, prior or run folder; policies and names as they are."""
    match policy:
        case Teacher():
            return TeacherPolicy(policy)
        case Prior():
            return PriorPolicy(policy)
        case Student() | ActionValues():
            return policy_of(policy, "sampled" if isinstance(policy, Student) else "greedy")
        case Path():
            return load(policy)
        case str() if Path(policy).is_dir():
            return load(policy)
        case str() | Policy():
            return policy
        case _:
            raise UsageError(f"{policy!r} is no policy; give a policy, a student, a teacher, a prior, or a run folder")


def _teacher(preset: Method, teacher: Any) -> tuple[str | None, Any]:
    """The teacher's name in the settings, and the object that answers unless that is a language model's name."""
    if teacher is not None and not preset.teaches:
        raise UsageError(f"{preset.name} asks no teacher; leave teacher out, or take a method that does")
    if teacher is None or isinstance(teacher, str):
        return teacher, None
    if isinstance(teacher, Teacher | Prior | LanguageModel):
        model = teacher if isinstance(teacher, LanguageModel) else teacher.model
        return (model.name if model else type(teacher).__name__), teacher
    return "dict" if isinstance(teacher, Mapping) else _name(teacher), teacher


def _name(function: Any) -> str:
    """The qualified name of a function, or of the class of what can be called, for settings and reports.

    Raises:
        UsageError: It cannot be called.
    """
    if not callable(function):
        raise UsageError(f"{shown(function)} is neither a name nor a function; give one of both")
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
