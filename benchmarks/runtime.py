"""One action without PyTorch: time, start, size, and how near an exported student is to the original.

    python benchmarks/runtime.py [--quick] [--json] [--save]

Time: the runtime, the student in PyTorch and stable-baselines3's `predict` (extra `bench`, with layers of the same
width) act in turn on the same held-out maps of SimpleDoorKey, on one core; ratios are medians over the rounds.
Start and size: in a virtual environment made for it with nothing but the runtime. Parity: every kind of student, a
little trained, in 10,000 held-out observations, and a student that reads (extra `scienceworld`) in as many held-out
prompts; SmolLM2-135M, as it comes, in a tenth of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import wean
from harness import MEASURED_ANEW, finish, hardware, options
from wean.lm import packages
from wean.runtime import load
from wean.runtime.prompt import PromptConfig
from wean.students.text.creation import pretrained_student
from wean.students.text.student import save_text_student

NAME, TASK = "runtime", "SimpleDoorKey"
ROOT = Path(__file__).parents[1]
WANTED = {"ms": 0.04, "times faster": 5, "start seconds": 0.25, "start MB": 90, "installed MB": 150}
_EVERY = {"reflection": True, "object_set": True, "border_distances": True}
KINDS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "grid": ("ppo", TASK, {}),
    "grid with every option": ("ppo", TASK, {"student": _EVERY}),
    "grid with a memory": ("ppo", TASK, {"student": {"recurrent": True}}),
    "skills": ("option-ppo", TASK, {}),
    "states": ("ppo", "FrozenLake4x4", {}),
    "table of values": ("dqn", "FrozenLake4x4", {"student": {"values": "table"}}),
    "values of words": ("dqn", "KitchenRandom", {"student": {"values": "text"}}),
}
MODEL = "smollm2-135m"
READERS = ("reads, from scratch", f"reads, {MODEL}")


def main() -> None:
    """Parses, measures, prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    measured_on = hardware("torch", "onnxruntime", "numpy")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        count = 1_000 if arguments.quick else 10_000
        parity = [row for name in KINDS if (row := compared(name, folder, count))]
        parity += [row for name in READERS if (row := compared_reader(name, folder, count))]
        actions = timed(folder, 5 if arguments.quick else 30)
        installed = environment(folder)
        started = [start(installed, folder) for _ in range(3 if arguments.quick else 9)] if installed else []
        began = {
            name: statistics.median(one[name] for one in started)
            for name in ("seconds", "cpu seconds", "MB")
            if started
        }
        results = {
            "wanted": WANTED,
            "actions": actions,
            "start": began,
            "installed": installed and {"MB": installed["MB"], "parts": installed["parts"]},
            "parity": parity,
        }
    finish(NAME, measured_on, results, markdown(results), arguments)


def compared(name: str, folder: Path, observations: int) -> dict[str, Any] | None:
    """Trains a student of a kind a little, exports it, compares; None where its encoder is not on this machine."""
    method, task, settings = KINDS[name]
    if name == "values of words" and packages.installed("minilm") is None:
        return None
    steps = 600 if method == "dqn" else 8_192
    few = {"episodes": 2, "curve_points": 0, "curve_episodes": 2, "recorded_episodes": 0}
    run = wean.train(method, task, total_timesteps=steps, out=folder / f"{name} run", evaluation=few, **settings)
    parity = wean.export(run.folder, folder / name, observations=observations).parity
    return {"kind": name, **parity._asdict()}


def compared_reader(name: str, folder: Path, observations: int) -> dict[str, Any] | None:
    """Exports a student that reads, compares; None where its task or its model is not on this machine."""
    own = folder / f"{name} student"
    if importlib.util.find_spec("scienceworld") is None:
        return None
    if name == "reads, from scratch":
        data = "scienceworld-short-dev"
        learning = {"dev_share": 0.1, "num_epochs": 1, "hidden": 128, "measurements": 1}
        own = wean.train("subgoals", "ScienceWorld", data=data, out=own, **learning).folder / "student"
    elif packages.installed(MODEL) is None:
        return None
    else:
        save_text_student(pretrained_student(f"hf:{MODEL}", PromptConfig(context=1024), seed=1), own)
        observations //= 10
    parity = wean.export(own, folder / name, make="ScienceWorld", observations=observations).parity
    return {"kind": name, **parity._asdict()}


# --- time ------------------------------------------------------------------------------------------------------------


