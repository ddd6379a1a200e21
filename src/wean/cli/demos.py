"""`wean demos`: plays a task and writes down every step, for learners that train from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wean.agents.policy import Policy
    from wean.data.shards import Shards
    from wean.evaluation.demonstration_player import Playing
    from wean.tasks.vector import SerialTasks


def demos(
    task: Annotated[str, typer.Argument(help="Short name or registered id of the task.")],
    policy: Annotated[str, typer.Option(metavar="RUN", help="A run folder, or expert, random or teacher.")] = "expert",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to keep.")] = 1000,
    successful: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of successes among them; as it comes by default.")
    ] = None,
    epsilon: Annotated[float, typer.Option(min=0, max=1, help="Probability of a random action, in every step.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Reset seed of the first; below 5000 for training.")] = 0,
    model: Annotated[str | None, typer.Option(help="The teacher's language model.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file; demos/TASK-POLICY.parquet by default.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most episodes to play for --successful; 50 times --episodes by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that play; the file does not depend on it.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the file in --out if it was begun.")] = False,
    trajectories: Annotated[
        bool, typer.Option("--trajectories", help="Paths of the task's own solution in words; always for scienceworld.")
    ] = False,
    split: Annotated[str, typer.Option(help="Paths: train, dev or test.")] = "train",
    per_task: Annotated[int | None, typer.Option(min=1, help="Paths: how many of each task; all by default.")] = None,
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
    import json
    from functools import partial

    from wean.data.shards import Shards
    from wean.evaluation.demonstration_player import Playing
    from wean.experiment.build import success_return
    from wean.tasks.registration import make_task, short_name

    name = "ScienceWorld" if task.lower() == "scienceworld" else short_name(task)
    if shorten is not None:
        from wean.cli.demos_paths import write_shorter_paths

        write_shorter_paths(name, shorten, annotations, out, workers, resume, as_json)
        return
    if trajectories or name == "ScienceWorld":
        from wean.cli.demos_paths import write_paths

        write_paths(name, split, per_task, tasks, sample, out, workers, resume, as_json)
        return
    who = policy if policy != "teacher" else f"teacher {model or 'recorded:doorkey'}"
    path = out or Path("demos") / f"{name.split('/')[-1].removesuffix('-v0')}-{Path(policy).name}.parquet"
    playing = Playing(
        name,
        partial(make_task, name),
        who if epsilon == 0 else f"{who}, epsilon {epsilon:g}",
        None if policy == "random" else partial(_make_policy, policy, model),
        epsilon,
        seed,
        success_return(name),
    )
    job = {"task": name, "policy": playing.who, "episodes": episodes, "share": successful, "seed": seed}
    shards = Shards(path, job, resume)
    if not shards.finished:
        _write(playing, shards, episodes, successful, limit, workers)
    report = shards.report()
    if as_json:
        typer.echo(json.dumps({"schema": "wean-demos-written/1", "file": str(path), **job, **report}))
    else:
        kept = f"{report['kept']:,} episodes ({report['successful']:,} successful) of {report['played']:,} played"
        typer.echo(f"{path}: {kept}, {report['steps']:,} steps, {path.stat().st_size / 1e6:.2f} MB")


def _make_policy(who: str, model: str | None, tasks: SerialTasks) -> Policy:
    """Makes who acts, in each process that plays."""
    from wean.cli.evaluate import make_policy, run_config
    from wean.errors import UsageError
    from wean.experiment.settings import advice_settings

    config = None if who in ("expert", "teacher") else run_config(Path(who))
    policy, seen, _ = make_policy(who, config, model, None, advice_settings(), False, tasks)
    if seen is not tasks:
        raise UsageError(
            f"demonstrations are of who sees the task itself and chooses its own actions; the student of {who} does not"
        )
    return policy


def _write(
    playing: Playing, shards: Shards, episodes: int, successful: float | None, limit: int | None, workers: int
) -> None:
    """Plays, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from wean.evaluation.demonstrate import demonstrate

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("playing", total=episodes, note="")

        def show(kept: int, played: int) -> None:
            progress.update(bar, completed=kept, note=f"{played:,} played")

        demonstrate(playing, shards, episodes, successful, limit, workers, show)
