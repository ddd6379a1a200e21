"""Builds the components of runs that train policies and action values: tasks, student, teacher, model and algorithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

from wean.agents.policy import Policy
from wean.agents.references import PriorPolicy, RandomSkillsPolicy, TeacherPolicy
from wean.algorithms.algorithm import Given
from wean.algorithms.rewards import ActionRating, RewardTerm, SubgoalReward
from wean.data.demonstrations import Demonstrations, read_demonstrations
from wean.errors import UsageError
from wean.evaluation.evaluate import seed_cases
from wean.evaluation.playing import Observer, play
from wean.experiment.components import Resources, RLComponents
from wean.experiment.settings import RunConfig, from_yaml
from wean.files import read_text
from wean.llm import open_model
from wean.llm.model import LanguageModel
from wean.students.action_values import ActionValues, TableValues, TextValues
from wean.students.saving import make_student
from wean.students.student import Student, check_student
from wean.tasks.options import OptionTasks
from wean.tasks.registration import RECORDINGS, bare_name, check_named_in_file, make_task, short_name
from wean.tasks.situation import Situation
from wean.tasks.vector import MakeTask, SerialTasks, ShownTasks, Tasks
from wean.teachers.elicitation import rate
from wean.teachers.gated_teacher import GatedTeacher
from wean.teachers.priors import Prior
from wean.teachers.subgoal_tasks import SubgoalTasks
from wean.teachers.teacher import Teacher

_JUDGES = 100  # episodes of an evaluation that are played side by side
_TRIED, _MOVES = 4, 50  # episodes, and the first moves of each, in which a recording is tried before a run


def build(config: RunConfig, resources: Resources | None = None) -> RLComponents:
    """Builds the components of a run.

    Raises:
        UsageError: The settings name something that does not exist or does not fit the task.
    """
    resources = resources or Resources()
    learner, settings = config.method.learner, config.algorithm
    make = resources.make or partial(make_task, config.task)
    source: Any = resources.teacher
    named = source is None and config.model is not None and resources.answers is None
    if source is None and config.model:
        source = open_model(
            config.model,
            ledger=resources.ledger,
            strict=resources.strict,
            budget=resources.budget,
            **config.options,
        )
    elif config.options:
        raise UsageError("options are for a language model that is opened by its name; give them to what you opened")
    prior = teacher = asking = None
    if source is not None and settings.guidance == "prior":
        prior = source if isinstance(source, Prior) else Prior(source, config.prior, config.seed)
        if resources.answers:
            prior.restore(dict(resources.answers))
    elif source is not None and config.rewards.term != "judge":  # a model that rates actions is not asked for plans
        teacher = source if isinstance(source, Teacher) else Teacher(source, config.advice, config.seed)
        asking = GatedTeacher(teacher)
        if resources.answers and config.student.goal != "none":
            asking.restore(dict(resources.answers))  # the first observations show sub-goals
    guide = teacher or prior
    model = guide.model if guide else source
    term = make_term(config, model, asking)
    view = partial(view_of, config, teacher)
    played = SerialTasks([make] * settings.num_envs)
    tasks = view(played, learning=True, asking=asking)
    if settings.guidance == "prior":
        _check_choices(config.task, tasks)
    if named and str(config.model).startswith("recorded:"):
        check_recording(config, make)
    elif named and learner.needs.view is None and config.advice.asks_everywhere:
        _check_answers(config, source, make)
    student = resources.student
    if student is None:
        student = make_values(config, tasks) if learner.needs.values else make_network(config, tasks)
    elif not learner.needs.values:
        check_student(student, tasks.observation_space, tasks.action_space, saved=True)
    demonstrations = _demonstrations(config, resources.make) if learner.needs.demonstrations else None
    algorithm = learner.make(Given(settings, student, tasks, asking or prior, demonstrations, term, config.seed))
    judging = min(_JUDGES, config.evaluation.episodes)
    judges = view(SerialTasks([make] * judging))
    return RLComponents(
        config,
        make,
        tasks,
        judges,
        view,
        student,
        algorithm,
        guide,
        asking,
        model,
        played.reward_threshold,
        term,
        keeps_model=resources.teacher is not None,
        watch=resources.watch,
    )


class _Moments(Observer):
    """Keeps the situation of every moment."""

    def __init__(self) -> None:
        self.situations: list[Situation] = []

    def before(self, tasks: Tasks, which: Sequence[int]) -> None:
        """See `Observer.before`."""
        self.situations += tasks.situations(which)


def check_recording(config: RunConfig, make: MakeTask) -> None:
    """Checks that recorded answers answer in half of the moments of a few episodes that they decide themselves.

    Raises:
        UsageError: They do not: the student would learn without a teacher, and nobody would notice.
    """
    model, told = str(config.model), RECORDINGS.get(config.task, "")
    lacking, moments = _unanswered(config, model, make)
    if _answers_half(lacking, moments):
        return
    what = "rating" if config.rewards.term == "judge" else "prior" if config.algorithm.guidance == "prior" else "plan"
    if told not in ("", model) and _answers_half(*_unanswered(config, told, make)):
        remedy = f"name {told} with --model"
    elif what == "plan":
        remedy = f"answer the questions that `wean ask {config.task} --model {model} --unanswered FILE` writes"
    else:
        remedy = "name a model that can be asked with --model, e.g. openai:NAME"
    raise UsageError(f"{model} has no {what} in {lacking} of the first {moments} moments of {config.task}; {remedy}")


def _check_answers(config: RunConfig, model: LanguageModel, make: MakeTask) -> None:
    """Checks that a model that is asked live answers in half of the first moments of a few training episodes.

    Training asks there first: what is answered now is not asked again. With a budget of nothing there is no answer to
    judge by.

    Raises:
        UsageError: It does not.
    """
    tasks, every = SerialTasks([make] * _TRIED), range(_TRIED)
    try:
        tasks.reset(every, list(every))
        found = _asked(config, model)[1](tasks.situations(every))
    finally:
        tasks.close()
    if (model.counts.asked or model.counts.replayed) and not _answers_half(found.count(False), len(found)):
        raise UsageError(
            f"{model.name} gave nothing that can be used in {found.count(False)} of the first {len(found)} moments of "
            f"{config.task}; read its answers with `wean ask {config.task} --model {config.model}`, or name another "
            "model with --model"
        )


def _answers_half(lacking: int, moments: int) -> bool:
    return 2 * lacking <= moments


def _unanswered(config: RunConfig, name: str, make: MakeTask) -> tuple[int, int]:
    """In how many moments of a few episodes a recording has no answer, and the number of moments."""
    noted = _Moments()
    with open_model(name) as model:
        policy, answers = _asked(config, model)
        tasks = SerialTasks([make] * _TRIED)
        try:
            for _ in play(policy, tasks, seed_cases("", _TRIED, 0), max_moves=_MOVES, observers=[noted]):
                pass
            found = answers(noted.situations)
        except UsageError:  # a prior gives up where nothing is proposed at all
            if model.counts.unanswered < model.counts.distinct:
                raise
            found = [False] * len(noted.situations)
        finally:
            tasks.close()
    return found.count(False), len(found)


def _asked(config: RunConfig, model: LanguageModel) -> tuple[Policy, Callable[[Sequence[Situation]], list[bool]]]:
    """Who follows a model's answers, and a function that says in which situations there is one that can be read."""
    if config.rewards.term == "judge":
        ask = partial(rate, model, temperature=config.advice.temperature)
        return RandomSkillsPolicy(), lambda situations: [bool(one.answer) for one in ask(situations)]
    if config.algorithm.guidance == "prior":
        prior = Prior(model, config.prior, config.seed)
        return PriorPolicy(prior), lambda situations: [bool(one.weights.any()) for one in prior.propose(situations)]
    teacher = Teacher(model, config.advice, config.seed)
    return TeacherPolicy(teacher), lambda situations: [bool(one.plans) for one in teacher.advise(situations)]


