"""Text students on ScienceWorld: with sub-goals, flat, and fed step by step; scores by length, and what training costs.

python benchmarks/scienceworld_agents.py                  the whole table
python benchmarks/scienceworld_agents.py --quick          the fewer demonstrations that come with wean, two epochs
python benchmarks/scienceworld_agents.py --from-runs DIR  tabulates what is finished in DIR
python benchmarks/scienceworld_agents.py --from-runs DIR --scores FILE  adds what `wean eval` wrote into a scores.json

Every score is over the first test variations of each task, 100 moves, a spoilt task counting 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import finish
from runs import Line, Runs, chosen_lines, runs_of, training_options
from wean.agents.reading import ReaderPolicy, reader_of
from wean.evaluation.evaluate import Plan, Player, episode_of, evaluate_plan
from wean.evaluation.scores import SCHEMA, Episodes, Scores, interval_text, stratified
from wean.experiment.runner import Runner
from wean.files import read_lines
from wean.students.text.student import load_ensemble
from wean.tasks.registration import episodes_of, make_task
from wean.tasks.vector import SerialTasks

NAME, TASK, MAX_MOVES = "scienceworld_agents", "ScienceWorld", 100
SMALL = "model=scratch"
LINES = (
    Line("subgoals", "subgoals", "sub-goals, one sequence a demonstration", (TASK,), overrides=(SMALL,)),
    Line("subgoals-flat", "subgoals-flat", "flat imitation, same student and feeding", (TASK,), overrides=(SMALL,)),
    Line("expert-alone", "subgoals", "sub-goals, no mistakes set right", (TASK,), 1, (SMALL, "inject_mistakes=0")),
    Line("own-names", "subgoals", "sub-goals, no other names read", (TASK,), 1, (SMALL, "swap_entities=0")),
    Line("said-alone", "subgoals", "sub-goals, nothing told is learnt", (TASK,), 1, (SMALL, "told_weight=0")),
    Line("smaller", "subgoals", "sub-goals, a student of half the width", (TASK,), 1, (SMALL, "hidden=128")),
)
FEEDINGS = (
    Line("few", "subgoals", "one sequence a demonstration", (TASK,), 1, (SMALL, "data=scienceworld", "num_epochs=20")),
    Line(
        "few-step",
        "subgoals-step",
        "one prompt a step (the paper's)",
        (TASK,),
        1,
        (SMALL, "data=scienceworld", "num_epochs=1"),
    ),
)
TOGETHER = (2, 3)
"""Seeds of the students of a line that also act together."""
GIVEN = {
    "oracle": "oracle sub-goals given",
    "random": "random sub-goals given",
    "random-first": "a random first sub-goal given",
    "random-things": "its sub-goals about random things",
}
_SCORES = (
    *("score", "groups", "tasks", "episodes", "solved", "moves", "actions", "ms_per_action"),
    *("questions", "failed", "tokens_per_action"),
)
QUICK = ("data=scienceworld", "num_epochs=2", "hidden=128", "layers=2", "measurements=2")


def main() -> None:
    """Parses, trains and plays what is missing, tabulates."""
    parser = training_options(__doc__, NAME)
    parser.add_argument("--variations", type=int, default=10, help="test variations of each task")
    parser.add_argument("--scores", type=Path, action="append", default=[], help="scores.json of `wean eval`, as rows")
    arguments = parser.parse_args()
    variations = 1 if arguments.quick else arguments.variations
    file = f"test-{variations}.jsonl"
    finished = runs_of(NAME, arguments, episodes=file)
    lines = chosen_lines(LINES if arguments.quick else (*LINES, *FEEDINGS), arguments)
    playing = {line.name for line in LINES}
    if arguments.quick:
        lines = [line._replace(seeds=1, overrides=(*line.overrides, *QUICK)) for line in lines]
    if not arguments.from_runs:
        for seed in range(1, max(line.seeds for line in lines) + 1):
            for line in lines:
                if seed <= line.seeds:
                    out = finished.path(line, TASK, seed)
                    Runner(line.config(TASK, seed), out, resume=True).run()
                    if line.name in playing:
                        play_episodes([out / "student"], variations, out / file, arguments.workers)
        for line in lines:
            if line.name in playing and line.seeds >= max(TOGETHER):
                runs = [finished.path(line, TASK, seed) for seed in TOGETHER]
                out = together_file(line, finished, file)
                play_episodes([run / "student" for run in runs], variations, out, arguments.workers)
    if arguments.save:
        finished.keep(lines)
    episodes = len(episodes_of(TASK, "test", variations))
    rows = [row for line in lines if (row := tabulated(line, finished, episodes))]
    rows += [row for line in lines if (row := together(line, finished, file, episodes))]
    saved = finished.saved if arguments.from_runs else {}
    rows = finished.with_saved(rows, "rows")
    results = {
        "variations": variations,
        "rows": rows,
        "differences": [found for line in lines if (found := difference(lines[0], line, finished, episodes))]
        + between_together(rows),
        "beside": beside(arguments.scores, variations, saved.get("beside", [])),
        "feedings": feedings([finished.of(TASK, line) for line in FEEDINGS]) or saved.get("feedings"),
    }
    finish(NAME, finished.hardware("torch", "transformers"), results, markdown(results), arguments)


def play_episodes(students: Sequence[Path], variations: int, out: Path, workers: int) -> None:
    """Plays the test variations that are not in the file yet; several students act together."""
    plan = Plan(TASK, episodes_of(TASK, "test", variations), partial(open_player, students), max_moves=MAX_MOVES)
    evaluate_plan(plan, workers, out)


def open_player(students: Sequence[Path], members: int) -> Player:
    """Makes what plays in one process."""
    first, *others = load_ensemble(students)
    return Player(ReaderPolicy(reader_of(first, others)), SerialTasks([partial(make_task, TASK)] * members))


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of episodes, which are lines of JSON; those that were kept long ago lack some fields."""
    lacking = {"seed": 0, "return": 0.0, "length": 0, "success": None, "ms_per_action": 0.0}
    scores = Scores(TASK, "", Episodes.of([episode_of(lacking | row) for row in rows], None)).as_dict()
    return {name: scores[name] for name in _SCORES}


