"""`wean demos`: plays a task, or its own solution in words, and writes down every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wean.cli.players import ExecutorOption, ModelOptions
from wean.cli.progress import showing

if TYPE_CHECKING:
    from wean.agents.policy import Policy
    from wean.cli.players import Who
    from wean.evaluation.oracle import Oracle, Wanted
    from wean.processes import Kind
    from wean.tasks.vector import SerialTasks

_SCIENCEWORLD = "ScienceWorld"


_OF_EPISODES = ("settings", "policy", "episodes", "successful", "epsilon", "seed", "model", "option", "limit")
_OF_PATHS = ("split", "per_task", "tasks", "sample")
_OF_SHORTER_PATHS = ("annotations",)


def demos(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Short name or registered id of the task.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Of a teacher, e.g. advice.mode=argmax.")
    ] = None,
    policy: Annotated[str, typer.Option(metavar="RUN", help="A run folder, or expert, random or teacher.")] = "expert",
    episodes: Annotated[int, typer.Option(min=1, max=10_000_000, help="Episodes to keep.")] = 1000,
    successful: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of successes among them; as it comes by default.")
    ] = None,
    epsilon: Annotated[float, typer.Option(min=0, max=1, help="Probability of a random action, in every step.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Reset seed of the first; below 5000 for training.")] = 0,
    model: Annotated[str | None, typer.Option(help="The teacher's language model.")] = None,
    option: ModelOptions = None,
    out: Annotated[Path | None, typer.Option(help="The file; demos/TASK-POLICY.parquet by default.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Most episodes to play for --successful; 50 times --episodes by default."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=1_024, help="Processes that play; the file does not depend on it.")
    ] = 1,
    executor: ExecutorOption = "processes",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the file in --out if it was begun.")] = False,
    trajectories: Annotated[
        bool, typer.Option("--trajectories", help="Paths of the task's own solution in words; always for scienceworld.")
    ] = False,
    split: Annotated[str, typer.Option(help="Paths: train, dev, test, or the task's own name of it.")] = "train",
    per_task: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Paths: how many of each task; all by default.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Paths: ScienceWorld's tasks, with commas; all by default.")] = None,
    sample: Annotated[
        str | None, typer.Option(help="Paths: `first` variations, as `wean eval` plays; `paper` draws as the paper.")
    ] = None,
    shorten: Annotated[
        str | None,
        typer.Option(help="Paths: ScienceWorld's, with sub-goals, made shorter; a file or wean's."),
    ] = None,
    annotations: Annotated[Path | None, typer.Option(help="The sub-goals of those, where they are a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-demos-written/1).")] = False,
) -> None:
    """Play a task and write every step to a Parquet file (wean-demos/1, paths wean-trajectories/1)."""
    from wean.cli.players import Who, asking, kind_of, with_model
    from wean.processes import check_kind
    from wean.tasks.registration import short_name

    name = short_name(task)
    writing = _Writing(name, out, workers, check_kind(executor), resume, as_json)
    if shorten is not None:
        _refuse(context, (*_OF_EPISODES, *_OF_PATHS), "not for --shorten")
        _write_shorter_paths(writing, shorten, annotations)
    elif trajectories or name == _SCIENCEWORLD:
        _refuse(context, (*_OF_EPISODES, *_OF_SHORTER_PATHS), "not for the paths of a task's own solution")
        _write_paths(writing, split, per_task, tasks, sample)
    else:
        _refuse(context, (*_OF_PATHS, *_OF_SHORTER_PATHS), "for paths in words (--trajectories, --shorten)")
        unused = {"settings", "model", "option"} - kind_of(policy).uses
        _refuse(context, sorted(unused), f"of no use to {policy}")
        who = with_model(Who(policy, tuple(settings or ()), asking(model, option)), name)
        _write_episodes(writing, who, episodes, successful, epsilon, seed, limit)


def _refuse(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuses options that were given and cannot be used.

    Raises:
        UsageError: One was.
    """
    from wean.errors import UsageError

    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "key=value" if name == "settings" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is {why}; leave it out")


@dataclass(frozen=True)
class _Writing:
    """What all kinds of demonstrations are written with."""

    task: str
    out: Path | None
    workers: int
    kind: Kind
    resume: bool
    as_json: bool

    def run(self, total: int, write: Callable[[Callable[[int, str], None]], None]) -> None:
        """Writes while progress is shown; `write` is given what shows it, with a note beside it."""
        with showing() as progress:
            write(lambda done, note: progress.show("playing", done, total, "episodes", note))

    def tell(self, schema: str, path: Path, result: Mapping[str, Any], words: str) -> None:
        """Prints what was written."""
        if self.as_json:
            typer.echo(json.dumps({"schema": schema, "file": str(path), **result}))
        else:
            typer.echo(f"{path}: {words}, {result['steps']:,} steps, {path.stat().st_size / 1e6:.2f} MB")


