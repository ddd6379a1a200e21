"""Line charts as inline SVG, coloured by the page's style sheet: they follow light and dark mode, and print.

A chart is a string of markup that names no colour and no font: lines, bands and labels carry CSS classes, and
take their colour from the class of their series (`student`, `teacher`, `random`, `series-1` ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from wean.report.run_files import short_count

Point = tuple[float, float]
Format = Callable[[float], str]

# Points that answer to the mouse; more would only make the file heavy.
MOST_HITS = 240
# Width of one character of a 12 px label; an estimate, as the reader's font is not known.
CHARACTER_WIDTH = 6.7
LABEL_GAP = 17.0


@dataclass(frozen=True)
class Line:
    """One curve."""

    label: str
    """What the curve shows, in a word or two; written at its right end."""
    points: Sequence[Point]
    """(x, y) in the order of x; points whose y is NaN are left out."""
    style: str
    """CSS class that colours it."""
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high) of an interval around the curve."""
    filled: bool = False
    """Whether the area under the curve is tinted."""
    thin: bool = False
    """Whether it stands in the background, without a label (one seed of several)."""


@dataclass(frozen=True)
class Level:
    """A horizontal line with its interval: a policy that does not learn."""

    label: str
    """Who it is."""
    mean: float
    low: float
    high: float
    style: str
    """CSS class that colours it."""


@dataclass(frozen=True)
class _Frame:
    """Where the plot lies in the drawing, in pixels of the view box, and what its axes span."""

    left: float
    right: float
    top: float
    bottom: float
    x_max: float
    y_min: float
    y_max: float

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.x_max

    def y(self, value: float) -> float:
        share = min(max((value - self.y_min) / (self.y_max - self.y_min), 0.0), 1.0)
        return self.bottom - (self.bottom - self.top) * share


def ticks(highest: float, most: int) -> list[float]:
    """Round numbers from 0 to `highest` in at most `most` steps of 1, 2, 2.5 or 5 times a power of 10."""
    if highest <= 0 or not math.isfinite(highest):
        return [0.0]
    rough = highest / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= rough * (1 - 1e-9))
    return [index * step for index in range(math.floor(highest / step + 1e-9) + 1)]


def line_chart(
    lines: Sequence[Line],
    levels: Sequence[Level] = (),
    *,
    description: str,
    width: int = 920,
    height: int = 340,
    y_max: float | None = None,
    y_format: Format = short_count,
    x_name: str = "environment steps",
    labels: bool = True,
    hover: bool = True,
    most_x_ticks: int = 6,
    most_y_ticks: int = 5,
    style: str = "",
) -> str:
    """Draw curves and levels over one horizontal axis that starts at 0, as an `<svg>` element.

    The vertical axis starts at 0, or below where there are negative values.

    Args:
        lines: The curves; thin ones are drawn first.
        levels: Horizontal reference lines with bands.
        description: What a reader who does not see the picture is told.
        width: Width of the view box; about the width in pixels at which it is shown, as it scales text too.
        height: Height of the view box.
        y_max: Upper end of the vertical axis; by default the largest value, rounded up.
        y_format: Writes the values of the vertical axis.
        x_name: Name of the horizontal axis.
        labels: Whether names stand at the right ends of the lines; without them the page needs a legend.
        hover: Whether points show their values under the mouse.
        most_x_ticks: Upper bound of the steps on the horizontal axis.
        most_y_ticks: Upper bound of the steps on the vertical axis.
        style: Extra CSS classes of the drawing.
    """
    lines = [_without_gaps(line) for line in lines]
    x_max = max((x for line in lines for x, _ in line.points), default=1.0) or 1.0
    y_marks = _y_marks(lines, levels, y_max, most_y_ticks)
    names = [(level.label, level.mean, level.style) for level in levels]
    names += [(line.label, line.points[-1][1], line.style) for line in lines if line.points and not line.thin]
    gutter = max((len(name) for name, *_ in names), default=0) * CHARACTER_WIDTH + 22 if labels else 14
    margin = max(len(y_format(mark)) for mark in y_marks) * CHARACTER_WIDTH + 12
    frame = _Frame(margin, width - gutter, 12.0, height - 42.0, x_max, y_marks[0], y_marks[-1])
    parts = [
        f'<svg class="chart {escape(style)}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(description)}">',
        *_axes(frame, y_marks, y_format, x_name, most_x_ticks, height),
        *(_level(frame, level) for level in levels),
    ]
    for line in sorted(lines, key=lambda one: not one.thin):
        parts += _line(frame, line)
    if labels:
        parts += _end_labels(frame, names)
    for line in lines if hover else ():
        parts += _hits(frame, line, y_format, x_name)
    return "".join([*parts, "</svg>"])


