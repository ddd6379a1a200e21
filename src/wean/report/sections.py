"""Turns the files of a run into what the report's page shows: one function for each section.

Every function takes the parsed file and returns plain values for the template, or None where there is nothing
to show, so that old and partial runs still have a page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from wean.evaluation.statistics import Interval, steps_to, wilson
from wean.report.charts import Level, Line, line_chart
from wean.report.run_files import UNITS, count, duration, percent, price, short_count, span_percent

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_ROWS = 150
"""Rows of the teacher's table that the page shows; the rest stays in `teacher.json`."""

Data = Mapping[str, Any]


def as_interval(value: object) -> Interval | None:
    """The three keys of a result as an interval, or None where it is missing or not a number."""
    if not isinstance(value, Mapping):
        return None
    ends = [value.get(name) for name in ("mean", "low", "high")]
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        return None
    return Interval(*(float(end) for end in ends if end is not None))


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
    return [row for row in rows if isinstance(row[3], Mapping) and as_interval(row[3].get("success"))]


def verdict(summary: Data) -> Markup:
    """The result in two sentences: the student, and whether it is better than its teacher.

    "Better" and "behind" require that the 95 % intervals do not touch, which is stricter than a test.
    """
    from markupsafe import Markup

    final = summary.get("final") or {}
    student = as_interval(final.get("success"))
    if student is None:
        return _text_verdict(summary)
    verdict = Markup(
        "The student succeeds in <strong>{}</strong> of {} held-out episodes (95\u202f% interval {})."
    ).format(percent(student.mean), final.get("episodes", "the"), span_percent(student))
    teacher = as_interval(((summary.get("references") or {}).get("teacher") or {}).get("success"))
    if teacher is not None:
        if student.low > teacher.high:
            word = Markup("the student is <strong>better than its teacher</strong>")
        elif student.high < teacher.low:
            word = Markup("the student is <strong>behind its teacher</strong>")
        else:
            word = Markup("the intervals overlap, <strong>no clear difference</strong>")
        verdict += Markup(" The teacher itself reaches {}: {}.").format(percent(teacher.mean), word)
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


def _text_verdict(summary: Data) -> Markup:
    """The result of a fine-tuned student, which no held-out episodes have judged."""
    from markupsafe import Markup

    best = summary.get("best") or {}
    if "exact" not in best:
        return Markup("The student of this run has not been evaluated.")
    return Markup(
        "The student gives <strong>{}</strong> of the answers in {} demonstrations that were kept apart exactly."
    ).format(percent(best["exact"]), count(summary.get("dev_demonstrations")))


def scores(summary: Data) -> list[dict[str, Any]]:
    """Rows of the result table, one for each policy that was evaluated."""
    return [
        {
            "name": name,
            "remark": remark,
            "style": style,
            "success": as_interval(result["success"]),
            "length": as_interval(result.get("length")),
            "return": as_interval(result.get("return")),
            "questions": as_interval((result.get("asking") or {}).get("questions")),
            "ms": result.get("ms_per_action"),
        }
        for name, remark, style, result in _policies(summary)
    ]


def score_note(summary: Data) -> str:
    """How to read the result table."""
    results = [result for *_, result in _policies(summary)]
    sizes = {(result.get("episodes"), result.get("seed")) for result in results}
    note = "Intervals are 95\u202f%: Wilson for success, bootstrap for means. Lengths are in steps."
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
    add("Time", "wall_seconds", duration, per_second)
    add("Student", "student_parameters", "{:,}".format, "parameters")
    add("Weights", "student_bytes", lambda value: f"{value / 1000:,.0f} kB", "on disk")
    return found


_COLUMNS = (
    ("wall_seconds", "Seconds", "{:,.1f}"),
    ("tokens", "Tokens", "{:,.0f}"),
    ("success", "Success", "{:.3f}"),
    ("exact", "Exactly right", "{:.3f}"),
    ("loss", "Loss", "{:.3f}"),
    ("return", "Return", "{:.3f}"),
    ("length", "Length", "{:.1f}"),
    ("teacher_weight", "Teacher’s weight", "{:.3f}"),
)
"""Columns of the learning curve's table behind its progress: key of a point, name, format."""


