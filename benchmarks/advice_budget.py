"""Advice under a budget: success against the questions that a teacher without a ledger is asked, by asking rule.

python benchmarks/advice_budget.py                  the whole table (about ten minutes on two idle cores)
python benchmarks/advice_budget.py --quick          three lines, one seed
python benchmarks/advice_budget.py --from-runs DIR  tabulates the finished runs of DIR

No answer is kept (`advice.memory=false`): each advised moment is a question. The recorded answers are given to all of
them, so that nothing is paid. Run folders go to --runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import finish
from runs import Line, Runs, trained
from tables import interval, reached, tabulate
from wean.evaluation.statistics import median_steps

NAME = "advice_budget"
TASK = "SimpleDoorKey"
THRESHOLD = 0.9

SHORT = ("total_timesteps=60000",)
UNKEPT = (*SHORT, "advice.memory=false")


def rule(name: str, what: str, *overrides: str) -> Line:
    """A line of the table: LLM4Teach with a rule of asking and no memory."""
    return Line(name, "llm4teach", what, (TASK,), seeds=2, overrides=(*UNKEPT, *overrides))


LINES = (
    rule("always", "at every step"),
    rule("every-10", "at every 10th step", "advice.when=every", "advice.every=10"),
    rule("every-50", "at every 50th step", "advice.when=every", "advice.every=50"),
    rule("uncertain", "where its entropy is at least half", "advice.when=uncertain"),
    rule("disagree", "where it differs from the last advice by half", "advice.when=disagree"),
    rule("new", "only in situations not met before", "advice.when=new"),
    rule("first-5000", "at every step, 5,000 questions at most", "advice.max_questions=5000"),
    rule("first-1000", "at every step, 1,000 questions at most", "advice.max_questions=1000"),
    rule("uncertain-1000", "uncertain, 1,000 questions at most", "advice.when=uncertain", "advice.max_questions=1000"),
    rule(
        "every-50-1000",
        "every 50th step, 1,000 at most",
        "advice.when=every",
        "advice.every=50",
        "advice.max_questions=1000",
    ),
    rule("nobody", "a budget of 0", "advice.max_questions=0"),
    Line("remembered", "llm4teach", "at every step, answers kept", (TASK,), seeds=2, overrides=SHORT),
)
QUICK = tuple(line._replace(seeds=1) for line in LINES if line.name in ("always", "every-50", "uncertain"))


def questions_to(curve: Sequence[dict[str, Any]], success: float) -> int | None:
    """Questions asked by the first point of a curve that reaches a success; None if none does."""
    return next((int(point["questions"]) for point in curve if point["success"] >= success), None)


def asked(line: Line, finished: Runs) -> dict[str, Any] | None:
    """A line's row with its questions: in a whole run, and until success reached 0.9."""
    row = tabulate(TASK, line, finished)
    if row is None:
        return None
    runs = finished.of(TASK, line)
    to = median_steps([questions_to(run["curve"], THRESHOLD) for run in runs])
    row["questions"] = float(np.median([run["advice"]["questions"] for run in runs]))
    row["advised_share"] = float(np.mean([run["advice"]["advised"] / run["advice"]["moments"] for run in runs]))
    row["questions_to_0.9"] = {"median": to.median, "reached": to.reached, "runs": len(runs)}
    return row


def by_questions(lines: Sequence[Line], finished: Runs) -> dict[str, list[list[list[float]]]]:
    """Success against questions, [questions, success] at each point of each run's curve."""
    found = {}
    for line in lines:
        runs = finished.of(TASK, line)
        found[line.name] = [[[point["questions"], point["success"]] for point in run["curve"]] for run in runs]
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The table for people, one line for each rule."""
    columns = (
        "success, sampled | length | questions | moments advised | questions to 0.9 | steps to 0.9 | steps | seeds"
    )
    lines = [f"### {TASK}", "", f"| asks | {columns} |", "|" + "---|" * (columns.count("|") + 2)]
    for row in rows:
        cells = [f"{row['method']}: {row['what']}", interval(row["sampled"]["success"])]
        cells += [f"{row['sampled']['length']['mean']:.1f}", f"{row['questions']:,.0f}", f"{row['advised_share']:.1%}"]
        cells += [reached(row["questions_to_0.9"]), reached(row["steps_to_0.9"])]
        cells += [f"{row['env_steps']:,}", str(row["seeds"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parses, trains what is missing, tabulates."""
    lines, finished, arguments = trained(NAME, __doc__, LINES, QUICK)
    rows = [row for line in lines if (row := asked(line, finished))]
    results = {"rows": rows, "success_by_questions": by_questions(lines, finished)}
    finish(NAME, finished.hardware("torch", "minigrid"), results, table(rows), arguments)


if __name__ == "__main__":
    main()
