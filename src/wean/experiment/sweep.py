"""Many runs in one folder: methods by tasks by settings by seeds, side by side, and compared in the end.

```
sweep.json      the arguments (`wean-sweep/1`)      METHOD-TASK-...-SEED/   a run folder for each run
compare.html    tables and learning curves
```
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from itertools import product
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NamedTuple

from wean.errors import UsageError, WeanError
from wean.experiment.run_folder import RunFolder, write_json
from wean.experiment.runner import Runner, default_folder
from wean.experiment.settings import RunConfig, resolve, setting_keys
from wean.files import parse_json
from wean.processes import Kind, Stopped, executor, locked
from wean.report.compare import Comparison, compare
from wean.report.curves import write_curves
from wean.tasks.registration import short_name

SCHEMA = "wean-sweep/1"
_LAST_MOMENTS = 20.0  # seconds in which the processes of a killed sweep end
_LOOK = 2.0  # seconds between looks at how far the runs have come


class Member(NamedTuple):
    """One run of a sweep.

    Attributes:
        name: Of its run folder.
        config: Its settings.
    """

    name: str
    config: RunConfig


class SweepProgress(NamedTuple):
    """How far a sweep has come.

    Attributes:
        done: Runs that are over.
        total: All of them.
        latest: The run that went on last, with its number of updates; empty before the first.
    """

    done: int
    total: int
    latest: str


Progress = Callable[[SweepProgress], None]


def plan_members(
    methods: Sequence[str],
    tasks: Sequence[str] = (),
    seeds: Sequence[int] = (1,),
    *,
    settings: Mapping[str, Sequence[Any]] | None = None,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
    common: Callable[[str], Sequence[str]] = lambda method: (),
) -> list[Member]:
    """The runs of a sweep, seed by seed: one that is stopped early has whole tables of fewer seeds.

    Args:
        methods: Names of presets.
        tasks: Names of tasks; each method's own by default.
        seeds: Training seeds.
        settings: By key the values of which each is tried with each of the others, by the methods that have the key.
        model: The teacher's language model, for the methods that ask one.
        options: Of that model.
        common: `key=value` settings of all runs of a method, which are not part of their names.

    Raises:
        UsageError: A name or value is wrong, no method has a use for a setting, or nothing is to be trained.
    """
    if not (methods and seeds):
        raise UsageError("name at least one method and one seed")
    settings = settings or {}
    known = {method: setting_keys(method) for method in methods}
    for key, values in settings.items():
        if not any(key in keys for keys in known.values()):
            resolve(methods[0], tasks[0] if tasks else None, **{key: values[0]})  # says what is wrong
            raise UsageError(f"{', '.join(methods)} have no use for {key}; leave it out")
    found: dict[str, Member] = {}
    for seed, method, task in product(seeds, methods, tasks or (None,)):
        own = {key: values for key, values in settings.items() if key in known[method]}
        for values in product(*own.values()):
            chosen = dict(zip(own, values, strict=True))
            config = _config(method, task, seed, model, options or {}, [*common(method)], chosen)
            found.setdefault(name := _name(config, chosen), Member(name, config))
    if model is not None and not any(one.config.method.teaches for one in found.values()):
        raise UsageError(f"{', '.join(methods)} ask no language model; leave the model out")
    return list(found.values())


def _config(
    method: str,
    task: str | None,
    seed: int,
    model: str | None,
    options: Mapping[str, Any],
    common: Sequence[str],
    chosen: Mapping[str, Any],
) -> RunConfig:
    teaches = resolve(method).method.teaches
    asked: dict[str, Any] = {"options": options} if options and teaches else {}
    name = short_name(task) if task else None
    return resolve(method, name, model if teaches else None, seed, common, **asked, **chosen)


def _name(config: RunConfig, chosen: Mapping[str, Any]) -> str:
    """Method, task, chosen settings and seed, as a folder is named."""
    base, _, seed = default_folder(config).name.rpartition("-")
    words = [f"{key}={value}" for key, value in chosen.items()]
    return "".join(char if char.isalnum() or char in "-_.=+" else "_" for char in "-".join([base, *words, seed]))


def sweep(
    members: Sequence[Member],
    out: Path,
    workers: int,
    kind: Kind = "processes",
    *,
    arguments: Mapping[str, Any],
    progress: Progress | None = None,
) -> Comparison:
    """Trains what is not finished, and compares all runs; a sweep that was stopped goes on in the same folder.

    Args:
        members: The runs.
        out: The folder.
        workers: How many runs train at a time.
        kind: Where they do.
        arguments: What the runs were made from; a folder is for one value of it.
        progress: Called now and then.

    Raises:
        UsageError: The folder holds something else, or a sweep with other arguments.
        WeanError: Runs failed, which the others do not mind; or another process works in the folder.
    """
    with locked(out / ".lock", str(out)):
        _begin(out, {"schema": SCHEMA, "arguments": arguments, "runs": [member.name for member in members]})
        failed = train_members(members, out, workers, kind, progress)
        if failed:
            name, error = next(iter(failed.items()))
            if not any((out / member.name / "config.yaml").exists() for member in members):
                (out / "sweep.json").unlink()  # none could begin: nothing is in the way of the corrected command
            raise WeanError(
                f"{len(failed)} of {len(members)} runs failed, the first one {name}: {error}; the same command tries "
                "them once more"
            )
        found = compare([out / member.name for member in members])
        write_curves(found, out / "compare.html")
        return found


def _begin(out: Path, document: Mapping[str, Any]) -> None:
    """Writes down what is swept, or checks that it is what was."""
    file = out / "sweep.json"
    if not file.exists():
        if [path for path in out.iterdir() if not path.name.startswith(".")]:
            raise UsageError(f"{out} is not empty and holds no sweep; choose another --out")
        write_json(file, document)
        return
    try:
        begun = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        begun = None
    if begun != json.loads(json.dumps(document)):
        raise UsageError(f"{out} holds a sweep of other arguments ({file}); repeat those, or choose another --out")


def train_members(
    members: Sequence[Member], folder: Path, workers: int, kind: Kind = "processes", progress: Progress | None = None
) -> dict[str, WeanError]:
    """Trains the runs that are not finished, each in its folder; returns the errors of those that failed, by name.

    Raises:
        UsageError: A folder holds something else, or a run with other settings.
        WeanError: Worker processes died again and again.
    """
    started = time.time()
    open_ones = [member for member in members if not _is_finished(member, folder)]
    failed: dict[str, WeanError] = {}
    done, total = len(members) - len(open_ones), len(members)

    def tell() -> None:
        if progress is not None:
            progress(SweepProgress(done, total, _latest(open_ones, folder, started)))

    tell()
    if not open_ones:
        return {}
    with executor(min(workers, len(open_ones)), kind=kind, apart=True) as pool:
        left: dict[Future[None], str] = {
            pool.submit(_train, member.config, folder / member.name): member.name for member in open_ones
        }
        while left:
            over, _ = wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in over:
                name = left.pop(future)
                try:
                    future.result()
                except BrokenExecutor:
                    raise WeanError(
                        "worker processes died again and again; the same command with fewer --workers goes on"
                    ) from None
                except WeanError as error:
                    failed[name] = error
                done += 1
            tell()
    return failed


def _is_finished(member: Member, folder: Path) -> bool:
    """Whether a run is over, after checking that it can be trained in its folder."""
    run = RunFolder(folder / member.name)
    with run.opened(member.config, resume=True, patience=_LAST_MOMENTS):
        return run.summary.exists()


def _train(config: RunConfig, folder: Path) -> None:
    """Trains one run to its end; runs in a process of its own."""
    try:
        Runner(config, folder, resume=True).run()
    except Stopped:
        if parent_process() is not None:
            signal.raise_signal(signal.SIGTERM)  # this process was told to end, and not to begin the next run
        raise


def _latest(members: Sequence[Member], folder: Path, since: float) -> str:
    """The run whose file of metrics was written last, with its progress."""
    newest, latest = since, ""
    for member in members:
        file = folder / member.name / "metrics.jsonl"
        try:
            if (written := file.stat().st_mtime) > newest:
                newest, latest = written, f"{member.name}: {_last_step(file)}"
        except OSError:
            continue  # it has not begun
    return latest


def _last_step(file: Path) -> str:
    """The first entry of the last whole line of a file of metrics, which is the number of steps."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - 10_000))
        lines = [line for line in stream.read().split(b"\n")[:-1] if line.endswith(b"}")]
    if not lines:
        return "begun"
    name, value = next(iter(json.loads(lines[-1]).items()))
    return f"{value:,} {str(name).replace('_', ' ')}"
