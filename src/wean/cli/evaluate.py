"""`wean eval`: plays held-out episodes with a run's student, the teacher, or a reference."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from wean.agents.policy import Policy
    from wean.experiment.settings import AdviceConfig, RunConfig
    from wean.llm.model import LanguageModel
    from wean.students.no_repeat import Acting
    from wean.tasks.vector import SerialTasks, Tasks

_REFERENCES = ("random", "teacher", "random-skills", "expert", "explorer", "prior", "llm-agent")
_RECORDED = {"teacher": "recorded:doorkey", "llm-agent": "recorded:react"}


def evaluate(
    who: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, or random, random-skills, expert, explorer, teacher, prior, llm-agent, oracle.",
        ),
    ],
    task: Annotated[str | None, typer.Option(help="The task; a run's own by default.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's language model.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to play.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Reset seed of the first; held-out ones are 10000 and up.")] = 10_000,
    acting: Annotated[
        str | None, typer.Option(help="sampled, greedy or no_repeat; as the run ships it by default.")
    ] = None,
    mode: Annotated[str, typer.Option(help="The teacher's mode: soft, sampled or argmax.")] = "soft",
    elicitation: Annotated[str, typer.Option(help="How the teacher is asked: verbalized, samples, logprobs.")] = (
        "verbalized"
    ),
    temperature: Annotated[float | None, typer.Option(help="Its sampling temperature; its own by default.")] = None,
    history: Annotated[
        int, typer.Option(min=0, help="For llm-agent: last decisions that a question tells; in words 10 by default.")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a question that recorded answers lack.")] = False,
    support: Annotated[
        bool, typer.Option("--support", help="Of a prior: count where it leaves out every best action.")
    ] = False,
    split: Annotated[str, typer.Option(help="Of a task in words: train, dev or test.")] = "test",
    variations: Annotated[
        int | None, typer.Option(min=1, help="Plays a task in words: as many variations of each of its tasks.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Of ScienceWorld: these tasks, with commas between.")] = None,
    goals: Annotated[
        str, typer.Option(help="Who names sub-goals: student, oracle, random, random-first, random-things (of --data).")
    ] = "student",
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="RUN", help="Another seed's run of a student in words; they act together."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Demonstrations, for RUN=oracle and --goals.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="Their sub-goals.")] = None,
    max_moves: Annotated[int, typer.Option(min=1, help="Of an episode of a task in words.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Processes that play a task in words.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Where its episodes are kept; RUN/evaluations by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-eval/1).")] = False,
) -> None:
    """Play held-out episodes; prints success, return and length with 95 % intervals."""
    import json

    from rich.console import Console
    from rich.progress import Progress

    from wean.agents.policy import PriorPolicy
    from wean.agents.skill_react import AgentPolicy
    from wean.errors import UsageError
    from wean.evaluation.episodes import play, summarize
    from wean.evaluation.query_stats import query_stats_report
    from wean.experiment.build import llm_counts, success_return
    from wean.experiment.settings import advice_settings
    from wean.tasks.registration import make_task, short_name
    from wean.tasks.vector import SerialTasks
    from wean.teachers.ask_or_act import AskOrAct
    from wean.teachers.subgoal_tasks import SubgoalTasks

    if variations is not None or is_text_run(Path(who)):
        from wean.cli.evaluate_text import evaluate_text

        evaluate_text(
            who,
            text_task(who, task),
            split=split,
            variations=variations or 10,
            only=only,
            goals=goals,
            others=others or [],
            data=data,
            annotations=annotations,
            max_moves=max_moves,
            model=model,
            history=history,
            temperature=temperature,
            strict=strict,
            workers=workers,
            out=out,
            as_json=as_json,
        )
        return
    if others:
        raise UsageError(f"--with is for students in words; {who} is none")
    if acting not in (None, "sampled", "greedy", "no_repeat"):
        raise UsageError(f"--acting is sampled, greedy or no_repeat, not {acting!r}")
    if support and who != "prior":
        raise UsageError("--support is for a prior: wean eval prior --support")
    advice = advice_settings(mode=mode, elicitation=elicitation, temperature=temperature)
    config = None if who in _REFERENCES else run_config(Path(who))
    if task is None and config is None:
        raise UsageError(f"{who} plays no task of its own; name one with --task")
    name = short_name(task) if task else config.task  # type: ignore[union-attr]
    played = SerialTasks([partial(make_task, name)] * min(100, episodes))
    policy, tasks, asked = make_policy(who, config, model, acting, advice, strict, played, history, support)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("playing", total=episodes)
        threshold = success_return(name)
        found = play(policy, tasks, episodes, seed, threshold, lambda done: progress.update(bar, completed=done))
    result = summarize(found, name, policy.name, seed, llm_counts(asked))
    if isinstance(tasks, AskOrAct | SubgoalTasks):
        result["asking"] = query_stats_report([tasks.query_stats[seed + number] for number in range(episodes)])
    if isinstance(policy, AgentPolicy):
        result["asking"] = query_stats_report(policy.query_stats)
    if support and isinstance(policy, PriorPolicy):
        result["support"] = {"moments": policy.moments, "silent": policy.silent, "astray": policy.astray}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)


def is_text_run(folder: Path) -> bool:
    """Whether a run's student plays in words."""
    from wean.students.text.student import is_text_student

    return is_text_student(folder / "student")


