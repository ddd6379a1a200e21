"""Tasks that are drawn for people: made so, drawn, and with names for their actions."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.errors import WeanError
from wean.tasks.vector import ShownTasks, has_numbered_actions, num_actions


def make_drawn(make: Callable[..., gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """Makes a task that renders, if it can: an environment of a user's own need not take a render mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(render_mode="rgb_array")
        except (TypeError, WeanError):  # it takes no mode, or not this one
            return make()


def picture(tasks: ShownTasks, index: int = 0, width: int = 240) -> str | None:
    """A picture of one member as a data URL, scaled to `width` pixels; None for a task that is not drawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _png(tasks.render(index), width)
        except (NotImplementedError, TypeError, ValueError, gym.error.Error):
            return None  # how environments refuse to be drawn


def action_names(tasks: ShownTasks) -> list[str]:
    """Names of the numbered actions, their numbers where there are none; none for a text task, which names its own."""
    if not has_numbered_actions(tasks):
        return []
    named, count = tasks.action_names(), num_actions(tasks.action_space)
    return named if len(named) == count else [str(action) for action in range(count)]


def _png(frame: NDArray[np.uint8], width: int) -> str:
    from PIL import Image

    picture = Image.fromarray(frame)
    picture = picture.resize((width, max(1, round(width * picture.height / picture.width))), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # A palette makes the flat colours of a grid a quarter of the size.
    picture.quantize(64).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
