"""Tiny tasks that every algorithm must solve."""

import os
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from wean.tasks.situation import Situation

RIGHT = 1


class Corridor(gym.Env[int, int]):
    """Five cells; walking right to the last one gives 1; ten steps truncate."""

    observation_space = gym.spaces.Discrete(5)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell, self.steps = 0, 0
        return self.cell, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.cell = min(4, self.cell + 1) if action == RIGHT else max(0, self.cell - 1)
        done = self.cell == 4
        return self.cell, float(done), done, self.steps >= 10 and not done, {}

    def situation(self) -> Situation:
        return Situation("Walk to the end of the corridor.", f"You are in cell {self.cell}.", ("left", "right"))

    def first_action(self, plan: tuple[str, ...]) -> int | None:
        return {"left": 0, "right": RIGHT}.get(plan[0]) if plan else None


class Recall(gym.Env[np.ndarray, int]):
    """Shows +1 or -1 once, then zeros for two steps; the last action must name the sign. Needs a memory."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.sign, self.steps = int(self.np_random.integers(2)), 0
        return np.array([2.0 * self.sign - 1], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        done = self.steps == 3
        return np.zeros(1, np.float32), float(done and action == self.sign), done, False, {}


class Lamps(gym.Env[dict[str, np.ndarray], int]):
    """A camera sees lamps in grey and their depth; the state says where it looks. Two actions turn it."""

    metadata: ClassVar[dict[str, Any]] = {"observation": "camera"}
    observation_space = gym.spaces.Dict(
        {"image": gym.spaces.Box(0, 255, (20, 22, 2), np.uint8), "state": gym.spaces.Box(0, 1, (3,), np.float32)}
    )
    action_space = gym.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.seen(), {}

    def seen(self) -> dict[str, np.ndarray]:
        image = self.np_random.integers(0, 256, (20, 22, 2), dtype=np.uint8)
        return {"image": image, "state": self.np_random.random(3, dtype=np.float32)}

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.seen(), float(action == RIGHT), False, self.steps == 6, {}


class Farm(Corridor):
    """The corridor, but every step pays, and only the end is success, which the task says itself."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward + 0.1, terminated, truncated, {"is_success": terminated}


class Endless(Corridor):
    """A corridor without an end, and without a time limit; sends its own process a signal, if any, at the 20th step."""

    signal: int | None = None

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        cell = super().step(action)[0]
        if self.signal is not None and self.steps == 20:
            os.kill(os.getpid(), self.signal)
        return cell, 0.0, False, False, {}
