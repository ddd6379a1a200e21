"""What every benchmark shares: what it was measured on, and how its results are printed and kept."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


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
    name: str, measured_on: dict[str, Any], results: dict[str, Any], markdown: str, as_json: bool, save: bool
) -> None:
    """Prints the results (with `as_json` one `wean-bench/1` object last on standard output) and keeps them."""
    document = {"schema": "wean-bench/1", "name": name, "hardware": measured_on, "results": results}
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        told = ", ".join(f"{key} {value}" for key, value in measured_on.items())
        (RESULTS / f"{name}.md").write_text(f"# {name}\n\nMeasured on: {told}.\n\n{markdown.strip()}\n")
    print(json.dumps(document) if as_json else markdown)
