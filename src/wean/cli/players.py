"""The players of the command line: a run's student, a teacher, a prior, a language model, references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from wean.agents.subgoal_source import Drawn
    from wean.evaluation.evaluate import Player
    from wean.experiment.settings import RunConfig
    from wean.llm import LanguageModel
    from wean.runtime.reading import Planner
    from wean.students.config import Acting
    from wean.tasks.splits import Case
    from wean.tasks.vector import SerialTasks

_AGENT_MODEL = "recorded:react"


ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Of the language model: max_tokens, temperature, timeout, any_model, extra_body, price, ...",
    ),
]
ExecutorOption = Annotated[
    str, typer.Option("--executor", help="Where the workers are: processes of this machine, or ray: a Ray cluster.")
]
MaxCalls = Annotated[int | None, typer.Option(help="Budget: answers asked live; 0 asks nothing.")]
MaxTokens = Annotated[int | None, typer.Option(help="Budget: tokens read and written by live answers.")]
MaxDollars = Annotated[float | None, typer.Option(help="Budget: dollars for live answers.")]


@dataclass(frozen=True)
class Asking:
    """How a command's language model is asked."""

    model: str | None = None
    """Its name; what is asked decides on the default."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Its options."""
    strict: bool = False
    """Whether a question that recorded answers lack is an error."""
    calls: int | None = None
    """Budget: most answers."""
    tokens: int | None = None
    """Budget: most tokens."""
    dollars: float | None = None
    """Budget: most dollars."""

    def open(self, default: str, **options: Any) -> LanguageModel:
        """Opens the model, or `default` where none was named; `options` are of the default alone."""
        from wean.llm import Budget, open_model

        budget = Budget(calls=self.calls, tokens=self.tokens, dollars=self.dollars)
        chosen = {**({} if self.model else options), **self.options}
        return open_model(self.model or default, strict=self.strict, budget=budget, **chosen)


def asking(
    model: str | None,
    options: Sequence[str] | None = None,
    strict: bool = False,
    budget: tuple[int | None, int | None, float | None] = (None, None, None),
) -> Asking:
    """Reads how a command's language model is asked; the budget is of answers, tokens and dollars."""
    from wean.errors import UsageError
    from wean.llm.address import ModelName
    from wean.llm.options import read_options

    if model is not None and not model.strip():
        raise UsageError("--model is empty; name a language model, or leave it out")
    return Asking(None if model is None else ModelName(model), read_options(options or ()), strict, *budget)


@dataclass(frozen=True)
class Who:
    """A player as a command names it; picklable."""

    name: str
    """A run folder, or one of `REFERENCES`."""
    settings: tuple[str, ...] = ()
    """Settings as `key=value`, of a teacher or a prior."""
    asking: Asking = Asking()
    """How a language model is asked."""
    acting: Acting | None = None
    """How a run's student acts; as the run ships it by default."""
    history: int | None = None
    """For llm-agent: last decisions that a question tells."""
    support: bool = False
    """For prior: counts decisions in which it leaves out every best action."""
    others: tuple[str, ...] = ()
    """Further runs whose text students act together with the first."""
    goals: Mapping[tuple[str, int], tuple[str, ...]] | None = None
    """For each task and variation the sub-goals that a text student is given."""
    pool: tuple[str, ...] = ()
    """Sub-goals of which random ones are given to a text student."""
    drawn: Drawn | None = None
    """What is drawn of those."""
    actions: Mapping[tuple[str, int], tuple[str, ...]] | None = None
    """For oracle: the actions of each task and variation."""

    @property
    def students(self) -> list[Path]:
        """Folders of the students of a text student's runs."""
        return [Path(run) / "student" for run in (self.name, *self.others)]

    @property
    def plans_subgoals(self) -> bool:
        """Whether a text student has learnt to plan sub-goals."""
        from wean.students.text.student import load_ensemble

        return load_ensemble(self.students)[0].prompt.subgoals


