"""Evaluates a policy on a task: any task and policy, in any number of processes, resumable."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wean.agents.policy import Policy
from wean.agents.references import reference
from wean.errors import UsageError, WeanError
from wean.evaluation.playing import Episode, Observer, play
from wean.evaluation.scores import Episodes, Scores, llm_counts
from wean.files import read_lines, replacing
from wean.llm.model import LanguageModel
from wean.processes import Kind, file_locked, work
from wean.tasks.registration import make_task, short_name
from wean.tasks.splits import FINAL_SEED, Case
from wean.tasks.vector import MakeTask, SerialTasks, Steps, Tasks, has_numbered_actions

SCHEMA = "wean-episode/1"
SIDE_BY_SIDE = 100
"""Most episodes of a task with numbered actions that are played side by side in one process."""

_ANSWER = 300  # characters of a text task's answer that are kept beside an action

Progress = Callable[[int], None]


class Player(NamedTuple):
    """What plays episodes in one process: a policy, as many tasks as play side by side, and the model that is asked."""

    policy: Policy
    tasks: Tasks
    model: LanguageModel | None = None

    def close(self) -> None:
        """Closes the tasks and the model."""
        self.tasks.close()
        if self.model is not None:
            self.model.close()


class Plan(NamedTuple):
    """What is to be played; goes to other processes where `open_player` survives pickling.

    Attributes:
        task: Name of the task.
        cases: The episodes.
        open_player: Makes what plays in a process, given how many episodes play side by side.
        members: How many play side by side.
        success_return: See `succeeded`.
        max_moves: Moves after which an episode is over.
        about: Further fields of the scores' JSON object.
    """

    task: str
    cases: Sequence[Case]
    open_player: Callable[[int], Player]
    members: int = 1
    success_return: float | None = None
    max_moves: int | None = None
    about: Mapping[str, Any] = {}


def evaluate(
    policy: Policy | str | Callable[[], Policy],
    make: str | MakeTask,
    episodes: int = 500,
    seed: int = FINAL_SEED,
    *,
    workers: int = 1,
    out: Path | None = None,
    progress: Progress | None = None,
    max_steps: int | None = None,
) -> Scores:
    """Plays episodes with the reset seeds seed, seed + 1, ... and returns their scores.

    Args:
        policy: The policy; the name of one that needs nothing but the task (`random`, `random-skills`, `expert`,
            `explorer`); or a function that makes it in each process.
        make: Short name or registered id of the task, or a function that makes it.
        episodes: Number of episodes.
        seed: Reset seed of the first; wean's final figures begin at 10,000.
        workers: Processes that play; with more than one, `policy` and `make` must survive pickling.
        out: JSONL file to which finished episodes are written, and from which a stopped evaluation goes on.
        progress: Called with the number of finished episodes.
        max_steps: Steps after which an episode is over; by default where the task ends it.

    Raises:
        UsageError: There is no such policy or task, an episode has no end, or `out` holds something else.
        WeanError: `out` cannot be written, or a process died.
    """
    maker, name = (partial(make_task, make), short_name(make)) if isinstance(make, str) else (make, "")
    first = SerialTasks([maker])
    members = min(SIDE_BY_SIDE, episodes) if has_numbered_actions(first) else 1
    name = name or first.name
    opened = partial(_open, policy, maker)
    cases, threshold = seed_cases(name, episodes, seed), first.reward_threshold
    first.close()
    about = {"seed": seed, **({} if max_steps is None else {"max_moves": max_steps})}
    return evaluate_plan(Plan(name, cases, opened, members, threshold, max_steps, about), workers, out, progress)


def seed_cases(task: str, episodes: int, seed: int) -> list[Case]:
    """Returns the episodes with the reset seeds seed, seed + 1, ..."""
    return [Case(task, number, number) for number in range(seed, seed + episodes)]


def play_seeds(
    policy: Policy,
    tasks: Tasks,
    episodes: int,
    seed: int,
    success_return: float | None = None,
    progress: Progress | None = None,
) -> Episodes:
    """Plays episodes with the reset seeds seed, seed + 1, ..., as many side by side as there are tasks.

    Returns:
        The episodes in the order of their seeds; see `succeeded` for `success_return`.
    """
    played = []
    for episode in play(policy, tasks, seed_cases("", episodes, seed)):
        played.append(episode)
        if progress is not None:
            progress(len(played))
    return Episodes.of(sorted(played, key=lambda one: one.case.seed), success_return)


def evaluate_plan(
    plan: Plan,
    workers: int = 1,
    out: Path | None = None,
    progress: Progress | None = None,
    kind: Kind = "processes",
) -> Scores:
    """Plays what is planned; see `evaluate`, and `work` for the kind of workers.

    Raises:
        UsageError: `out` holds something else.
        WeanError: `out` cannot be written, another process writes it, or a process died.
    """
    with nullcontext() if out is None else file_locked(out):
        return _evaluate(plan, workers, out, progress, kind)


def _evaluate(plan: Plan, workers: int, out: Path | None, progress: Progress | None, kind: Kind) -> Scores:
    found = {} if out is None else _read(out)
    kept = {_key(case): found[_key(case)] for case in plan.cases if _key(case) in found}
    wanted = [case for case in plan.cases if _key(case) not in found]
    policy, counts = "", dict[int, Mapping[str, Any]]()
    if progress is not None:
        progress(len(kept))
    for result in _play(plan._replace(cases=wanted), workers, kind):
        policy, counts[result.process] = result.policy, result.llm
        kept[_key(result.episode.case)] = result.episode
        if out is not None:
            _append(out, result.episode)
        if progress is not None:
            progress(len(kept))
    if not (policy or "policy" in plan.about):  # everything was there: only its name is wanted
        player = plan.open_player(1)
        policy = player.policy.name
        player.close()
    about = {"policy": policy, **plan.about}
    played = Episodes.of([kept[_key(case)] for case in plan.cases], plan.success_return)
    return Scores(plan.task, about.pop("policy"), played, _summed(list(counts.values())), about)


def _open(policy: Policy | str | Callable[[], Policy], make: MakeTask, members: int) -> Player:
    if isinstance(policy, str):
        policy = reference(policy)
    return Player(policy if isinstance(policy, Policy) else policy(), SerialTasks([make] * members))


# --- playing, here and in workers ------------------------------------------------------------------------------------


class _Result(NamedTuple):
    """An episode that ended, in which process, with the policy's name and the questions asked so far."""

    episode: Episode
    process: int
    policy: str
    llm: Mapping[str, Any]


