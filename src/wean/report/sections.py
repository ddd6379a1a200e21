"""Turns the files of a run into what the report's page shows: one function for each section.

Every function takes the parsed file and returns plain values for the template, or None where there is nothing
to show, so that old and partial runs still have a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from wean.report.coverage import coverage_verdict
from wean.report.run_files import (
    UNITS,
    as_interval,
    count,
    duration,
    measure_of,
    percent,
    price,
    rate,
    short_count,
    span,
)

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_ROWS = 150
"""Rows of the teacher's table that the page shows; the rest stays in `teacher.json`."""

Data = Mapping[str, Any]


def _policies(summary: Data) -> list[tuple[str, str, str, Data]]:
    """(name, remark, CSS class, result) of the student, its other way of acting, and the references."""
    acting = summary.get("acting") or ""
    other = {"sampled": "greedy", "greedy": "sampled", "no_repeat": "greedy"}.get(acting, "the other way")
    way = "greedy actions without circles" if acting == "no_repeat" else f"{acting} actions"
    shipped = f"{way}, as shipped" if acting else "as shipped"
    rows: list[tuple[str, str, str, Any]] = [
        ("Student", shipped, "student", summary.get("final")),
        ("Student", f"{other} actions", "student", summary.get("final_other")),
        ("Student", "greedy, without going in circles", "student", summary.get("final_no_repeat")),
    ]
    told = {
        "teacher": "its advice, followed",
        "random-skills": "plans drawn at random",
        "always": "asks at every step",
        "on-change": "asks when something changed",
        "skill-end": "asks when a skill is over",
        "plan-end": "asks when the plan is over",
        "random": "asks by chance, as often as the student",
        "never": "asks once, at the start",
    }
    for name, result in (summary.get("references") or {}).items():
        style = name if name == "teacher" else "random"
        rows.append((name.replace("-", " ").capitalize(), told.get(name, ""), style, result))
    return [row for row in rows if isinstance(row[3], Mapping) and as_interval(row[3].get(measure_of(row[3])))]


def verdict(summary: Data) -> Markup:
    """The result in two sentences: the student, and whether it is better than its teacher.

    Both are judged by success, or by the return where the task does not say what success is. "Better" and "behind"
    require that the 95 % intervals do not touch, which is stricter than a test.
    """
    from markupsafe import Markup

    final = summary.get("final") or {}
    measure = measure_of(final)
    student = as_interval(final.get(measure))
    if student is None:
        return _text_verdict(summary)
    verdict = Markup(_JUDGED[measure]).format(rate(student.mean), final.get("episodes", "the"), span(student))
    teacher = as_interval(((summary.get("references") or {}).get("teacher") or {}).get(measure))
    if teacher is not None:
        if student.low > teacher.high:
            word = Markup("the student is <strong>better than its teacher</strong>")
        elif student.high < teacher.low:
            word = Markup("the student is <strong>behind its teacher</strong>")
        else:
            word = Markup("the intervals overlap, <strong>no clear difference</strong>")
        verdict += Markup(" The teacher itself reaches {}: {}.").format(rate(teacher.mean), word)
    questions = as_interval((final.get("asking") or {}).get("questions"))
    if questions is not None:
        verdict += Markup(
            " It asks its language model <strong>{}</strong> times an episode (95\u202f% interval {} to {})"
            " and needs it at work, too."
        ).format(f"{questions.mean:.2f}", f"{questions.low:.2f}", f"{questions.high:.2f}")
    asked = final.get("llm") or {}
    speed = final.get("ms_per_action")
    if speed is not None and not asked.get("asked") and not asked.get("replayed"):
        verdict += Markup(" It decides in {} ms and asks no language model.").format(f"{speed:.2g}")
    return verdict


_JUDGED = {
    "success": "The student’s success is <strong>{}</strong> in {} held-out episodes (95\u202f% interval {}).",
    "return": "The student’s return is <strong>{}</strong> in {} held-out episodes (95\u202f% interval {}); "
    "this task does not say what success is.",
}


def _text_verdict(summary: Data) -> Markup:
    """The result of a fine-tuned student, which no held-out episodes have judged."""
    from markupsafe import Markup

    if coverage := summary.get("coverage"):
        return coverage_verdict(coverage)
    best = summary.get("best") or {}
    if "exact" not in best:
        return Markup("The student of this run has not been evaluated.")
    return Markup(
        "The student gives <strong>{}</strong> of the answers in {} demonstrations that were kept apart exactly."
    ).format(rate(best["exact"]), count(summary.get("dev_demonstrations")))