class Kind(NamedTuple):
    """One kind of player.

    Attributes:
        make: Makes the player on given tasks.
        uses: Its options of `wean eval`, beside those of tasks and episodes.
        plays_words: Whether it plays the split of a text task by default, or nothing else.
    """

    make: Callable[[Who, SerialTasks], Player]
    uses: frozenset[str] = frozenset()
    plays_words: bool = False


def kind_of(who: str) -> Kind:
    """The kind of player that a name stands for."""
    from wean.files import about_exported, is_exported
    from wean.runtime.policy import READS
    from wean.students.text.student import is_text_student

    if who in REFERENCES:
        return REFERENCES[who]
    if is_exported(Path(who)):
        return EXPORTED_READER if about_exported(Path(who)).get("type") == READS else EXPORTED
    return TEXT_STUDENT if is_text_student(Path(who) / "student") else STUDENT


def open_player(who: Who, task: str, members: int) -> Player:
    """Makes a player on as many tasks as play side by side."""
    from functools import partial

    from wean.tasks.registration import make_task
    from wean.tasks.vector import SerialTasks

    return kind_of(who.name).make(who, SerialTasks([partial(make_task, task)] * members))


def run_config(folder: Path) -> RunConfig:
    """Reads the settings of a run.

    Raises:
        UsageError: If the folder holds none.
    """
    from wean.errors import UsageError
    from wean.experiment.build import read_config

    if not (folder / "config.yaml").exists():
        raise UsageError(f"{folder} is no run folder; name one that `wean train` wrote, or {', '.join(REFERENCES)}")
    return read_config(folder)


def _student(who: Who, tasks: SerialTasks) -> Player:
    """The student of a run, with its view of the tasks and the language model that it asks, if any."""
    from wean.agents.policy import policy_of
    from wean.errors import UsageError
    from wean.evaluation.evaluate import Player
    from wean.experiment.build import asks_at_work, view_of
    from wean.students.action_values import ActionValues
    from wean.students.saving import load_student
    from wean.tasks.vector import num_actions
    from wean.teachers.teacher import Teacher

    folder = Path(who.name)
    config = run_config(folder)
    student = load_student(folder / "student")
    policy = policy_of(student, who.acting or config.evaluation.acting)
    asks = asks_at_work(config)
    if who.asking != Asking() and not asks:
        raise UsageError(f"--model and its options are for what asks; the student of {folder} needs no language model")
    if isinstance(student, ActionValues):
        return Player(policy, tasks)
    model = who.asking.open(config.model or "", named_in=folder / "config.yaml", **config.options) if asks else None
    seen = view_of(config, Teacher(model, config.advice, config.seed) if model else None, tasks)
    actions = num_actions(seen.action_space)
    if student.num_actions != actions:
        raise UsageError(f"the student of {folder} has {student.num_actions} actions, the task {actions}")
    return Player(policy, seen, model)


def _exported(who: Who, tasks: SerialTasks) -> Player:
    """An exported student, by the code with which it acts where it was sent."""
    from wean.agents.exported import load_exported, view_of_exported
    from wean.evaluation.evaluate import Player

    folder = Path(who.name)
    return Player(load_exported(folder, who.acting), view_of_exported(folder, tasks))


