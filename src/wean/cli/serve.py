"""`wean serve`: a trained student behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    run: Annotated[Path, typer.Argument(help="A run folder, a student's folder, or one that `wean export` wrote.")],
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen at, 127.0.0.1 by default; 0.0.0.0 is every one of this machine."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen at, 8000 by default; 0 takes a free one."),
    ] = None,
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
            help="A bound: body_bytes, batch, sessions, session_seconds, reading_megabytes, episode_steps, "
            "connections, read_seconds, idle_seconds.",
        ),
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="As a tool of the Model Context Protocol over standard input and output.")
    ] = False,
) -> None:
    """Serve a trained student over HTTP: /act, /health, /metrics, /docs, and a page to play beside it at /."""
    from rich.console import Console

    from wean.errors import UsageError, in_one_line
    from wean.serving.serve import Listening
    from wean.serving.serve import serve as listen

    console = Console(stderr=True)
    with console.status("loading") as status:

        def say(note: str) -> None:
            status.update(f"{note} ...")

        if mcp:
            if (host, port, token_file, limit) != (None, None, None, None):
                raise UsageError("--host, --port, --token-file and --limit are of HTTP; leave them or --mcp out")
            from wean.serving.mcp import serve_mcp

            status.stop()  # whoever started this process reads its output
            serve_mcp(run, acting, task, lambda note: None)
            return

        def ready(address: str, why: str | None) -> None:
            status.stop()
            typer.echo(f"serving {run} at {address} (Ctrl-C ends it)")
            if why is not None:
                typer.echo(f"There is no page to play on: {in_one_line(why)}", err=True)

        port = 8000 if port is None else port
        listen(run, Listening(host or "127.0.0.1", port, token_file, limit or ()), acting, task, say, ready)
