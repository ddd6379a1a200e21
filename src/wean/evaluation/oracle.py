"""Writes trajectories of oracles, replayed before they are kept: ScienceWorld's gold paths, TextWorld's walkthroughs.

Every path that was tried is a small file beside the Parquet file to come, so that a job that is killed loses only the
paths that it was at. What comes out does not depend on the number of processes, as far as an oracle is reproducible.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from wean.agents.policy import Policy
from wean.agents.references import ReplayPolicy
from wean.data.annotations import Annotation, AnnotationWriter, Chunk, subgoal_of
from wean.data.normalize import is_idle
from wean.data.parts import Parts
from wean.data.trajectories import PathStep, Trajectory, path_metadata, write_paths
from wean.errors import UsageError, WeanError
from wean.evaluation.playing import Episode, Observer, play
from wean.files import writing
from wean.processes import Kind, file_locked, work
from wean.tasks.registration import episodes_of, make_task
from wean.tasks.scienceworld import TASKS, ScienceWorld, find_task
from wean.tasks.scienceworld_server import VERSION, ServerLost
from wean.tasks.splits import Case, Fold
from wean.tasks.vector import SerialTasks, Steps, Tasks, has_numbered_actions

Wanted = tuple[str, int]
"""A task and which of its variations; for TextWorld the number is the reset seed."""
TRIES = 3
"""How often a path is played at most: physics has chance, and a Java machine can be lost."""


class NothingReached(WeanError):
    """None of the paths reached the full score."""


class Oracle(Protocol):
    """Plays a variation of a task to its end."""

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """Gives `task`, `variation`, `description`, `path` (one object a step), `moves`, `score` (100 is success)."""

    def close(self) -> None:
        """Closes the tasks that it plays in."""


class ScienceWorldOracle:
    """ScienceWorld's own solution, replayed without a cap on moves."""

    def __init__(self, simplification: str = "easy") -> None:
        self._env = ScienceWorld(simplification=simplification, max_moves=None)

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """See `Oracle`; tries up to three times to reach a score of 100."""
        for tried in range(TRIES):
            try:
                row = self._play(task, variation)
            except ServerLost:
                if tried == TRIES - 1:
                    raise
                continue
            if row["score"] >= 100:
                break
        return row

    def _play(self, task: str, variation: int) -> dict[str, Any]:
        env = self._env
        if not env.server.alive:
            env.reset(options={"task": task, "variation": variation})  # renews the Java machine
        env.server.load(task, variation, env.simplification, path=True)
        return replayed(env, task, variation, env.server.call("getGoldActionSequence"))

    def close(self) -> None:
        """Ends the Java machine."""
        self._env.close()


def replayed(env: gym.Env[Any, Any], task: str, variation: int, actions: Sequence[str]) -> dict[str, Any]:
    """The row of `Oracle.play` for given actions; later ones than the end are left out.

    Raises:
        ServerLost: The Java machine died.
    """
    case = Case(task, variation, variation, {"task": task, "variation": variation})
    return play_path(SerialTasks([lambda: env]), ReplayPolicy({(task, variation): actions}), case)[0]


def play_path(
    tasks: SerialTasks, policy: Policy, case: Case, max_moves: int | None = None
) -> tuple[dict[str, Any], Episode]:
    """Plays an episode of a text task; returns its row, with the task's own score, and the episode."""
    path = _Path()
    (episode,) = play(policy, tasks, [case], max_moves=max_moves, observers=[path])
    played = tasks.text_task(0)
    row = {"task": case.task, "variation": case.variation, "description": played.description, "path": path.steps}
    return {**row, "moves": episode.moves, "score": played.score}, episode


