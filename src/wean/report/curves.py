"""Learning curves of one run, for its report, and of a comparison, as a page or a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import wean
from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import Interval, bootstrap_mean, steps_to, wilson
from wean.report.charts import Level, Line, line_chart
from wean.report.compare import Comparison, Group, Reference
from wean.report.pages import write_page
from wean.report.run_files import UNITS, as_interval, short_count

PICTURES = (".png", ".svg", ".pdf")
# As many colours as the style sheet has; a seventh group starts again with the first.
COLOURS = ("#0f766e", "#b7731a", "#5b5bb5", "#b0446b", "#4b7f2e", "#7b818b")

Track = tuple[NDArray[np.float64], NDArray[np.float64]]
Data = Mapping[str, Any]

_TITLES = {
    "success": "Success",
    "return": "Return",
    "exact": "Exact answers",
    "length": "Episode length",
    "loss": "Loss",
    "weight": "Teacher’s weight",
}
_RATES = ("success", "exact")
"""What lies between 0 and 1."""


class Panel(NamedTuple):
    """Curves that share their axes: of one task, one unit of progress and one measure.

    Attributes:
        task: The task.
        unit: What progress is counted in.
        measure: What the curves show: `success`, `return` or `exact`.
        groups: Each with its place among all methods, the same on every task, so that its colour is the same.
        references: Policies that do not learn, judged by the same measure.
    """

    task: str
    unit: str
    measure: str
    groups: Sequence[tuple[int, Group]]
    references: Sequence[Reference]

    @property
    def title(self) -> str:
        """What the curves show, in words."""
        return _TITLES[self.measure]

    @property
    def levels(self) -> list[tuple[str, Interval]]:
        """The references by name, as far as they are judged by this measure."""
        judged = [(one.name, one.judged.get(self.measure)) for one in self.references]
        return [(name, interval) for name, interval in judged if interval is not None]


def write_curves(comparison: Comparison, path: Path) -> Path:
    """Writes tables and learning curves as `.html`, or the curves alone as `.png`, `.svg` or `.pdf`, by the name's end.

    Each group is its mean over seeds with a 95 % bootstrap interval over seeds, and the seeds as thin lines.
    The mean ends where the shortest run ends.

    Raises:
        UsageError: The ending is unknown.
        WeanError: The file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in (".html", *PICTURES):
        raise UsageError(f"cannot write curves to {path}; end the name in .html, {', '.join(PICTURES)}")
    if ending == ".html":
        return write_page(path, "compare", _page(comparison))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _picture(panels(comparison), path)
    except OSError as error:
        raise WeanError(f"cannot write {path}: {error.strerror}; choose another place") from error
    return path


def panels(comparison: Comparison) -> list[Panel]:
    """The panels of a comparison, those of one task side by side."""
    names = [group.name for task in comparison.tasks for group in comparison.of(task)]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    found: dict[tuple[str, str, str], list[tuple[int, Group]]] = {}
    for task in comparison.tasks:
        for group in comparison.of(task):
            found.setdefault((task, group.unit, group.measure), []).append((places[group.name], group))
    return [
        Panel(task, unit, measure, groups, comparison.beside(task)) for (task, unit, measure), groups in found.items()
    ]


def tracks(group: Group) -> list[Track]:
    """What the group is judged by over progress, of each run that has a curve: two arrays of shape (points,)."""
    found = []
    for run in group.runs:
        points = _points(run.curve, group.measure, group.unit)
        if points:
            progress, rates = np.array(points, dtype=np.float64).T
            found.append((progress, rates))
    return found


