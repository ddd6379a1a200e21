"""Draws the learning curves of a comparison: a page that needs no network, or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import wean
from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import bootstrap_mean
from wean.report.charts import Level, Line, line_chart
from wean.report.compare import Comparison, Group, Reference
from wean.report.pages import write_page
from wean.report.run_files import UNITS, percent, short_count

PICTURES = (".png", ".svg", ".pdf")
# As many colours as the style sheet has; a seventh group starts again with the first.
COLOURS = ("#0f766e", "#b7731a", "#5b5bb5", "#b0446b", "#4b7f2e", "#7b818b")

Track = tuple[NDArray[np.float64], NDArray[np.float64]]


class Panel(NamedTuple):
    """Curves that share their axes: of one task, one unit of progress and one rate.

    Attributes:
        task: The task.
        unit: What progress is counted in.
        groups: Each with its place among all methods, the same on every task, so that its colour is the same.
        references: Policies that do not learn; none where the rate is not success.
    """

    task: str
    unit: str
    groups: Sequence[tuple[int, Group]]
    references: Sequence[Reference]

    @property
    def rate(self) -> str:
        """What the curves show, in words."""
        return "Success" if self.groups[0][1].success else "Exact answers"


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
    found: dict[tuple[str, str, bool], list[tuple[int, Group]]] = {}
    for task in comparison.tasks:
        for group in comparison.of(task):
            found.setdefault((task, group.unit, group.success is None), []).append((places[group.name], group))
    return [
        Panel(task, unit, groups, () if answers else comparison.beside(task))
        for (task, unit, answers), groups in found.items()
    ]


def tracks(group: Group) -> list[Track]:
    """Success, or exact answers, over progress of each run that has a curve: two arrays of shape (points,)."""
    key = "exact" if group.success is None else "success"
    found = []
    for run in group.runs:
        points = [(point[group.unit], point[key]) for point in run.curve if point.get(key) is not None]
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
        "answers": any(group.success is None for group in comparison.groups),
    }


def _figure(panel: Panel) -> dict[str, Any] | None:
    """A panel as a drawing in two widths, with its legend; None without curves."""
    from markupsafe import Markup

    lines = [line for place, group in panel.groups for line in _lines(group, _style(place))]
    if not lines:
        return None
    levels = [
        Level(one.name, one.success.mean, one.success.low, one.success.high, "reference") for one in panel.references
    ]
    ends = ", ".join(f"{group.name} {percent(group.merit)} at the end" for _, group in panel.groups)
    draw = partial(
        line_chart,
        lines,
        levels,
        description=f"{panel.rate} on {panel.task} over {UNITS[panel.unit]}: {ends}",
        y_max=1.0,
        y_format=lambda value: percent(value, 0),
        x_name=UNITS[panel.unit],
    )
    return {
        "legend": [(_style(place), group.name) for place, group in panel.groups]
        + [("random", one.name) for one in panel.references],
        "rate": panel.rate,
        "wide": Markup(draw(style="wide", width=960, height=380, most_x_ticks=8)),
        "narrow": Markup(draw(style="narrow", width=350, height=280, most_x_ticks=4, labels=False, hover=False)),
    }


def _picture(drawn: Sequence[Panel], path: Path) -> None:
    # The figure is made without pyplot: no global state, no window system is looked for.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

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
        for reference, dash in zip(panel.references, ("--", ":", "-.", "--"), strict=False):
            level = reference.success.mean
            axes.axhline(level, color="#7b818b", linestyle=dash, linewidth=1.3, label=reference.name)
        axes.set_title(panel.task, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(UNITS[panel.unit])
        if axes.get_subplotspec().is_first_col() or panel.rate != "Success":
            axes.set_ylabel("success in held-out episodes" if panel.rate == "Success" else "exact answers")
        axes.set_ylim(-0.02, 1.03)
        axes.set_xlim(left=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.grid(axis="y", color="#e7e4de", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=160)