class _Path(Observer):
    """Keeps each step of a text task: the action, its answer, and what was seen, carried and scored."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def before(self, tasks: Tasks, which: Sequence[int]) -> None:
        """See `Observer.before`."""
        task = tasks.text_task(0)
        self._seen = {"look": task.look(), "inventory": task.inventory()}

    def after(self, tasks: Tasks, which: Sequence[int], actions: Sequence[Any], steps: Steps) -> None:
        """See `Observer.after`."""
        info = steps.infos[0]
        if info.get("lost_server"):
            raise ServerLost("ScienceWorld's Java machine was lost")
        answer = str(info.get("feedback", steps.observations[0]))
        self.steps.append(
            {"action": actions[0], "observation": answer, **self._seen, "score": tasks.text_task(0).score}
        )


class WalkthroughOracle:
    """The best actions that a task in words offers, TextWorld's for example.

    Raises:
        UsageError: The task is not in words, or offers no best actions.
    """

    def __init__(self, task: str) -> None:
        env = make_task(task)
        self._tasks = SerialTasks([lambda: env])
        if has_numbered_actions(self._tasks) or not env.has_wrapper_attr("best_actions"):
            self.close()
            raise UsageError(f"{task} tells no walkthrough in words; leave --trajectories out")

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """See `Oracle`."""
        row, episode = play_path(self._tasks, _Walkthrough(), Case(task, variation, variation))
        return {**row, "score": 100 if episode.success == 1 else 0}

    def close(self) -> None:
        """Closes the task."""
        self._tasks.close()


class _Walkthrough(Policy):
    """Takes the first of the best actions, and gives up where there is none."""

    def decide(
        self, tasks: Tasks, which: Sequence[int], observations: NDArray[Any], draws: NDArray[np.float64]
    ) -> list[Any]:
        """See `Policy.decide`."""
        return [next(iter(best), None) for best in tasks.best_actions(which)]


def choose_variations(fold: Fold, per_task: int | None, tasks: Sequence[str], sample: str | None) -> list[Wanted]:
    """Which variations of ScienceWorld's tasks to demonstrate.

    Args:
        fold: Of which split.
        per_task: How many of each task, evenly spread over the split; None for all.
        tasks: Names or ids; none for all 30.
        sample: `first` takes the split's first ones, as evaluations play them. `paper` draws first as Sub-goal
            Distillation (2405.02749) does, though by Python's generator with seed 1: 50 variations of each task of
            topics 9 and 10 and 100 of task 3-3, from all splits together, of which the ones in `fold` remain.

    Raises:
        UsageError: There is no such task or sample.
    """
    if sample not in (None, "first", "paper"):
        raise UsageError(f"no sample {sample!r}; there are first, paper")
    wanted: list[Wanted] = []
    for task in [find_task(name) for name in tasks] or TASKS:
        numbers = list(task.variations(fold))
        most = 100 if task.id == "3-3" else 50 if task.id.startswith(("9-", "10-")) else None
        if sample == "paper" and most is not None:
            drawn = set(random.Random(1).sample(range(task.count), most))
            numbers = [number for number in numbers if number in drawn]
        if per_task is not None and per_task < len(numbers):
            spread = range(per_task) if sample == "first" else [i * len(numbers) // per_task for i in range(per_task)]
            numbers = [numbers[place] for place in spread]
        wanted += [(task.name, number) for number in numbers]
    return wanted


def choose_seeds(task: str, fold: Fold, per_task: int) -> list[Wanted]:
    """The first episodes of a split, of each part of the task, for tasks other than ScienceWorld."""
    return [(case.task, case.seed) for case in episodes_of(task, fold, per_task)]


def write_oracle_paths(
    out: Path,
    make: Callable[[], Oracle],
    wanted: Sequence[Wanted],
    job: Mapping[str, Any],
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    kind: Kind = "processes",
) -> dict[str, int]:
    """Plays and writes paths that reach the full score.

    Args:
        out: The Parquet file.
        make: Makes the oracle of each process; must be picklable.
        wanted: What to play.
        job: What the file is of, JSON-ready; its `version` and `simplification` become the file's.
        workers: Processes that play.
        resume: Whether to go on with what is there.
        progress: Called with the numbers of paths kept and tried.
        kind: Where the workers are.

    Returns:
        Numbers of paths `tried`, `kept`, `failed` (less than the full score), `long` (kept, more than 100 moves), and
        of `steps`.

    Raises:
        UsageError: The file, or an unfinished one, is there without `resume`, or is of another job.
        WeanError: A file is damaged, a process died, nothing reached the full score, or another process writes the
            file; what was played stays.
    """
    with file_locked(out):
        parts = Parts(out, {**job, "wanted": [list(item) for item in wanted]}, resume, _job_of)
        if parts.finished:
            finished: dict[str, int] = json.loads(path_metadata(out)["report"])
            return finished
        parts.begin()
        try:
            _play_all(partial(_PathPlayer, make, parts.folder), wanted, workers, kind, progress)
        except WeanError:
            if list(parts.folder.iterdir()) == [parts.described]:
                parts.remove()  # it could not begin: nothing is in the way of the corrected command
            raise
        return _put_together(parts, wanted, job)


def _play_all(
    make: Callable[[], _PathPlayer],
    wanted: Sequence[Wanted],
    workers: int,
    kind: Kind,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Plays the paths that are not there yet."""
    successes = 0
    played = work(make, wanted, workers, "go on with --resume and fewer --workers", kind)
    for tried, success in enumerate(played, 1):
        successes += success
        if progress is not None:
            progress(successes, tried)