def text_task(who: str, task: str | None) -> str:
    """The task in words that is played: the named one, or a run's own."""
    from wean.tasks.registration import short_name, task_names

    named = {name.lower(): name for name in task_names()}
    wanted = task or run_config(Path(who)).task
    return short_name(named.get(wanted.lower(), wanted))


def run_config(folder: Path) -> RunConfig:
    """Reads the settings of a run.

    Raises:
        UsageError: If the folder holds none.
    """
    from wean.errors import UsageError
    from wean.experiment.settings import from_yaml

    try:
        return from_yaml((folder / "config.yaml").read_text())
    except OSError:
        raise UsageError(
            f"{folder} is no run folder; name one that `wean train` wrote, or {', '.join(_REFERENCES)}"
        ) from None


def make_policy(
    who: str,
    config: RunConfig | None,
    model_name: str | None,
    acting: str | None,
    advice: AdviceConfig,
    strict: bool,
    tasks: SerialTasks,
    history: int = 0,
    support: bool = False,
) -> tuple[Policy, Tasks, LanguageModel | None]:
    """Makes the policy, the tasks as it sees them, and the model that it asks, if any."""
    if config is not None:
        return _student(Path(who), config, model_name, acting, strict, tasks)
    from wean.agents.experts import ExpertPolicy, ExplorerPolicy
    from wean.agents.policy import PriorPolicy, RandomPolicy, RandomSkillsPolicy, TeacherPolicy
    from wean.agents.skill_react import AgentPolicy
    from wean.errors import UsageError
    from wean.experiment.build import make_prior, make_teacher
    from wean.experiment.settings import PriorConfig
    from wean.llm import open_model

    if who == "expert":
        return ExpertPolicy(), tasks, None
    if who == "prior":
        if model_name is None:
            raise UsageError("name the prior's language model with --model, e.g. recorded:kitchen")
        settings = PriorConfig(elicitation=advice.elicitation, temperature=advice.temperature)
        asked = open_model(model_name, strict=strict)
        return PriorPolicy(make_prior(asked, settings), ExpertPolicy() if support else None), tasks, asked
    from wean.tasks.vector import num_actions

    actions = num_actions(tasks.action_space)
    if who == "explorer":
        return ExplorerPolicy(actions), tasks, None
    if who == "random":
        return RandomPolicy(actions), tasks, None
    if who == "random-skills":
        return RandomSkillsPolicy(actions), tasks, None
    model = open_model(model_name or _RECORDED[who], strict=strict)
    if who == "llm-agent":
        return AgentPolicy(model, actions, history, advice.temperature), tasks, model
    return TeacherPolicy(make_teacher(model, advice), actions), tasks, model


def _student(
    folder: Path, config: RunConfig, model_name: str | None, acting: str | None, strict: bool, played: SerialTasks
) -> tuple[Policy, Tasks, LanguageModel | None]:
    """Loads the student of a run, and opens the model that it asks, if it is one that asks."""
    from wean.agents.policy import policy_of
    from wean.errors import UsageError
    from wean.experiment.build import asks_at_work, make_teacher, view_of
    from wean.llm import open_model
    from wean.students.action_values import ActionValues
    from wean.students.saving import load_student
    from wean.tasks.vector import num_actions

    student, model = load_student(folder / "student"), None
    policy = policy_of(student, cast("Acting | None", acting) or config.evaluation.acting)
    if isinstance(student, ActionValues):
        return policy, played, None
    if asks_at_work(config):
        model = open_model(model_name or config.model or "", strict=strict)
    tasks = view_of(config, make_teacher(model, config.advice, config.seed) if model else None, played)
    actions = num_actions(tasks.action_space)
    if student.num_actions != actions:
        raise UsageError(f"the student of {folder} has {student.num_actions} actions, the task {actions}")
    return policy, tasks, model


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result['policy']} on {result['task']}", title_justify="left")
    for column in ("", "mean", "95 % interval"):
        table.add_column(column, justify="left" if not column else "right")
    for name, digits in (("success", 3), ("return", 3), ("length", 1)):
        value = result[name]
        table.add_row(name, f"{value['mean']:.{digits}f}", f"{value['low']:.{digits}f} to {value['high']:.{digits}f}")
    llm = result["llm"]
    console = Console()
    console.print(table)
    if "asking" in result:
        told = ", ".join(f"{value['mean']:,.2f} {name}" for name, value in result["asking"].items())
        console.print(f"In an episode: {told}.", highlight=False)
    if found := result.get("support"):
        console.print(
            f"In {found['astray']:,} of {found['moments']:,} moments every best action lay outside the prior's "
            f"support; in {found['silent']:,} it proposed nothing.",
            highlight=False,
        )
    console.print(
        f"{result['episodes']} episodes from seed {result['seed']}; {result['ms_per_action']:.3f} ms an action; "
        f"{llm['asked']} questions asked live, {llm['replayed']} replayed.",
        highlight=False,
    )
