"""Kills commands of wean at random moments, resumes them, and compares what they write with an uninterrupted run.

A kill is a SIGKILL just before a file operation (chosen among all that the whole run makes, or among those of its first
checkpoint, its final evaluation and report), or after a random time, often within the first second. Everything is drawn
from `--seed`. Each command runs in a process of its own, forked from this one, which has read the libraries already.

    python benchmarks/crash_safety.py --kills 100
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import MEASURED_ANEW, finish, hardware, options

_ROOM = [
    "num_envs=4", "num_steps=16", "total_timesteps=512", "student.hidden=8",
    "evaluation.curve_points=3", "evaluation.curve_episodes=1", "evaluation.episodes=1",
    "evaluation.recorded_episodes=1",
]  # fmt: skip
_VALUES = [
    "num_envs=4", "total_timesteps=320", "learning_starts=80", "student.hidden=8",
    "evaluation.curve_points=4", "evaluation.curve_episodes=2", "evaluation.episodes=2",
    "evaluation.recorded_episodes=1",
]  # fmt: skip
_TEXT = [
    "model=scratch",
    "hidden=32",
    "layers=1",
    "heads=2",
    "vocabulary=400",
    "num_epochs=2",
    "measurements=3",
    "dev_share=0.3",
]
_CLOCKS = ("seconds", "per_second", "ms_per_action", "time")  # ends of the names of what a clock wrote
_WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
_MOMENTS = ("a file operation", "a file operation at the end", "a checkpoint", "a time", "the first second")
_OVER = "over before it was killed"
_LIMIT = 300.0  # seconds for one command


class Command(NamedTuple):
    """A command that is killed.

    Attributes:
        words: The command line; `{data}` is the folder of demonstrations.
        out: What it writes: a run folder, a folder, or a file.
        resumed: What is added to go on.
    """

    words: Sequence[str]
    out: str
    resumed: Sequence[str] = ()


COMMANDS = {
    "llm4teach": Command(["train", "llm4teach", *_ROOM, "--out", "run"], "run", ["--resume"]),
    "dqn-prior": Command(
        ["train", "dqn-prior", "--task", "KitchenRandom", "--model", "recorded:kitchen", *_VALUES, "--out", "run"],
        "run",
        ["--resume"],
    ),
    "when2ask": Command(["train", "when2ask", *_ROOM, "--out", "run"], "run", ["--resume"]),
    "subgoals": Command(
        ["train", "subgoals", *_TEXT, "data={data}/paths.jsonl", "annotations={data}/subgoals.jsonl", "--out", "run"],
        "run",
        ["--resume"],
    ),
    "demos": Command(
        ["demos", "FrozenLake4x4", "--episodes", "60", "--epsilon", "0.3", "--out", "lake.parquet"],
        "lake.parquet",
        ["--resume"],
    ),
    "annotate": Command(
        ["annotate", "{data}/paths.jsonl", "--model", "recorded:scienceworld", "--out", "sub.jsonl"], "sub.jsonl"
    ),
    "eval": Command(
        ["eval", "random", "--task", "FrozenLake4x4", "--episodes", "40", "--out", "scores", "--json"], "scores"
    ),
}


def main() -> None:
    """Runs the benchmark."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--kills", type=int, help="100 by default, with --quick one of each command")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--only", action="append", choices=list(COMMANDS), help="only these commands")
    arguments = parser.parse_args()
    names = arguments.only or list(COMMANDS)
    measured_on = hardware("torch", "safetensors", "pyarrow")
    _import_libraries()
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="crash-safety-") as folder:
        results = _measure(Path(folder), names, arguments.kills or (len(names) if arguments.quick else 100), arguments)
    results["seconds"] = round(time.time() - started, 1)
    finish("crash_safety", measured_on, results, _table(results), arguments)
    if results["not_resumed"] or results["different"] or results["left_behind"]:
        raise SystemExit(1)


def _import_libraries() -> None:
    """Reads what the commands need, so that a forked process begins at once; uses nothing of it."""
    import pyarrow.parquet  # noqa: F401
    import torch
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401

    import wean.algorithms.dqn
    import wean.cli
    import wean.evaluation.demonstrations
    import wean.experiment.build_text
    import wean.experiment.train  # noqa: F401

    torch.set_num_threads(1)


