"""Tries wrong inputs of every kind, and counts those that do not end in one line: tracebacks, aborts, hangs.

    python benchmarks/bad_input.py [--quick] [--json] [--save] [--few] [--only KIND] [--show NAME]

Every input is tried in a process of its own, forked from one that has imported everything. It fails if it ends in a
traceback, in a signal, not at all (20 seconds of work, or a minute), without a line that begins with "wean: ", with
several, or with one of more than 1,500 characters. Inputs that are read all the same are counted, too.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from harness import MEASURED_ANEW, finish, hardware, options

SEED = 23
WORK_SECONDS, SECONDS, LONGEST_LINE = 20, 60, 1_500
MEMORY = 4 << 30  # bytes beyond those of the process that forks
TRACEBACK = 70  # exit code of a child in which something was raised

SMALL = ["evaluation.episodes=2", "evaluation.curve_points=1", "evaluation.curve_episodes=2"]
SMALL += ["evaluation.recorded_episodes=1"]
PLAYED = [*SMALL, "total_timesteps=32", "num_envs=2", "num_steps=8"]
VALUED = [*SMALL, "total_timesteps=64", "num_envs=2", "learning_starts=16", "student.values=table", "batch_size=8"]
LABELLED = [*SMALL, "total_timesteps=32", "num_envs=2", "num_steps=8", "updates=2", "rounds=2"]
RECORDED = [*SMALL, "data=demos.parquet", "gradient_steps=4", "batch_size=8", "student.values=table"]
WORDS = [
    "model=scratch",
    "data=demos.jsonl",
    "annotations=subgoals.jsonl",
    "hidden=16",
    "layers=1",
    "heads=1",
    "vocabulary=400",
]
WORDS += ["context=512", "num_epochs=1", "measurements=1"]
LAKE, ROOM = ["--task", "FrozenLake4x4"], ["--task", "SimpleDoorKey"]
METHODS: dict[str, list[str]] = {
    "ppo": [*LAKE, *PLAYED],
    "llm4teach": [*ROOM, *PLAYED],
    "when2ask": [*ROOM, *PLAYED],
    "lmgt": [*ROOM, *PLAYED],
    "dqn": [*LAKE, *VALUED],
    "cql": [*LAKE, *RECORDED],
    "offline-bc": [*LAKE, *RECORDED],
    "bc": [*ROOM, *LABELLED],
    "dagger": [*ROOM, *LABELLED],
    "subgoals": WORDS,
}
"""For each method a command line that ends soon."""


class Case(NamedTuple):
    """One wrong input.

    Attributes:
        kind: Its kind.
        name: Tells it from the others of its kind.
        act: Tries it in an empty folder, in a process of its own.
    """

    kind: str
    name: str
    act: Callable[[], object]


class Outcome(NamedTuple):
    """What came of an input: `refused`, `read`, or how it failed, and what was said last."""

    what: str
    said: str = ""
    seconds: float = 0.0


# --- one input ---------------------------------------------------------------------------------------------------


def try_in_child(act: Callable[[], object], folder: Path, seconds: float = SECONDS) -> Outcome:
    """Tries one input in a forked process, with `folder` as its working directory."""
    said = folder / ".said"
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_child(act, folder, said)
    status = _wait(child, started + seconds)
    spent = time.monotonic() - started
    text = said.read_text(errors="replace") if said.exists() else ""
    return _judged(status, text)._replace(seconds=spent)


def _be_child(act: Callable[[], object], folder: Path, said: Path) -> NoReturn:
    from wean.errors import WeanError

    code = TRACEBACK
    try:
        os.setsid()  # whatever it starts ends with it
        os.chdir(folder)
        sink = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream, target in ((0, nothing), (1, nothing), (2, sink)):
            os.dup2(target, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (WORK_SECONDS, WORK_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_AS, (_memory_now() + MEMORY,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["WEAN_LEDGER"] = str(folder / "ledger.sqlite")
        sys.path.insert(0, str(folder))
        act()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except WeanError as error:
        code = error.exit_code
        print(f"wean: {error}", file=sys.stderr)
    except BaseException:  # whatever gets through is what is looked for
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _memory_now() -> int:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 8 << 30


def _wait(child: int, until: float) -> int | None:
    """The exit status of a child; None if it had to be killed."""
    if hasattr(os, "pidfd_open"):
        ends = os.pidfd_open(child)
        ready = select.select([ends], [], [], max(0.0, until - time.monotonic()))[0]
        os.close(ends)
        if not ready:
            _kill_all_of(child)
            os.waitpid(child, 0)
            return None
    status = os.waitpid(child, 0)[1]
    _kill_all_of(child)
    return status


def _kill_all_of(child: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _judged(status: int | None, text: str) -> Outcome:
    lines = text.strip().splitlines()
    last = lines[-1][-300:] if lines else ""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        return Outcome("hang", last)
    if os.WIFSIGNALED(status):
        return Outcome("abort", f"{signal.Signals(os.WTERMSIG(status)).name} {last}")
    code = os.WEXITSTATUS(status)
    if code == TRACEBACK or "Traceback (most recent call last)" in text:
        return Outcome("traceback", last)
    told = [number for number, line in enumerate(lines) if line.startswith("wean: ")]
    if code == 0:
        return Outcome("read")
    if len(told) != 1 or told[0] != len(lines) - 1:
        return Outcome("no line" if not told else "several lines", last)
    return Outcome("endless line", last) if len(lines[-1]) > LONGEST_LINE else Outcome("refused", last)


def command(*words: str | bytes) -> Callable[[], object]:
    """Runs a command line of wean."""

    def run() -> None:
        from wean.cli import main

        sys.argv = ["wean", *(os.fsdecode(word) for word in words)]
        main()

    return run


# --- command lines and settings ------------------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "train": ["train", "ppo", *LAKE, *PLAYED],
    "eval": ["eval", "random", *LAKE, "--episodes", "2"],
    "compare": ["compare", "run"],
    "ask": ["ask", "SimpleDoorKey", "--episodes", "1"],
    "demos": ["demos", "FrozenLake4x4", "--episodes", "2"],
    "annotate": ["annotate", "demos.jsonl", "--model", "recorded:answers.jsonl"],
    "export-sft": ["export-sft", "demos.jsonl", "--annotations", "subgoals.jsonl"],
    "list": ["list", "tasks"],
    "models list": ["models", "list"],
    "models get": ["models", "get", "nothing"],
    "ledger stats": ["ledger", "stats"],
    "ledger export": ["ledger", "export"],
    "ledger import": ["ledger", "import", "answers.jsonl"],
}
"""For each command a right command line."""

LONG, BYTES = "x" * 300, b"\xff\xfe\x80"
WORDS_FOR_OPTIONS: list[str | bytes] = ["", " ", "-1", "0", "nan", "1e400", "9" * 30, "9" * 5000, "a\nb", LONG, BYTES]
WORDS_FOR_OPTIONS += [
    "/",
    "/proc/self/mem",
    "[bold",
    "\x1b[31m",
    "../../..",
    "null",
    "{}",
    "recorded:",
    "hf:",
    "http://",
]
NUMBERS: list[Any] = [-1, 0, 1e300, -1e300, float("nan"), float("inf"), 10**9, 10**12, 10**30, "9" * 5000]
VALUES: list[Any] = [*NUMBERS, "", "yes", None, [], {}, [1, [2]], {"a": 1}, LONG, "a\x00b", True, "../..", ".1.", "1e5"]
ENDLESS = ("total_timesteps", "gradient_steps", "updates", "num_epochs", "episodes", "curve_episodes", "rounds")
ENDLESS += ("update_epochs", "learning_starts", "curve_points", "measurements", "recorded_episodes")
"""Settings that may be as large as somebody has time for."""


def command_lines() -> Iterator[Case]:
    """Wrong words in right command lines."""
    from typer.main import get_command

    from wean.cli import app

    def flat(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, one in group.commands.items():
            yield from flat(one, f"{name} ") if hasattr(one, "commands") else [(prefix + name, one)]

    kind = "command lines"
    for name, one in flat(get_command(app)):
        right: list[str | bytes] = [*COMMANDS.get(name, name.split())]
        for option in (word for parameter in one.params for word in parameter.opts if word.startswith("--")):
            for word in WORDS_FOR_OPTIONS:
                yield Case(kind, f"{name} {option} {_short(word)}", command(*right, option, word))
            yield Case(kind, f"{name} {option} without value", command(*right, option))
        for place in range(1, len(right) + 1):
            for word in WORDS_FOR_OPTIONS:
                swapped = [*right[:place], word, *right[place + 1 :]]
                yield Case(kind, f"{name} word {place} {_short(word)}", command(*swapped))
            yield Case(kind, f"{name} cut at {place}", command(*right[:place]))
        for word in ("--no-such-option", "--sed", "-z", "one too many", "=", "key=", "=value", "a.b.c=1"):
            yield Case(kind, f"{name} {word}", command(*right, word))
    for word in WORDS_FOR_OPTIONS:
        yield Case(kind, f"no command {_short(word)}", command(word))
        for who in ("teacher", "prior", "llm-agent", "expert", "oracle", "run"):
            yield Case(kind, f"eval {who} --model {_short(word)}", command("eval", who, *ROOM, "--model", word))


def settings() -> Iterator[Case]:
    """Wrong values of every setting."""
    from wean.experiment.presets import find_method
    from wean.experiment.settings import SECTIONS, describe_fields

    for method, right in METHODS.items():
        keys = [*describe_fields(find_method(method).learner.Config), "threads", "seed"]
        keys += [f"{section}.{name}" for section, known in SECTIONS.items() for name in describe_fields(known)]
        for key in keys:
            for value in VALUES:
                number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
                if key.rpartition(".")[2] in ENDLESS and 1e5 < number < float("inf"):
                    continue
                text = value if isinstance(value, str) else json.dumps(value)
                if "\x00" not in text:
                    act = command("train", method, *right, "--out", "new", f"{key}={text}")
                    yield Case("settings", f"{method} {key}={_short(text)}", act)


def _short(word: str | bytes) -> str:
    text = repr(word)
    return text if len(text) < 40 else f"{text[:20]}...({len(word)})"


# --- all kinds -----------------------------------------------------------------------------------------------------

COUNTS = {
    "command lines": 350,
    "settings": 350,
    "run folders": 250,
    "students": 120,
    "model folders": 60,
    "demonstrations": 200,
    "answers": 120,
    "endpoints": 60,
    "environments": 200,
    "teachers": 60,
    "own students and policies": 40,
}
"""How many of each kind are tried at most."""
WITHOUT_RUNS = ("settings", "demonstrations", "answers", "environments", "teachers", "own students and policies")


def cases(materials: Path) -> list[Case]:
    """All cases of all kinds."""
    from broken_parts import environments, policies, teachers
    from damage import answers, demonstrations, endpoints, model_folders, run_folders, students

    found = [*command_lines(), *settings()]
    for damaged in (run_folders, students, model_folders, demonstrations):
        found += [Case(*one) for one in damaged(materials)]
    for broken in (answers, endpoints, environments, teachers, policies):
        found += [Case(*one) for one in broken()]
    return found


def drawn(found: list[Case], share: float) -> list[Case]:
    """A part of the cases of each kind, the same ones every time."""
    kept: list[Case] = []
    for kind, count in COUNTS.items():
        of_kind = [case for case in found if case.kind == kind]
        count = min(len(of_kind), max(1, round(count * share)))
        kept += random.Random(f"{SEED}-{kind}").sample(of_kind, count)
    return kept


def run(chosen: list[Case], materials: Path, tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Tries cases, each in a folder of its own; returns counts and failures by kind."""
    kinds: dict[str, Counter[str]] = {}
    failures = []
    for case in chosen:
        with tempfile.TemporaryDirectory(prefix="bad-input-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            shutil.copytree(materials, folder, dirs_exist_ok=True)
            outcome = try_in_child(case.act, folder)
        counts = kinds.setdefault(case.kind, Counter())
        counts["tried"] += 1
        if outcome.what in ("refused", "read"):
            counts[outcome.what] += 1
        else:
            counts["failed"] += 1
            failures.append({"kind": case.kind, "name": case.name, "how": outcome.what, "said": outcome.said})
            tell(f"{case.kind} | {case.name} | {outcome.what} | {outcome.said}")
    totals = sum(kinds.values(), Counter())
    return {"kinds": {kind: dict(counts) for kind, counts in kinds.items()}, **totals, "failures": failures}


def import_everything(few: bool) -> None:
    """Imports once what children would import each for itself; for few of them, not what takes longest."""
    from importlib import import_module

    import torch

    torch.set_num_threads(1)
    names = ["wean.cli", "wean.experiment.runner", "wean.experiment.build", "wean.experiment.build_text"]
    names += ["wean.report.curves", "wean.report.pages", "wean.students.text.student", "wean.lm", "wean.llm.transfer"]
    names += ["wean.annotation.pipeline", "wean.evaluation.evaluate", "wean.tasks.grid.env", "wean.tasks.frozen_lake"]
    names += [
        "torch.utils.tensorboard",
        "torch.optim",
        "torch._dynamo",
        "transformers",
        "tokenizers",
        "openai",
        "rich.table",
    ]
    names += [
        "matplotlib.figure",
        "pyarrow.parquet",
        "gymnasium.envs.classic_control",
        "wean.llm.endpoint",
        "wean.agents.react",
    ]
    names += [
        "transformers.models.llama.modeling_llama",
        "transformers.generation",
        "jinja2",
        "wean.algorithms.finetune",
    ]
    for name in names[: 0 if few else None]:
        try:
            import_module(name)
        except ImportError:
            continue
    gc.freeze()  # children then share its pages


def table(results: dict[str, Any]) -> str:
    """The counts as Markdown."""
    lines = ["| kind | tried | refused in one line | read all the same | failed |", "|---|---:|---:|---:|---:|"]
    for kind, counts in [*results["kinds"].items(), ("all", results)]:
        numbers = " | ".join(f"{counts.get(name, 0):,}" for name in ("tried", "refused", "read", "failed"))
        lines.append(f"| {kind} | {numbers} |")
    lines += [f"- {one['kind']}: {one['name']}: {one['how']}: {one['said']}" for one in results["failures"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Tries and prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--few", action="store_true", help="a few of the kinds for which no run is needed")
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--show", help="prints what is said of the cases with this in their name")
    arguments = parser.parse_args()
    measured_on = hardware()
    os.environ |= {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    os.environ.pop("OPENAI_API_KEY", None)
    with tempfile.TemporaryDirectory(prefix="bad-input-") as name:
        from damage import make_materials

        materials = Path(name).resolve()
        made = try_in_child(lambda: make_materials(materials, arguments.few), materials, 300)
        if made.what != "read":
            sys.exit(f"the right inputs cannot be made: {(materials / '.said').read_text()}")
        (materials / ".said").unlink()
        import_everything(arguments.few)
        found = cases(materials)
        if arguments.few or arguments.only:
            wanted = WITHOUT_RUNS if arguments.few else (arguments.only,)
            found = [case for case in found if case.kind in wanted]
        if arguments.show:
            chosen = [case for case in found if arguments.show in case.name]
        else:
            chosen = drawn(found, 0.03 if arguments.few else 0.1 if arguments.quick else 1.0)

        def tell(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        started = time.monotonic()
        results = run(chosen, materials, tell)
        results |= {"possible": len(found), "seconds": round(time.monotonic() - started, 1)}
    finish("bad_input", measured_on, results, table(results), arguments)


if __name__ == "__main__":
    main()
