"""Writes numbers for people, the same way in reports, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping

from wean.evaluation.statistics import Interval

UNITS = {"env_steps": "environment steps", "gradient_steps": "gradient steps", "tokens": "tokens"}
"""Names of what a run counts its progress in."""


def short_count(value: float) -> str:
    """A count for an axis: 0, 500, 20k, 1.5M."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def percent(value: float, digits: int = 1) -> str:
    """A rate in per cent with a narrow space that does not break: 98.2 %."""
    return f"{100 * value:.{digits}f}\u202f%"


def span_percent(interval: Interval) -> str:
    """The ends of a rate's interval: 96.9 to 99.3 %."""
    return f"{100 * interval.low:.1f} to {percent(interval.high)}"


def duration(seconds: float) -> str:
    """Seconds for people: 8.2 s, 42 s, 3 min 12 s, 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(value: object) -> str:
    """A count with commas, the sum of a mapping of counts, or "unknown" for what nobody counted."""
    if isinstance(value, Mapping):
        value = sum(part for part in value.values() if isinstance(part, int))
    return f"{value:,}" if isinstance(value, int | float) else "unknown"


def price(dollars: float | None) -> str:
    """US dollars to the cent, below a cent to a hundredth of one; "unknown" where no price is known."""
    if dollars is None:
        return "unknown"
    return f"${dollars:,.2f}" if dollars == 0 or dollars >= 0.01 else f"${dollars:.4f}"