def tabulated(line: Line, finished: Runs, episodes: int) -> dict[str, Any] | None:
    """One line: scores of all seeds' episodes, and what training took; None without a student that played them all."""
    runs = [run for run in finished.of(TASK, line) if len(run.get("episodes", ())) == episodes]
    if not runs:
        return None
    return {
        "task": TASK,
        "method": line.name,
        "what": line.what,
        "seeds": len(runs),
        "scores": summarize([episode for run in runs for episode in run["episodes"]]),
        "of_seeds": [summarize(run["episodes"])["score"]["mean"] for run in runs],
        "parameters": runs[0]["student_parameters"],
        "demonstrations": runs[0]["demonstrations"],
        "tokens": float(np.median([run["tokens"] for run in runs])),
        "seconds": float(np.median([run["seconds"] for run in runs])),
        "flops": float(np.median([run["flops"] for run in runs])),
        "exact": float(np.median([run["best"]["exact"] for run in runs])),
        "curve": runs[0]["curve"],
    }


def together_file(line: Line, finished: Runs, file: str) -> Path:
    """Where the episodes lie that two students of a line played together."""
    return finished.folder / f"{line.name}-together" / file


def together(line: Line, finished: Runs, file: str, episodes: int) -> dict[str, Any] | None:
    """Two students of a line that act as one (`wean eval --with`); None if they did not play all episodes."""
    path = together_file(line, finished, file)
    runs = [run for run in finished.of(TASK, line) if run["seed"] in TOGETHER]
    played = [row for _, row in read_lines(path).rows] if path.exists() else []
    if len(played) != episodes or len(runs) < len(TOGETHER):
        return None
    return {
        "task": TASK,
        "method": f"{line.name}-together",
        "what": f"{line.what}: two students together",
        "seeds": len(runs),
        "scores": summarize(played),
        "episodes": [{name: row[name] for name in ("task", "variation", "score")} for row in played],
        "parameters": sum(run["student_parameters"] for run in runs),
        "demonstrations": runs[0]["demonstrations"],
        "seconds": sum(run["seconds"] for run in runs),
        "flops": sum(run["flops"] for run in runs),
    }


def difference(first: Line, other: Line, finished: Runs, episodes: int) -> dict[str, Any] | None:
    """By how much the first line's scores are greater than another's on the same episodes, seed by seed.

    The interval draws the differences of each task anew; what other training seeds would give is not in it.
    """
    pairs = []
    others = {run["seed"]: run for run in finished.of(TASK, other)}
    for runs in ((run, others[run["seed"]]) for run in finished.of(TASK, first) if run["seed"] in others):
        if other == first or any(len(run.get("episodes", ())) != episodes for run in runs):
            return None
        pairs.append((runs[0]["episodes"], runs[1]["episodes"]))
    return {"of": first.what, "than": other.what, **pooled(pairs)} if pairs else None


