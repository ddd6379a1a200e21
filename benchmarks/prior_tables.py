"""What the benchmarks of priors share: runs over seeds summed up by interquartile means, with censoring stated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import RESULTS
from runs import Line, Runs
from wean.evaluation.evaluate import evaluate
from wean.evaluation.statistics import iqm, median_steps, steps_to

_HOLD = 2  # points in a row that must reach a threshold: one alone may be luck
_EPISODES = 500


def chosen_part(task: str, method: str, episodes: int | None = None) -> str:
    """The name of the grid's table of a method on a task, from so many recorded episodes."""
    return f"{task}, {method}" + (f", {episodes} recorded episodes" if episodes else "")


def chosen_settings(task: str, method: str, episodes: int | None = None) -> tuple[str, ...]:
    """The settings that the saved grid (baseline_grid.py) chose; none where it kept the preset or has no such table."""
    grid = RESULTS / "baseline_grid.json"
    parts = json.loads(grid.read_text())["results"].get("parts", []) if grid.exists() else []
    name = chosen_part(task, method, episodes)
    return next((tuple(part["chosen"].split()) for part in parts if part["name"] == name), ())


def tuned(task: str, method: str, what: str, **more: Any) -> Line:
    """A line of a method on a task with the settings that the grid chose, which `what` then names."""
    settings = chosen_settings(task, method)
    told = f"{what}, {' '.join(settings)}" if settings else what
    return Line(
        more.pop("name", method), method, told, (task,), overrides=(*settings, *more.pop("overrides", ())), **more
    )


def row(task: str, line: Line, finished: Runs, threshold: float) -> dict[str, Any] | None:
    """One line on one task over its seeds; None without a finished run.

    A run that never reaches the threshold counts with all its steps: the mean is a lower bound then.
    """
    runs = finished.of(task, line)
    if not runs:
        return None
    unit = runs[0]["unit"]
    found = [steps_to(run["curve"], threshold, hold=_HOLD, unit=unit) for run in runs]
    steps = [run[unit] if value is None else value for run, value in zip(runs, found, strict=True)]
    return {
        "task": task,
        "method": line.name,
        "what": line.what,
        "seeds": len(runs),
        "success": iqm([run["final"]["success"]["mean"] for run in runs]).as_dict(),
        "successes": [run["final"]["success"]["mean"] for run in runs],
        "length": iqm([run["final"]["length"]["mean"] for run in runs]).as_dict(),
        "threshold": threshold,
        "steps": {**iqm(steps).as_dict(), **median_steps(found).as_dict()},
        unit: runs[0][unit],
        "distinct_questions": float(np.median([run["llm"]["distinct"] for run in runs])),
        "unanswered": float(np.median([run["llm"]["unanswered"] for run in runs])),
        "asked_live": sum(run["llm"]["asked"] for run in runs),
        "seconds": float(np.median([run["wall_seconds"] for run in runs])),
        "learning_seconds": float(np.median([run[unit] / run["steps_per_second"] for run in runs])),
    }


def alone(task: str, line: Line, finished: Runs) -> list[dict[str, Any]]:
    """What a line's first run measured beside its student, on the same episodes: the prior alone, and without it."""
    names = {"teacher": ("prior", "the recorded prior alone"), "without-prior": ("values", "the same values, no prior")}
    runs = finished.of(task, line)
    rows = []
    for name, found in (runs[0]["references"] if runs else {}).items():
        method, what = names[name]
        if name == "without-prior":
            what = f"{what} ({line.name}, one seed)"
        rows.append(_reference(task, method, what, found))
    return rows


def chance(task: str) -> dict[str, Any]:
    """Random actions, played now on the final episodes."""
    result = evaluate("random", task, _EPISODES).as_dict()
    return _reference(task, "random", "random actions", result)


def _reference(task: str, method: str, what: str, found: dict[str, Any]) -> dict[str, Any]:
    kept = {"success": found["success"], "length": found["length"], "episodes": found["episodes"]}
    return {"task": task, "method": method, "what": what, "seeds": None, **kept}


def ratio(rows: Sequence[dict[str, Any]], fast: str, slow: str, wanted: float | None = None) -> dict[str, Any] | None:
    """How many times sooner one line is there than another, by interquartile means; None where one is missing."""
    found = {one["method"]: one for one in rows if one["seeds"]}
    if fast not in found or slow not in found:
        return None
    first, second = found[fast]["steps"], found[slow]["steps"]
    return {
        "fast": fast,
        "slow": slow,
        "ratio": second["mean"] / first["mean"],
        "at_least": second["reached"] < second["runs"],
        "at_most": first["reached"] < first["runs"],
        "wanted": wanted,
    }


def markdown(rows: Sequence[dict[str, Any]], unit: str = "steps") -> str:
    """A table for people; intervals are 95 %, over seeds (references: over episodes)."""
    threshold = next((f"{one['threshold']:.3g}" for one in rows if one["seeds"]), "")
    head = f"success | length | {unit} to {threshold}, IQM | median | reached | {unit} in all | questions | unanswered"
    lines = [f"| who acts | {head} | seconds | seeds |", "|" + "---|" * (head.count("|") + 4)]
    for one in rows:
        cells = [f"{one['method']}: {one['what']}", _interval(one["success"], 3), _interval(one["length"], 1)]
        if one["seeds"]:
            steps = one["steps"]
            least = "≥ " if steps["reached"] < steps["runs"] else ""
            cells += [least + _interval(steps, 0), "–" if steps["median"] is None else f"{steps['median']:,}"]
            cells += [f"{steps['reached']} of {steps['runs']}", f"{one.get('env_steps', one.get('gradient_steps')):,}"]
            cells += [f"{one['distinct_questions']:,.0f}", f"{one['unanswered']:,.0f}"]
            cells += [f"{one['seconds']:.0f}", str(one["seeds"])]
        else:
            cells += [""] * 8
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def told(ratios: Sequence[dict[str, Any] | None]) -> str:
    """The ratios in words, one a line."""
    lines = []
    for one in ratios:
        if one is not None:
            sign = "at least " if one["at_least"] else "at most " if one["at_most"] else ""
            wanted = f" (wanted: {one['wanted']:g} times)" if one["wanted"] else ""
            lines.append(f"- {one['fast']} is there {sign}{one['ratio']:.1f} times sooner than {one['slow']}{wanted}")
    return "\n".join(lines) + "\n"


def collect(task: str, lines: Sequence[Line], finished: Runs, threshold: float) -> list[dict[str, Any]]:
    """The rows of a task, if it has any: the lines, the references of the first with a prior, then chance."""
    rows = [one for line in lines if (one := row(task, line, finished, threshold))]
    taught = [line for line in lines if line.method.endswith("-prior")]
    return rows and rows + (alone(task, taught[0], finished) if taught else []) + [chance(task)]


def _interval(value: dict[str, Any], digits: int) -> str:
    return f"{value['mean']:,.{digits}f} ({value['low']:,.{digits}f} to {value['high']:,.{digits}f})"
