"""Plays a few episodes step by step, with pictures, for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.errors import UsageError
from wean.evaluation.evaluate import seed_cases
from wean.evaluation.playing import Observer, play
from wean.evaluation.scores import Episodes
from wean.tasks.pictures import action_names, make_drawn, picture
from wean.tasks.splits import Case
from wean.tasks.vector import SerialTasks, ShownTasks, Steps, Tasks

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
    played = SerialTasks([partial(make_drawn, make)])
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
        self._seen = {"frame": picture(self._tasks), "text": _text(tasks)}

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


def _text(tasks: Tasks) -> str:
    try:
        return tasks.situations([0])[0].text
    except UsageError:
        return ""