def _put_together(parts: Parts, wanted: Sequence[Wanted], job: Mapping[str, Any]) -> dict[str, int]:
    """Writes the file of the paths that reach the full score, and removes its parts; returns the report."""
    folder = parts.folder
    rows = [_read(_part(folder, item)) for item in wanted]
    kept = [row for row in rows if row["score"] >= 100]
    if not kept:
        raise NothingReached(f"none of {len(rows)} paths reached the full score; they lie in {folder}")
    report = {
        "tried": len(rows),
        "kept": len(kept),
        "failed": len(rows) - len(kept),
        "long": sum(row["moves"] > 100 for row in kept),
        "steps": sum(len(row["path"]) for row in kept),
    }
    about = {name: str(job[name]) for name in ("version", "simplification") if name in job}
    planned = [annotation for row in kept if (annotation := _annotation(row))]
    if planned:
        AnnotationWriter(parts.path.with_suffix(".subgoals.jsonl")).replace(planned)
    write_paths(parts.path, kept, {**about, "job": parts.job, "report": json.dumps(report)})
    parts.remove()
    return report


def _annotation(row: Mapping[str, Any]) -> Annotation | None:
    """The sub-goals of a path that came with some: texts, each with its number of actions."""
    if "subgoals" not in row:
        return None
    chunks = tuple(Chunk(subgoal_of(text), count) for text, count in row["subgoals"])
    steps = tuple(PathStep(step["action"]) for step in row["path"])
    digest = Trajectory(row["task"], row["variation"], row["description"], steps).digest
    return Annotation(row["task"], row["variation"], chunks, "played", row["policy"], digest=digest)


def _job_of(path: Path) -> tuple[str, str]:
    metadata = path_metadata(path)
    return metadata.get("job", ""), f"of {metadata.get('version', 'an unknown version')} and other settings"


def version_of(task: str) -> str:
    """The version of a task's trajectories, as `Trajectory.version` has it; empty for a task of somebody's own."""
    if task.startswith("ALFWorld"):
        return "alfworld json_2.1.1"
    if task.startswith("TextWorld"):
        return f"textworld {version('textworld')}"
    return f"scienceworld {VERSION}" if task == "ScienceWorld" else ""


class _PathPlayer:
    """Plays and keeps paths, each in a file of its own; what is there already is not played again."""

    def __init__(self, make: Callable[[], Oracle], folder: Path) -> None:
        self._make, self._folder = make, folder
        self._oracle: Oracle | None = None

    def __call__(self, task: str, variation: int) -> bool:
        """Returns whether a path reaches the full score."""
        part = _part(self._folder, (task, variation))
        if part.exists():
            return bool(_read(part)["score"] >= 100)
        if self._oracle is None:
            self._oracle = self._make()
        row = self._oracle.play(task, variation)
        with writing(part) as unfinished:
            unfinished.write_text(json.dumps(row), encoding="utf-8")
        return bool(row["score"] >= 100)

    def close(self) -> None:
        """Closes the tasks that it plays in."""
        if self._oracle is not None:
            self._oracle.close()


