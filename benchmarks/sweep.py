"""Kills a sweep of 2 methods by 2 tasks by 3 seeds, and a worker of a Ray cluster; compares with runs one by one.

The runs are tiny. First each is trained by itself. Then `wean sweep` trains all of them in processes and is killed by
SIGKILL, twice, each time when some more runs have begun to learn. Then it trains them anew on a Ray cluster of this
machine, of which one worker is killed while it trains. Compared are the weights of the students, the metrics and the
summaries, without what clocks wrote.

    python benchmarks/sweep.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from crash_safety import contents
from harness import MEASURED_ANEW, finish, hardware, options
from wean.experiment.runner import Runner
from wean.experiment.sweep import plan_members

_METHODS, _TASKS = ["llm4teach", "ppo"], ["SimpleDoorKey", "ColoredDoorKey"]
_SETTINGS = [
    "num_envs=4", "num_steps=16", "total_timesteps=512", "student.hidden=8",
    "evaluation.curve_points=3", "evaluation.curve_episodes=1", "evaluation.episodes=2",
    "evaluation.recorded_episodes=1",
]  # fmt: skip
_LIMIT = 1_800.0  # seconds for one command


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__, MEASURED_ANEW)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        results = _measure(Path(folder), 1 if arguments.quick else 3)
    finish("sweep", hardware("torch", "ray"), results, _table(results), arguments)
    if any(results[kind]["different"] for kind in ("processes", "ray")):
        raise SystemExit(1)


def _measure(folder: Path, seeds: int) -> dict[str, Any]:
    members = plan_members(_METHODS, _TASKS, list(range(1, seeds + 1)), common=lambda method: _SETTINGS)
    names = [member.name for member in members]
    started = time.time()
    for number, member in enumerate(members, 1):
        Runner(member.config, folder / "single" / member.name).run()
        print(f"[{number}/{len(members)}] {member.name} by itself", file=sys.stderr, flush=True)
    singles = {name: _numbers(folder / "single" / name) for name in names}
    results: dict[str, Any] = {"runs": len(names), "single_seconds": round(time.time() - started, 1)}
    for kind in ("processes", "ray"):
        started = time.time()
        killed = _killed_sweep(folder / kind, seeds, kind, len(names))
        swept = {name: _numbers(folder / kind / name) for name in names}
        results[kind] = {
            "killed": killed,
            "different": [name for name in names if swept[name] != singles[name]],
            "seconds": round(time.time() - started, 1),
        }
        print(f"{kind}: {results[kind]}", file=sys.stderr, flush=True)
    return results


def _numbers(run: Path) -> dict[str, Any]:
    """What a run wrote, without where it lies."""
    found = contents(run)
    found["summary.json"][0].pop("command")
    return found


def _killed_sweep(out: Path, seeds: int, kind: str, total: int) -> list[str]:
    """Runs a sweep to its end in spite of kills; returns what was killed when."""
    command = [sys.executable, "-m", "wean", "sweep", ",".join(_METHODS), "--tasks", ",".join(_TASKS)]
    command += ["--seeds", f"1-{seeds}", "--workers", "2", "--executor", kind, "--out", str(out)]
    killed = []
    if kind == "processes":
        for share in (1, total // 2):
            with _started(command) as process:
                learning = _wait_for(out, share, process)
                process.kill()
            killed.append(f"the sweep, when {learning} of {total} runs had begun to learn")
    with _started(command) as process:
        if kind == "ray":
            learning = _wait_for(out, 1, process)
            killed += [f"process {worker} of the cluster, in run {learning}" for worker in _kill_worker(out)]
        status = process.wait(_LIMIT)
    if status != 0:
        raise SystemExit(f"the sweep in {out} ended with {status}")
    return killed


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "WEAN_SETTINGS": " ".join(_SETTINGS)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _wait_for(out: Path, runs: int, process: subprocess.Popen[bytes]) -> int:
    """Waits until so many runs have begun to learn; returns how many have."""
    until = time.time() + _LIMIT
    while (learning := len(list(out.glob("*/metrics.jsonl")))) < runs:
        if process.poll() is not None or time.time() > until:
            raise SystemExit(f"the sweep in {out} was over before it was killed")
        time.sleep(0.01)
    return learning


def _kill_worker(out: Path) -> list[int]:
    """Kills the process of a Ray cluster that holds the lock of a run's folder; returns its id."""
    locks = {lock.stat().st_ino for lock in out.glob("*/.lock")}
    for line in Path("/proc/locks").read_text().splitlines():
        _, _, _, _, process, place, *_ = [word for word in line.split() if word != "->"]
        if int(place.rpartition(":")[2]) in locks and b"ray::" in Path(f"/proc/{process}/cmdline").read_bytes():
            os.kill(int(process), signal.SIGKILL)
            return [int(process)]
    raise SystemExit("no process of the cluster trains in this folder")


def _table(results: dict[str, Any]) -> str:
    lines = ["| where | killed | runs | different from one by one | seconds |", "|---|---|---|---|---|"]
    for kind in ("processes", "ray"):
        found = results[kind]
        lines.append(
            f"| {kind} | {'; '.join(found['killed'])} | {results['runs']} | {len(found['different'])} | "
            f"{found['seconds']} |"
        )
    return "\n".join([*lines, "", f"One by one: {results['single_seconds']} s."])


if __name__ == "__main__":
    main()
