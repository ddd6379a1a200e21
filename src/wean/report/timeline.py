"""Writes the page on which played episodes in words are stepped through: sub-goals, actions, scores on a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wean
from wean.evaluation.scores import interval_text, questions_text
from wean.report.report import template_environment, write_page

_PER_TASK = 10  # episodes on the page


def write_timeline(path: Path, result: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Path:
    """Writes one self-contained page that needs no network.

    Args:
        path: The file; one that exists is replaced.
        result: The scores (`wean-eval/2`).
        lines: The episodes with their traces; the first ten of each task are shown.

    Returns:
        The path.

    Raises:
        WeanError: It cannot be written.
    """
    from jinja2.utils import htmlsafe_json_dumps

    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        by_task.setdefault(line["task"], []).append(line)
    shown = [
        {name: line[name] for name in ("task", "variation", "score", "trace")}
        for of_task in by_task.values()
        for line in of_task[:_PER_TASK]
    ]
    overall = result["score"]
    page = {
        "version": wean.__version__,
        "who": result["policy"],
        "task": result["task"],
        "episodes": len(lines),
        "tasks": len(by_task),
        "overall": f"{overall['mean']:.1f}",
        "interval": interval_text(overall),
        "ms": f"{result['ms_per_action']:.1f}",
        "asked": questions_text(result),
        "names": sorted(by_task),
        "json": htmlsafe_json_dumps({"episodes": shown}),
    }
    return write_page(path, template_environment().get_template("timeline.html.j2").render(page))
