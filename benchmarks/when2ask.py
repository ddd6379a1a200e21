"""When2Ask's learned asking beside rules that ask, in the same episodes: success, steps, questions, tokens.

python benchmarks/when2ask.py                  the whole table (an hour on two idle cores)
python benchmarks/when2ask.py --quick          KeyInBox, two seeds
python benchmarks/when2ask.py --from-runs DIR  tabulates the finished runs of DIR

Run folders go to --runs. A run plays every rule in the 1,000 held-out episodes of its student and pairs them by
episode. "Learned minus this" is the mean of the seeds' differences, with the lowest and the highest end of their 95 %
intervals: wider than one interval over all seeds. Below each table, what nobody can beat who must ask where the plan is
over; see `fewest_questions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fewest_questions import fewest
from fewest_questions import markdown as bound
from harness import finish
from runs import Line, Runs, trained
from tables import curves, interval
from wean.evaluation.statistics import bootstrap_mean, wilson

NAME = "when2ask"
TASKS = ("ColoredDoorKey", "KeyInBox", "RandomBoxKey")

MUST = ("waits=false", *(f"cost.{name}=0.05" for name in ("first", "change", "repeat")))
MAP = (*MUST, "sees=frames", "total_timesteps=300000")
LINES = (
    Line("when2ask", "when2ask", "learned", TASKS, seeds=5),
    Line("when2ask-must", "when2ask", "learned, must ask where the plan is over", TASKS[:1], seeds=5, overrides=MUST),
    Line("when2ask-map", "when2ask", "the same, sees how the map changes", TASKS[:1], seeds=5, overrides=MAP),
)
QUICK = (LINES[0]._replace(seeds=2, tasks=("KeyInBox",)),)
PAIRED = ("success", "questions", "length")
COLUMNS = "who asks | success | questions | tokens | length | learned minus this: success | the same: questions"


def rows_of(task: str, line: Line, finished: Runs) -> list[dict[str, Any]]:
    """The learned policy, its seeds pooled, and every rule with the paired differences of all seeds."""
    runs = finished.of(task, line)
    if not runs:
        return []
    finals = [run["final"] for run in runs]
    rows = [pooled(task, line.what, finals)]
    if line.name != "when2ask":  # the same rules as beside the first line
        return rows
    rows += [pooled(task, name, [run["references"][name] for run in runs]) for name in runs[0]["references"]]
    return rows


def pooled(task: str, who: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """One row: the results of all seeds together.

    A rule that does not depend on the student has played the same episodes beside every seed, and is counted once.
    """
    learned = "paired" not in results[0]
    same = not learned and all(result["length"] == results[0]["length"] for result in results)
    counted = results[:1] if same else results
    episodes = sum(result["episodes"] for result in counted)
    successes = round(sum(result["success"]["mean"] * result["episodes"] for result in counted))
    row: dict[str, Any] = {"task": task, "who": who, "seeds": len(results), "episodes": episodes}
    row["success"] = wilson(successes, episodes).as_dict()
    for name in ("questions", "forced", "repeated", "tokens"):
        row[name] = bootstrap_mean([result["asking"][name]["mean"] for result in counted]).as_dict()
    row["length"] = bootstrap_mean([result["length"]["mean"] for result in counted]).as_dict()
    if not learned:
        row["learned_minus_this"] = {name: across([result["paired"][name] for result in results]) for name in PAIRED}
    return row


def across(differences: list[dict[str, float]]) -> dict[str, float]:
    """The mean of the seeds' paired differences, between the lowest and the highest end of their intervals."""
    low, high = min(found["low"] for found in differences), max(found["high"] for found in differences)
    return {"mean": float(np.mean([found["mean"] for found in differences])), "low": low, "high": high}


def markdown(rows: list[dict[str, Any]], bounds: list[dict[str, Any]]) -> str:
    """The tables for people, one for each task."""
    told = {found["task"]: bound(found) for found in bounds}
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        lines += [f"### {task}", "", f"| {COLUMNS} |", "|" + "---|" * (COLUMNS.count("|") + 1)]
        for row in (row for row in rows if row["task"] == task):
            cells = [row["who"], interval(row["success"]), f"{row['questions']['mean']:.2f}"]
            cells += [f"{row['tokens']['mean']:,.0f}", f"{row['length']['mean']:.1f}"]
            against = row.get("learned_minus_this")
            cells += [interval(against[name]) if against else "" for name in ("success", "questions")]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", told[task]]
    return "\n".join(lines)


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    lines, finished, arguments = trained(NAME, __doc__, LINES, QUICK)
    rows = [row for line in lines for task in line.tasks for row in rows_of(task, line, finished)]
    bounds = [fewest(task, 20 if arguments.quick else 200) for task in dict.fromkeys(row["task"] for row in rows)]
    results = {"rows": rows, "fewest": bounds, "curves": curves(lines, finished)}
    finish(NAME, finished.hardware("torch", "minigrid"), results, markdown(rows, bounds), arguments)


if __name__ == "__main__":
    main()