def _measure(folder: Path, names: Sequence[str], kills: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kills each command as often as the others, and counts what went wrong."""
    data = folder / "data"
    _write_demonstrations(data)
    generator = random.Random(arguments.seed)
    whole = {name: _uninterrupted(COMMANDS[name], folder / f"whole-{name}", data) for name in names}
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    moments: Counter[str] = Counter()
    failures = []
    for number in range(kills):
        name = names[number % len(names)]
        outcome = _OVER
        while outcome == _OVER:  # it was faster than the moment that was drawn: no kill
            kill = _draw(generator, whole[name])
            outcome, detail = _case(COMMANDS[name], folder / "killed", data, kill, whole[name])
            shutil.rmtree(folder / "killed", ignore_errors=True)
        counts[name].update(["kills", outcome])
        moments[kill.moment] += 1
        if outcome != "equal":
            failures.append({"command": name, "kill": kill._asdict(), "outcome": outcome, "detail": detail})
        print(f"[{number + 1}/{kills}] {name}: {kill.moment}, {outcome} {detail}", file=sys.stderr, flush=True)
    total = sum(counts.values(), Counter())
    return {
        "kills": kills,
        "not_resumed": total["not resumed"],
        "different": total["different"],
        "left_behind": total["left behind"],
        "moments": dict(moments),
        "commands": {name: dict(of_one) for name, of_one in counts.items()},
        "whole_seconds": {name: round(one.seconds, 2) for name, one in whole.items()},
        "failures": failures,
    }


# --- one case ---------------------------------------------------------------------------------------------------------


class Kill(NamedTuple):
    """When a command is killed: before its file operation of a number, or after some seconds."""

    moment: str
    operation: int | None = None
    seconds: float | None = None


class Whole(NamedTuple):
    """What an uninterrupted run did: its file operations, its seconds, and what it wrote."""

    operations: list[str]
    seconds: float
    written: dict[str, Any]


def _draw(generator: random.Random, whole: Whole) -> Kill:
    moment = generator.choice(_MOMENTS)
    count = len(whole.operations)
    if moment == "a time":
        return Kill(moment, seconds=generator.uniform(0, whole.seconds))
    if moment == "the first second":
        return Kill(moment, seconds=generator.uniform(0, min(1.0, whole.seconds)))
    numbers = range(count)
    if moment == "a file operation at the end":
        numbers = range(2 * count // 3, count)
    elif moment == "a checkpoint":
        kept = [number for number, path in enumerate(whole.operations) if "checkpoints" in path or ".parts" in path]
        numbers = kept or numbers  # type: ignore[assignment]
    return Kill(moment, operation=generator.choice(list(numbers)))


def _uninterrupted(command: Command, folder: Path, data: Path) -> Whole:
    folder.mkdir()
    started = time.time()
    status = _run(command.words, folder, data, log=folder / "operations")
    seconds = time.time() - started
    if status != 0:
        raise SystemExit(f"{' '.join(command.words)} fails by itself: {_last_line(folder)}")
    return Whole((folder / "operations").read_text().splitlines(), seconds, contents(folder / command.out))


def _case(command: Command, folder: Path, data: Path, kill: Kill, whole: Whole) -> tuple[str, str]:
    """Kills a command once and lets it go on; returns the outcome and its detail."""
    folder.mkdir()
    status = _run(command.words, folder, data, kill=kill)
    if status == 0:
        return _OVER, ""
    if status != -signal.SIGKILL:
        return "not resumed", f"ended with {status} before it was killed: {_last_line(folder)}"
    if status := _run([*command.words, *command.resumed], folder, data):
        return "not resumed", f"exit {status}: {_last_line(folder)}"
    written = contents(folder / command.out)
    if written != whole.written:
        names = [name for name in {**written, **whole.written} if written.get(name) != whole.written.get(name)]
        return "different", ", ".join(sorted(names))
    left = [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".parts")]
    return ("left behind", ", ".join(left)) if left else ("equal", "")


def _run(words: Sequence[str], folder: Path, data: Path, kill: Kill | None = None, log: Path | None = None) -> int:
    """Runs a command in a forked process; its exit status, the negative number of a signal that ended it."""
    child = os.fork()
    if child == 0:
        _be_the_command([word.format(data=data) for word in words], folder, kill, log)
    deadline = time.time() + _LIMIT
    end = time.time() + kill.seconds if kill is not None and kill.seconds is not None else deadline
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.time() > end:
            os.kill(child, signal.SIGKILL)
            end = deadline + 1
        if time.time() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 124
        time.sleep(0.002)


def _be_the_command(words: Sequence[str], folder: Path, kill: Kill | None, log: Path | None) -> None:
    """Runs a command in this process, and ends it."""
    status = 1
    try:
        os.chdir(folder)
        os.environ["WEAN_LEDGER"] = str(folder / "ledger.sqlite")
        with Path("output").open("a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        operations: list[str] = []
        sys.addaudithook(_hook(operations, None if kill is None else kill.operation, folder))
        from wean.cli import main as wean

        sys.argv = ["wean", *words]
        try:
            wean()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        if log is not None:
            log.write_text("".join(f"{path}\n" for path in operations))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(status)


def _hook(operations: list[str], last: int | None, folder: Path) -> Callable[[str, Any], None]:
    """An audit hook that notes every operation that changes files of a folder, and kills the process before one."""

    def hook(event: str, arguments: Any) -> None:
        if event not in _WRITES or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = os.path.abspath(arguments[0])
        if not path.startswith(str(folder)) or "ledger.sqlite" in path:
            return
        if len(operations) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        operations.append(path)

    return hook


# --- what was written -------------------------------------------------------------------------------------------------


def contents(out: Path) -> dict[str, Any]:
    """The contents of a command's output, by file, without what clocks wrote."""
    names = ("summary.json", "metrics.jsonl", "scores.json", "episodes.jsonl", "episodes.json", "teacher.json")
    if out.is_file():
        return {out.name: out.read_bytes()}
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if path.name in names:
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            found[path.name] = [_untimed(json.loads(line)) for line in lines]
        elif path.parent.name == "student" and path.name != "README.md":
            found[path.name] = path.read_bytes()
    found["report"] = (out / "report.html").exists()
    return found


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(item) for key, item in value.items() if not key.endswith(_CLOCKS)}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _last_line(folder: Path) -> str:
    lines = (folder / "output").read_text(errors="replace").splitlines()
    return lines[-1] if lines else ""


