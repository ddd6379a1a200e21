from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from wean.evaluation.statistics import Interval
from wean.report.charts import Level, Line, line_chart, ticks
from wean.report.run_files import count, duration, percent, price, rate, short_count, span


@pytest.mark.parametrize(
    ("highest", "most", "wanted"),
    [
        (1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 4, [0, 0.25, 0.5, 0.75, 1.0]),
        (200_000, 8, [25_000 * index for index in range(9)]),
        (149.0, 4, [0, 50, 100]),
        (0.0, 4, [0]),
        (math.inf, 4, [0]),
    ],
)
def test_ticks_are_round_and_few(highest: float, most: int, wanted: list[float]) -> None:
    assert ticks(highest, most) == pytest.approx(wanted)


def places(svg: str, style: str) -> list[tuple[float, float]]:
    """Corners of the first path of a class."""
    path = next(one for one in ET.fromstring(svg).iter("path") if one.get("class") == style)
    numbers = re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))
    return [(float(x), float(y)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def test_lines_lie_where_the_axes_say() -> None:
    line = Line("student", [(0, 0.0), (50, math.nan), (100, 1.0)], "student")
    svg = line_chart([line], description="d", width=400, height=200, y_max=1.0)
    (left, bottom), (right, top) = places(svg, "line")
    assert top == 12
    assert bottom == 200 - 42
    labels = [text.text for text in ET.fromstring(svg).iter("text")]
    assert labels[:6] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert left < right < 400
    dot = next(ET.fromstring(svg).iter("circle"))
    assert (float(dot.get("cx", 0)), float(dot.get("cy", 0))) == (right, top)


def test_labels_keep_apart_and_inside() -> None:
    levels = [Level(f"level {index}", 0.0, 0.0, 0.0, "random") for index in range(4)]
    svg = line_chart([Line("student", [(0, 0.0), (10, 0.01)], "student")], levels, description="d", y_max=1.0)
    names = [one for one in ET.fromstring(svg).iter("text") if (one.get("class") or "").startswith("name")]
    heights = [float(one.get("y", 0)) for one in names]
    assert len(heights) == 5
    assert all(later - earlier >= 16.9 for earlier, later in pairwise(heights))
    assert max(heights) <= 340 - 42 + 5


def test_bands_enclose_and_words_are_escaped() -> None:
    line = Line("a<b", [(0, 0.5), (10, 0.5)], "student", band=[(0, 0.25, 0.75), (10, 0.4, 0.6)])
    svg = line_chart([line], description='say "<hi>"', height=200, y_max=1.0)
    heights = [y for _, y in places(svg, "band")]
    plot = 200 - 42 - 12
    assert heights == pytest.approx([12 + plot * (1 - y) for y in (0.75, 0.6, 0.4, 0.25)], abs=0.06)
    assert ET.fromstring(svg).get("aria-label") == 'say "<hi>"'
    assert "a<b" not in svg


def test_an_axis_without_a_given_end_holds_everything() -> None:
    line = Line("length", [(0, 149.0), (10, 20.0)], "student")
    svg = line_chart([line], description="d", most_y_ticks=4, height=200)
    labels = [text.text for text in ET.fromstring(svg).iter("text")]
    assert labels[:4] == ["0", "50", "100", "150"]
    assert min(y for _, y in places(svg, "line")) >= 12


def test_an_axis_goes_below_zero_where_values_do() -> None:
    line = Line("return", [(0, -200.0), (10, 7.5)], "student")
    svg = line_chart([line], description="d", most_y_ticks=4, height=200)
    labels = [text.text for text in ET.fromstring(svg).iter("text")]
    assert labels[:4] == ["-200", "-100", "0", "100"]
    (_, low), (_, high) = places(svg, "line")
    assert 12 < high < low == 200 - 42
    assert high == pytest.approx(200 - 42 - (200 - 42 - 12) * 207.5 / 300, abs=0.1)


def test_an_empty_chart_is_still_a_drawing() -> None:
    assert ET.fromstring(line_chart([], description="nothing")).tag == "svg"


def test_numbers_are_written_for_people() -> None:
    assert [short_count(value) for value in (0, 0.25, 500, 20_000, 1_500_000, 2e9)] == [
        "0", "0.25", "500", "20k", "1.5M", "2B",
    ]  # fmt: skip
    assert percent(0.9825) == "98.2\u202f%"
    assert (rate(0.9825), span(Interval(0.5, 0.25, 0.755))) == ("0.983", "0.250 to 0.755")
    assert [duration(seconds) for seconds in (8.24, 42.4, 59.96, 192, 3900)] == [
        "8.2 s", "42 s", "60 s", "3 min 12 s", "1 h 5 min",
    ]  # fmt: skip
    assert count(1234) == "1,234"
    assert count({"read": 1000, "written": 200}) == "1,200"
    assert count(None) == "unknown"
    assert [price(dollars) for dollars in (None, 0.0, 0.0042, 12.5)] == [
        "unknown",
        "$0.00",
        "$0.0042",
        "$12.50",
    ]