def scores(summary: Data) -> list[dict[str, Any]]:
    """Rows of the result table, one for each policy that was evaluated."""
    return [
        {
            "name": name,
            "remark": remark,
            "style": style,
            "success": as_interval(result.get("success")),
            "length": as_interval(result.get("length")),
            "return": as_interval(result.get("return")),
            "questions": as_interval((result.get("asking") or {}).get("questions")),
            "ms": result.get("ms_per_action"),
            "per_second": result.get("actions_per_second"),
        }
        for name, remark, style, result in _policies(summary)
    ]


def score_note(summary: Data) -> str:
    """How to read the result table."""
    results = [result for *_, result in _policies(summary)]
    sizes = {(result.get("episodes"), result.get("seed")) for result in results}
    wilson = "Wilson for success, " if any(as_interval(result.get("success")) for result in results) else ""
    note = f"Intervals are 95\u202f%: {wilson}bootstrap for means. Lengths are in steps."
    note += " The time per action is that of one decision by itself."
    if len(sizes) == 1:
        episodes, seed = sizes.pop()
        note += f" Every policy acted in the same {episodes} episodes, seeds {seed} and up."
    teacher = ((summary.get("references") or {}).get("teacher") or {}).get("llm") or {}
    if teacher.get("replayed") and not teacher.get("asked"):
        note += " The teacher’s time per action is that of replaying stored answers, not of thinking."
    return note


def facts(summary: Data) -> list[dict[str, str]]:
    """The run in a few numbers: progress in its unit, time, size."""
    found: list[dict[str, str]] = []

    def add(name: str, key: str, write: Callable[[Any], str], remark: str) -> None:
        if summary.get(key) is not None:
            found.append({"name": name, "value": write(summary[key]), "remark": remark})

    unit, speed, reads = summary["unit"], summary.get("steps_per_second"), summary.get("tokens_per_second")
    per_second = f"{speed:,.0f} {UNITS[unit]} per second" if speed else ""
    add("Training", unit, "{:,}".format, UNITS[unit])
    if unit != "tokens":
        add("Tokens", "tokens", short_count, f"read; {reads:,.0f} per second" if reads else "read")
    add("Demonstrations", "demonstrations", "{:,}".format, "learnt from")
    add("Decisions", "decisions", "{:,}".format, "learnt from")
    add("Time", "wall_seconds", duration, per_second)
    add("Student", "student_parameters", "{:,}".format, "parameters")
    add("Weights", "student_bytes", lambda value: f"{value / 1000:,.0f} kB", "on disk")
    return found


def teacher(data: Data | None, unadvised: int | None = None, advice: Data | None = None) -> dict[str, Any] | None:
    """The teacher's table: situations, most frequent first, with plans, probabilities and raw answers.

    Args:
        data: `teacher.json`.
        unadvised: Training steps without a usable plan, if counted.
        advice: The summary's `advice`: counts of questions.
    """
    rows = sorted((data or {}).get("rows") or [], key=lambda row: -(row.get("met") or 0))
    if data is None or not rows:
        return None
    advised = sum(bool(row.get("advised")) for row in rows)
    hidden = len(rows) - MOST_ROWS
    without = ""
    if unadvised:
        without = f" In {unadvised:,} steps of training there was no plan that could be read and carried out."
    if advice and advice.get("not_asked"):
        without += (
            f" It was asked sparingly: {advice['questions']:,} questions, and {advice['advised']:,} of "
            f"{advice['moments']:,} steps with advice."
        )
    return {
        "goal": data.get("goal"),
        "intro": f"The teacher knew what to do in {advised:,} of the {len(rows):,} different situations that "
        "came up, most frequent first. A plan is a list of skills; its probability says how sure it is." + without,
        "rows": [
            {
                "text": row.get("text", ""),
                "plans": [
                    {
                        "skills": plan.get("skills") or ["nothing"],
                        "probability": plan.get("probability") or 0.0,
                    }
                    for plan in sorted(row.get("plans") or [], key=lambda plan: -(plan.get("probability") or 0))
                ],
                "met": f"{row.get('met') or 0:,}",
                "answer": row.get("answer"),
                "advised": bool(row.get("advised")),
            }
            for row in rows[:MOST_ROWS]
        ],
        "more": f"{hidden:,} rarer situations are in teacher.json." if hidden > 0 else "",
    }


