"""Writes what people read about a run: `report.html`, and the card of its student (`README.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import wean
from wean.files import read_text
from wean.report import sections
from wean.report.coverage import coverage_section
from wean.report.curves import run_curve
from wean.report.hub import run_metadata
from wean.report.pages import write_page
from wean.report.run_files import (
    RecordedEpisodes,
    TeacherTable,
    check_shape,
    count,
    price,
    read_json,
    read_summary,
    warnings,
)

TEACHER_SCHEMA = "wean-teacher/1"
"""Schema of `teacher.json`: the teacher's answer in each situation."""
EPISODES_SCHEMA = "wean-episodes/1"
"""Schema of `episodes.json`: held-out episodes, step by step."""

_SECTIONS = {
    "coverage": ("coverage", "Coverage"),
    "curve": ("learning", "Learning curve"),
    "teacher": ("teacher", "Teacher"),
    "episodes": ("episodes", "Episodes"),
    "cost": ("cost", "Cost"),
    "time": ("time", "Time"),
    "config": ("configuration", "Configuration"),
}
"""Sections that are left out where their data is missing: (id, name in the navigation)."""


def write_report(run_folder: Path) -> Path:
    """Writes the report of a finished run beside its other files, and returns its path.

    Reads `summary.json`, and where they exist `config.yaml`, `teacher.json` and `episodes.json`; a section
    whose data is missing is left out.

    Raises:
        UsageError: The folder is no run.
        WeanError: A file of the run is damaged or foreign, or the report cannot be written.
    """
    summary = read_summary(run_folder)
    teacher = read_json(run_folder / "teacher.json", TEACHER_SCHEMA)
    check_shape(teacher or {}, TeacherTable, run_folder / "teacher.json")
    episodes = read_json(run_folder / "episodes.json", EPISODES_SCHEMA)
    check_shape(episodes or {}, RecordedEpisodes, run_folder / "episodes.json")
    config = run_folder / "config.yaml"
    page = {
        "version": wean.__version__,
        "task": summary.get("task", "unknown task"),
        "method": summary.get("method", "unknown method"),
        "seed": summary.get("seed", "unknown"),
        "model": (summary.get("llm") or {}).get("model"),
        "verdict": sections.verdict(summary),
        "warnings": warnings(summary),
        "scores": sections.scores(summary),
        "judged": any(row["success"] for row in sections.scores(summary)),
        "score_note": sections.score_note(summary),
        "facts": sections.facts(summary),
        "coverage": coverage_section(summary),
        "curve": run_curve(summary),
        "teacher": sections.teacher(teacher, summary.get("unadvised"), summary.get("advice")),
        "episodes": sections.episodes(episodes),
        "cost": sections.cost(summary),
        "time": sections.time(summary),
        "config": read_text(config, "train the run again") if config.exists() else None,
        "folder": str(run_folder),
        "finished": _date(run_folder / "summary.json"),
        **sections.commands(summary, run_folder),
    }
    page["sections"] = [entry for name, entry in _SECTIONS.items() if page[name]]
    return write_page(run_folder / "report.html", "report", page)


def _date(path: Path) -> str:
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def student_card(summary: Mapping[str, Any], reads: bool = False) -> str:
    """The card of a run's student: task, teacher, cost, scores with intervals, how to use it.

    `reads` says whether the student reads situations instead of seeing observations.
    """
    final, llm = summary["final"], summary["llm"]
    rows = [("this student", final), *((result["policy"], result) for result in other_ways(summary))]
    rows += [(name, result) for name, result in summary["references"].items()]
    asks = "asking" in final
    head = "| policy | success | return | length |" + (" questions | tokens |" if asks else "")
    table = "\n".join([head, "|---" * (head.count("|") - 1) + "|", *(_row(name, result) for name, result in rows)])
    taught = (
        f"Taught by `{llm['model']}`: {asked_text(llm)}, {llm['distinct']:,} distinct."
        if llm["model"]
        else "Trained without a teacher."
    )
    needs = "It acts without any language model:"
    if asks:
        decides = summary["chooses"] == "when to ask"
        why = (
            "all that it decides is when to ask for a plan" if decides else "it sees the current sub-goal of its plans"
        )
        needs = (
            f"**It needs its language model (or recorded answers) at work, too**: {why}, "
            f"{final['asking']['questions']['mean']:.2f} {'times' if decides else 'questions'} an episode. "
            "A decision takes"
        )
    sees = _USE if summary["chooses"] == "actions" and not asks else _USE_A_VIEW
    use = _USE_READING if reads else sees.format(acting=summary["acting"])
    return f"""{run_metadata(summary)}# {summary["task"]}: a student of {summary["method"]}

{taught} {needs} {speed_text(final)}.

{summary["student_parameters"]:,} parameters, {summary["student_bytes"]:,} bytes of weights; trained for
{trained_for(summary)} with seed {summary["seed"]}; acts {summary["acting"]}.

Held-out episodes ({final["episodes"]}, reset seeds from {final["seed"]}; 95 % intervals):

{table}

```python
{use}
```
"""


