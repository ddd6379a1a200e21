"""`wean eval`: plays held-out episodes of any task with a run's student, the teacher, or a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from wean.cli.players import (
    EXPORTED_READER,
    REFERENCES,
    TEXT_STUDENT,
    ExecutorOption,
    Kind,
    MaxCalls,
    MaxDollars,
    MaxTokens,
    ModelOptions,
    Who,
    asking,
    kind_of,
    open_player,
    run_config,
    with_model,
)
from wean.cli.progress import showing

if TYPE_CHECKING:
    from wean.agents.subgoal_source import Drawn
    from wean.evaluation.evaluate import Plan
    from wean.evaluation.playing import Episode
    from wean.students.config import Acting
    from wean.tasks.splits import Case
    from wean.tasks.vector import SerialTasks

_ACTING = ("sampled", "greedy", "no_repeat")
_GOALS = ("student", "oracle", "random", "random-first", "random-things")
_EPISODES, _VARIATIONS, _MAX_MOVES, _SPLIT = 500, 10, 100, "test"
_FOR = {
    "settings": "teacher (advice.*), prior (prior.*) and llm-agent (advice.temperature)",
    "model": "what asks a language model",
    "strict": "what asks a language model",
    "option": "what asks a language model",
    "max-calls": "what asks a language model",
    "max-tokens": "what asks a language model",
    "max-dollars": "what asks a language model",
    "acting": "a run's student that takes numbered actions, and an exported one",
    "history": "llm-agent",
    "support": "a prior: wean eval prior --support",
    "with": "students in words",
    "goals": "students in words",
    "data": "oracle, and for students in words with --goals",
    "annotations": "students in words with --goals",
}
"""What each option is for that not everything can use."""


def evaluate(
    who: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, what `wean export` wrote, or random, random-skills, expert, explorer, teacher, prior, "
            "llm-agent, oracle.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of a teacher or prior, e.g. advice.mode=argmax, prior.k=3."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="The task; a run's own by default.")] = None,
    model: Annotated[str | None, typer.Option(help="The language model that is asked.")] = None,
    option: ModelOptions = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Episodes to play; 500 by default. In a split in all.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**62, help="Reset seed of the first; 10000 by default, the first held-out one."),
    ] = None,
    acting: Annotated[
        str | None, typer.Option(help="sampled, greedy or no_repeat; as the run ships it by default.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="In place of seeds, of a text task: train, dev, test, or the task's own name of it."),
    ] = None,
    variations: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Variations of each task in the split; 10 by default.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Of ScienceWorld and ALFWorld: these tasks, with commas between.")
    ] = None,
    goals: Annotated[
        str | None,
        typer.Option(help="Who names sub-goals: student, oracle, random, random-first, random-things (of --data)."),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="RUN", help="Another seed's run of a student in words; they act together."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Demonstrations, for RUN=oracle and --goals.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="Their sub-goals.")] = None,
    max_moves: Annotated[
        int | None,
        typer.Option(
            "--max-steps",
            "--max-moves",
            min=1,
            max=2**31,
            help="Of an episode; by default until the task ends it.",
        ),
    ] = None,
    history: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1_000_000,
            help="For llm-agent: last decisions that a question tells; 0, in words 10, by default.",
        ),
    ] = None,
    support: Annotated[
        bool, typer.Option("--support", help="Of a prior: count where it leaves out every best action.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=1_024, help="Processes that play.")] = 1,
    executor: ExecutorOption = "processes",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the finished episodes; of a split RUN/evaluations by default.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a question that recorded answers lack.")] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_dollars: MaxDollars = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-eval/2).")] = False,
) -> None:
    """Play held-out episodes; prints scores with 95 % intervals. A stopped evaluation with files goes on."""
    import json

    from wean.errors import UsageError
    from wean.evaluation.evaluate import evaluate_plan
    from wean.processes import check_kind

    where = check_kind(executor)
    kind = kind_of(who)
    given = {
        "settings": settings, "model": model, "strict": strict, "acting": acting, "history": history,
        "support": support, "with": others, "goals": goals, "data": data, "annotations": annotations,
        "option": option, "max-calls": max_calls, "max-tokens": max_tokens, "max-dollars": max_dollars,
    }  # fmt: skip
    _check_options(who, kind, given)
    budget = max_calls, max_tokens, max_dollars
    if (workers > 1 or where == "ray") and budget != (None, None, None):
        raise UsageError("a budget holds in one process; leave --workers, --executor or the budget out")
    player = Who(
        who,
        tuple(settings or ()),
        asking(model, option, strict, budget),
        cast("Acting | None", acting),
        history,
        support,
        tuple(others or ()),
    )
    chosen = _Chosen(episodes, seed, split, variations, only, max_moves)
    demonstrations = _Demonstrations(goals or "student", data, annotations)
    plan, folder = _plan(kind, player, _task_name(who, task), chosen, demonstrations)
    folder = out or folder
    file = None if folder is None else folder / "episodes.jsonl"
    with showing() as progress:
        scores = evaluate_plan(
            plan, workers, file, lambda done: progress.show("playing", done, len(plan.cases), "episodes"), where
        )
    result = scores.as_dict()
    page = None if folder is None else _write_files(folder, result, scores.episodes.played)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result, page)


class _Chosen(NamedTuple):
    """The options that say which episodes are played."""

    episodes: int | None
    seed: int | None
    split: str | None
    variations: int | None
    only: str | None
    max_moves: int | None


class _Demonstrations(NamedTuple):
    """The options about demonstrations and sub-goals."""

    goals: str
    data: str | None
    annotations: Path | None


def _check_options(who: str, kind: Kind, given: Mapping[str, Any]) -> None:
    """Checks that the player can use the given options.

    Raises:
        UsageError: It cannot use one, or a value is unknown.
    """
    from wean.errors import UsageError

    for name, values in (("acting", _ACTING), ("goals", _GOALS)):
        if given[name] not in (None, *values):
            raise UsageError(f"--{name} is one of {', '.join(values)}, not {given[name]!r}")
    for name, value in given.items():
        if value is not None and value is not False and name not in kind.uses:
            option = f"--{name}" if name != "settings" else ", ".join(value)
            raise UsageError(f"{option} is for {_FOR[name]}; {who} is none")
    if kind is TEXT_STUDENT and given["goals"] in (None, "student"):
        for name in ("data", "annotations"):
            if given[name] is not None:
                raise UsageError(
                    f"--{name} is for {_FOR[name]}; name who gives sub-goals with --goals, or leave it out"
                )


def _task_name(who: str, task: str | None) -> str:
    """The task that is played: the named one, or a run's own.

    Raises:
        UsageError: There is none.
    """
    from wean.errors import UsageError
    from wean.experiment.build import task_at_work
    from wean.files import about_exported, is_exported
    from wean.tasks.registration import short_name

    if task is None and who in REFERENCES:
        raise UsageError(f"{who} plays no task of its own; name one with --task")
    if task is None and is_exported(Path(who)):
        task = str(about_exported(Path(who)).get("task"))
    if task is None:
        return task_at_work(run_config(Path(who)), who)
    return short_name(task)


def _plan(
    kind: Kind, who: Who, task: str, chosen: _Chosen, demonstrations: _Demonstrations
) -> tuple[Plan, Path | None]:
    """The episodes to play, and the default folder of their files, if any."""
    from functools import partial

    from wean.evaluation.evaluate import SIDE_BY_SIDE, Plan, seed_cases
    from wean.tasks.registration import make_task
    from wean.tasks.splits import FINAL_SEED
    from wean.tasks.vector import SerialTasks, has_numbered_actions

    one = SerialTasks([partial(make_task, task)])
    in_words, success_return = not has_numbered_actions(one), one.reward_threshold
    own_moves = _own_moves(one)
    one.close()
    who = with_model(who, task)
    if not _in_split(kind, who.name, task, chosen, in_words):
        seed = FINAL_SEED if chosen.seed is None else chosen.seed
        cases = _with_moves(seed_cases(task, chosen.episodes or _EPISODES, seed), chosen.max_moves, own_moves)
        who = _with_demonstrations(who, cases, demonstrations)
        members = min(SIDE_BY_SIDE, len(cases))
        opened = partial(open_player, who, task)
        capped = {"seed": seed, **({} if chosen.max_moves is None else {"max_moves": chosen.max_moves})}
        return Plan(task, cases, opened, members, success_return, chosen.max_moves, capped), None
    max_moves = chosen.max_moves or own_moves or _MAX_MOVES
    cases = _with_moves(_cases_of_split(task, chosen), chosen.max_moves, own_moves)
    who = _with_demonstrations(who, cases, demonstrations)
    about = {
        "policy": who.name,
        "split": chosen.split or _SPLIT,
        **({"variations": chosen.variations or _VARIATIONS} if chosen.episodes is None else {}),
        "max_moves": max_moves,
        "goals": demonstrations.goals,
        **({"with": list(who.others)} if who.others else {}),
        **({"subgoals": who.plans_subgoals} if kind is TEXT_STUDENT else {}),
        **({"model": str(model)} if (model := who.asking.model) else {}),
    }
    plan = Plan(task, cases, partial(open_player, who, task), 1, success_return, max_moves, about)
    home = Path("runs") / who.name if who.name in REFERENCES else Path(who.name)
    return plan, home / "evaluations" / _folder_name(kind, who, task, about)


def _in_split(kind: Kind, who: str, task: str, chosen: _Chosen, in_words: bool) -> bool:
    """Whether the episodes are those of a split, and not of seeds.

    Raises:
        UsageError: An option is given that is of no use for the task, or contradicts another.
    """
    from wean.errors import UsageError

    if not in_words:
        for name in ("split", "variations", "only"):
            if chosen._asdict()[name] is not None:
                raise UsageError(f"--{name.replace('_', '-')} is for tasks in words; {task} is none")
        if kind in (TEXT_STUDENT, EXPORTED_READER, REFERENCES["oracle"]):
            raise UsageError(f"{who} plays tasks in words; {task} is none")
        return False
    by_split = (chosen.split, chosen.variations, chosen.only) != (None, None, None)
    if by_split and chosen.seed is not None:
        raise UsageError("--seed plays by seeds; leave it out, or --split, --variations and --only")
    if chosen.episodes is not None and chosen.variations is not None:
        raise UsageError("--episodes counts all episodes, --variations those of each task; leave one of them out")
    return by_split or (kind.plays_words and (chosen.episodes, chosen.seed) == (None, None))


def _cases_of_split(task: str, chosen: _Chosen) -> list[Case]:
    """The episodes of a split: some of each of its tasks, or some in all, from its tasks in turn.

    Raises:
        UsageError: There is no such split or task, or the split has fewer episodes.
    """
    from itertools import zip_longest

    from wean.errors import UsageError
    from wean.tasks.registration import episodes_of, fold_of_split

    split = chosen.split or _SPLIT
    fold = fold_of_split(task, split)
    only = [name.strip() for name in chosen.only.split(",")] if chosen.only else []
    cases = episodes_of(task, fold, chosen.episodes or chosen.variations or _VARIATIONS, only)
    if chosen.episodes is not None:
        of_task: dict[str, list[Case]] = {}
        for case in cases:
            of_task.setdefault(case.task, []).append(case)
        cases = [case for some in zip_longest(*of_task.values()) for case in some if case is not None]
        if len(cases) < chosen.episodes:
            raise UsageError(f"{split} of {task} has {len(cases)} episodes; ask for no more with --episodes")
        cases = cases[: chosen.episodes]
    return cases


def _own_moves(tasks: SerialTasks) -> int | None:
    """The moves after which a task in words truncates an episode; None where it does not, or is none."""
    from wean.errors import UsageError
    from wean.tasks.vector import has_numbered_actions

    if has_numbered_actions(tasks):
        return None
    try:
        return tasks.text_task(0).max_moves
    except UsageError:
        return None


def _with_moves(cases: list[Case], wanted: int | None, own: int | None) -> list[Case]:
    """Asks the task for longer episodes than its own, where those are wanted."""
    if wanted is None or own is None or wanted <= own:
        return cases
    return [case._replace(options={**(case.options or {}), "max_moves": wanted}) for case in cases]


def _folder_name(kind: Kind, who: Who, task: str, about: Mapping[str, Any]) -> str:
    """The folder of an evaluation; one for each setting, and a student that was trained anew plays anew."""
    import re

    from wean.lm.cache import identity_of

    name = f"{task}-{about['split']}-{about.get('variations', 'first')}-{about['max_moves']}"
    name += f"-{about['goals']}-goals" if about["goals"] != "student" else ""
    name += f"-{re.sub(r'[^A-Za-z0-9.]+', '-', who.asking.model)}" if who.asking.model else ""
    students = who.students if kind is TEXT_STUDENT else []
    return name + "".join(f"-{identity_of(student).rpartition(':')[2][:8]}" for student in students)


def _with_demonstrations(who: Who, cases: Sequence[Case], given: _Demonstrations) -> Who:
    """Gives the oracle its actions, or a student the sub-goals of demonstrations.

    Raises:
        UsageError: There are none, or some are lacking.
    """
    from wean.data.shipped import demonstrations
    from wean.errors import UsageError

    oracle = who.name == "oracle"
    if given.goals == "student" and not oracle:
        return who
    if not oracle and not who.plans_subgoals:
        raise UsageError(f"--goals={given.goals} is for a student that learnt sub-goals; {who.name} did not")
    if given.data is None:
        raise UsageError("name demonstrations of these variations with --data FILE (and --annotations for sub-goals)")
    trajectories, known = demonstrations(given.data, None if oracle else given.annotations)
    if oracle:
        return replace(who, actions={one.key: one.actions for one in trajectories})
    if not known:
        raise UsageError(f"{given.data} has no sub-goals; name their file with --annotations")
    named = {key: tuple(str(chunk.subgoal) for chunk in one.chunks) for key, one in known.items()}
    if given.goals != "oracle":
        pool = tuple(sorted({goal for of_one in named.values() for goal in of_one}))
        return replace(who, pool=pool, drawn=cast("Drawn", given.goals))
    lacking = sum((case.task, case.variation) not in named for case in cases)
    if lacking:
        raise UsageError(f"{lacking} of {len(cases)} variations have no sub-goals in {given.data}; annotate those too")
    return replace(who, goals=named)


def _write_files(folder: Path, result: dict[str, Any], played: Sequence[Episode]) -> Path | None:
    """Writes the scores, and of a task in words the page on which its episodes are stepped through."""
    import json

    from wean.evaluation.evaluate import episode_row
    from wean.report.pages import write_timeline

    (folder / "scores.json").write_text(json.dumps(result, indent=1) + "\n")
    if "score" not in result:
        return None
    return write_timeline(folder / "timeline.html", result, [episode_row(episode) for episode in played])


def _print(result: dict[str, Any], page: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    in_words = "score" in result
    split = f" ({result['split']})" if "split" in result else ""
    table = Table(title=f"{result['policy']} on {result['task']}{split}", title_justify="left")
    for column in ("", "mean", "95 % interval", *(["n"] if in_words else [])):
        table.add_column(column, justify="left" if not column else "right")
    for row in _score_rows(result) if in_words else _rows(result):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for line in (_words_costs(result),) if in_words else _costs(result):
        console.print(line, highlight=False)
    if page is not None:
        console.print(f"timeline  {page}", highlight=False, soft_wrap=True)


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Success, return and length."""
    for name, digits in (("success", 3), ("return", 3), ("length", 1)):
        if (value := result[name]) is not None:
            yield name, f"{value['mean']:.{digits}f}", f"{value['low']:.{digits}f} to {value['high']:.{digits}f}"