def _y_marks(lines: Sequence[Line], levels: Sequence[Level], y_max: float | None, most: int) -> list[float]:
    """Round numbers that hold all values between the first and the last of them, 0 included."""
    if y_max is not None:
        marks = ticks(y_max, most)
        return marks if marks[-1] == y_max else [*marks, y_max]
    seen = [y for line in lines for _, y in line.points] + [end for level in levels for end in (level.low, level.high)]
    top, bottom = max([*seen, 0.0]), min([*seen, 0.0])
    if top == bottom:
        top = 1.0
    step = ticks(top - bottom, most)[1]
    return [index * step for index in range(math.floor(bottom / step), math.ceil(top / step) + 1)]


def _without_gaps(line: Line) -> Line:
    kept = [(x, y) for x, y in line.points if math.isfinite(y)]
    return Line(line.label, kept, line.style, line.band, line.filled, line.thin)


def _axes(frame: _Frame, y_marks: Sequence[float], y_format: Format, x_name: str, most: int, height: int) -> list[str]:
    parts = []
    for mark in y_marks:
        y = frame.y(mark)
        rule = "axis" if mark == 0 else "rule"
        parts.append(f'<path class="{rule}" d="M{frame.left:.1f} {y:.1f}H{frame.right:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{frame.left - 9:.1f}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(y_format(mark))}</text>"
        )
    for mark in ticks(frame.x_max, most):
        parts.append(
            f'<text class="tick" x="{frame.x(mark):.1f}" y="{frame.bottom + 19:.1f}" text-anchor="middle">'
            f"{escape(short_count(mark))}</text>"
        )
    middle = (frame.left + frame.right) / 2
    parts.append(f'<text class="tick" x="{middle:.1f}" y="{height - 4}" text-anchor="middle">{escape(x_name)}</text>')
    return parts


def _level(frame: _Frame, level: Level) -> str:
    top, low = frame.y(level.high), frame.y(level.low)
    return (
        f'<g class="{escape(level.style)}"><rect class="band" x="{frame.left:.1f}" y="{top:.1f}" '
        f'width="{frame.right - frame.left:.1f}" height="{max(low - top, 0.5):.1f}"/>'
        f'<path class="level" d="M{frame.left:.1f} {frame.y(level.mean):.1f}H{frame.right:.1f}"/></g>'
    )


def _line(frame: _Frame, line: Line) -> list[str]:
    if not line.points:
        return []
    track = "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in line.points)
    parts = [f'<g class="{escape(line.style)}">']
    if line.band:
        there = [f"{frame.x(x):.1f} {frame.y(high):.1f}" for x, _, high in line.band]
        back = [f"{frame.x(x):.1f} {frame.y(low):.1f}" for x, low, _ in reversed(line.band)]
        parts.append(f'<path class="band" d="M{"L".join(there + back)}Z"/>')
    if line.filled:
        first, last = frame.x(line.points[0][0]), frame.x(line.points[-1][0])
        parts.append(f'<path class="band" d="M{first:.1f} {frame.bottom:.1f}L{track}L{last:.1f} {frame.bottom:.1f}Z"/>')
    parts.append(f'<path class="{"thread" if line.thin else "line"}" d="M{track}"/>')
    if not line.thin:
        x, y = line.points[-1]
        parts.append(f'<circle class="dot" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5"/>')
    return [*parts, "</g>"]


def _end_labels(frame: _Frame, names: Sequence[tuple[str, float, str]]) -> list[str]:
    """Names beside the right ends, pushed apart where lines end close together."""
    ordered = sorted(names, key=lambda one: -one[1])
    places: list[float] = []
    for _, value, _ in ordered:
        wanted = frame.y(value)
        places.append(max(wanted, places[-1] + LABEL_GAP) if places else wanted)
    # Pushing down may run off the plot: then everything moves up together.
    overrun = max(0.0, places[-1] - frame.bottom) if places else 0.0
    return [
        f'<text class="name {escape(style)}" x="{frame.right + 11:.1f}" y="{place - overrun + 4:.1f}">'
        f"{escape(label)}</text>"
        for (label, _, style), place in zip(ordered, places, strict=True)
    ]


def _hits(frame: _Frame, line: Line, y_format: Format, x_name: str) -> list[str]:
    """Invisible circles that show a point's values under the mouse."""
    if line.thin:
        return []
    every = max(1, math.ceil(len(line.points) / MOST_HITS))
    return [
        f'<circle class="hit" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="8"><title>'
        f"{escape(line.label)}: {escape(y_format(y))} at {x:,.0f} {escape(x_name)}</title></circle>"
        for x, y in line.points[::every]
    ]