def episodes(data: Data | None) -> dict[str, Any] | None:
    """Titles of the episodes and their steps as JSON that is safe inside a script element."""
    from markupsafe import Markup

    shown: list[dict[str, Any]] = []
    for episode in (data or {}).get("episodes") or []:
        steps = [_step(step) for step in episode.get("steps") or []]
        if steps:
            end = {True: "success", False: "failure"}.get(episode.get("success"), f"return {episode.get('return')}")
            title = f"Seed {episode.get('seed')}: {end}, {len(steps)} steps"
            shown.append({"title": title, "steps": steps})
    if not shown:
        return None
    from jinja2.utils import htmlsafe_json_dumps

    heads = [Markup.escape(episode["title"]) for episode in shown]
    return {"heads": heads, "json": htmlsafe_json_dumps(shown)}


def _step(step: Data) -> dict[str, Any]:
    # A frame is data inside the page or nothing: an address would make the page ask the network.
    frame = step.get("frame")
    inside = isinstance(frame, str) and frame.startswith("data:image/")
    return {
        "frame": frame if inside else None,
        "text": step.get("text"),
        "action": step.get("action"),
        "probabilities": {name: round(float(share), 4) for name, share in (step.get("probabilities") or {}).items()},
        "reward": step.get("reward") or 0.0,
    }


def cost(summary: Data) -> dict[str, Any] | None:
    """Questions asked, answers replayed, and their price; an unknown number is "unknown", not 0."""
    llm = summary.get("llm")
    if not isinstance(llm, Mapping):
        return None
    asked, replayed = llm.get("asked"), llm.get("replayed")
    if asked == 0 and not replayed:
        return {"intro": "No language model was asked, and no stored answer was used.", "facts": []}
    intro = "Training was the last time that this student’s teacher had to be asked."
    if (summary.get("final") or {}).get("asking"):
        intro = "Every new situation was asked about once. At work this student goes on asking."
    if asked == 0:
        intro = "This run asked nobody: every answer was replayed from stored ones."
    dollars = llm.get("cost_usd")
    rows = (
        ("Asked live", count(asked), "questions put to a language model in this run"),
        ("Replayed", count(replayed), "answers taken from the ledger or a recording"),
        ("Distinct situations", count(llm.get("distinct")), "how many different questions these were"),
        ("Unanswered", count(llm.get("unanswered")), "questions that the recording lacked: no advice"),
        ("Tokens", count(llm.get("tokens")), "read and written for live questions"),
        (
            "Price",
            price(dollars),
            "in US dollars, for live questions" if dollars is not None else "nobody said what a token costs",
        ),
    )
    return {"intro": intro, "facts": [{"name": name, "value": value, "remark": r} for name, value, r in rows]}


def time(summary: Data) -> dict[str, Any] | None:
    """Shares of the wall time, largest first; unmeasured time is "everything else"."""
    parts = {name: float(value) for name, value in (summary.get("time") or {}).items() if value}
    total = sum(parts.values())
    if total <= 0:
        return None
    wall = summary.get("wall_seconds") or 0.0
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    if wall - total > 0.01 * wall:
        ordered.append(("everything else", wall - total))
        total = wall
    shares = [
        {"name": name.capitalize(), "seconds": duration(value), "share": value / total} for name, value in ordered
    ]
    speed = summary.get("steps_per_second")
    unit = UNITS[summary["unit"]]
    rate = f", {speed:,.0f} {unit} per second, learning included and evaluation apart" if speed else ""
    return {
        "intro": f"{duration(total).capitalize()} in all{rate}.",
        "parts": shares,
        "description": ", ".join(f"{part['name']} {percent(float(part['share']), 0)}" for part in shares),
    }


def commands(summary: Data, folder: Path) -> dict[str, str]:
    """The commands that made the run (`command`) and that measure its student anew (`again`)."""
    final, where, task = summary.get("final") or {}, quote(str(folder)), summary.get("task", "TASK")
    made = f"wean train {summary.get('method', 'METHOD')} --task {task} --seed {summary.get('seed', 0)} --out {where}"
    episodes, seed = final.get("episodes", 500), final.get("seed", 10000)
    again = f"wean eval {where}{f' --task {quote(task)}' if ':' in task else ''} --episodes {episodes} --seed {seed}"
    if "make=make, #" in summary.get("command", ""):  # its task was made in Python
        again = f"wean.evaluate({str(folder)!r}, make, episodes={episodes}, seed={seed})"
    if "coverage" in summary:
        again = f"wean gateway {where} --upstream https://api.openai.com/v1"
    elif not final and "best" in summary:
        again = f"wean eval {where} --task {task} --variations 10"
    return {"command": summary.get("command") or made, "again": again}
