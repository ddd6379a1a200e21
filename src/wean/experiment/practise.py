"""`wean practise`: rounds of play and imitation, each in a folder of its own, so that a killed one goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wean.algorithms.practise import Solved, counted, draw
from wean.data.trajectories import Key, read_trajectories
from wean.errors import UsageError, WeanError
from wean.evaluation.oracle import NothingReached, version_of, write_oracle_paths
from wean.evaluation.own_play import Play, StudentOracle
from wean.experiment.build import read_config
from wean.experiment.run_folder import write_json
from wean.experiment.runner import Progress, Runner
from wean.experiment.settings import RunConfig, resolve
from wean.processes import Kind
from wean.students.text.student import is_text_student
from wean.tasks.registration import episodes_of, short_name
from wean.tasks.splits import CHOOSING_SEED

SCHEMA = "wean-practise/1"
_OWN = "own.parquet"


@dataclass(frozen=True)
class Practise:
    """Settings of practising.

    Attributes:
        rounds: Rounds of play and imitation.
        episodes: Training episodes that are played in a round.
        tries: How often one is played until it is solved.
        temperature: Of the sampled sub-goals and actions.
        max_moves: Moves after which an episode is over.
        seed: Seed of what is drawn, and of the training.
    """

    rounds: int = 2
    episodes: int = 200
    tries: int = 3
    temperature: float = 0.5
    max_moves: int = 100
    seed: int = 1


def practise(
    run: str | Path,
    out: str | Path,
    settings: Practise = Practise(),
    overrides: Sequence[str] = (),
    task: str | None = None,
    *,
    workers: int = 1,
    kind: Kind = "processes",
    playing: Callable[[int, int, int], None] = lambda done, kept, total: None,
    training: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Lets a run's text student play training episodes, and trains it further on those that it solves.

    Every round lies in `out/round-N`: its own solutions (`own.parquet`, sub-goals beside it) and a run folder (`run`)
    whose student begins as that of the round before. The same call goes on where a killed one stopped.

    Args:
        run: The folder of a run that trained a text student.
        out: The folder of the rounds.
        settings: How much is played, and how.
        overrides: Settings of the training in each round, as `wean train` takes them; `context`, `dev` and `dev_share`
            are else the run's, others the method's own.
        task: The task in words; the run's by default.
        workers: Processes that play.
        kind: Where they are.
        playing: Called with the numbers of episodes played, solved, and in the round.
        training: See `Runner`.

    Returns:
        The object `wean-practise/1` that is written into `out/summary.json`.

    Raises:
        UsageError: The run has no text student, or a setting is wrong.
        WeanError: Nothing is solved in the first round, or a file is damaged.
    """
    run, out = Path(run), Path(out)
    if not is_text_student(run / "student"):
        raise UsageError(f"{run} has no student that reads; name a run of `wean train subgoals`")
    config = read_config(run)
    name = short_name(task or config.task)
    cases = episodes_of(name, "train", CHOOSING_SEED)
    rounds: list[dict[str, Any]] = []
    summary = {"schema": SCHEMA, "task": name, "from": str(run), **asdict(settings), "done": rounds}
    solved: Solved = {}
    data, latest = [config.algorithm.data], run
    for number in range(1, settings.rounds + 1):
        folder = out / f"round-{number}"
        drawn = draw(cases, settings.episodes, solved, np.random.default_rng([settings.seed, number]))
        plan = Play(
            name,
            latest / "student",
            {(case.task, case.variation): case for case in drawn},
            settings.tries,
            settings.temperature,
            settings.max_moves,
            settings.seed + number,
        )
        own = _played(plan, folder / _OWN, str(number), workers, kind, playing)
        solved = counted(list(plan.cases), own, solved)
        data.insert(0, str(folder / _OWN))
        latest = _trained(config, latest, folder / "run", data, settings.seed, overrides, training)
        rounds.append({"round": number, "played": len(drawn), "solved": len(own), "run": str(latest)})
        write_json(out / "summary.json", summary)
    return summary


def _played(
    plan: Play,
    out: Path,
    number: str,
    workers: int,
    kind: Kind,
    playing: Callable[[int, int, int], None],
) -> list[Key]:
    """Plays the episodes of a round, and returns those that were solved."""
    wanted = list(plan.cases)
    job: dict[str, Any] = {
        "task": plan.task,
        "version": version_of(plan.task),
        "student": str(plan.student),
        "round": number,
    }
    job |= {"tries": plan.tries, "temperature": plan.temperature, "max_moves": plan.max_moves, "seed": plan.seed}
    try:
        write_oracle_paths(
            out,
            partial(StudentOracle, plan),
            wanted,
            job,
            workers=workers,
            resume=True,
            progress=lambda solved, played: playing(played, solved, len(wanted)),
            kind=kind,
        )
    except NothingReached:
        raise WeanError(
            f"none of {len(wanted)} episodes of round {number} was solved, so there is nothing to learn from; train "
            "the student longer first, or give more --tries or --episodes"
        ) from None
    return [one.key for one in read_trajectories(out).found]


def _trained(
    config: RunConfig,
    before: Path,
    folder: Path,
    data: Sequence[str],
    seed: int,
    overrides: Sequence[str],
    training: Callable[[Progress], None] | None,
) -> Path:
    """Trains the student of a run further, and returns the folder of the new run."""
    algorithm = config.algorithm
    same = [f"context={algorithm.context}", f"dev_share={algorithm.dev_share}"]
    same += [f"dev={algorithm.dev}"] * bool(algorithm.dev)
    chosen = [f"model=run:{before}", f"data={','.join(data)}", *same, *overrides]
    now = resolve(config.method, config.task, seed=seed, overrides=chosen)
    Runner(now, folder, resume=True, progress=training).run()
    return folder
