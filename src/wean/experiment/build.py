"""What a run is made of: tasks, student, teacher, model and algorithm, put together from its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

from wean.agents.policy import (
    Policy,
    PriorPolicy,
    RandomSkillsPolicy,
    TeacherPolicy,
    ValuesPolicy,
    policy_of,
)
from wean.algorithms.algorithm import Algorithm
from wean.algorithms.cql import CQL, CQLConfig
from wean.algorithms.dqn import DQN, DQNConfig
from wean.algorithms.finetune import FinetuneConfig
from wean.algorithms.imitation import Imitation, ImitationConfig
from wean.algorithms.offline import Cloning, CloningConfig, OfflineConfig
from wean.algorithms.ppo import PPO, PPOConfig
from wean.algorithms.rewards import ActionRating, RewardTerm, SubgoalReward
from wean.algorithms.when2ask import When2Ask, When2AskConfig
from wean.data.demonstrations import Demonstrations, read_demonstrations
from wean.errors import UsageError
from wean.experiment.settings import RunConfig, from_yaml
from wean.llm import Budget, Ledger, open_model
from wean.llm.model import LanguageModel
from wean.students.action_values import ActionValues, TableValues
from wean.students.no_repeat import Acting
from wean.students.saving import make_student
from wean.students.student import Student
from wean.students.text_values import TextValues
from wean.tasks.registration import make_task, task_id
from wean.tasks.vector import SerialTasks, ShownTasks, num_actions
from wean.tasks.wrappers.options import OptionTasks
from wean.teachers.ask_or_act import AskOrAct
from wean.teachers.elicitation import rate
from wean.teachers.gated_teacher import GatedTeacher
from wean.teachers.priors import Prior
from wean.teachers.subgoal_tasks import SubgoalTasks
from wean.teachers.teacher import Teacher

MakeTask = Callable[[], gym.Env[Any, Any]]
_NO_LLM = {"model": None, "asked": 0, "replayed": 0, "distinct": 0, "unanswered": 0, "tokens": 0, "cost_usd": 0.0}
_JUDGES = 100  # episodes of an evaluation that are played side by side


@dataclass
class Components:
    """The parts of one run.

    Attributes:
        tasks: Where the algorithm plays.
        judges: Where evaluations play.
        view: Shows tasks as the student sees them, e.g. those that are recorded for the report.
        student: What is trained.
        algorithm: What trains it.
        teacher: Who guides it, if anybody.
        asking: The same, asked only where the settings say: the algorithm's guide.
        model: The teacher's language model, if it has one.
        success_return: The return from which an episode counts as success; None counts every positive one.
        term: What rewards beside the environment, if anything.
    """

    tasks: ShownTasks
    judges: ShownTasks
    view: Callable[[SerialTasks], ShownTasks]
    student: Student | ActionValues
    algorithm: Algorithm
    teacher: Teacher | Prior | None
    asking: GatedTeacher | None
    model: LanguageModel | None
    success_return: float | None
    term: RewardTerm | None = None

    @property
    def guide(self) -> GatedTeacher | Prior | None:
        """Who guides the algorithm: the teacher, where the settings say, or the prior."""
        return self.asking or (self.teacher if isinstance(self.teacher, Prior) else None)

    def policy(self, acting: Acting) -> Policy:
        """The student at work, as it is judged and shipped.

        Raises:
            UsageError: A student of action values cannot act so.
        """
        return policy_of(self.student, acting)

    def references(self) -> dict[str, Policy]:
        """Who else plays the final episodes: the teacher alone, and what is left when one thing is taken away."""
        if self.teacher is None:
            return {}
        if not isinstance(self.teacher, Prior):
            actions = num_actions(self.tasks.action_space)
            return {"teacher": TeacherPolicy(self.teacher, actions), "random-skills": RandomSkillsPolicy(actions)}
        alone: dict[str, Policy] = {"teacher": PriorPolicy(self.teacher)}
        if isinstance(self.student, ActionValues):
            alone["without-prior"] = ValuesPolicy(self.student, greedy=True, use_prior=False)
        return alone

    def close(self) -> None:
        """Ends the tasks and lets go of the model."""
        self.tasks.close()
        self.judges.close()
        if self.model is not None:
            self.model.close()


def build(
    config: RunConfig,
    make: MakeTask | None = None,
    ledger: Ledger | None = None,
    strict: bool = False,
    budget: Budget | None = None,
    answers: Mapping[str, Any] | None = None,
) -> Components:
    """Puts the parts of a run together.

    Args:
        config: The settings.
        make: Makes one task; by default the registered one that the settings name.
        ledger: Where answers are kept; the user's ledger by default.
        strict: A question that recorded answers lack is an error instead of "no advice".
        budget: Limits on what is asked live.
        answers: The state of prior or teacher from before the run was broken off; it is not asked that again.

    Raises:
        UsageError: If the settings name something that does not exist or does not fit the task.
    """
    assert not isinstance(config.algorithm, FinetuneConfig), "text students are trained by wean.experiment.finetuning"
    make = make or partial(make_task, config.task)
    model = open_model(config.model, ledger=ledger, strict=strict, budget=budget) if config.model else None
    judged = config.rewards.term == "judge"  # who rates actions is not asked for plans
    view = partial(view_of, config, None)
    prior = teacher = asking = None
    valued = isinstance(config.algorithm, DQNConfig | OfflineConfig)
    by_prior = valued or (isinstance(config.algorithm, PPOConfig) and config.algorithm.guidance == "prior")
    if model and by_prior:
        prior = Prior(model, config.prior, config.seed)
        if answers:
            prior.restore(answers)
    elif model and not judged:
        teacher = Teacher(model, config.advice, config.seed)
        asking = GatedTeacher(teacher)
        if answers and config.student.goal != "none":
            asking.restore(dict(answers))  # the first observations show sub-goals
        view = partial(view_of, config, teacher)
    term = make_term(config, model, asking)
    tasks = view(SerialTasks([make] * config.algorithm.num_envs), priced=True, asking=asking)
    if by_prior:
        _check_choices(config.task, tasks)
    student = make_values(config, tasks) if valued else make_network(config, tasks)
    algorithm: Algorithm
    match config.algorithm, student:
        case DQNConfig() as settings, ActionValues():
            algorithm = DQN(student, tasks, settings, prior, config.seed)
        case CQLConfig() as settings, ActionValues():
            algorithm = CQL(student, _demonstrations(settings), settings, prior, config.seed)
        case CloningConfig() as settings, ActionValues():
            algorithm = Cloning(student, _demonstrations(settings), settings, config.seed)
        case When2AskConfig() as settings, Student():
            assert isinstance(tasks, AskOrAct)
            algorithm = When2Ask(student, tasks, settings, config.seed)
        case ImitationConfig() as settings, Student():
            algorithm = Imitation(student, tasks, settings, asking, config.seed)
        case PPOConfig() as settings, Student():
            algorithm = PPO(student, tasks, settings, asking or prior, config.seed, term=term)
    judging = min(_JUDGES, max(config.evaluation.episodes, config.evaluation.curve_episodes))
    judges = view(SerialTasks([make] * judging))
    threshold = success_return(config.task) if registered(config.task) else None
    return Components(tasks, judges, view, student, algorithm, teacher or prior, asking, model, threshold, term)


def view_of(
    config: RunConfig,
    teacher: Teacher | None,
    tasks: SerialTasks,
    priced: bool = False,
    asking: GatedTeacher | None = None,
) -> ShownTasks:
    """Shows tasks as the student of a run sees them.

    Args:
        config: The run's settings.
        teacher: Its teacher, if it has one.
        tasks: The tasks.
        priced: Takes the price of questions off the rewards, for learning; otherwise returns are the task's own.
        asking: The teacher of the learning student, which counts what sub-goals are asked for; evaluations have none.

    Raises:
        UsageError: If the student cannot see these tasks.
    """
    if isinstance(config.algorithm, When2AskConfig):
        if config.student.chooses != "actions" or config.student.goal != "none" or config.rewards.term != "none":
            raise UsageError(
                "when2ask chooses when to ask, at a price; leave student.chooses and rewards.* alone, and student.goal"
            )
        if not config.advice.asks_everywhere:
            raise UsageError(
                "when2ask learns itself when to ask; set cost.*, and leave the advice's rules and caps alone"
            )
        assert teacher is not None, "the preset names a model"
        return AskOrAct(
            tasks, teacher, config.algorithm.cost if priced else None, config.algorithm.sees, config.algorithm.waits
        )
    if config.student.goal != "none":
        return _with_goals(config, asking or teacher, tasks)
    return OptionTasks(tasks) if config.student.chooses == "skills" else tasks


def _with_goals(config: RunConfig, teacher: Teacher | GatedTeacher | None, tasks: SerialTasks) -> SubgoalTasks:
    """Shows tasks to a student that sees its sub-goal.

    Raises:
        UsageError: If there is nobody who makes plans, or the student sees or chooses something else.
    """
    if teacher is None:
        raise UsageError(
            f"{config.method} asks no language model for plans, so there are no sub-goals to see; take a method that "
            "does (e.g. beacons), or student.goal=none"
        )
    if config.student.chooses != "actions":
        raise UsageError("who chooses skills sees no sub-goals; leave student.goal or student.chooses out")
    if not config.advice.asks_everywhere:
        raise UsageError("who sees sub-goals needs plans at every moment; leave the advice's rules and caps alone")
    return SubgoalTasks(tasks, teacher.advise, "position" if config.student.goal == "position" else "words")


def seen_by_run(folder: str | Path, make: MakeTask | None = None) -> ShownTasks:
    """One task as the student of a finished run sees it, with the language model that it asks, if it is one that asks.

    Args:
        folder: The run folder.
        make: Makes the task; by default the run's own.

    Raises:
        UsageError: If the folder holds no run, or its student cannot see this task.
    """
    try:
        config = from_yaml((Path(folder) / "config.yaml").read_text())
    except OSError:
        raise UsageError(f"{folder} is no run folder; name one that `wean train` wrote") from None
    asks = asks_at_work(config)
    teacher = Teacher(config.model or "", config.advice, config.seed) if asks else None
    return view_of(config, teacher, SerialTasks([make or partial(make_task, config.task)]))


def asks_at_work(config: RunConfig) -> bool:
    """Whether the student of a run needs its language model when it acts, too."""
    return isinstance(config.algorithm, When2AskConfig) or config.student.goal != "none"


def _demonstrations(config: OfflineConfig) -> Demonstrations:
    """Reads the file that an offline method learns from.

    Raises:
        UsageError: If no file is named, or it holds no demonstrations.
    """
    if not config.data:
        raise UsageError("no demonstrations to learn from; write some with `wean demos` and name them with data=FILE")
    return read_demonstrations(Path(config.data))


def make_network(config: RunConfig, tasks: ShownTasks) -> Student:
    """Makes the student that acts on the tasks' observations, as the settings say."""
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
    """Values and priors are of the situation's choices: they must be what the task's numbered actions are."""
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
    if not isinstance(config.algorithm, PPOConfig):
        raise UsageError(f"{config.method} learns from labels, not from rewards; leave rewards.term out")
    if model is None:
        raise UsageError(f"{config.method} asks no language model; take the method beacons or lmgt")
    if term == "judge":
        return ActionRating(partial(rate, model, temperature=config.advice.temperature))
    assert asking is not None
    return SubgoalReward(asking.advise)


def llm_counts(model: LanguageModel | None) -> dict[str, Any]:
    """What was asked of a model so far, as summaries and evaluations write it."""
    return dict(_NO_LLM) if model is None else {"model": model.name, **dataclasses.asdict(model.counts)}


def success_return(task: str) -> float | None:
    """The return from which an episode counts as success: Gymnasium's `reward_threshold`; None for "positive"."""
    spec = make_task(task).spec
    return None if spec is None else spec.reward_threshold


def registered(task: str) -> bool:
    """Whether a task can be made by its name; one that the caller makes need not be."""
    try:
        task_id(task)
    except UsageError:
        return False
    return True