def _score_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Points of all tasks, of groups of them, and of each."""
    from wean.evaluation.scores import interval_text

    yield "overall", f"{result['score']['mean']:.1f}", interval_text(result["score"]), f"{len(result['tasks'])} tasks"
    for name, value in result["groups"].items():
        yield name, f"{value['mean']:.1f}", interval_text(value), f"{value['tasks']} tasks"
    for name, value in result["tasks"].items():
        yield name, f"{value['mean']:.1f}", interval_text(value), str(value["episodes"])


def _costs(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines with what the episodes cost."""
    from wean.report.report import asked_text, speed_text

    if "asking" in result:
        told = ", ".join(f"{value['mean']:,.2f} {name}" for name, value in result["asking"].items())
        yield f"In an episode: {told}."
    if found := result.get("support"):
        yield (
            f"In {found['unsupported']:,} of {found['moments']:,} decisions every best action lay outside the prior's "
            f"support; in {found['silent']:,} it proposed nothing."
        )
    if result["success"] is None:
        yield "The task does not say what success is."
    asked = asked_text(result["llm"])
    yield f"{result['episodes']} episodes from seed {result['seed']}; {speed_text(result)}; {asked}."


def _words_costs(result: Mapping[str, Any]) -> str:
    """A line with what the episodes of a text task cost."""
    from wean.evaluation.scores import questions_text
    from wean.report.report import asked_text, speed_text

    return (
        f"{result['episodes']} episodes, {result['solved']:.3f} of them solved, {result['actions']:.1f} actions and "
        f"{result['moves']:.1f} moves each; {speed_text(result)}; {questions_text(result)}; "
        f"{asked_text(result['llm'])}."
    )