def _write_demonstrations(folder: Path) -> None:
    """Writes a few of ScienceWorld's demonstrations that come with wean, and their sub-goals."""
    from wean.data.annotations import annotation_row
    from wean.data.shipped import shipped

    folder.mkdir()
    known = shipped("scienceworld")
    tasks = sorted({one.task for one in known.trajectories})[:3]
    short = {task: [one for one in known.trajectories if one.task == task] for task in tasks}
    chosen = [one for of_task in short.values() for one in sorted(of_task, key=lambda one: len(one.path))[:5]]
    with (folder / "paths.jsonl").open("w") as paths, (folder / "subgoals.jsonl").open("w") as subgoals:
        for one in chosen:
            row = {"task": one.task, "variation": one.variation, "description": one.description}
            paths.write(
                json.dumps({**row, "version": one.version, "path": [moment._asdict() for moment in one.path]}) + "\n"
            )
            subgoals.write(json.dumps(annotation_row(known.annotations[one.key])) + "\n")


def _table(results: dict[str, Any]) -> str:
    lines = ["| command | kills | equal | not resumed | different | left behind |", "|---|" + "---|" * 5]
    names = ("kills", "equal", "not resumed", "different", "left behind")
    for name, counts in results["commands"].items():
        lines.append(f"| {name} | " + " | ".join(str(counts.get(one, 0)) for one in names) + " |")
    lines += [
        f"- {one['command']}: {one['outcome']} after {one['kill']}: {one['detail']}" for one in results["failures"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
