"""`wean logs`: decisions from the logs of an agent that asks a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def logs(
    imports: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMPORT...",
            help="Message logs (JSON, JSONL, .gz, Parquet), or ledgers; kitchen is a log that comes with wean.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file; its page has the same name.")] = Path("decisions.parquet"),
    mapping: Annotated[
        str | None,
        typer.Option(help="YAML file, or module:function, that says where situation, choices and answer stand."),
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the sessions that is held out from training.")
    ] = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (wean-logs/1).")] = False,
) -> None:
    """Find the decisions in logs and write them to a Parquet file (wean-decisions/1) and a page."""
    import json

    from wean.data.decisions import split_sessions, write_decisions
    from wean.report.logs import describe_logs, write_logs_page
    from wean.teachers.logged_prompts import read_mapping
    from wean.teachers.logs import read_logs

    found = read_logs(imports, read_mapping(mapping))
    decisions = split_sessions(found.decisions, held_out)
    write_decisions(out, decisions)
    passed_over = dict(found.passed_over)
    if found.problems:
        passed_over["rows that hold no conversation"] = len(found.problems)
    about = describe_logs(decisions, passed_over, found.without_session)
    page = write_logs_page(out.with_suffix(".html"), about, decisions)
    for problem in found.problems[:3]:
        typer.echo(f"note: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps({**about, "file": str(out), "page": str(page)}))
        return
    for line in _told(about):
        typer.echo(line)
    typer.echo(f"decisions {out}")
    typer.echo(f"page      {page}")


def _told(about: dict[str, Any]) -> list[str]:
    """What was found, in a few lines."""
    differently = about["contradicted"]
    again = "" if differently is None else f" ({differently:.1%} of those met again got different answers)"
    counted = f"{about['decisions']:,} decisions in {about['sessions']:,} sessions, {about['situations']:,} situations"
    lines = [
        counted + again,
        f"{about['held_out_decisions']:,} decisions of {about['held_out_sessions']:,} sessions are held out",
        *(f"not used: {count:,} {reason}" for reason, count in about["passed_over"].items()),
    ]
    if about["without_session"]:
        lines.append(f"{about['without_session']:,} name no session: those on one situation count as a session")
    return lines