def mean_track(runs: Sequence[Track]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and interval over runs on the union of their points, up to where the shortest run ends.

    Returns:
        Progress of shape (points,), and mean, low and high of shape (points, 3).
    """
    end = min(progress[-1] for progress, _ in runs)
    grid = np.unique(np.concatenate([progress[progress <= end] for progress, _ in runs]))
    values = np.stack([np.interp(grid, progress, rates) for progress, rates in runs])
    intervals = [bootstrap_mean(column) for column in values.T]
    return grid, np.array([(one.mean, one.low, one.high) for one in intervals])


def _style(place: int) -> str:
    return f"series-{1 + place % len(COLOURS)}"


def _lines(group: Group, style: str) -> list[Line]:
    runs = tracks(group)
    if not runs:
        return []
    if len(runs) == 1:
        return [Line(group.name, np.stack(runs[0], 1).tolist(), style)]
    progress, band = mean_track(runs)
    thin = [Line("", np.stack(run, 1).tolist(), style, thin=True) for run in runs]
    edges = np.column_stack([progress, band[:, 1:]]).tolist()
    return [*thin, Line(group.name, np.stack([progress, band[:, 0]], 1).tolist(), style, band=edges)]


def _page(comparison: Comparison) -> dict[str, Any]:
    figures = [(panel.task, _figure(panel)) for panel in panels(comparison)]
    places = {group.name: _style(place) for panel in panels(comparison) for place, group in panel.groups}
    tasks = [
        {
            "name": task,
            "figures": [figure for of, figure in figures if of == task and figure],
            "groups": [{"group": group, "style": places[group.name]} for group in comparison.of(task)],
            "references": comparison.beside(task),
        }
        for task in comparison.tasks
    ]
    return {
        "version": wean.__version__,
        "tasks": tasks,
        "threshold": comparison.threshold,
        "notes": comparison.notes,
        "measures": sorted({group.measure for group in comparison.groups}),
    }


def _figure(panel: Panel) -> dict[str, Any] | None:
    """A panel as a drawing in two widths, with its legend; None without curves."""
    from markupsafe import Markup

    lines = [line for place, group in panel.groups for line in _lines(group, _style(place))]
    if not lines:
        return None
    levels = [Level(name, one.mean, one.low, one.high, "reference") for name, one in panel.levels]
    ends = ", ".join(f"{group.name} {group.headline.mean:.3f} at the end" for _, group in panel.groups)
    draw = partial(
        line_chart,
        lines,
        levels,
        description=f"{panel.title} on {panel.task} over {UNITS[panel.unit]}: {ends}",
        y_max=1.0 if panel.measure in _RATES else None,
        x_name=UNITS[panel.unit],
    )
    return {
        "legend": [(_style(place), group.name) for place, group in panel.groups]
        + [("random", name) for name, _ in panel.levels],
        "title": panel.title,
        "wide": Markup(draw(style="wide", width=960, height=380, most_x_ticks=8)),
        "narrow": Markup(draw(style="narrow", width=350, height=280, most_x_ticks=4, labels=False, hover=False)),
    }


def _picture(drawn: Sequence[Panel], path: Path) -> None:
    # The figure is made without pyplot: no global state, no window system is looked for.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(5.6 * len(drawn), 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        for place, group in panel.groups:
            colour = COLOURS[place % len(COLOURS)]
            runs = tracks(group)
            if len(runs) > 1:
                for progress, rates in runs:
                    axes.plot(progress, rates, color=colour, linewidth=0.7, alpha=0.3)
            if runs:
                progress, band = mean_track(runs)
                axes.plot(progress, band[:, 0], color=colour, linewidth=2, label=group.name)
                axes.fill_between(progress, band[:, 1], band[:, 2], color=colour, alpha=0.15, linewidth=0)
        for (name, level), dash in zip(panel.levels, ("--", ":", "-.", "--"), strict=False):
            axes.axhline(level.mean, color="#7b818b", linestyle=dash, linewidth=1.3, label=name)
        axes.set_title(panel.task, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(UNITS[panel.unit])
        if axes.get_subplotspec().is_first_col() or panel.measure != "success":
            axes.set_ylabel(panel.title.lower() + (" in held-out episodes" if panel.measure != "exact" else ""))
        if panel.measure in _RATES:
            axes.set_ylim(-0.02, 1.03)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.grid(axis="y", color="#e7e4de", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=160)


# --- the curve of one run ------------------------------------------------------------------------------------------

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


def run_curve(summary: Data) -> dict[str, Any] | None:
    """The learning curve, the teacher's weight and the episodes' length, as drawings and as a table.

    The curve is that of success; of the return where the task does not say what success is; of exact answers for a
    fine-tuned student. A point of success with its number of `episodes` gets a Wilson interval.
    """
    unit = summary["unit"]
    measured = [point for point in summary.get("curve") or [] if point.get(unit) is not None]
    key = next((name for name in ("success", "exact", "return") if _points(measured, name, unit)), "success")
    points = _points(measured, key, unit)
    if len(points) < 2:
        return None
    band = [
        (point[unit], *_ends(wilson(round(point["success"] * point["episodes"]), point["episodes"])))
        for point in measured
        if point.get("episodes") and point.get("success") is not None
    ]
    main = _chart([Line("student", points, "student", band)], _levels(summary, key), key, "", unit, wide=True)
    if key == "exact":
        intro = "Share of the answers in demonstrations kept apart that the student gave exactly, while it was trained."
    else:
        acting = summary.get("acting") or "trained"
        intro = f"{_TITLES[key]} of the {acting} student in held-out episodes while it was trained"
        if len(main["legends"]) > 1:
            intro += ", beside policies that do not learn (dashed, with their 95\u202f% intervals)"
        intro += "."
    if key in _RATES:
        first = steps_to(measured, 0.9, key, unit=unit)
        intro += " It never reached 0.9." if first is None else f" It first reached 0.9 after {first:,} {UNITS[unit]}."
    columns = [column for column in _COLUMNS if any(point.get(column[0]) is not None for point in measured)]
    return {
        "main": main,
        "others": _other_charts(summary, measured, unit, key),
        "intro": intro,
        "columns": [UNITS[unit].capitalize(), *(name for _, name, _ in columns)],
        "rows": [
            [f"{point[unit]:,.0f}"]
            + ["–" if point.get(name) is None else form.format(point[name]) for name, _, form in columns]
            for point in measured
        ],
    }


def _other_charts(summary: Data, measured: Sequence[Data], unit: str, shown: str) -> list[dict[str, Any]]:
    """Up to two small charts beside the main one, which has `shown` already."""
    charts = []
    weight = _points(measured, "teacher_weight", unit)
    if any(y > 0 for _, y in weight):
        lines = [Line("weight", weight, "teacher", filled=True)]
        charts.append(_chart(lines, [], "weight", "in the loss", unit, labels=False))
    for key, remark in (("length", "steps"), ("return", ""), ("loss", "of those answers")):
        points = _points(measured, key, unit)
        if key != shown and len(points) > 1 and len(charts) < 2:
            charts.append(_chart([Line("student", points, "student")], _levels(summary, key), key, remark, unit))
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
    key: str,
    remark: str,
    unit: str,
    wide: bool = False,
    labels: bool = True,
) -> dict[str, Any]:
    """One chart in two drawings, of which the style sheet shows the one that fits: text must not shrink."""
    from markupsafe import Markup

    title = _TITLES[key]
    ends = ", ".join(f"{line.label} {line.points[-1][1]:.3g} at the end" for line in lines)
    flat = "".join(f", {level.label} {level.mean:.3g}" for level in levels)
    draw = partial(
        line_chart,
        lines,
        levels,
        description=f"{title} over {UNITS[unit]}: {ends}{flat}",
        x_name=UNITS[unit],
        y_max=1.0 if key in _RATES else None,
        most_y_ticks=5 if wide else 4,
    )
    width, height, most = (960, 360, 8) if wide else (460, 210, 4)
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