def curve(summary: Data) -> dict[str, Any] | None:
    """The learning curve, the teacher's weight and the episodes' length, as drawings and as a table.

    A point with its number of `episodes` gets a Wilson interval.
    """
    unit = summary["unit"]
    measured = [point for point in summary.get("curve") or [] if point.get(unit) is not None]
    key, title = ("success", "Success") if _points(measured, "success", unit) else ("exact", "Exactly right answers")
    rates = _points(measured, key, unit)
    if len(rates) < 2:
        return None
    band = [
        (point[unit], *_ends(wilson(round(point["success"] * point["episodes"]), point["episodes"])))
        for point in measured
        if point.get("episodes") and point.get("success") is not None
    ]
    main = _chart([Line("student", rates, "student", band)], _levels(summary, key), title, "", unit, rate=True)
    first = steps_to(measured, 0.9, key, unit=unit)
    reached = "never reached 90\u202f%" if first is None else f"first reached 90\u202f% after {first:,} {UNITS[unit]}"
    if key == "success":
        intro = f"Success of the {summary.get('acting') or 'trained'} student in held-out episodes while it was trained"
        if len(main["legends"]) > 1:
            intro += ", beside policies that do not learn (dashed, with their 95\u202f% intervals)"
    else:
        intro = "Share of the answers in demonstrations kept apart that the student gave exactly, while it was trained"
    columns = [column for column in _COLUMNS if any(point.get(column[0]) is not None for point in measured)]
    return {
        "main": main,
        "others": _other_charts(summary, measured, unit),
        "intro": f"{intro}. It {reached}.",
        "columns": [UNITS[unit].capitalize(), *(name for _, name, _ in columns)],
        "rows": [
            [f"{point[unit]:,.0f}"]
            + ["–" if point.get(name) is None else form.format(point[name]) for name, _, form in columns]
            for point in measured
        ],
    }


def _other_charts(summary: Data, measured: Sequence[Data], unit: str) -> list[dict[str, Any]]:
    """Up to two small charts beside the main one."""
    charts = []
    weight = _points(measured, "teacher_weight", unit)
    if any(y > 0 for _, y in weight):
        lines = [Line("weight", weight, "teacher", filled=True)]
        charts.append(_chart(lines, [], "Teacher’s weight", "in the loss", unit, labels=False))
    for key, title, remark in (
        ("length", "Episode length", "steps"),
        ("return", "Return", ""),
        ("loss", "Loss", "of those answers"),
    ):
        points = _points(measured, key, unit)
        # The charts start at 0: a return that can be negative is left to the table.
        if len(points) > 1 and len(charts) < 2 and min(y for _, y in points) >= 0:
            charts.append(_chart([Line("student", points, "student")], _levels(summary, key), title, remark, unit))
    return charts


def _points(curve: Sequence[Data], key: str, unit: str) -> list[tuple[float, float]]:
    return [(point[unit], float(point[key])) for point in curve if point.get(key) is not None]


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def _levels(summary: Data, key: str) -> list[Level]:
    levels = []
    for name, result in (summary.get("references") or {}).items():
        interval = as_interval((result or {}).get(key))
        if interval is not None:
            style = name if name == "teacher" else "random"
            levels.append(Level(name.replace("-", " "), interval.mean, *_ends(interval), style))
    return levels


def _chart(
    lines: list[Line],
    levels: list[Level],
    title: str,
    remark: str,
    unit: str,
    rate: bool = False,
    labels: bool = True,
) -> dict[str, Any]:
    """One chart in two drawings, of which the style sheet shows the one that fits: text must not shrink."""
    from markupsafe import Markup

    ends = ", ".join(f"{line.label} {line.points[-1][1]:.3g} at the end" for line in lines)
    flat = "".join(f", {level.label} {level.mean:.3g}" for level in levels)
    draw = partial(
        line_chart,
        lines,
        levels,
        description=f"{title} over {UNITS[unit]}: {ends}{flat}",
        x_name=UNITS[unit],
        y_max=1.0 if rate else None,
        y_format=(lambda value: percent(value, 0)) if rate else short_count,
        most_y_ticks=5 if rate else 4,
    )
    width, height, most = (960, 360, 8) if rate else (460, 210, 4)
    legends = [(line.label, line.style) for line in lines] + [(level.label, level.style) for level in levels]
    return {
        "title": title,
        "remark": remark,
        "wide": Markup(draw(style="wide", labels=labels, width=width, height=height, most_x_ticks=most)),
        "narrow": Markup(
            draw(style="narrow", labels=False, hover=False, width=350, height=height - 50, most_x_ticks=4)
        ),
        "legends": legends if labels else [],
    }


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
            end = "success" if episode.get("success") else "failure"
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
    again = f"wean eval {where} --episodes {final.get('episodes', 500)} --seed {final.get('seed', 10000)}"
    if not final and "best" in summary:
        again = f"wean eval {where} --task {task} --variations 10"
    return {"command": summary.get("command") or made, "again": again}
