"""`wean practise`: a text student plays training episodes, and is trained further on those that it solves."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wean.cli.players import ExecutorOption
from wean.cli.progress import showing

if TYPE_CHECKING:
    from wean.cli.progress import Progress as Shown


def practise(
    run: Annotated[Path, typer.Argument(help="The run folder of a student that reads.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the training in each round, e.g. num_epochs=0.5."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the rounds; RUN-practised by default.")] = None,
    task: Annotated[str | None, typer.Option(help="The task in words; the run's own by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1_000, help="Rounds of play and imitation.")] = 2,
    episodes: Annotated[int, typer.Option(min=1, max=1_000_000, help="Training episodes played in a round.")] = 200,
    tries: Annotated[int, typer.Option(min=1, max=1_000, help="How often one is played until it is solved.")] = 3,
    temperature: Annotated[float, typer.Option(min=0.01, max=10, help="Of the sampled sub-goals and actions.")] = 0.5,
    max_moves: Annotated[int, typer.Option(min=1, max=10_000, help="Moves after which an episode is over.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Seed of what is drawn, and of the training.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=1_024, help="Processes that play.")] = 1,
    executor: ExecutorOption = "processes",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-practise/1).")] = False,
) -> None:
    """Let a student play training episodes, and train it further on what it solves. A stopped one goes on."""
    from wean.cli.train import show
    from wean.experiment.practise import Practise
    from wean.experiment.practise import practise as play_and_train
    from wean.processes import check_kind

    settings = Practise(rounds, episodes, tries, temperature, max_moves, seed)
    folder = out or run.with_name(f"{run.name}-practised")
    with showing() as shown:
        summary = play_and_train(
            run,
            folder,
            settings,
            overrides or (),
            task,
            workers=workers,
            kind=check_kind(executor),
            playing=partial(_playing, shown),
            training=partial(show, shown),
        )
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for one in summary["done"]:
        typer.echo(f"round {one['round']}: {one['solved']} of {one['played']} episodes solved, student {one['run']}")


def _playing(shown: Shown, done: int, solved: int, total: int) -> None:
    shown.show("playing", done, total, "episodes", f"{solved:,} solved")