def view_of(
    config: RunConfig,
    teacher: Teacher | None,
    tasks: SerialTasks,
    learning: bool = False,
    asking: GatedTeacher | None = None,
) -> ShownTasks:
    """The tasks as the student of a run sees them.

    Args:
        config: The run's settings.
        teacher: Its teacher, if it has one.
        tasks: The tasks.
        learning: Subtracts the price of questions from the rewards; otherwise returns are the task's own.
        asking: The gated teacher of the learning student, which counts questions; evaluations have none.

    Raises:
        UsageError: The student cannot see these tasks.
    """
    own_view = config.method.learner.needs.view
    if own_view is None:
        if config.student.goal != "none":
            return _with_goals(config, asking or teacher, tasks)
        return OptionTasks(tasks) if config.student.chooses == "skills" else tasks
    if config.student.chooses != "actions" or config.student.goal != "none" or config.rewards.term != "none":
        raise UsageError(
            f"{config.method.name} chooses when to ask, at a price; leave student.chooses and rewards.* alone, and "
            "student.goal"
        )
    if not config.advice.asks_everywhere:
        raise UsageError(
            f"{config.method.name} learns itself when to ask; set cost.*, and leave the advice's rules and caps alone"
        )
    if teacher is None:
        raise UsageError(f"{config.method.name} needs a language model to ask; name one with --model")
    shown: ShownTasks = own_view(config.algorithm, tasks, teacher, learning)
    return shown


def _with_goals(config: RunConfig, teacher: Teacher | GatedTeacher | None, tasks: SerialTasks) -> SubgoalTasks:
    """The tasks with sub-goals in the observations.

    Raises:
        UsageError: No teacher makes plans, or the student sees or chooses something else.
    """
    if teacher is None:
        raise UsageError(
            f"{config.method.name} asks no language model for plans, so there are no sub-goals to see; take a method "
            "that does (e.g. beacons), or student.goal=none"
        )
    if config.student.chooses != "actions":
        raise UsageError("a student that chooses skills sees no sub-goals; leave student.goal or student.chooses out")
    if not config.advice.asks_everywhere:
        raise UsageError(
            "a student that sees sub-goals needs plans at every moment; leave the advice's rules and caps alone"
        )
    return SubgoalTasks(tasks, teacher.advise, "position" if config.student.goal == "position" else "words")