def _part(folder: Path, item: Wanted) -> Path:
    return folder / f"{item[0]}-{item[1]:05d}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WeanError(f"{path} is damaged; delete it and go on with --resume") from None
    return row


_WALK, _TELEPORT = "go to ", "teleport to "
_REPEATED = 3


@dataclass(frozen=True)
class Shorter:
    """A demonstration made shorter, before it is replayed: its actions and the sub-goals that are left."""

    actions: tuple[str, ...]
    chunks: tuple[Chunk, ...]


def shortened(trajectory: Trajectory, annotation: Annotation, repeated: int | None = _REPEATED) -> Shorter:
    """Makes a demonstration shorter; an action is kept `repeated` times in a row at most, None keeps all."""
    actions: list[str] = []
    chunks: list[Chunk] = []
    start = 0
    for subgoal, count in annotation.chunks:
        begun = len(actions)
        for moment in trajectory.path[start : start + count]:
            action, done = moment.action, actions[begun:]
            if is_idle(action, moment.observation) or (repeated and done[-repeated:] == [action] * repeated):
                continue
            if action.startswith(_WALK):
                if done and done[-1].startswith(_TELEPORT):
                    actions.pop()
                action = _TELEPORT + action.removeprefix(_WALK)
            actions.append(action)
        if len(actions) > begun:
            chunks.append(Chunk(subgoal, len(actions) - begun))
        start += count
    return Shorter(tuple(actions), tuple(chunks))


class ShorterPaths:
    """Replays demonstrations made shorter; an `Oracle`.

    The oracle walks from room to room, opens open doors and repeats itself: a student that learns from it spends most
    of its hundred moves so. Within each sub-goal a walk becomes one `teleport`, an action is done three times in a row
    at most, and what changes nothing is left out; rooms that are searched one after the other still are.

    A new path is kept if it reaches the full score and has earned as much before its last action as the demonstration
    had: an experiment that was cut short and ends with the right guess is none. Where that fails repeated actions
    stay, and where that fails, too, so does the demonstration.
    """

    def __init__(self, examples: Sequence[tuple[Trajectory, Annotation]], simplification: str = "easy") -> None:
        self._examples = {trajectory.key: (trajectory, annotation) for trajectory, annotation in examples}
        self._env = ScienceWorld(simplification=simplification, max_moves=None)

    def play(self, task: str, variation: int) -> dict[str, Any]:
        """See `Oracle`; the score is 0 where even the demonstration cannot be repeated."""
        example = self._examples[task, variation]
        least = _before_end([moment.score or 0.0 for moment in example[0].path])
        shorter = dict.fromkeys(path.actions for path in _candidates(*example))
        tries = [*shorter, *[example[0].actions] * (TRIES - 1)]
        for number, actions in enumerate(tries, 1):
            try:
                row = replayed(self._env, task, variation, actions)
            except ServerLost:
                if number == len(tries):
                    raise
                continue
            earned = _before_end([moment["score"] for moment in row["path"]])
            if row["score"] >= 100 and (actions == example[0].actions or earned >= least):
                return row
        return {**row, "score": 0}

    def close(self) -> None:
        """Ends the Java machine."""
        self._env.close()


def annotated(trajectory: Trajectory, example: tuple[Trajectory, Annotation]) -> Annotation:
    """The sub-goals of a shorter path as it was replayed: it ends where the full score is reached."""
    left = len(trajectory.path)
    chunks = next(one.chunks for one in _candidates(*example) if one.actions[:left] == trajectory.actions)
    kept: list[Chunk] = []
    for subgoal, count in chunks:
        if left > 0:
            kept.append(Chunk(subgoal, min(count, left)))
        left -= count
    return replace(example[1], chunks=tuple(kept), digest=trajectory.digest)


def _candidates(trajectory: Trajectory, annotation: Annotation) -> list[Shorter]:
    """What is tried in turn."""
    shorter = [shortened(trajectory, annotation, often) for often in (_REPEATED, None)]
    return [*shorter, Shorter(trajectory.actions, annotation.chunks)]


def _before_end(scores: Sequence[float]) -> float:
    """The greatest score below the full one."""
    return max((score for score in scores if score < 100), default=0.0)