def _text_student(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.reading import ReaderPolicy, reader_of
    from wean.agents.subgoal_source import drawing, given
    from wean.errors import UsageError
    from wean.evaluation.evaluate import Player
    from wean.students.text.student import load_ensemble

    def planner(case: Case) -> Planner | None:
        if who.goals is not None:
            goals = who.goals.get((case.task, case.variation))
            if goals is None:
                raise UsageError(f"no sub-goals are given for {case.task} {case.variation}; annotate its demonstration")
            return given(goals)
        return drawing(who.pool, who.drawn, case.variation) if who.drawn is not None else None

    first, *others = load_ensemble(who.students)
    return Player(ReaderPolicy(reader_of(first, others), planner), tasks)


def _reference(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.references import RandomTextPolicy, reference
    from wean.evaluation.evaluate import Player
    from wean.tasks.vector import has_numbered_actions

    in_words = who.name == RandomTextPolicy.name and not has_numbered_actions(tasks)
    return Player(RandomTextPolicy() if in_words else reference(who.name), tasks)


def _teacher(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.references import TeacherPolicy
    from wean.evaluation.evaluate import Player
    from wean.experiment.settings import read_section
    from wean.teachers.teacher import Teacher

    advice = read_section("advice", who.settings)
    model = who.asking.open(_model_of(who))
    return Player(TeacherPolicy(Teacher(model, advice)), tasks, model)


def with_model(who: Who, task: str) -> Who:
    """A teacher or a prior with what was recorded for the task, unless a model is named.

    Raises:
        UsageError: Nothing was recorded for the task, or it does not answer half of the moments.
    """
    from functools import partial

    from wean.experiment.build import check_recording
    from wean.experiment.settings import resolve
    from wean.tasks.registration import make_task

    if who.asking.model is not None or who.name not in _RECORDED:
        return who
    config = resolve(_RECORDED[who.name], task)
    check_recording(config, partial(make_task, task))
    return replace(who, asking=replace(who.asking, model=config.model))


def _model_of(who: Who) -> str:
    assert who.asking.model is not None, "see `with_model`"
    return who.asking.model


def _prior(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.references import ExpertPolicy, PriorPolicy
    from wean.evaluation.evaluate import Player
    from wean.experiment.settings import read_section
    from wean.teachers.priors import Prior

    settings = read_section("prior", who.settings)
    model = who.asking.open(_model_of(who))
    return Player(PriorPolicy(Prior(model, settings), ExpertPolicy() if who.support else None), tasks, model)


def _agent(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.react import ReactPolicy
    from wean.errors import UsageError
    from wean.evaluation.evaluate import Player
    from wean.experiment.settings import read_section
    from wean.tasks.registration import ROOMS, task_id

    advice: Any = read_section("advice", who.settings)
    if advice != type(advice)(temperature=advice.temperature):
        raise UsageError("of the settings llm-agent uses advice.temperature alone; leave the others out")
    if who.asking.model is None and tasks.name not in map(task_id, ROOMS):
        raise UsageError("name the language model with --model, e.g. openai:NAME or recorded:FILE")
    model = who.asking.open(_AGENT_MODEL)
    return Player(ReactPolicy(model, who.history, advice.temperature), tasks, model)


def _oracle(who: Who, tasks: SerialTasks) -> Player:
    from wean.agents.references import ReplayPolicy
    from wean.evaluation.evaluate import Player

    return Player(ReplayPolicy(who.actions or {}), tasks)


_RECORDED = {"teacher": "llm4teach", "prior": "ppo-prior"}
"""Who has recorded answers for some tasks, with a method that asks for the same."""
_ASKS = frozenset({"model", "strict", "option", "max-calls", "max-tokens", "max-dollars"})
STUDENT = Kind(_student, _ASKS | {"acting"})
EXPORTED = Kind(_exported, frozenset({"acting"}))
EXPORTED_READER = Kind(_exported, frozenset({"acting"}), plays_words=True)
TEXT_STUDENT = Kind(_text_student, frozenset({"with", "goals", "data", "annotations"}), plays_words=True)
REFERENCES: Mapping[str, Kind] = {
    "random": Kind(_reference, plays_words=True),
    "random-skills": Kind(_reference),
    "expert": Kind(_reference),
    "explorer": Kind(_reference),
    "teacher": Kind(_teacher, _ASKS | {"settings"}),
    "prior": Kind(_prior, _ASKS | {"settings", "support"}),
    "llm-agent": Kind(_agent, _ASKS | {"settings", "history"}, plays_words=True),
    "oracle": Kind(_oracle, frozenset({"data"}), plays_words=True),
}