def text_student_card(summary: Mapping[str, Any]) -> str:
    """The card of a student that was fine-tuned on demonstrations."""
    best = summary["best"]
    chosen = f"{100 * best['exact']:.1f} % of the answers exactly right" if "exact" in best else "no dev demonstrations"
    return f"""{run_metadata(summary)}# A text student ({summary["method"]})

{summary["student_parameters"]:,} parameters, trained on {summary["demonstrations"]} demonstrations of \
{len(summary["tasks"])} tasks ({summary["tokens"]:,} tokens, {summary["seconds"]:,.0f} s on {summary["device"]}). \
It acts without a language model beside it.

Checkpoint after {best["gradient_steps"]:,} of {trained_for(summary)}, chosen on {summary["dev_demonstrations"]} \
demonstrations kept for that: {chosen}.

    {summary["command"]}
"""


def run_card(student: str) -> str:
    """The card of a run folder: that of its student, and what lies in the folder."""
    return f"""{student.rstrip()}

This folder is the whole run, as wean wrote it:

| file | what |
|---|---|
| `student/` | the student alone, with the same card |
| `report.html` | the run as a page |
| `config.yaml`, `summary.json` | its settings and results |
| `metrics.jsonl`, `checkpoints/` | how it came about |

`wean.load(FOLDER)` loads the student, `wean eval FOLDER` judges it.
"""


def decider_card(summary: Mapping[str, Any]) -> str:
    """The card of a student that was distilled from logged decisions."""
    coverage = summary["coverage"]
    rows = [
        f"| {row['wanted']:g} | {row['share']:.3f} | "
        + ("- |" if row["agreement"] is None else f"{_interval(row['agreement'])} |")
        for row in coverage["levels"]
    ]
    table = "\n".join(["| wanted agreement | share taken alone | agreement there |", "|---|---|---|", *rows])
    return f"""# A student distilled from logs

{summary["student_parameters"]:,} parameters, learned from {summary["decisions"]:,} decisions; thresholds chosen on \
{summary["calibration_decisions"]:,} decisions of held-out sessions, judged on {summary["test_decisions"]:,} of others.

{table}

    {summary["command"]}
"""


def trained_for(summary: Mapping[str, Any]) -> str:
    """How long a run has learned, in its unit, e.g. "200,000 environment steps"."""
    for unit, name in (("env_steps", "environment steps"), ("gradient_steps", "gradient steps")):
        if unit in summary:
            return f"{summary[unit]:,} {name}"
    return f"{summary['tokens']:,} tokens"


def speed_text(result: Mapping[str, Any]) -> str:
    """The time of one decision by itself, and decisions a second side by side, e.g. "0.071 ms an action, ..."."""
    alone, together = result.get("ms_per_action"), result.get("actions_per_second")
    told = [
        "unknown time an action" if alone is None else f"{alone:.3f} ms an action",
        *([] if together is None else [f"{together:,.0f} actions a second side by side"]),
    ]
    return ", ".join(told)


def asked_text(llm: Mapping[str, Any]) -> str:
    """What was asked of a language model, and its cost: "3 questions asked live (420 tokens, $0.0020), 5 replayed"."""
    live = f"{llm['asked']:,} questions asked live"
    refused = llm.get("refused", 0)
    if llm["asked"] or refused:
        cost = "price unknown" if llm["cost_usd"] is None else price(llm["cost_usd"])
        wasted = f", {refused:,} refused answers among them" if refused else ""
        live += f" ({count(llm['tokens'])} tokens, {cost}{wasted})"
    return f"{live}, {llm['replayed']:,} replayed"


def other_ways(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results of a run's student in its other ways of acting."""
    return [summary[name] for name in ("final_other", "final_no_repeat") if name in summary]


_USE = """\
from wean.experiment.train import load

policy = load("student", "{acting}")
action = policy.act(observation)  # policy.reset() where an episode begins"""

_USE_READING = """\
from wean.experiment.train import load

policy = load("student", "greedy")
number = policy.act(task.situation())  # the place of its action among the situation's choices"""

# A student that chooses skills, or whether to ask, or that sees sub-goals, sees the task through a view.
_USE_A_VIEW = """\
from wean.experiment.build import seen_by_run
from wean.experiment.train import load

policy = load("student", "{acting}")
tasks = seen_by_run(".")  # the run folder; a second argument makes another environment than the run's task
observation, ended = tasks.reset([0], [10_000])[0], False
while not ended:
    step = tasks.step([0], [policy.act(observation)])
    observation, ended = step.observations[0], step.terminated[0] or step.truncated[0]"""


def _row(name: str, result: Mapping[str, Any]) -> str:
    cells = [name, _interval(result["success"]), _interval(result["return"]), _interval(result["length"], 1)]
    if "asking" in result:
        cells += [_interval(result["asking"]["questions"], 2), _interval(result["asking"]["tokens"], 0)]
    return f"| {' | '.join(cells)} |"


def _interval(value: Mapping[str, float] | None, digits: int = 3) -> str:
    if value is None:
        return "unknown"
    return f"{value['mean']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"
