"""Plays a few episodes step by step, with pictures, for the report."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy, sample
from wean.errors import UsageError
from wean.evaluation.episodes import succeeded
from wean.tasks.registration import make_task
from wean.tasks.vector import SerialTasks, ShownTasks, chosen

SCHEMA = "wean-episodes/1"


def record(
    policy: Policy,
    task: str,
    seeds: Sequence[int],
    success_return: float | None = None,
    view: Callable[[SerialTasks], ShownTasks] | None = None,
) -> dict[str, Any]:
    """Plays one episode a seed and keeps every step.

    Args:
        policy: Who acts.
        task: Short name or registered id; one that does not render `rgb_array` gives steps without a picture, one
            without words steps without text.
        seeds: Reset seeds.
        success_return: As in `wean.evaluation.episodes.play`.
        view: Shows the tasks as the policy sees them; as they are by default.

    Returns:
        A JSON-ready object `wean-episodes/1`.
    """
    played = SerialTasks([partial(_make, task)])
    tasks = played if view is None else view(played)
    try:
        names = _action_names(tasks)
        episodes = [_record_one(policy, tasks, seed, names, success_return) for seed in seeds]
    finally:
        tasks.close()
    return {"schema": SCHEMA, "episodes": episodes}


def _record_one(
    policy: Policy, tasks: ShownTasks, seed: int, named: Sequence[str], success_return: float | None
) -> dict[str, Any]:
    generator = np.random.default_rng([seed, 1])  # the same actions as in `wean.evaluation.episodes.play`
    observations = tasks.reset([0], [seed])
    policy.begin(1)
    steps: list[dict[str, Any]] = []
    ended = False
    while not ended:
        draws = np.array([[generator.random(), generator.random()]])
        probabilities = policy.act(tasks, [0], observations, draws[:, 0])
        number = sample(probabilities, draws[:, 1])
        action, names = int(number[0]), named or tasks.situations([0])[0].choices
        step = {
            "frame": _picture(tasks),
            "text": _text(tasks),
            "action": names[action],
            "probabilities": {name: round(float(p), 4) for name, p in zip(names, probabilities[0], strict=True)},
        }
        stepped = tasks.step([0], chosen(tasks, [0], number))
        observations = stepped.observations
        steps.append({**step, "reward": float(stepped.rewards[0])})
        ended = bool(stepped.terminated[0] or stepped.truncated[0])
    total = sum(step["reward"] for step in steps)
    success = bool(succeeded(np.array([total]), stepped.successes, success_return)[0])
    return {"seed": seed, "success": success, "return": total, "steps": steps}


def _make(task: str) -> gym.Env[Any, Any]:
    """Makes a task that renders, if it can: an environment of a user's own need not take a render mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make_task(task, render_mode="rgb_array")
        except TypeError:
            return make_task(task)


def _picture(tasks: ShownTasks) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _png(tasks.render(0))
        except (NotImplementedError, TypeError, ValueError, gym.error.Error):
            return None  # an environment that cannot be drawn says so in one of these ways


def _text(tasks: ShownTasks) -> str:
    try:
        return tasks.situations([0])[0].text
    except UsageError:
        return ""


def _action_names(tasks: ShownTasks) -> list[str]:
    """Names of the numbered actions; none for a text task, where every moment names its own."""
    if not isinstance(tasks.action_space, gym.spaces.Discrete):
        return []
    named, count = tasks.action_names(), int(tasks.action_space.n)
    return named if len(named) == count else [str(action) for action in range(count)]


def _png(frame: NDArray[np.uint8], width: int = 240) -> str:
    """A picture as a data URL, scaled down to `width` pixels."""
    from PIL import Image

    picture = Image.fromarray(frame)
    picture = picture.resize((width, max(1, round(width * picture.height / picture.width))), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # A palette makes the flat colours of a grid a quarter of the size.
    picture.quantize(64).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
