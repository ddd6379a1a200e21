"""Export of a trained student to a folder that acts without PyTorch; see `docs/deploy.md`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from wean import __version__
from wean.errors import UsageError, WeanError
from wean.experiment.build import asks_at_work, read_config
from wean.experiment.settings import RunConfig
from wean.extras import require
from wean.files import is_exported, sha256
from wean.runtime import folder as runtime_folder
from wean.serving.card import write_card
from wean.serving.networks import OPSET, quantize
from wean.serving.parity import Parity
from wean.serving.reader_source import ReaderSource
from wean.serving.sources import ArraySource, Loss, Say, Source, ValuesSource, check_fit, shown_tasks
from wean.students.action_values import ActionValues
from wean.students.config import Acting
from wean.students.saving import load_student, shipped_acting, trained_for
from wean.students.text.student import is_text_student
from wean.tasks.registration import make_task, short_name
from wean.tasks.vector import MakeTask, SerialTasks

_SIDE_BY_SIDE, _TOLERANCE = 20, 1e-4


@dataclass(frozen=True)
class Export:
    """An exported student.

    Attributes:
        folder: Where it is.
        parity: How far it is from the student in PyTorch, in held-out observations.
        loss: With int8, what it cost in held-out episodes; else None.
    """

    folder: Path
    parity: Parity
    loss: Loss | None = None


def export(
    run: str | Path,
    out: str | Path,
    *,
    make: str | MakeTask | None = None,
    int8: bool = False,
    observations: int = 1000,
    say: Say | None = None,
) -> Export:
    """Writes a trained student as a folder that acts without PyTorch: ONNX, a config, a card and an example.

    The exported student is compared with the original in held-out observations of its task.

    Example:
        >>> few = {"episodes": 10, "curve_points": 2, "curve_episodes": 10}
        >>> run = wean.train("ppo", "FrozenLake4x4", total_timesteps=2_048, out="runs/sent", evaluation=few)
        >>> exported = wean.export(run.folder, "exported", observations=50)
        >>> exported.parity.agreement
        1.0
        >>> wean.load("exported").act(0) in range(4)
        True

    Args:
        run: A run folder, or a student's folder.
        out: The folder to write; it must not hold anything yet.
        make: Name of the task, or a function that makes it; the run's own by default.
        int8: Makes the weights 8-bit numbers: a quarter of the size. What it costs in success is measured.
        observations: Held-out observations in which the two are compared.
        say: Called with what is being done.

    Raises:
        UsageError: The student cannot be exported, or `out` is taken.
        WeanError: There is no student, or the exported one acts otherwise.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, extra="export")
    source, target = _source(Path(run), make), Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty; choose another --out")
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        exported = _write(source, unfinished, int8, observations, say or (lambda note: None))
        if target.exists():
            target.rmdir()
        unfinished.rename(target)
    except OSError as error:
        raise WeanError(f"cannot write {target} ({error.strerror}); choose another --out") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        source.tasks.close()
    return Export(target, exported.parity, exported.loss)


def _source(path: Path, make: str | MakeTask | None) -> Source:
    """Reads a run folder or a student's folder.

    Raises:
        UsageError: The student cannot be exported, or its task is not known.
        WeanError: There is no student, or it is damaged.
    """
    folder = path / "student" if (path / "config.yaml").exists() else path
    if is_exported(folder):
        raise UsageError(f"{folder} is an exported student already; name the run that it came from")
    config = read_config(folder.parent) if (folder.parent / "config.yaml").exists() else None
    if is_text_student(folder):
        return ReaderSource.of(folder, _task(folder, make, config.task if config else None))
    if config is not None and asks_at_work(config):
        raise UsageError(
            f"the student in {folder} asks its language model while it acts, and cannot leave it; "
            "train one with student.goal=none and a method that does not ask at work"
        )
    student = load_student(folder)
    said = trained_for(folder)
    task = _task(folder, make, said.get("task") or (config.task if config else None))
    played = SerialTasks([partial(make_task, task) if isinstance(task, str) else task] * _SIDE_BY_SIDE)
    tasks = shown_tasks(student, config, played)
    check_fit(student, tasks, folder)
    name = short_name(task) if isinstance(task, str) else played.name
    acting = _acting(folder, config, "greedy" if isinstance(student, ActionValues) else "sampled")
    if isinstance(student, ActionValues):
        return ValuesSource(student, name, acting, tasks, played.reward_threshold)
    actions = said.get("actions") or tasks.action_names()
    return ArraySource(student, name, acting, tasks, played.reward_threshold, actions)


def _task(folder: Path, make: str | MakeTask | None, known: str | None) -> str | MakeTask:
    task = make if make is not None else known
    if task is None:
        raise UsageError(f"{folder} does not say on which task it was trained; name it with --task")
    return task


def _acting(folder: Path, config: RunConfig | None, otherwise: Acting) -> Acting:
    return config.evaluation.acting if config else shipped_acting(folder) or otherwise


def _write(source: Source, folder: Path, int8: bool, observations: int, say: Say) -> Export:
    """Writes the folder, and compares."""
    torch.set_num_threads(1)
    config: dict[str, Any] = {
        "schema": runtime_folder.SCHEMA,
        "type": source.kind,
        "task": source.task,
        "acting": source.acting,
        "opset": OPSET,
        "int8": int8,
        "versions": _versions(),
        **source.write(folder, observations, say),
    }
    if int8:
        for network in folder.glob("*.onnx"):
            quantize(network)
    files = [one for one in sorted(folder.iterdir()) if one.name != "config.json"]
    config["sha256"] = {one.name: sha256(one) for one in files}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    parity = source.compare(folder, observations, say)
    if not int8 and not parity.difference <= _TOLERANCE:
        raise WeanError(
            f"the exported student differs by {parity.difference:.1g} from the original; report this kind "
            f"({source.kind}), and act with the run until then"
        )
    loss = None
    if int8:
        say("measuring what 8 bits cost")
        loss = source.loss(folder)
    write_card(folder, config, parity, loss)
    return Export(folder, parity, loss)


def _versions() -> Mapping[str, str]:
    return {"wean": __version__, **{name: version(name) for name in ("torch", "onnx", "onnxruntime")}}