def seen_by_run(folder: str | Path, make: MakeTask | None = None, model: str | None = None) -> ShownTasks:
    """One task as the student of a finished run sees it, with the language model that it asks, if any.

    Args:
        folder: The run folder.
        make: Makes the task; by default the run's own.
        model: The language model; by default the run's own.

    Raises:
        UsageError: The folder holds no run, names code of a module, or its student cannot see this task.
    """
    config = read_config(Path(folder))
    teacher = None
    if asks_at_work(config):
        if model is None:
            opened = open_model(config.model or "", named_in=Path(folder) / "config.yaml", **config.options)
        else:
            opened = open_model(model)
        teacher = Teacher(opened, config.advice, config.seed)
    if make is None:
        make = partial(make_task, task_at_work(config, folder))
    return view_of(config, teacher, SerialTasks([make]))


def task_at_work(config: RunConfig, folder: str | Path, named: str | None = None) -> str:
    """The task that the student of a run plays: the one that the user named, else the run's own.

    Raises:
        UsageError: There is none, or the run's own is code of a module or was made in Python.
    """
    if named is not None:
        return short_name(named)
    python = f", or give the function that makes it to wean.evaluate({str(folder)!r}, make)"
    check_named_in_file(config.task, str(folder), python)
    try:
        return short_name(config.task)
    except UsageError:
        module, _, function = config.task.rpartition(".")
        if not module:
            raise
        path = f"{module}:{function}" if importable(config.task) else "NAME"
        raise UsageError(
            f"the task of {folder} was made in Python by {config.task}; name one with --task {path}{python}"
        ) from None


def importable(name: str) -> bool:
    """Whether the qualified name of a function leads to it in another process."""
    return "<" not in name and not name.startswith("__main__.")


def read_config(folder: Path) -> RunConfig:
    """The settings of a run.

    Raises:
        UsageError: If the folder holds no run.
    """
    try:
        return from_yaml(read_text(folder / "config.yaml", "copy the run anew"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} is no run folder; name one that `wean train` wrote") from None


def asks_at_work(config: RunConfig) -> bool:
    """Whether the student of a run needs its language model when it acts."""
    return config.method.learner.needs.view is not None or config.student.goal != "none"


def _demonstrations(config: RunConfig, make: MakeTask | None) -> Demonstrations:
    """Reads the file that an offline method learns from.

    Raises:
        UsageError: If no file is named, it holds no demonstrations, or those of another task.
    """
    data = config.algorithm.data
    if not data:
        raise UsageError("no demonstrations to learn from; write some with `wean demos` and name them with data=FILE")
    found = read_demonstrations(Path(data))
    if make is None and config.task not in (found.task, bare_name(found.task)):
        raise UsageError(f"{data} is of {found.task} and not of {config.task}; leave the task out, or name its own")
    return found


def make_network(config: RunConfig, tasks: ShownTasks) -> Student:
    """Makes the student that acts on the tasks' observations."""
    return make_student(tasks.observation_space, tasks.action_space, config.student, tasks.observation)


def make_values(config: RunConfig, tasks: ShownTasks) -> ActionValues:
    """Makes the student of action values that the settings name.

    Raises:
        UsageError: If a table is wanted for a task whose actions are not numbered.
    """
    temperature = getattr(config.algorithm, "temperature", 0.0)
    if config.student.values == "text":
        return TextValues(config.student.encoder, hidden=config.student.hidden, temperature=temperature)
    if not isinstance(tasks.action_space, gym.spaces.Discrete):
        raise UsageError(f"{config.task} has no numbered actions for a table; use student.values=text")
    return TableValues(int(tasks.action_space.n), temperature=temperature)


def _check_choices(task: str, tasks: ShownTasks) -> None:
    """Checks that a situation's choices are the task's numbered actions: values and priors are of the choices."""
    if not isinstance(tasks.action_space, gym.spaces.Discrete):
        return
    tasks.reset([0], [0])
    choices = tasks.situations([0])[0].choices
    found = tasks.first_actions([0], [[(choice,) for choice in choices]])[0]
    if found != list(range(int(tasks.action_space.n))):
        raise UsageError(
            f"the choices of {task} are skills and not its actions; take a method that follows plans, e.g. llm4teach"
        )


def make_term(config: RunConfig, model: LanguageModel | None, asking: GatedTeacher | None) -> RewardTerm | None:
    """Makes the reward term that the settings name.

    Raises:
        UsageError: If there is nobody to ask, or the algorithm has no use for rewards.
    """
    term = config.rewards.term
    if term == "none":
        return None
    if not config.method.learner.needs.rewards:
        raise UsageError(f"{config.method.name} learns from labels, not from rewards; leave rewards.term out")
    if term == "judge" and model is not None:
        return ActionRating(partial(rate, model, temperature=config.advice.temperature))
    if asking is None:
        raise UsageError(f"{config.method.name} asks no language model; take the method beacons or lmgt")
    return SubgoalReward(asking.advise)
