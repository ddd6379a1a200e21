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

from wean.agents.policy import Policy
from wean.errors import UsageError, WeanError
from wean.evaluation.evaluate import seed_cases
from wean.evaluation.playing import Observer, play
from wean.evaluation.scores import Episodes
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks, ShownTasks, Steps, Tasks, has_numbered_actions, num_actions

SCHEMA = "wean-episodes/1"


def record(
    policy: Policy,
    make: Callable[..., gym.Env[Any, Any]],
    seeds: Sequence[int],
    success_return: float | None = None,
    view: Callable[[SerialTasks], ShownTasks] | None = None,
) -> dict[str, Any]:
    """Plays one episode for each seed, with the actions of an evaluation, and keeps every step.

    A task that does not render `rgb_array` gives steps without a picture, one without words steps without text; `view`
    shows the tasks as the policy sees them. See `succeeded` for `success_return`.

    Returns:
        A JSON-ready object `wean-episodes/1`.
    """
    played = SerialTasks([partial(_make, make)])
    tasks = played if view is None else view(played)
    try:
        noting = _NotingPolicy(policy)
        recorder = _Recorder(tasks, noting)
        cases = [case for seed in seeds for case in seed_cases("", 1, seed)]
        found = Episodes.of(list(play(noting, tasks, cases, observers=[recorder])), success_return)
    finally:
        tasks.close()
    successes = found.successes.tolist() if found.success_known else [None] * len(cases)
    episodes = [
        {"seed": case.seed, "success": success, "return": float(total), "steps": steps}
        for case, success, total, steps in zip(cases, successes, found.returns, recorder.episodes, strict=True)
    ]
    return {"schema": SCHEMA, "episodes": episodes}


class _NotingPolicy(Policy):
    """Another policy whose last probabilities are kept."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.last: NDArray[np.float64] = np.zeros((0, 0))

    def begin(self, members: Sequence[Case]) -> None:
        """See `Policy.begin`."""
        self._policy.begin(members)

    def probabilities(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Policy.probabilities`."""
        self.last = self._policy.probabilities(tasks, which, observations, draws)
        return self.last


class _Recorder(Observer):
    """Keeps what there was to see in each step of one member, what was done, and with which probability."""

    def __init__(self, tasks: ShownTasks, policy: _NotingPolicy) -> None:
        self._tasks, self._policy = tasks, policy
        self._names = action_names(tasks)
        self.episodes: list[list[dict[str, Any]]] = []

    def begin(self, tasks: Tasks, cases: Sequence[Case]) -> None:
        """See `Observer.begin`."""
        self.episodes.append([])

    def before(self, tasks: Tasks, which: Sequence[int]) -> None:
        """See `Observer.before`."""
        self._choices = self._names or tasks.situations([0])[0].choices
        self._seen = {"frame": _picture(self._tasks), "text": _text(tasks)}

    def after(self, tasks: Tasks, which: Sequence[int], actions: Sequence[Any], steps: Steps) -> None:
        """See `Observer.after`."""
        named = dict(zip(self._choices, self._policy.last[0].tolist(), strict=True))
        self.episodes[-1].append(
            {
                **self._seen,
                "action": self._names[actions[0]] if self._names else actions[0],
                "probabilities": {name: round(share, 4) for name, share in named.items()},
                "reward": float(steps.rewards[0]),
            }
        )


def _make(make: Callable[..., gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """Makes a task that renders, if it can: an environment of a user's own need not take a render mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(render_mode="rgb_array")
        except (TypeError, WeanError):  # it takes no mode, or not this one
            return make()


def _picture(tasks: ShownTasks) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _png(tasks.render(0))
        except (NotImplementedError, TypeError, ValueError, gym.error.Error):
            return None  # how environments refuse to be drawn


def _text(tasks: Tasks) -> str:
    try:
        return tasks.situations([0])[0].text
    except UsageError:
        return ""


def action_names(tasks: ShownTasks) -> list[str]:
    """Names of the numbered actions, their numbers where there are none; none for a text task, which names its own."""
    if not has_numbered_actions(tasks):
        return []
    named, count = tasks.action_names(), num_actions(tasks.action_space)
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
