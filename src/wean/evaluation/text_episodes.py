"""Plays many episodes in words and keeps each as it ends: a stopped evaluation goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wean.agents.subgoal_source import Drawn, SubgoalSource, drawing, given
from wean.agents.text_agent import Played, TextAgent, take
from wean.agents.text_react import LanguageAgent
from wean.data.lines import read_lines
from wean.errors import UsageError, WeanError

SCHEMA = "wean-text-episode/1"


class Case(NamedTuple):
    """One episode to be played.

    Attributes:
        task: Name of the task that its scores are counted under.
        variation: Which variation, or seed.
        seed: Of the reset.
        options: Of the reset.
    """

    task: str
    variation: int
    seed: int
    options: dict[str, Any] | None = None


@dataclass(frozen=True)
class Setup:
    """Everything that a worker needs to play; goes to other processes.

    Attributes:
        make: The registered task.
        students: Folder of the student, or of several that act together; none asks the model, or plays given or random
            admissible actions.
        model: Name of the language model that plays in the student's place.
        history: Commands that a question to it tells.
        temperature: Its sampling temperature; None leaves it to the model.
        strict: A question that recorded answers lack is an error.
        max_moves: Moves of an episode.
        goals: For each task and variation sub-goals that are given to the student; None lets it plan.
        pool: Sub-goals of which random ones are given; None lets it plan.
        drawn: What of those is drawn.
        actions: For each task and variation the actions that are repeated: the oracle under the same cap.
    """

    make: str
    students: tuple[str, ...] = ()
    max_moves: int = 100
    goals: dict[tuple[str, int], tuple[str, ...]] | None = None
    pool: tuple[str, ...] | None = None
    drawn: Drawn = "random"
    actions: dict[tuple[str, int], tuple[str, ...]] | None = None
    model: str | None = None
    history: int = 10
    temperature: float | None = None
    strict: bool = False


class Player:
    """Plays cases one after the other, with one task and one student.

    Args:
        setup: What is played.
    """

    def __init__(self, setup: Setup) -> None:
        from wean.llm import open_model
        from wean.students.text.student import load_ensemble
        from wean.tasks.registration import make_task

        self._setup = setup
        self._task: Any = make_task(setup.make)
        self._students = load_ensemble([Path(student) for student in setup.students]) if setup.students else []
        self._model = open_model(setup.model, strict=setup.strict) if setup.model else None

    def play(self, case: Case) -> dict[str, Any]:
        """Plays a case; returns its line."""
        self._task.reset(seed=case.seed, options=case.options)
        if self._setup.actions is not None:
            actions = self._setup.actions.get((case.task, case.variation))
            if actions is None:
                raise UsageError(f"no demonstration of {case.task} {case.variation}; make one with `wean demos`")
            played = repeat(self._task, actions, self._setup.max_moves)
        elif self._model is not None:
            asking = LanguageAgent(self._model, self._setup.history, self._setup.temperature)
            played = asking.play(self._task, self._setup.max_moves)
        elif not self._students:
            played = play_randomly(self._task, self._setup.max_moves, case.variation)
        else:
            student, *others = self._students
            agent = TextAgent(student, self._subgoals(case), others)
            played = agent.play(self._task, self._setup.max_moves)
        return {"schema": SCHEMA, "task": case.task, "variation": case.variation} | asdict(played)

    def _subgoals(self, case: Case) -> SubgoalSource | None:
        setup = self._setup
        if setup.goals is not None:
            goals = setup.goals.get((case.task, case.variation))
            if goals is None:
                raise UsageError(f"no sub-goals are given for {case.task} {case.variation}; annotate its demonstration")
            return given(goals)
        return drawing(setup.pool, setup.drawn, case.variation) if setup.pool is not None else None

    def close(self) -> None:
        """Lets go of the task, and of the model."""
        self._task.close()
        if self._model is not None:
            self._model.close()


def repeat(task: Any, actions: Sequence[str], max_moves: int) -> Played:
    """Takes given actions, as far as the moves allow."""
    played = Played()
    for action in actions:
        if played.moves >= max_moves or _take(task, action, played):
            break
    return played


def play_randomly(task: Any, max_moves: int, seed: int) -> Played:
    """Takes uniformly drawn admissible actions."""
    generator = np.random.default_rng(seed)
    played, over = Played(), False
    while not over and played.moves < max_moves and (choices := task.situation().choices):
        over = _take(task, choices[int(generator.integers(len(choices)))], played)
    return played


def _take(task: Any, action: str, played: Played) -> bool:
    """Takes an action and notes it; returns whether the episode is over."""
    _, over, info = take(task, action)
    played.actions += 1
    played.moves = int(info["moves"])
    played.score = float(task.score)
    played.trace.append({"action": action, "score": played.score, "moves": played.moves})
    return over


def play_all(
    setup: Setup, cases: Sequence[Case], file: Path, workers: int = 1, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Plays cases, each in its line of a file; those that are in it are not played again.

    Args:
        setup: What is played.
        cases: The episodes.
        file: JSONL; made where there is none.
        workers: Processes; 1 plays in this one.
        progress: Called with the number of episodes that are there.

    Returns:
        The lines of the cases, in their order.

    Raises:
        WeanError: The file cannot be written.
        UsageError: The file holds something else.
    """
    found = _read(file)
    wanted = [case for case in cases if (case.task, case.variation) not in found]
    told = progress or (lambda done: None)
    told(len(cases) - len(wanted))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            for line in _play(setup, wanted, workers):
                stream.write(json.dumps(line) + "\n")
                stream.flush()
                found[line["task"], line["variation"]] = line
                told(len(cases) - len(wanted) + sum((c.task, c.variation) in found for c in wanted))
    except OSError as error:
        raise WeanError(f"{file}: cannot be written ({error.strerror}); make room and repeat the command") from None
    return [found[case.task, case.variation] for case in cases]


def _play(setup: Setup, cases: Sequence[Case], workers: int) -> Iterator[dict[str, Any]]:
    if workers <= 1 or len(cases) <= 1:
        player = Player(setup) if cases else None
        try:
            for case in cases:
                assert player is not None
                yield player.play(case)
        finally:
            if player is not None:
                player.close()
        return
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(setup,)) as pool:
        futures = [pool.submit(_play_one, case) for case in cases]
        for future in as_completed(futures):
            yield future.result()


_player: Player | None = None  # of a worker process


def _begin(setup: Setup) -> None:
    import torch

    global _player
    torch.set_num_threads(1)
    _player = Player(setup)


def _play_one(case: Case) -> dict[str, Any]:
    assert _player is not None
    return _player.play(case)


def _read(file: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The lines that are there; a half-written last one is cut off."""
    if not file.exists():
        return {}
    lines = read_lines(file)
    if any(row.get("schema") != SCHEMA for _, row in lines.rows):
        raise UsageError(f"{file} holds no episodes of this wean; move it away, or name another --out")
    if lines.cut:
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        scratch.write_text("".join(json.dumps(row) + "\n" for _, row in lines.rows))
        scratch.replace(file)
    return {(row["task"], row["variation"]): row for _, row in lines.rows}
