"""`wean export`: a trained student as a folder that acts without PyTorch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """What a student can be exported to."""

    ONNX = "onnx"


def export(
    run: Annotated[Path, typer.Argument(help="A run folder, or a student's folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    to: Annotated[Format, typer.Option(help="Format of the network.")] = Format.ONNX,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit weights: a quarter of the size; what it costs in success is measured.")
    ] = False,
    task: Annotated[str | None, typer.Option(help="Its task, where the folder does not say it.")] = None,
    observations: Annotated[
        int, typer.Option(min=2, help="Held-out observations in which it is compared with the original.")
    ] = 1000,
) -> None:
    """Write a student as a folder that acts without PyTorch: ONNX, a config, a card and an example."""
    from rich.console import Console

    from wean.serving.export import export as write

    errors = Console(stderr=True)
    with errors.status("loading") as status:
        found = write(
            run, out, make=task, int8=int8, observations=observations, say=lambda note: status.update(f"{note} ...")
        )
    console = Console()
    parity = found.parity
    lines = [
        f"exported  {found.folder}",
        f"parity    {parity.observations:,} held-out observations: largest difference {parity.difference:.2g}, "
        f"same best action in {100 * parity.agreement:.2f} %",
    ]
    if (loss := found.loss) is not None:
        lines.append(f"int8      {loss.measure} {loss.before:.3f} before, {loss.after:.3f} after")
    lines.append(f"try it    pip install ./runtime && python {found.folder / 'example.py'}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