def _play(plan: Plan, workers: int, kind: Kind) -> Iterator[_Result]:
    """Plays in this process, or in workers."""
    if not plan.cases:
        return
    if kind == "processes" and (workers <= 1 or len(plan.cases) <= 1):
        player = plan.open_player(plan.members)
        try:
            yield from _play_here(player, plan.cases, plan.max_moves)
        finally:
            player.close()
        return
    members = min(plan.members, -(-len(plan.cases) // workers))
    make = partial(_CasePlayer, plan.open_player, members, plan.max_moves)
    batches = ((plan.cases[first : first + members],) for first in range(0, len(plan.cases), members))
    for results in work(make, batches, workers, "repeat the command with fewer --workers", kind):
        yield from results


class _CasePlayer:
    """Plays episodes in a worker process."""

    def __init__(self, open_player: Callable[[int], Player], members: int, max_moves: int | None) -> None:
        torch.set_num_threads(1)
        self._player, self._max_moves = open_player(members), max_moves

    def __call__(self, cases: Sequence[Case]) -> list[_Result]:
        """Plays the episodes."""
        return list(_play_here(self._player, cases, self._max_moves))

    def close(self) -> None:
        """Closes the tasks and the model."""
        self._player.close()


def _play_here(player: Player, cases: Sequence[Case], max_moves: int | None) -> Iterator[_Result]:
    """Plays with one player."""
    notes = [_TextNotes()] if _is_in_words(player.tasks) else []
    for episode in play(player.policy, player.tasks, cases, max_moves=max_moves, observers=notes):
        for note in notes:
            note.add_to(episode)
        yield _Result(episode, os.getpid(), player.policy.name, llm_counts(player.model))


def _is_in_words(tasks: Tasks) -> bool:
    """Whether the tasks are played in words and count points."""
    if has_numbered_actions(tasks):
        return False
    try:
        tasks.text_task(0)
    except UsageError:
        return False
    return True


class _TextNotes(Observer):
    """Actions and points of text tasks, for policies that do not note them themselves."""

    def begin(self, tasks: Tasks, cases: Sequence[Case]) -> None:
        """See `Observer.begin`."""
        self._numbers = {_key(case): number for number, case in enumerate(cases)}
        self._scores = [float(tasks.text_task(number).score) for number in range(len(cases))]
        self._traces: list[list[dict[str, Any]]] = [[] for _ in cases]

    def after(self, tasks: Tasks, which: Sequence[int], actions: Sequence[Any], steps: Steps) -> None:
        """See `Observer.after`."""
        for place, (index, action) in enumerate(zip(which, actions, strict=True)):
            self._scores[index] = float(tasks.text_task(index).score)
            moves = int(steps.infos[place].get("moves", len(self._traces[index]) + 1))
            answer = steps.feedback(place)[:_ANSWER]
            self._traces[index].append(
                {"action": action, "observation": answer, "score": self._scores[index], "moves": moves}
            )

    def add_to(self, episode: Episode) -> None:
        """Adds what the policy's own statistics lack."""
        number = self._numbers[_key(episode.case)]
        counts = dict.fromkeys(("tokens", "questions", "failed"), 0)
        noted = {"score": self._scores[number], "actions": episode.length, "seconds": 0.0, **counts}
        episode.stats = noted | {"trace": self._traces[number]} | episode.stats


def _summed(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was asked in several processes together; an unknown price stays unknown."""
    if not counts:
        return llm_counts(None)
    total = dict(counts[0])
    for name in [name for name in total if name != "model"]:
        values = [one[name] for one in counts]
        total[name] = None if None in values else sum(values)
    return total


# --- files -----------------------------------------------------------------------------------------------------------


def _key(case: Case) -> tuple[str, int]:
    return case.task, case.variation


def _append(file: Path, episode: Episode) -> None:
    """Writes a finished episode; a `WeanError` if that fails."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            stream.write(json.dumps(episode_row(episode)) + "\n")
    except OSError as error:
        raise WeanError(f"{file}: cannot be written ({error.strerror}); make room and repeat the command") from None


def _read(file: Path) -> dict[tuple[str, int], Episode]:
    """Reads finished episodes, a half-written last line cut off; a `UsageError` if the file holds something else."""
    if not file.exists():
        return {}
    lines = read_lines(file)
    if any(row.get("schema") != SCHEMA for _, row in lines.rows):
        raise UsageError(f"{file} holds no episodes of this wean; move it away, or name another --out")
    if lines.cut:
        with replacing(file) as unfinished:
            unfinished.write_text("".join(json.dumps(row) + "\n" for _, row in lines.rows))
    episodes = [episode_of(row) for _, row in lines.rows]
    return {_key(episode.case): episode for episode in episodes}


def episode_row(episode: Episode) -> dict[str, Any]:
    """An episode as a line of JSON (`wean-episode/1`)."""
    case, known, timed = episode.case, not math.isnan(episode.success), not math.isnan(episode.seconds_per_action)
    return {
        "schema": SCHEMA,
        "task": case.task,
        "variation": case.variation,
        "seed": case.seed,
        "return": episode.total,
        "length": episode.length,
        "success": bool(episode.success) if known else None,
        "moves": episode.moves,
        "ms_per_action": 1000 * episode.seconds_per_action if timed else None,
        "deciding_seconds": episode.seconds,
        **episode.stats,
    }


_TIMES = ("ms_per_action", "deciding_seconds")


def episode_of(row: Mapping[str, Any]) -> Episode:
    """An episode from its line of JSON."""
    names = ("schema", "task", "variation", "seed", "return", "length", "success", "moves", *_TIMES)
    success = math.nan if row["success"] is None else float(row["success"])
    alone = math.nan if row["ms_per_action"] is None else row["ms_per_action"] / 1000
    stats = {name: value for name, value in row.items() if name not in names}
    case = Case(row["task"], row["variation"], row["seed"])
    seconds = row.get("deciding_seconds", 0.0)
    return Episode(case, row["return"], row["length"], success, row["moves"], alone, seconds, stats)