def _write_episodes(
    writing: _Writing,
    who: Who,
    episodes: int,
    successful: float | None,
    epsilon: float,
    seed: int,
    limit: int | None,
) -> None:
    """Writes episodes that a policy plays."""
    from wean.data.parts import Blocks
    from wean.evaluation.demonstrations import DemoPlan, demonstrate
    from wean.processes import file_locked
    from wean.tasks.registration import make_task
    from wean.tasks.vector import SerialTasks

    task = writing.task
    told = who.name if who.name != "teacher" else f"teacher {who.asking.model}"
    told = told if epsilon == 0 else f"{told}, epsilon {epsilon:g}"
    path = writing.out or Path("demos") / f"{task.split('/')[-1].removesuffix('-v0')}-{Path(who.name).name}.parquet"
    make_policy = partial(_make_policy, who)
    make = partial(make_task, task)
    one = SerialTasks([make])
    threshold = one.reward_threshold
    one.close()
    plan = DemoPlan(task, make, told, make_policy, epsilon, seed, threshold)
    job = {"task": task, "policy": told, "episodes": episodes, "share": successful, "seed": seed}
    with file_locked(path):
        blocks = Blocks(path, job, writing.resume)
        if not blocks.finished:
            writing.run(
                episodes,
                lambda show: demonstrate(
                    plan, blocks, episodes, successful, limit, writing.workers,
                    lambda kept, played: show(kept, f"{played:,} played"), writing.kind,
                ),
            )  # fmt: skip
    found = blocks.report()
    of_them = "" if found["successful"] is None else f" ({found['successful']:,} successful)"
    kept = f"{found['kept']:,} episodes{of_them} of {found['played']:,} played"
    writing.tell("wean-demos-written/1", path, {**job, **found}, kept)


def _make_policy(who: Who, tasks: SerialTasks) -> Policy:
    """Makes the policy, in each process that plays.

    Raises:
        UsageError: It sees another task than the one that is written down.
    """
    from wean.agents.references import RandomPolicy
    from wean.cli.players import kind_of
    from wean.errors import UsageError

    if who.name == RandomPolicy.name:
        return RandomPolicy()
    player = kind_of(who.name).make(who, tasks)
    if player.tasks is not tasks:
        raise UsageError(
            "demonstrations are of policies that see the task itself and choose its own actions; the student of "
            f"{who.name} does not"
        )
    return player.policy


def _write_paths(writing: _Writing, split: str, per_task: int | None, tasks: str | None, sample: str | None) -> None:
    """Writes the paths of an oracle."""
    from wean.errors import UsageError
    from wean.evaluation.oracle import (
        ScienceWorldOracle,
        WalkthroughOracle,
        choose_seeds,
        choose_variations,
        version_of,
    )
    from wean.tasks.registration import fold_of_split
    from wean.tasks.scienceworld_server import check_installed

    task = writing.task
    fold = fold_of_split(task, split)
    job: dict[str, Any] = {"task": task, "version": version_of(task), "split": fold}
    make: Callable[[], Oracle]
    if task == _SCIENCEWORLD:
        check_installed()
        wanted = choose_variations(fold, per_task, [t.strip() for t in tasks.split(",")] if tasks else [], sample)
        job["simplification"] = "easy"
        make = ScienceWorldOracle
    else:
        if tasks or sample:
            raise UsageError("--tasks and --sample are for ScienceWorld; leave them out")
        wanted = choose_seeds(task, fold, per_task or 20)
        make = partial(WalkthroughOracle, task)
        make().close()  # a task without walkthroughs is refused here, and not in each process
    _play_paths(writing, writing.out or Path("demos") / f"{task}-{fold}.parquet", make, wanted, job)


def _write_shorter_paths(writing: _Writing, data: str, annotations: Path | None) -> None:
    """Makes demonstrations shorter; writes their paths, and their sub-goals beside them."""
    from wean.data.annotations import AnnotationWriter
    from wean.data.shipped import demonstrations
    from wean.data.trajectories import read_trajectories
    from wean.errors import UsageError
    from wean.evaluation.oracle import ShorterPaths, annotated, version_of
    from wean.tasks.scienceworld_server import check_installed

    if writing.task != _SCIENCEWORLD:
        raise UsageError("--shorten is for ScienceWorld, where an agent can teleport; leave it out")
    check_installed()
    examples = {one.key: (one, annotation) for one, annotation in demonstrations(data, annotations).examples}
    if not examples:
        raise UsageError(f"{data} has no sub-goals; name their file with --annotations")
    job = {"task": writing.task, "version": version_of(writing.task), "simplification": "easy", "shortened": data}
    path = writing.out or Path("demos") / f"{Path(data).stem}-short.parquet"
    _play_paths(writing, path, partial(ShorterPaths, list(examples.values())), list(examples), job)
    subgoals = AnnotationWriter(path.with_suffix(".subgoals.jsonl"))
    subgoals.replace(annotated(one, examples[one.key]) for one in read_trajectories(path).found)


def _play_paths(
    writing: _Writing, path: Path, make: Callable[[], Oracle], wanted: list[Wanted], job: dict[str, Any]
) -> None:
    """Writes paths and prints what came of them."""
    from wean.evaluation.oracle import write_oracle_paths

    found: dict[str, int] = {}

    def write(show: Callable[[int, str], None]) -> None:
        found.update(
            write_oracle_paths(
                path, make, wanted, job, workers=writing.workers, kind=writing.kind, resume=writing.resume,
                progress=lambda kept, tried: show(tried, f"{kept:,} kept"),
            )
        )  # fmt: skip

    writing.run(len(wanted), write)
    counted = f"{found['kept']:,} of {found['tried']:,} paths, {found['long']:,} of more than 100 moves"
    writing.tell("wean-paths-written/1", path, {**job, **found}, counted)
