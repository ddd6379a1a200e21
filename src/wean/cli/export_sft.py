"""`wean lessons`: demonstrations with sub-goals as JSONL for other trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def lessons(
    data: Annotated[str, typer.Argument(help="Demonstrations: a file, or `scienceworld`.")],
    out: Annotated[Path, typer.Option(help="The JSONL file.")],
    annotations: Annotated[Path | None, typer.Option(help="Their sub-goals.")] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Without sub-goals.")] = False,
    chat: Annotated[bool, typer.Option("--chat", help="Messages instead of prompt and completion.")] = False,
    actions: Annotated[int, typer.Option(min=1, help="Most actions of a demonstration.")] = 100,
) -> None:
    """Write the prompts and answers of planner and executor as JSONL."""
    import json

    from rich.console import Console

    from wean.algorithms.finetune import FinetuneConfig
    from wean.errors import WeanError
    from wean.experiment.build_text import read_demonstrations
    from wean.students.text.sft import lesson_rows

    console = Console(stderr=True)
    settings = FinetuneConfig(data=data, annotations=str(annotations or ""), subgoals=not flat)
    found, known = read_demonstrations(data, settings, lambda note: console.print(f"note: {note}", highlight=False))
    count = 0
    try:
        with out.open("w", encoding="utf-8") as stream:
            for row in lesson_rows(found, known, "chat" if chat else "completion", actions):
                stream.write(json.dumps(row) + "\n")
                count += 1
    except OSError as error:
        raise WeanError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    typer.echo(f"{count} rows of {len(found)} demonstrations in {out}")