def timed(folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds of an action, and how many times faster the runtime is, as medians over rounds."""
    maps = held_out_maps(400)
    runtime, torch_policy = load(folder / "grid"), wean.load(folder / "grid run")
    ways: dict[str, Callable[[NDArray[Any]], Any]] = {"runtime": runtime.act, "torch": torch_policy.act}
    if (predict := sb3()) is not None:
        ways["stable-baselines3"] = predict
    runtime.reset(seed=1)
    torch_policy.reset(seed=1)
    found: dict[str, list[float]] = {name: [] for name in ways}
    with one_core():
        for act in ways.values():  # the first calls are slower
            for one in maps[:50]:
                act(one)
        for _ in range(rounds):  # in turn, so that a slow spell of the machine meets them all
            for name, act in ways.items():
                found[name].append(statistics.median(milliseconds(act, one) for one in maps))
    fast = found["runtime"]
    return {
        "rounds": rounds,
        "ms": {name: statistics.median(many) for name, many in found.items()},
        "least ms": {name: min(many) for name, many in found.items()},
        "times faster": {
            name: statistics.median(own / other for own, other in zip(many, fast, strict=True))
            for name, many in found.items()
            if name != "runtime"
        },
    }


def milliseconds(act: Callable[[NDArray[Any]], Any], observation: NDArray[Any]) -> float:
    """Wall-clock time of one action."""
    started = time.perf_counter()
    act(observation)
    return 1000 * (time.perf_counter() - started)


def held_out_maps(count: int) -> list[NDArray[Any]]:
    """Maps (10, 10, 4) that random actions meet in held-out rooms."""
    env, random, maps = wean.make(TASK), np.random.default_rng(0), []
    seed, over = 10_000, True
    while len(maps) < count:
        if over:
            observation, _ = env.reset(seed=seed)
            seed, over = seed + 1, False
        else:
            observation, _, terminated, truncated, _ = env.step(int(random.integers(7)))
            over = terminated or truncated
        maps.append(observation["image"])
    return maps


def sb3() -> Callable[[NDArray[Any]], Any] | None:
    """`predict` of stable-baselines3's PPO with layers of the same width; None where it is not installed."""
    try:
        import stable_baselines3
    except ImportError:
        return None
    from ppo_speed import Image

    model = stable_baselines3.PPO(
        "MlpPolicy", Image(wean.make(TASK)), policy_kwargs={"net_arch": [128, 128]}, device="cpu", seed=1
    )
    return lambda observation: model.predict(observation.ravel())


@contextmanager
def one_core() -> Iterator[None]:
    """Keeps this process on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- start and size --------------------------------------------------------------------------------------------------

_START = """
import time
begun = time.perf_counter()
import json, pathlib, re, sys
import numpy
import wean_runtime
policy = wean_runtime.load(sys.argv[1])
policy.act(numpy.load(sys.argv[1] + "/example.npy")[0])
seconds = time.perf_counter() - begun
# Not getrusage: its peak begins with that of the process that started this one.
status = pathlib.Path("/proc/self/status").read_text()
megabytes = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024 / 1e6
print(json.dumps({"seconds": seconds, "cpu seconds": time.process_time(), "MB": megabytes}))
"""


def environment(folder: Path) -> dict[str, Any] | None:
    """Makes a virtual environment with the runtime alone; None where pip cannot reach its packages."""
    home = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    before = sizes(home)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--constraint", ROOT / "constraints.txt", ROOT / "runtime"], check=False
    )
    if done.returncode:
        return None
    added = {name: size - before.get(name, 0.0) for name, size in sizes(home).items()}
    parts = {name: round(size, 1) for name, size in added.items() if size > 0.5}
    return {"python": str(python), "MB": sum(added.values()), "parts": parts}


def sizes(home: Path) -> dict[str, float]:
    """Megabytes (10^6 bytes) of every installed package's folder."""
    found: dict[str, float] = {}
    packages_folder = next(home.rglob("site-packages"))
    for file in packages_folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            name = file.relative_to(packages_folder).parts[0]
            found[name] = found.get(name, 0.0) + file.stat().st_size / 1e6
    return found


def start(installed: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Import, load and first action in a fresh process: seconds and peak memory."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [installed["python"], "-c", _START, str(folder / "grid")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def markdown(results: Mapping[str, Any]) -> str:
    """The tables for people."""
    actions, began, size = results["actions"], results["start"], results["installed"]
    wanted = results["wanted"]
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    for name, value in actions["ms"].items():
        goal = f"at most {wanted['ms']} ms" if name == "runtime" else ""
        least = actions["least ms"][name]
        lines.append(f"| one action, {name} | {value:.4f} ms (quietest round {least:.4f}) | {goal} |")
    for name, value in actions["times faster"].items():
        lines.append(f"| runtime beside {name} | {value:.1f} times faster | at least {wanted['times faster']} |")
    if began:
        seconds = f"{began['seconds']:.3f} s ({began['cpu seconds']:.3f} s of the processor, the interpreter included)"
        lines.append(f"| import, load, first action | {seconds} | at most {wanted['start seconds']} s |")
        lines.append(f"| peak memory | {began['MB']:.0f} MB | at most {wanted['start MB']} MB |")
    if size:
        parts = ", ".join(f"{name} {value:.0f}" for name, value in size["parts"].items())
        lines.append(f"| installed | {size['MB']:.0f} MB ({parts}) | at most {wanted['installed MB']} MB |")
    lines += [
        "",
        "| kind of student | held-out observations or prompts | largest difference | same best action |",
        "|---|---|---|---|",
    ]
    for row in results["parity"]:
        lines.append(
            f"| {row['kind']} | {row['observations']:,} | {row['difference']:.2g} | {100 * row['agreement']:.2f} % |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
