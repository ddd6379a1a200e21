"""Export of a trained student to a folder that acts without PyTorch; see `docs/deploy.md`."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from wean import __version__
from wean.agents.exported import is_exported, load_exported
from wean.agents.policy import Policy, policy_of
from wean.errors import UsageError, WeanError
from wean.evaluation.evaluate import play_seeds
from wean.evaluation.scores import Scores
from wean.experiment.build import asks_at_work, read_config, view_of
from wean.experiment.settings import RunConfig
from wean.extras import require
from wean.files import sha256
from wean.lm.model import load_encoder
from wean.runtime import folder as runtime_folder
from wean.runtime.policy import ArrayPolicy, load
from wean.runtime.policy import ValuesPolicy as RuntimeValues
from wean.serving.card import write_card
from wean.serving.networks import OPSET, quantize, write_encoder, write_student, write_values
from wean.serving.parity import Parity, compare_student, compare_values, held_out_moments, held_out_situations
from wean.students.action_values import ActionValues, TextValues
from wean.students.config import Acting
from wean.students.grid import GridStudent
from wean.students.saving import load_student, shipped_acting, trained_for
from wean.students.student import Student
from wean.students.text.student import is_text_student
from wean.tasks.options import OptionTasks
from wean.tasks.registration import make_task, short_name
from wean.tasks.splits import FINAL_SEED
from wean.tasks.vector import MakeTask, SerialTasks, ShownTasks

_SIDE_BY_SIDE, _LOSS_EPISODES, _TOLERANCE = 20, 200, 1e-4
Say = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """An exported student.

    Attributes:
        folder: Where it is.
        parity: How far it is from the student in PyTorch, in held-out observations.
        success: With int8, the success (or where a task knows none the mean return) before and after; else None.
    """

    folder: Path
    parity: Parity
    success: tuple[float, float] | None = None


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
    source, target = _Source.of(Path(run), make), Path(out)
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
    return Export(target, exported.parity, exported.success)


@dataclass(frozen=True)
class _Source:
    """A student, how it acts, and held-out tasks as it sees them."""

    student: Student | ActionValues
    acting: Acting
    task: str
    tasks: ShownTasks
    threshold: float | None
    actions: list[str]

    @classmethod
    def of(cls, path: Path, make: str | MakeTask | None) -> _Source:
        """Reads a run folder or a student's folder.

        Raises:
            UsageError: The student cannot be exported, or its task is not known.
            WeanError: There is no student, or it is damaged.
        """
        folder = path / "student" if (path / "config.yaml").exists() else path
        if is_text_student(folder):
            raise UsageError(
                f"the student in {folder} is a language model that reads; only students of arrays and of "
                "action values can be exported"
            )
        if is_exported(folder):
            raise UsageError(f"{folder} is an exported student already; name the run that it came from")
        config = read_config(folder.parent) if (folder.parent / "config.yaml").exists() else None
        if config is not None and asks_at_work(config):
            raise UsageError(
                f"the student in {folder} asks its language model while it acts, and cannot leave it; "
                "train one with student.goal=none and a method that does not ask at work"
            )
        student = load_student(folder)
        said = trained_for(folder)
        task = make if make is not None else said.get("task") or (config.task if config else None)
        if task is None:
            raise UsageError(f"{folder} does not say on which task it was trained; name it with --task")
        maker = partial(make_task, task) if isinstance(task, str) else task
        played = SerialTasks([maker] * _SIDE_BY_SIDE)
        tasks = _shown(student, config, played)
        _check_fit(student, tasks, folder)
        name = short_name(task) if isinstance(task, str) else played.name
        greedy: Acting = "greedy" if isinstance(student, ActionValues) else "sampled"
        acting = config.evaluation.acting if config else shipped_acting(folder) or greedy
        return cls(student, acting, name, tasks, played.reward_threshold, said.get("actions") or tasks.action_names())

    def scores(self, policy: Policy) -> float:
        """Success in held-out episodes, or the mean return where the task knows no success."""
        played = play_seeds(policy, self.tasks, _LOSS_EPISODES, FINAL_SEED, self.threshold)
        scores = Scores(self.task, policy.name, played)
        return scores.returns.mean if scores.success is None else scores.success.mean


def _shown(student: Student | ActionValues, config: RunConfig | None, tasks: SerialTasks) -> ShownTasks:
    """The tasks as the student sees them."""
    if isinstance(student, ActionValues):
        return tasks
    if student.config.get("goal", "none") != "none":
        raise UsageError(
            "this student sees sub-goals, which a language model makes while it acts; train one with student.goal=none"
        )
    if config is not None:
        return view_of(config, None, tasks)
    return OptionTasks(tasks) if student.config.get("masked") else tasks


def _check_fit(student: Student | ActionValues, tasks: ShownTasks, folder: Path) -> None:
    """Checks that the tasks are the student's.

    Raises:
        UsageError: They are not.
    """
    if isinstance(student, ActionValues):
        return
    actions = tasks.action_space
    if not isinstance(actions, gym.spaces.Discrete) or int(actions.n) != student.num_actions:
        raise UsageError(
            f"the student of {folder} has {student.num_actions} actions, the task {actions}; name its own "
            "task with --task"
        )
    if actions.start:
        raise UsageError(
            f"the actions of {folder}'s task are numbered from {actions.start}; number them from 0 to export"
        )
    if isinstance(student, GridStudent) and tasks.observation_space.shape != student.maps().shape:
        raise UsageError(
            f"the student of {folder} sees maps {student.maps().shape}, the task shows "
            f"{tasks.observation_space.shape}; name its own task with --task"
        )


def _write(source: _Source, folder: Path, int8: bool, observations: int, say: Say) -> Export:
    """Writes the folder, and compares."""
    torch.set_num_threads(1)
    student = source.student
    config: dict[str, Any] = {
        "schema": runtime_folder.SCHEMA,
        "type": student.kind,
        "task": source.task,
        "acting": source.acting,
        "opset": OPSET,
        "int8": int8,
        "versions": _versions(),
    }
    if isinstance(student, ActionValues):
        say("writing the values")
        config |= _write_values(student, folder, say)
        shown: Any = held_out_situations(student, source.tasks, observations)
        say("comparing in held-out situations")
    else:
        say("playing held-out episodes")
        shown = held_out_moments(student, source.tasks, observations)
        seen = np.concatenate([one.observations for one in shown])
        say("writing the network")
        write_student(student, seen, folder / "model.onnx")
        np.save(folder / "example.npy", seen[:20])
        config |= _array_config(student, source)
    if int8:
        for network in folder.glob("*.onnx"):
            quantize(network)
    files = [one for one in sorted(folder.iterdir()) if one.name != "config.json"]
    config["sha256"] = {one.name: sha256(one) for one in files}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    parity = _compare(load(folder), student, shown)
    if not int8 and not parity.difference <= _TOLERANCE:
        raise WeanError(
            f"the exported student differs by {parity.difference:.1g} from the original; report this kind "
            f"({student.kind}), and act with the run until then"
        )
    success = None
    if int8:
        say("measuring what 8 bits cost in success")
        own, whole = policy_of(student, source.acting), load_exported(folder, None)
        success = source.scores(own), source.scores(whole)
    write_card(folder, config, parity, success)
    return Export(folder, parity, success)


def _compare(policy: ArrayPolicy | RuntimeValues, student: Student | ActionValues, shown: Any) -> Parity:
    if isinstance(policy, ArrayPolicy):
        return compare_student(policy, shown)
    assert isinstance(student, ActionValues)
    return compare_values(policy, student, shown)


def _write_values(student: ActionValues, folder: Path, say: Say) -> Mapping[str, Any]:
    """Writes the networks of a student of action values and what it met; returns its part of the config."""
    met = student.situations
    if len(met):
        student(np.arange(len(met)))  # a text that was met last may have no vector yet
    written = json.loads(bytes(student.get_extra_state().numpy().tobytes()))
    (folder / "situations.json").write_text(json.dumps(written))
    write_values(student, folder / "model.onnx")
    encoder = None
    if isinstance(student, TextValues):
        np.save(folder / "vectors.npy", student.vectors.numpy())
        say("writing the sentence encoder")
        loaded = load_encoder(student.config["encoder"], device="cpu")
        write_encoder(loaded, folder / "encoder.onnx")
        (folder / "tokenizer.json").write_text(loaded.tokenizer.backend_tokenizer.to_str())
        scale = math.sqrt(student.config["size"])
        encoder = {"name": student.config["encoder"], "max_length": loaded.max_length, "scale": scale}
    return {
        "observation": {"words": True},
        "actions": [],
        "temperature": student.temperature,
        "encoder": encoder,
    }


def _array_config(student: Student, source: _Source) -> Mapping[str, Any]:
    """The part of the config of a student that sees arrays."""
    names = source.actions
    return {
        "observation": _observation(student, source.tasks.observation_space),
        "num_actions": student.num_actions,
        "actions": names if len(names) == student.num_actions else [],
        "memory": student.memory_size,
    }


def _observation(student: Student, space: gym.Space[Any]) -> Mapping[str, Any]:
    """What the runtime checks about an observation: shape, type and range."""
    if isinstance(space, gym.spaces.Discrete):
        first = int(space.start)
        return {"shape": [], "dtype": "int64", "low": first, "high": first + int(space.n) - 1}
    if isinstance(student, GridStudent):
        high = student.maps().high[0, 0].tolist()
        shape = list(student.maps().shape)
        # One cell of a map shows the agent: its direction, below 4.
        return {"shape": shape, "dtype": "uint8", "low": 0, "high": high, "agent_below": high[3]}
    assert isinstance(space, gym.spaces.Box)
    bounds = {name: _bound(getattr(space, name)) for name in ("low", "high")}
    return {"shape": list(space.shape), "dtype": str(space.dtype), **bounds}


def _bound(values: np.ndarray[Any, Any]) -> Any:
    """A bound as JSON: one number where it is the same everywhere; null for none."""
    found = np.unique(values)
    if len(found) == 1:
        return found[0].item() if np.isfinite(found[0]) else None
    return np.where(np.isfinite(values), values, np.array(None)).tolist()


def _versions() -> Mapping[str, str]:
    return {"wean": __version__, **{name: version(name) for name in ("torch", "onnx", "onnxruntime")}}
