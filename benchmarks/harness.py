"""What every benchmark shares: its command line, what it was measured on, and how its results are printed and kept.

Every script takes `[--quick] [--json] [--from-runs DIR] [--save]`; an option that means nothing for a script is refused
with the reason. With `--json` one object `{"schema": "wean-bench/1", "name", "hardware", "results"}` is printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

_OPTIONS: dict[str, dict[str, Any]] = {
    "--quick": {"action": "store_true", "help": "a smaller real measurement"},
    "--json": {"action": "store_true", "help": "print one JSON object last"},
    "--save": {"action": "store_true", "help": "write benchmarks/results/"},
    "--from-runs": {"type": Path, "metavar": "DIR", "help": "tabulate these runs and those kept, train nothing"},
}


class _Refused(argparse.Action):
    """An option that ends the command in one line with the reason why it means nothing here."""

    def __init__(self, *args: Any, why: str, **options: Any) -> None:
        super().__init__(*args, **options, help=argparse.SUPPRESS)
        self._why = why

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.exit(2, f"{parser.prog}: {'/'.join(self.option_strings)} means nothing here: {self._why}\n")


def options(doc: str | None, refused: Mapping[str, str] | None = None) -> argparse.ArgumentParser:
    """The command line of a benchmark.

    Args:
        doc: Its help.
        refused: Options that mean nothing for it, and why.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, option in _OPTIONS.items():
        if refused and name in refused:
            parser.add_argument(name, nargs="?", action=_Refused, why=refused[name])
        else:
            parser.add_argument(name, **option)
    return parser


MEASURED_ANEW = {"--from-runs": "it trains no runs; everything is measured anew"}
"""The refusal of a benchmark without runs."""


def cpu() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def hardware(*packages: str) -> dict[str, Any]:
    """What it was measured on, with the versions of the named packages."""
    return {
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_at_start": round(os.getloadavg()[0], 2),
        **{package: version(package) for package in packages},
    }


def finish(
    name: str, measured_on: Mapping[str, Any], results: Mapping[str, Any], markdown: str, arguments: argparse.Namespace
) -> None:
    """Prints the results and, with `--save`, keeps them.

    Args:
        name: The benchmark's.
        measured_on: As from `hardware`.
        results: JSON-ready.
        markdown: The tables for people.
        arguments: The parsed command line.
    """
    document = {"schema": "wean-bench/1", "name": name, "hardware": measured_on, "results": results}
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        machine = ", ".join(f"{key} {value}" for key, value in measured_on.items())
        (RESULTS / f"{name}.md").write_text(f"# {name}\n\nMeasured on: {machine}.\n\n{markdown.strip()}\n")
    print(json.dumps(document) if arguments.json else markdown)
