"""Turns the files of a run into what the report's page shows: one function for each section.

Every function takes the parsed file and returns plain values for the template, or None where there is nothing
to show, so that old and partial runs still have a page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from wean.evaluation.statistics import Interval, steps_to, wilson
from wean.report.charts import Level, Line, line_chart
from wean.report.format import count, duration, percent, price, short_count, span_percent

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

    "Better" and "behind" are said only where the 95 % intervals do not touch, which is stricter than a test.
    """
    from markupsafe import Markup

    final = summary.get("final") or {}
    student = as_interval(final.get("success"))
    if student is None:
        return Markup("The student of this run has not been evaluated.")
    told = Markup(
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
        told += Markup(" The teacher itself reaches {}: {}.").format(percent(teacher.mean), word)
    questions = as_interval((final.get("asking") or {}).get("questions"))
    if questions is not None:
        told += Markup(
            " It asks its language model <strong>{}</strong> times an episode (95\u202f% interval {} to {})"
            " and needs it at work, too."
        ).format(f"{questions.mean:.2f}", f"{questions.low:.2f}", f"{questions.high:.2f}")
    asked = final.get("llm") or {}
    speed = final.get("ms_per_action")
    if speed is not None and not asked.get("asked") and not asked.get("replayed"):
        told += Markup(" It decides in {} ms and asks no language model.").format(f"{speed:.2g}")
    return told


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
    """What must be known to read the result table."""
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
    """The run in a few numbers: steps, time, size."""
    found: list[dict[str, str]] = []

    def add(name: str, key: str, write: Callable[[Any], str], remark: str) -> None:
        if summary.get(key) is not None:
            found.append({"name": name, "value": write(summary[key]), "remark": remark})

    speed = summary.get("steps_per_second")
    add("Training", "env_steps", lambda value: f"{value:,} steps", "in the environment")
    add("Time", "wall_seconds", duration, f"{speed:,.0f} steps per second" if speed else "")
    add("Student", "student_parameters", lambda value: f"{value:,}", "parameters")
    add("Weights", "student_bytes", lambda value: f"{value / 1000:,.0f} kB", "on disk")
    return found


def curve(summary: Data) -> dict[str, Any] | None:
    """The learning curve, the teacher's weight and the episodes' length, as drawings and as a table.

    A point that says its number of `episodes` gets a Wilson interval.
    """
    measured = [point for point in summary.get("curve") or [] if point.get("env_steps") is not None]
    success = _points(measured, "success")
    if len(success) < 2:
        return None
    band = [
        (point["env_steps"], *_ends(wilson(round(point["success"] * point["episodes"]), point["episodes"])))
        for point in measured
        if point.get("episodes") and point.get("success") is not None
    ]
    others = []
    weight = _points(measured, "teacher_weight")
    if any(y > 0 for _, y in weight):
        lines = [Line("weight", weight, "teacher", filled=True)]
        others.append(_chart(lines, [], "Teacher’s weight", "in the loss", labels=False))
    for key, title, remark in (("length", "Episode length", "steps"), ("return", "Return", "")):
        points = _points(measured, key)
        # The charts start at 0: a return that can be negative is left to the table.
        if len(points) > 1 and len(others) < 2 and min(y for _, y in points) >= 0:
            others.append(_chart([Line("student", points, "student")], _levels(summary, key), title, remark))
    first = steps_to(measured, 0.9)
    main = Line("student", success, "student", band)
    columns = [("env_steps", "{:,.0f}"), ("wall_seconds", "{:,.1f}"), ("success", "{:.3f}")]
    columns += [("return", "{:.3f}"), ("length", "{:.1f}"), ("teacher_weight", "{:.3f}")]
    return {
        "success": _chart([main], _levels(summary, "success"), "Success", "", tall=True),
        "others": others,
        "first": f"{first:,}" if first is not None else None,
        "rows": [
            ["–" if point.get(key) is None else form.format(point[key]) for key, form in columns] for point in measured
        ],
    }


def _points(curve: Sequence[Data], key: str) -> list[tuple[float, float]]:
    return [(point["env_steps"], float(point[key])) for point in curve if point.get(key) is not None]


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
    lines: list[Line], levels: list[Level], title: str, remark: str, tall: bool = False, labels: bool = True
) -> dict[str, Any]:
    """One chart in two drawings, of which the style sheet shows the one that fits: text must not shrink."""
    from markupsafe import Markup

    ends = ", ".join(f"{line.label} {line.points[-1][1]:.3g} at the end" for line in lines)
    flat = "".join(f", {level.label} {level.mean:.3g}" for level in levels)
    is_rate = title == "Success"
    draw = partial(
        line_chart,
        lines,
        levels,
        description=f"{title} over environment steps: {ends}{flat}",
        y_max=1.0 if is_rate else None,
        y_format=(lambda value: percent(value, 0)) if is_rate else short_count,
        most_y_ticks=5 if tall else 4,
    )
    width, height, most = (960, 360, 8) if tall else (460, 210, 4)
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
        unadvised: Steps of training in which no plan could be read or carried out, where that was counted.
        advice: The summary's `advice`: how often the teacher was asked.
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
    """What was asked, what was replayed and what it cost; what nobody knows is called unknown, not 0."""
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
    """Shares of the wall time, largest first; what no clock counted is "everything else"."""
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
    rate = f", {speed:,.0f} environment steps per second, learning included and evaluation apart" if speed else ""
    return {
        "intro": f"{duration(total).capitalize()} in all{rate}.",
        "parts": shares,
        "description": ", ".join(f"{part['name']} {percent(float(part['share']), 0)}" for part in shares),
    }
