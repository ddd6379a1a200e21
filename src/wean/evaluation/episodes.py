"""Plays held-out episodes with a policy and sums them up with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy, sample
from wean.evaluation.statistics import bootstrap_mean, wilson
from wean.tasks.vector import Tasks, chosen

SCHEMA = "wean-eval/1"


class Episodes(NamedTuple):
    """What a policy did in each of E episodes.

    Attributes:
        returns: (E,) undiscounted sums of rewards.
        lengths: (E,) steps.
        successes: (E,) bool.
        seconds_per_action: Median wall-clock seconds of a decision, the task's own time excluded.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    successes: NDArray[np.bool_]
    seconds_per_action: float


def play(
    policy: Policy,
    tasks: Tasks,
    episodes: int,
    seed: int,
    success_return: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Episodes:
    """Plays episodes with reset seeds seed, seed + 1, ..., as many side by side as there are tasks.

    Each episode draws its actions from its own generator, so the numbers do not depend on how many run together.

    Args:
        policy: Who acts.
        tasks: Where.
        episodes: How many, E.
        seed: Reset seed of the first.
        success_return: Return from which an episode counts as success where the task does not say so itself (in
            `info["is_success"]` of the last step); None counts every positive one.
        progress: Called with the number of finished episodes.

    Returns:
        The episodes in the order of their seeds.
    """
    returns, lengths, spent = np.zeros(episodes), np.zeros(episodes, np.int64), []
    said = np.full(episodes, np.nan)
    for first in range(0, episodes, tasks.num):
        members = list(range(min(tasks.num, episodes - first)))
        generators = [np.random.default_rng([seed + first + member, 1]) for member in members]
        policy.begin(len(members))
        observations = tasks.reset(members, [seed + first + member for member in members])
        while members:
            draws = np.array([[generators[m].random(), generators[m].random()] for m in members])
            started = time.perf_counter()
            probabilities = policy.act(tasks, members, observations, draws[:, 0])
            actions = sample(probabilities, draws[:, 1])
            spent.append((time.perf_counter() - started) / len(members))
            stepped = tasks.step(members, chosen(tasks, members, actions))
            at = np.array(members) + first
            returns[at] += stepped.rewards
            lengths[at] += 1
            said[at] = stepped.successes
            going = ~(stepped.terminated | stepped.truncated)
            members = [member for member, alive in zip(members, going, strict=True) if alive]
            observations = stepped.observations[going]
            if progress is not None and not going.all():
                progress(min(first + tasks.num, episodes) - len(members))
    successes = succeeded(returns, said, success_return)
    return Episodes(returns, lengths, successes, float(np.median(spent)))


def succeeded(
    returns: NDArray[np.float64], said: NDArray[np.float64], success_return: float | None
) -> NDArray[np.bool_]:
    """Tells which episodes are successes: as the task says, else by their return.

    Args:
        returns: (E,) undiscounted sums of rewards.
        said: (E,) 1 or 0 as the task said in the last step, NaN where it said nothing.
        success_return: Least return of a success; None counts every positive one.
    """
    earned = returns > 0 if success_return is None else returns >= success_return
    return np.where(np.isnan(said), earned, said == 1)


def summarize(episodes: Episodes, task: str, policy: str, seed: int, llm: dict[str, Any]) -> dict[str, Any]:
    """Writes episodes as the documented object `wean-eval/1`.

    Args:
        episodes: What was played.
        task: The task's name.
        policy: The policy's name.
        seed: Reset seed of the first episode.
        llm: What was asked of a language model meanwhile; see `wean.llm.answers.Counts`.

    Returns:
        A JSON-ready object: rates with 95 % Wilson intervals, means with 95 % bootstrap intervals.
    """
    return {
        "schema": SCHEMA,
        "task": task,
        "policy": policy,
        "episodes": len(episodes.returns),
        "seed": seed,
        "success": wilson(int(episodes.successes.sum()), len(episodes.successes)).as_dict(),
        "return": bootstrap_mean(episodes.returns).as_dict(),
        "length": bootstrap_mean(episodes.lengths).as_dict(),
        "ms_per_action": episodes.seconds_per_action * 1000,
        "llm": llm,
    }
