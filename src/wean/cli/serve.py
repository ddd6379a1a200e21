"""`wean serve`: a trained student behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    run: Annotated[Path, typer.Argument(help="A run folder, a student's folder, or one that `wean export` wrote.")],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every one of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")] = 8000,
    acting: Annotated[
        str | None, typer.Option(help="sampled, greedy or no_repeat; as the run ships it by default.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Its task, where the folder does not say it.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must name; else of $WEAN_SERVE_TOKEN.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="A bound: body_bytes, batch, sessions, session_seconds, episode_steps, connections, read_seconds, "
            "idle_seconds.",
        ),
    ] = None,
) -> None:
    """Serve a trained student over HTTP: /act, /health, /metrics, /docs, and a page to play beside it at /."""
    from rich.console import Console

    from wean.errors import in_one_line
    from wean.serving.serve import Listening
    from wean.serving.serve import serve as listen

    console = Console(stderr=True)
    with console.status("loading") as status:

        def ready(address: str, why: str | None) -> None:
            status.stop()
            typer.echo(f"serving {run} at {address} (Ctrl-C ends it)")
            if why is not None:
                typer.echo(f"There is no page to play on: {in_one_line(why)}", err=True)

        listen(
            run,
            Listening(host, port, token_file, limit or ()),
            acting,
            task,
            lambda note: status.update(f"{note} ..."),
            ready,
        )
