"""Draws the learning curves of a comparison: a page that needs no network, or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wean
from wean.errors import UsageError, WeanError
from wean.evaluation.statistics import bootstrap_mean
from wean.report.charts import Level, Line, line_chart
from wean.report.compare import Comparison, Group, speed_text
from wean.report.format import percent
from wean.report.report import template_environment

PICTURES = (".png", ".svg", ".pdf")
# As many colours as the style sheet has; a seventh group starts again with the first.
COLOURS = ("#0f766e", "#b7731a", "#5b5bb5", "#b0446b", "#4b7f2e", "#7b818b")

Track = tuple[NDArray[np.float64], NDArray[np.float64]]


def write_curves(comparison: Comparison, path: Path) -> Path:
    """Write tables and learning curves as `.html`, or the curves alone as `.png`, `.svg` or `.pdf`.

    Each group is its mean over seeds with a 95 % bootstrap interval over seeds, and the seeds as thin lines.
    The mean ends where the shortest run ends.

    Args:
        comparison: What `compare` found.
        path: The file; its ending chooses the format.

    Raises:
        UsageError: The ending is unknown.
        WeanError: The file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in (".html", *PICTURES):
        raise UsageError(f"cannot write curves to {path}; end the name in .html, {', '.join(PICTURES)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".html":
            path.write_text(_page(comparison), encoding="utf-8")
        else:
            _picture(comparison, path)
    except OSError as error:
        raise WeanError(f"cannot write {path}: {error.strerror}; choose another place") from error
    return path


def tracks(group: Group) -> list[Track]:
    """Success over steps of each run that has a curve, as (steps, rates), each of shape (points,)."""
    found = []
    for run in group.runs:
        points = [(point["env_steps"], point["success"]) for point in run.curve if point.get("success") is not None]
        if points:
            steps, rates = np.array(points, dtype=np.float64).T
            found.append((steps, rates))
    return found


def mean_track(runs: Sequence[Track]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and interval over runs on the union of their steps, as far as every run reaches.

    Args:
        runs: (steps, rates) of each run, steps rising.

    Returns:
        Steps of shape (points,), and mean, low and high of shape (points, 3).
    """
    end = min(steps[-1] for steps, _ in runs)
    grid = np.unique(np.concatenate([steps[steps <= end] for steps, _ in runs]))
    values = np.stack([np.interp(grid, steps, rates) for steps, rates in runs])
    intervals = [bootstrap_mean(column) for column in values.T]
    return grid, np.array([(one.mean, one.low, one.high) for one in intervals])


def _lines(group: Group, style: str) -> list[Line]:
    runs = tracks(group)
    if not runs:
        return []
    if len(runs) == 1:
        return [Line(group.name, [(float(x), float(y)) for x, y in zip(*runs[0], strict=True)], style)]
    steps, band = mean_track(runs)
    thin = [Line("", [(float(x), float(y)) for x, y in zip(*run, strict=True)], style, thin=True) for run in runs]
    main = Line(
        group.name,
        [(float(x), float(y)) for x, y in zip(steps, band[:, 0], strict=True)],
        style,
        band=[(float(x), float(low), float(high)) for x, (_, low, high) in zip(steps, band, strict=True)],
    )
    return [*thin, main]


def _places(comparison: Comparison) -> dict[str, int]:
    """A number for each method, the same on every task, so that its colour is the same in every panel."""
    names = [group.name for task in comparison.tasks for group in comparison.of(task)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _page(comparison: Comparison) -> str:
    from markupsafe import Markup

    tasks: list[dict[str, Any]] = []
    places = _places(comparison)
    for task in comparison.tasks:
        groups = [(group, f"series-{1 + places[group.name] % 6}") for group in comparison.of(task)]
        lines = [line for group, style in groups for line in _lines(group, style)]
        levels = [
            Level(one.name, one.success.mean, one.success.low, one.success.high, "reference")
            for one in comparison.beside(task)
        ]
        draw = partial(
            line_chart,
            lines,
            levels,
            description=f"Success on {task} over environment steps: "
            + ", ".join(f"{group.name} {percent(group.success.mean)} at the end" for group, _ in groups),
            y_max=1.0,
            y_format=lambda value: percent(value, 0),
        )
        tasks.append(
            {
                "name": task,
                "groups": [
                    {"group": group, "style": style, "speed": speed_text(group.speed).replace("\n", ", ")}
                    for group, style in groups
                ],
                "references": comparison.beside(task),
                "drawn": bool(lines),
                "wide": Markup(draw(style="wide", width=960, height=380, most_x_ticks=8)),
                "narrow": Markup(
                    draw(style="narrow", width=350, height=280, most_x_ticks=4, labels=False, hover=False)
                ),
            }
        )
    template = template_environment().get_template("compare.html.j2")
    return template.render(
        version=wean.__version__, tasks=tasks, threshold=comparison.threshold, notes=comparison.notes
    )


def _picture(comparison: Comparison, path: Path) -> None:
    # The figure is made without pyplot: no global state, no window system is looked for.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    from wean.report.format import short_count

    tasks, places = comparison.tasks, _places(comparison)
    figure = Figure(figsize=(5.6 * len(tasks), 4.2), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, task in zip(panels, tasks, strict=True):
        for group in comparison.of(task):
            colour = COLOURS[places[group.name] % len(COLOURS)]
            runs = tracks(group)
            if len(runs) > 1:
                for steps, rates in runs:
                    panel.plot(steps, rates, color=colour, linewidth=0.7, alpha=0.3)
            if runs:
                steps, band = mean_track(runs)
                panel.plot(steps, band[:, 0], color=colour, linewidth=2, label=group.name)
                panel.fill_between(steps, band[:, 1], band[:, 2], color=colour, alpha=0.15, linewidth=0)
        for reference, dash in zip(comparison.beside(task), ("--", ":", "-.", "--"), strict=False):
            level = reference.success.mean
            panel.axhline(level, color="#7b818b", linestyle=dash, linewidth=1.3, label=reference.name)
        panel.set_title(task, loc="left", fontsize=11, fontweight="bold")
        panel.set_xlabel("environment steps")
        panel.set_ylim(-0.02, 1.03)
        panel.set_xlim(left=0)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        panel.grid(axis="y", color="#e7e4de", linewidth=0.8)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(length=0)
        panel.legend(frameon=False, fontsize=9)
    panels[0].set_ylabel("success in held-out episodes")
    figure.savefig(path, dpi=160)
