"""Demonstrations of numeric tasks to and from Minari: the observations are those that a student sees.

A file of demonstrations has words and no numbers, a Minari data set numbers and no words. The reset seed and the
actions of an episode bring the task back, which gives the other half, and shows whether it is the same task.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wean.data.demonstrations import Demonstrations, write_demonstrations
from wean.errors import UsageError
from wean.evaluation.demonstrations import StepNotes
from wean.extras import require
from wean.tasks.splits import Case
from wean.tasks.vector import MakeTask, SerialTasks, has_numbered_actions

_OTHER = "it is not deterministic, or of another version; write the demonstrations anew with wean demos"


def to_minari(demos: Demonstrations, make: MakeTask, name: str) -> dict[str, int]:
    """Writes demonstrations as the Minari data set `name` (as "lake/expert-v0"); returns its episodes and steps.

    Raises:
        UsageError: The task's actions are not numbered, it does not come back as it was, or there is such a data set.
    """
    minari = require("minari", extra="minari")
    from minari.data_collector import EpisodeBuffer

    tasks = _numeric(make, demos.task)
    episodes: list[Any] = []
    ends = [*demos.starts[1:].tolist(), len(demos)]
    for begin, end in zip(demos.starts.tolist(), ends, strict=True):
        seed, actions = int(demos.seed[begin]), demos.number[begin:end]
        observations = [tasks.reset([0], [seed])[0]]
        for row, action in enumerate(actions.tolist(), begin):
            step = tasks.step([0], [action])
            same = (step.rewards[0], step.terminated[0]) == (demos.reward[row], demos.terminated[row])
            if not same:
                raise UsageError(f"{demos.task} does not come back as in episode {demos.episode[row]}: {_OTHER}")
            observations.append(step.observations[0])
        episodes.append(
            EpisodeBuffer(
                id=len(episodes),
                seed=seed,
                observations=np.stack(observations),
                actions=actions,
                rewards=demos.reward[begin:end].tolist(),
                terminations=demos.terminated[begin:end].tolist(),
                truncations=demos.truncated[begin:end].tolist(),
            )
        )
    try:
        minari.create_dataset_from_buffers(
            name,
            episodes,
            action_space=tasks.action_space,
            observation_space=tasks.observation_space,
            algorithm_name=demos.policy,
            description=f"Demonstrations of {demos.task}: {demos.goal}",
            data_format="arrow",
            requirements=[],
        )
    except ValueError as error:
        raise UsageError(
            f"{name} is no name of a new Minari data set ({error}); give another, as lake/expert-v0"
        ) from None
    finally:
        tasks.close()
    return {"episodes": len(episodes), "steps": len(demos)}


def from_minari(name: str, task: str, make: MakeTask, out: Path, show: Callable[[int, int], None]) -> dict[str, int]:
    """Writes a Minari data set as a file of demonstrations; returns its episodes and steps.

    Raises:
        UsageError: There is no such data set, it has no reset seeds, or is not of this task.
    """
    minari = require("minari", extra="minari")
    try:
        data = minari.load_dataset(name)
    except (FileNotFoundError, ValueError):
        raise UsageError(f"there is no Minari data set {name} on this machine; minari download {name}") from None
    tasks = _numeric(make, task)
    notes = StepNotes(tasks)
    rows = []
    for place, episode in enumerate(data.iterate_episodes()):
        (about,) = data.storage.get_episode_metadata([episode.id])
        seed = about.get("seed")
        if seed is None:
            raise UsageError(f"episode {episode.id} of {name} has no reset seed, so that {task} cannot be brought back")
        success = _replayed(tasks, notes, episode, int(seed), f"episode {episode.id} of {name} is not of {task}, or")
        rows += notes.rows(0, Case(task, int(episode.id), int(seed)), success)
        show(place + 1, data.total_episodes)
    goal = notes.now[0].goal
    tasks.close()
    policy = data.storage.metadata.get("algorithm_name") or f"minari {name}"
    write_demonstrations(out, rows, task=task, goal=goal, policy=policy)
    return {"episodes": int(data.total_episodes), "steps": len(rows)}


def _replayed(tasks: SerialTasks, notes: StepNotes, episode: Any, seed: int, otherwise: str) -> bool | None:
    """Replays an episode into the notes; returns whether it is a success, None where the task does not say."""
    observation = tasks.reset([0], [seed])
    notes.begin(tasks, [Case(seed=seed)])
    success = np.nan
    for number, action in enumerate(episode.actions):
        same = np.array_equal(observation[0], episode.observations[number])
        steps = tasks.step([0], [int(action)])
        if not same or steps.rewards[0] != episode.rewards[number]:
            raise UsageError(f"{otherwise} {_OTHER}")
        notes.after(tasks, [0], [int(action)], steps)
        observation, success = steps.observations, steps.successes[0]
    if np.isnan(success):
        threshold = tasks.reward_threshold
        return None if threshold is None else bool(np.sum(episode.rewards) >= threshold)
    return bool(success)


def _numeric(make: MakeTask, task: str) -> SerialTasks:
    """One member of a task with numbered actions.

    Raises:
        UsageError: Its actions are texts.
    """
    tasks = SerialTasks([make])
    if not has_numbered_actions(tasks):
        tasks.close()
        raise UsageError(
            f"the actions of {task} are words, which Minari has no space for; its Parquet file is for those"
        )
    return tasks
