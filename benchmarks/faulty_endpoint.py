"""Asks 10,000 questions of a server that fails, from 4 processes of which 2 are killed: what is lost, asked again.

    python benchmarks/faulty_endpoint.py [--quick] [--json] [--save]

A real HTTP server on loopback fails at a fifth of the requests, in every way that servers are known to: overload,
broken connections, dripping and endless responses, empty, cut and filtered answers, errors inside a success, HTML,
nested brackets; and it takes neither the usual limit, nor a temperature, a schema or a system message. Four processes
ask the same questions of one ledger; two are killed (SIGKILL) on the way and started again. The key is looked for in
every file and log and in the list of processes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import MEASURED_ANEW, finish, hardware, options

ROOT = Path(__file__).resolve().parent.parent
# The server with faults and the programs that are killed are the tests' own.
sys.path.insert(0, str(ROOT / "tests" / "llm"))

FAULT_RATE, PROCESSES = 0.2, 4


def measure(total: int, wait: float) -> dict[str, Any]:
    """The numbers of one run, of `wait` seconds at most."""
    from test_killed import run_with_kills

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        kills = [total * 3 // 10, total * 13 // 20]
        found: dict[str, Any] = run_with_kills(Path(name), total, kills, PROCESSES, FAULT_RATE, wait)
    return {**found, "fault_rate": FAULT_RATE, "seconds": round(time.perf_counter() - start, 1)}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = (f"| {name.replace('_', ' ')} | {value:,} |" for name, value in results.items())
    return "\n".join(["| what | measured |", "|---|---:|", *rows]) + "\n"


def main() -> None:
    """Measures and prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    measured_on = hardware("openai")
    results = measure(1000 if arguments.quick else 10_000, 1800)
    finish("faulty_endpoint", measured_on, results, table(results), arguments)


if __name__ == "__main__":
    main()
