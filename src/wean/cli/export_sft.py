"""`wean export-sft`: demonstrations with sub-goals as JSONL for other trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_sft(
    data: Annotated[str, typer.Argument(help="Demonstrations: a file, or `scienceworld`.")],
    out: Annotated[Path, typer.Option(help="The JSONL file.")],
    annotations: Annotated[Path | None, typer.Option(help="Their sub-goals.")] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Without sub-goals.")] = False,
    chat: Annotated[bool, typer.Option("--chat", help="Messages instead of prompt and completion.")] = False,
    actions: Annotated[int, typer.Option(min=1, help="Greatest number of a demonstration's actions.")] = 100,
) -> None:
    """Write the prompts and answers of planner and executor as JSONL for supervised fine-tuning."""
    import json

    from rich.console import Console

    from wean.data.shipped import annotated, demonstrations
    from wean.errors import WeanError
    from wean.students.text.examples import sft_rows

    console = Console(stderr=True)

    def note(problem: str) -> None:
        console.print(f"note: {problem}", highlight=False)

    if flat:
        found = demonstrations(data, note=note)._replace(annotations={})
    else:
        found = annotated(data, annotations, "refuse", note)
    count = 0
    try:
        with out.open("w", encoding="utf-8") as stream:
            for row in sft_rows(*found, "chat" if chat else "completion", actions):
                stream.write(json.dumps(row) + "\n")
                count += 1
    except OSError as error:
        raise WeanError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    typer.echo(f"{count} rows of {len(found.trajectories)} demonstrations in {out}")
