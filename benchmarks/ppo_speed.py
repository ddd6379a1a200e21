"""Environment steps per second of PPO, learning included, and where the time goes.

    python benchmarks/ppo_speed.py [--quick] [--json] [--save]

Beside it stable-baselines3's PPO on the same rooms with the same rollout and update sizes, where it is installed
(`pip install stable-baselines3`); it has no teacher, so the line without one is the fair comparison.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from harness import MEASURED_ANEW, finish, hardware, options
from wean.algorithms.ppo import PPO
from wean.experiment.settings import resolve
from wean.students.saving import make_student
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks
from wean.teachers.teacher import Teacher

NAME, TASK = "ppo_speed", "SimpleDoorKey"


def main() -> None:
    """Parses, measures in turn, prints."""
    arguments = options(__doc__, MEASURED_ANEW).parse_args()
    steps, rounds = (10_240, 1) if arguments.quick else (30_720, 5)
    measured_on = hardware("torch", "minigrid")
    ways = {
        "llm4teach, 1 thread": partial(ours, "llm4teach", 1, steps),
        "llm4teach, 2 threads": partial(ours, "llm4teach", 2, steps),
        "ppo, 1 thread": partial(ours, "ppo", 1, steps),
        "stepping only, random actions": partial(stepping, steps),
    }
    try:
        import stable_baselines3  # noqa: F401

        ways["stable-baselines3, 1 thread"] = partial(sb3, 1, steps)
        ways["stable-baselines3, 2 threads"] = partial(sb3, 2, steps)
    except ImportError:
        pass
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):  # in turn, so that a slow spell of the machine meets them all
        for name, measure in ways.items():
            found[name].append(measure())
    rows = [
        {"what": name, **{key: statistics.median(one[key] for one in many) for key in many[0]}, "rounds": rounds}
        for name, many in found.items()
    ]
    finish(NAME, measured_on, {"rows": rows}, markdown(rows), arguments)


def ours(method: str, threads: int, steps: int) -> dict[str, float]:
    """Trains the preset's own student; steps per second, and the share of the time of each part."""
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = resolve(method, TASK).algorithm
    tasks = SerialTasks([partial(make_task, TASK)] * config.num_envs)
    student = make_student(tasks.observation_space, tasks.action_space, observation=tasks.observation)
    teacher = Teacher("recorded:doorkey") if method == "llm4teach" else None
    algorithm = PPO(student, tasks, config.model_copy(update={"total_timesteps": steps}), teacher, seed=1)
    started = time.perf_counter()
    algorithm.learn()
    seconds = time.perf_counter() - started
    shares = {f"{name} share": spent / seconds for name, spent in algorithm.seconds.items()}
    return {"steps per second": algorithm.done / seconds, **shares}


def stepping(steps: int) -> dict[str, float]:
    """Steps the rooms with random actions and no student."""
    tasks = SerialTasks([partial(make_task, TASK)] * 64)
    members, random = list(range(64)), np.random.default_rng(1)
    tasks.reset(members, members)
    started = time.perf_counter()
    for _ in range(steps // 64):
        stepped = tasks.step(members, random.integers(7, size=64).tolist())
        over = np.flatnonzero(stepped.terminated | stepped.truncated).tolist()
        if over:
            tasks.reset(over, over)
    return {"steps per second": steps / (time.perf_counter() - started)}


class Image(gym.ObservationWrapper[Any, Any, Any]):
    """The room's map as a flat vector, which is what stable-baselines3's multilayer policy takes."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(0, 255, (10 * 10 * 4,), np.uint8)

    def observation(self, observation: Any) -> Any:
        """Takes the map out of the dict."""
        return observation["image"].ravel()


def sb3(threads: int, steps: int) -> dict[str, float]:
    """Trains stable-baselines3's PPO with the same rollout and update sizes and layers of the same width."""
    import stable_baselines3
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(threads)
    config = resolve("ppo", TASK).algorithm
    envs = DummyVecEnv([lambda: Image(make_task(TASK))] * config.num_envs)
    model = stable_baselines3.PPO(
        "MlpPolicy",
        envs,
        n_steps=config.num_steps,
        batch_size=config.num_envs * config.num_steps // config.num_minibatches,
        n_epochs=config.update_epochs,
        policy_kwargs={"net_arch": [128, 128]},
        device="cpu",
        seed=1,
    )
    started = time.perf_counter()
    model.learn(steps)
    return {"steps per second": steps / (time.perf_counter() - started)}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for people."""
    parts = ("environment", "teacher", "acting", "learning")
    lines = ["| what | steps per second | " + " | ".join(parts) + " |", "|---|---|" + "---|" * len(parts)]
    for row in rows:
        shares = [f"{row[f'{part} share']:.0%}" if f"{part} share" in row else "" for part in parts]
        lines.append(f"| {row['what']} | {row['steps per second']:,.0f} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
