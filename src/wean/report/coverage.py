"""The section of a report that shows how many decisions a distilled student can take alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wean.report.charts import Line, line_chart
from wean.report.run_files import duration, percent, price

if TYPE_CHECKING:
    from markupsafe import Markup


def coverage_verdict(coverage: Mapping[str, Any]) -> Markup:
    """The result in a sentence or two."""
    from markupsafe import Markup

    row = max((one for one in coverage["levels"] if one["wanted"] <= 0.98), key=lambda one: one["wanted"])
    if row["agreement"] is None:
        return Markup("The student takes <strong>no decision alone</strong>: {}.").format(
            next((kind["why"] for kind in coverage["kinds"].values() if kind["why"]), "no agreement can be told")
        )
    return Markup(
        "The student takes <strong>{}</strong> of the decisions of held-out sessions alone and agrees with the "
        "language model in <strong>{}</strong> of them (95\u202f% interval {} to {})."
    ).format(
        percent(row["share"]),
        percent(row["agreement"]["mean"]),
        percent(row["agreement"]["low"]),
        percent(row["agreement"]["high"]),
    )


def coverage_section(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The coverage curve as drawings, and a table; None for a run of another kind."""
    from markupsafe import Markup

    coverage = summary.get("coverage")
    if not isinstance(coverage, Mapping) or not coverage["curve"]:
        return None
    points = [(100 * one["share"], 100 * (1 - one["agreement"])) for one in coverage["curve"]]
    draw = partial(
        line_chart,
        [Line("differs", points, "student", filled=True)],
        description=f"Different decisions over the share taken alone: {points[-1][1]:.2g} % where all are",
        x_name="% of the decisions taken alone",
        y_format=lambda value: f"{value:g}\u202f%",
        labels=False,
    )
    error, new = coverage["calibration_error"], coverage["new_agreement"]
    note = (
        f"Confidence is calibrated with temperature {coverage['temperature']:.2f}; expected calibration error "
        f"{error:.3f}. A threshold is the least confidence from which on the lower end of the 95\u202f% interval of "
        "the agreement in calibration decisions is not below the wanted one."
    )
    if new is not None:
        note += (
            f" {coverage['new_situations']:,} of the test decisions are on situations that the student never learned "
            f"from: there it agrees in {percent(new)}."
        )
    return {
        "intro": f"{summary['test_decisions']:,} decisions of sessions that were kept from learning and from the "
        "choice of thresholds. The most certain are taken alone first; the line is the share of them in which the "
        "language model chose something else.",
        "wide": Markup(draw(style="wide", width=960, height=300)),
        "narrow": Markup(draw(style="narrow", width=350, height=250, hover=False, most_x_ticks=4)),
        "rows": [_row(one) for one in coverage["levels"]],
        "note": note,
        "silent": [
            f"Kind {name} is not decided alone: {kind['why']}."
            for name, kind in coverage["kinds"].items()
            if kind["why"]
        ],
    }


def _row(level: Mapping[str, Any]) -> dict[str, str]:
    agreed = level["agreement"]
    saved = [
        *([] if level["dollars_saved"] is None else [price(level["dollars_saved"])]),
        *([] if level["seconds_saved"] is None else [duration(level["seconds_saved"])]),
    ]
    return {
        "wanted": f"{level['wanted']:g}",
        "threshold": "never" if level["threshold"] is None else f"{level['threshold']:.3f}",
        "share": percent(level["share"]),
        "agreement": "–" if agreed is None else f"{agreed['mean']:.3f} ({agreed['low']:.3f} to {agreed['high']:.3f})",
        "saved": ", ".join(saved) or "the log says no price",
    }
