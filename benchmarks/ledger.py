"""Measures the ledger: replayed look-ups, identical questions from many processes, start-up.

    python benchmarks/ledger.py [--quick] [--json] [--save]

Everything is asked of a real HTTP server on loopback; nothing leaves the machine.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import MEASURED_ANEW, finish, hardware, options

ROOT = Path(__file__).resolve().parent.parent
# The server with faults and the programs that are killed are the tests' own.
sys.path.insert(0, str(ROOT / "tests" / "llm"))

REPEATS = 5


def rate(count: int, action: Callable[[], object]) -> float:
    """Things per second: median of repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return count / statistics.median(times)


def replay(folder: Path, stored: int) -> dict[str, float]:
    """Look-ups per second in a ledger of `stored` answers to questions as long as the door-key ones."""
    from wean.llm import Ledger, scripted_model

    system = "You direct a small robot in a grid room. " * 25  # about 1,000 characters
    chats = [
        [{"role": "system", "content": system}, {"role": "user", "content": f"It has seen {i} things."}]
        for i in range(stored)
    ]
    with Ledger(folder / "replay.sqlite") as ledger:
        model = scripted_model(lambda messages: "explore " * 30, ledger=ledger)
        start = time.perf_counter()
        model.generate(chats)
        asked = stored / (time.perf_counter() - start)
        sample = chats[:: max(1, stored // 2000)]
        batched = rate(len(sample), lambda: model.generate(sample))
        single = rate(len(sample), lambda: [model.generate([chat]) for chat in sample])
        assert model.counts.asked == stored
        with ledger.database.read() as connection:
            digests = [row[0] for row in connection.execute("SELECT digest FROM answers LIMIT 2000")]
            query = "SELECT * FROM answers WHERE digest=? AND sample=0"
            bare = rate(len(digests), lambda: [connection.execute(query, (digest,)).fetchone() for digest in digests])
    return {
        "stored": stored,
        "lookups_per_second_in_batches": round(batched),
        "lookups_per_second_one_by_one": round(single),
        "bare_sqlite_selects_per_second": round(bare),
        "asked_and_committed_per_second": round(asked),
    }


def identical(folder: Path) -> dict[str, int]:
    """100 identical questions at once, from 4 processes of 25 threads."""
    from fake_server import FakeServer
    from test_ledger import ask_many

    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(100), context.Queue()
    with FakeServer(delay=0.3) as server:
        path = folder / "identical.sqlite"
        workers = [context.Process(target=ask_many, args=(path, server.name, 25, gate, results)) for _ in range(4)]
        for worker in workers:
            worker.start()
        totals = [results.get(timeout=120) for _ in workers]
        for worker in workers:
            worker.join()
        return {
            "questions": sum(asked + replayed for asked, replayed in totals),
            "processes": len(workers),
            "calls": len(server.bodies),
        }


def start_up() -> dict[str, float]:
    """Seconds above bare Python, median of alternating runs."""
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "import_wean": [sys.executable, "-c", "import wean"],
        "import_wean_llm_open_recorded": [
            sys.executable,
            "-c",
            "from wean.llm import open_model; open_model('recorded:doorkey')",
        ],
        "wean_help": [str(Path(sys.executable).with_name("wean")), "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(7):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    above = {name: round(medians[name] - medians["bare"], 3) for name in commands if name != "bare"}
    return {"bare_python": round(medians["bare"], 3), **above}


def tell(text: str) -> None:
    """Progress, where a person looks on."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["| what | measured |", "|---|---|"]
    for group, numbers in results.items():
        for name, value in numbers.items():
            shown = f"{value:,}" if isinstance(value, int) else f"{value}"
            lines.append(f"| {group.replace('_', ' ')}: {name.replace('_', ' ')} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    measured_on = hardware() | {"sqlite": sqlite3.sqlite_version}
    questions = 1000 if arguments.quick else 10_000
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "replay": lambda: replay(folder, questions),
            "identical": lambda: identical(folder),
            "start_up": start_up,
        }
        for part, measure in parts.items():
            tell(f"measuring {part} ...")
            results[part] = measure()
    finish("ledger", measured_on, results, table(results), arguments)


if __name__ == "__main__":
    main()