def between_together(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By how much the first line's students score more when they act together than another's do."""
    acted = [row for row in rows if "episodes" in row]
    return [
        {"of": acted[0]["what"], "than": row["what"], **pooled([(acted[0]["episodes"], row["episodes"])])}
        for row in acted[1:]
    ]


def pooled(pairs: Sequence[tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]]) -> dict[str, Any]:
    """The mean difference of episodes that two played, pair by pair, with its interval; and that of each pair."""
    of_pairs = []
    for both in pairs:
        one, two = ({(row["task"], row["variation"]): max(0.0, row["score"]) for row in rows} for rows in both)
        apart: dict[str, list[float]] = {}
        for task, variation in sorted(one):
            apart.setdefault(task, []).append(one[task, variation] - two[task, variation])
        of_pairs.append(apart)
    values = [[value for apart in of_pairs for value in apart[task]] for task in of_pairs[0]]
    means = [float(np.mean([np.mean(found) for found in apart.values()])) for apart in of_pairs]
    return {**stratified(values).as_dict(), "of_seeds": means}


def beside(files: Sequence[Path], variations: int, saved: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of what `wean eval` measured, in place of saved ones of the same name: references, and given sub-goals.

    What was played on another number of variations says on how many episodes.
    """
    found = {row["what"]: row for row in saved}
    for file in files:
        scores = json.loads(file.read_text())
        if scores.get("schema") != SCHEMA:
            raise SystemExit(f"{file} was not written by `wean eval` of a task in words; name its scores.json")
        who = scores["policy"] if scores["goals"] == "student" else f"the student, {GIVEN[scores['goals']]}"
        if scores["variations"] != variations:
            who += f", {scores['episodes']} episodes"
        found[who] = {"what": who, "scores": scores}
    return list(found.values())


def feedings(runs: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any] | None:
    """What both feedings took to the score on dev demonstrations that both reach; None without both."""
    if not all(runs):
        return None
    curves = [of_line[0]["curve"] for of_line in runs]
    level = min(max(point["exact"] for point in curve) for curve in curves)
    first = [next(point for point in curve if point["exact"] >= level) for curve in curves]
    costs = ("exact", "tokens", "seconds", "flops")
    return {"exact": level} | {
        name: {cost: point[cost] for cost in costs} for name, point in zip(("sequence", "step"), first, strict=True)
    }


def markdown(results: dict[str, Any]) -> str:
    """The table for people."""
    text = "| who | seeds | overall | short | medium | long | solved | ms/action | LLM tokens/action | training |\n"
    text += "|---|---|---|---|---|---|---|---|---|---|\n"
    for row in [*results["rows"], *results["beside"]]:
        scores = row["scores"]
        groups = [
            cell(scores["groups"][name]) if name in scores["groups"] else "" for name in ("short", "medium", "long")
        ]
        training = f"{row['seconds']:,.0f} s, {row['flops']:.1e} FLOPs" if "flops" in row else ""
        text += f"| {row['what']} | {row.get('seeds', '')} | {cell(scores['score'])} | {' | '.join(groups)} | "
        asked = scores["tokens_per_action"] if scores["questions"] else 0
        speed = f"{scores['ms_per_action']:.1f}" if scores["ms_per_action"] and not asked else ""
        text += f"{100 * scores['solved']:.0f} % | {speed} | {asked:,.0f} | {training} |\n"
    for apart in results["differences"]:
        text += f"\n- {apart['of']}, minus {apart['than']}: {cell(apart)}"
        if len(apart["of_seeds"]) > 1:
            text += ", seed by seed " + ", ".join(f"{mean:.1f}" for mean in apart["of_seeds"])
    text += "\n" if results["differences"] else ""
    if found := results["feedings"]:
        one, other = found["sequence"], found["step"]
        text += (
            f"\nTo {100 * found['exact']:.1f} % of the dev answers right, on the fewer demonstrations: one sequence "
            f"{one['flops']:.1e} FLOPs and {one['seconds']:,.0f} s, one prompt a step {other['flops']:.1e} FLOPs and "
            f"{other['seconds']:,.0f} s.\n"
        )
    return text


def cell(value: dict[str, float]) -> str:
    """A score with its interval; where one episode a task leaves none, without."""
    between = interval_text(value)
    return f"{value['mean']:.1f} ({between})" if between else f"{value['mean']:.1f}"


if __name__ == "__main__":
    main()
