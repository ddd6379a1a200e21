"""`wean gateway`: a server before a language model's endpoint that lets a student decide where it is sure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gateway(
    student: Annotated[
        Path | None, typer.Argument(help="A run of `wean train distill`; without one everything is passed on.")
    ] = None,
    upstream: Annotated[
        str, typer.Option(help="The endpoint, as clients named it before.")
    ] = "https://api.openai.com/v1",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")] = 8001,
    ledger: Annotated[Path, typer.Option(help="Where the model's answers are kept.")] = Path("gateway.sqlite"),
    mapping: Annotated[str | None, typer.Option(help="Where choices stand in prompts, as for `wean logs`.")] = None,
    audits: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Audits of a kind of prompts before the student decides alone.")
    ] = 100,
    floor: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of its decisions in which the model is asked anyway.")
    ] = 0.05,
    timeout: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds to wait for the endpoint.")] = 600.0,
) -> None:
    """Stand before an OpenAI-compatible endpoint and answer where a distilled student is sure; numbers at /gateway."""
    from wean.serving.gateway.deciding import Rules
    from wean.serving.gateway.serve import Place, make_gateway, serve_gateway

    place = Place(upstream, host, port, timeout)
    rules = Rules(audits, floor)
    app = make_gateway(student, place, rules, ledger, mapping, lambda note: typer.echo(f"note: {note}", err=True))
    serve_gateway(
        app, place, lambda at: typer.echo(f"before {upstream} at {at}/v1; numbers at {at}/gateway (Ctrl-C ends it)")
    )
