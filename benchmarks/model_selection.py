"""When a language model can be switched off: Corral between it and a learner, and what a planner loses unexplored.

python benchmarks/model_selection.py          both tables (half an hour on one idle core)
python benchmarks/model_selection.py --quick  3 seeds, fewer rounds

Contexts: rows of three data sets, whose class is to be named, 10,000 rounds. Beside the language model alone (recorded
answers) and LinUCB alone: LinUCB with the model's probabilities as features, and Corral between the model and LinUCB.
Its price of a question is a tenth of a right answer; regret does not count it.

Planner: two arms a gap of 0.3 apart, 3,000 rounds. The planner is told the mean reward of each arm so far and chooses;
it is followed naively, or with a share of chance rounds that falls off as 1 / t (2405.19883). The strong planner is
recorded; the weak one is SmolLM2-135M, which scores the two choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from harness import MEASURED_ANEW, finish, hardware, options
from wean.algorithms.bandits import UCB, Advice, Exploring, Learner, LinUCB, play
from wean.algorithms.model_selection import Corral
from wean.evaluation.statistics import bootstrap_mean
from wean.processes import executor
from wean.tasks.bandits import Bandit, ContextualBandit
from wean.teachers.elicitation import PriorConfig
from wean.teachers.priors import Prior

NAME = "model_selection"
DATA = ("iris", "wine", "cancer")
ROUNDS, PRICE = 10_000, 0.1
PLANNER = Path(__file__).parent / "recorded" / "bandit_planner.jsonl"
GAP, PLANNED, START = 0.3, 3_000, 30.0
POINTS = 30
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "planner_regret.png"
Floats = NDArray[np.float64]


def contextual(data: str, way: str, rounds: int, seed: int) -> dict[str, Any]:
    """One episode of a bandit with contexts: its regret, and how often the language model was asked."""
    task = ContextualBandit(data=data, horizon=rounds)
    arms, features = len(task.situation().choices), task.observation_space.shape[0]
    prior = Prior("recorded:bandits", seed=seed)
    advice = Advice(prior)
    corral = Corral([advice, LinUCB(arms, features)], rounds, price=PRICE)
    ways: dict[str, Learner] = {
        "llm": advice,
        "linucb": LinUCB(arms, features),
        "linucb-prior": LinUCB(arms, features, prior=prior),
        "corral": corral,
    }
    regret = play(task, ways[way], seed)
    asked = {"llm": rounds, "linucb": 0, "linucb-prior": rounds, "corral": int(corral.shares[0])}[way]
    return {"regret": float(regret[-1]), "asked": asked, "bound": corral.bound, "curve": _thinned(regret)}


def planned(way: str, rounds: int, seed: int) -> dict[str, Any]:
    """One episode of two arms, in which a planner is followed, with or without exploring, or UCB learns."""
    task = Bandit(arms=2, gap=GAP, summary="means", horizon=rounds)
    if way == "ucb":
        learner: Learner = UCB(2)
    else:
        strength, _, exploring = way.partition(", ")
        followed = Advice(_planner(strength))
        learner = Exploring(followed, 2, START) if exploring else followed
    regret = play(task, learner, seed)
    late = (regret[-1] - regret[rounds // 2]) / (rounds - rounds // 2)
    return {"regret": float(regret[-1]), "late": float(late), "curve": _thinned(regret)}


_PLANNERS: dict[str, Prior] = {}  # one a process: the weak one is a loaded network


def _planner(strength: str) -> Prior:
    if strength not in _PLANNERS:
        named = f"recorded:{PLANNER}" if strength == "strong" else "hf:smollm2-135m"
        config = PriorConfig(elicitation="verbalized" if strength == "strong" else "logprobs")
        _PLANNERS[strength] = Prior(named, config)
    return _PLANNERS[strength]


def _thinned(regret: Floats) -> list[float]:
    places = np.linspace(0, len(regret) - 1, POINTS).astype(int)
    return [round(float(value), 3) for value in regret[places]]


def over_seeds(measure: Callable[[int], dict[str, Any]], seeds: int, workers: int) -> list[dict[str, Any]]:
    """What every seed gives, seeds from 1."""
    with executor(workers) as pool:
        return list(pool.map(measure, range(1, seeds + 1)))


def main() -> None:
    """Parses, measures, prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    measured_on = hardware("numpy", "scikit-learn")
    seeds, rounds, planned_rounds = (3, 2_000, 600) if arguments.quick else (30, ROUNDS, PLANNED)
    contexts = []
    for data in DATA:
        for way in ("llm", "linucb", "linucb-prior", "corral"):
            runs = over_seeds(partial(contextual, data, way, rounds), seeds, arguments.workers)
            contexts.append({"data": data, "way": way, "rounds": rounds, **_summed_up(runs, ("regret", "asked"))})
            contexts[-1]["bound"] = runs[0]["bound"]
    planners = []
    for way in ("strong", "strong, exploring", "weak", "weak, exploring", "ucb"):
        runs = over_seeds(partial(planned, way, planned_rounds), seeds, arguments.workers)
        planners.append({"way": way, "rounds": planned_rounds, **_summed_up(runs, ("regret", "late"))})
    results = {"contexts": contexts, "planners": planners}
    if arguments.save:
        draw(planners)
    finish(NAME, measured_on, results, markdown(results), arguments)


def _summed_up(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Means with 95 % intervals over seeds, and the mean curve."""
    found: dict[str, Any] = {name: bootstrap_mean([run[name] for run in runs]).as_dict() for name in names}
    return {"seeds": len(runs), **found, "curve": np.mean([run["curve"] for run in runs], 0).round(2).tolist()}


def markdown(results: dict[str, Any]) -> str:
    """The tables for people."""
    lines = [
        "## Contexts",
        "",
        "| data | policy | regret | share of rounds asked | seeds |",
        "|---|---|---|---|---|",
    ]
    for row in results["contexts"]:
        share = row["asked"]["mean"] / row["rounds"]
        lines.append(f"| {row['data']} | {row['way']} | {_interval(row['regret'])} | {share:.1%} | {row['seeds']} |")
    lines.append("")
    for data in DATA:
        found = {row["way"]: row for row in results["contexts"] if row["data"] == data}
        better = min(found["llm"]["regret"]["mean"], found["linucb"]["regret"]["mean"])
        over, bound = found["corral"]["regret"]["mean"] - better, found["corral"]["bound"]
        lines.append(f"- {data}: corral's regret is {over:+.0f} from the better of the two (bound: {bound:+.0f})")
    lines += ["", "## Planner", "", "| policy | regret | regret a round, second half | seeds |", "|---|---|---|---|"]
    for row in results["planners"]:
        late = row["late"]
        told = f"{late['mean']:.4f} ({late['low']:.4f} to {late['high']:.4f})"
        lines.append(f"| {row['way']} | {_interval(row['regret'])} | {told} | {row['seeds']} |")
    return "\n".join(lines) + "\n"


def _interval(value: dict[str, float]) -> str:
    return f"{value['mean']:.0f} ({value['low']:.0f} to {value['high']:.0f})"


def draw(planners: Sequence[dict[str, Any]]) -> None:
    """Draws the mean regret of every planner over the rounds."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), dpi=120)
    for row in planners:
        dashed = "--" if row["way"].endswith("exploring") else "-"
        axes.plot(np.linspace(1, row["rounds"], len(row["curve"])), row["curve"], dashed, label=row["way"])
    axes.set(xlabel="rounds", ylabel="regret so far, mean over seeds", title="A planner followed naively, or exploring")
    axes.legend()
    figure.tight_layout()
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
