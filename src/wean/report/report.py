"""Writes `report.html`: one run on one page, to be read, mailed, printed and kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import wean
from wean.report import sections
from wean.report.pages import write_page
from wean.report.run_files import read_json, read_summary

TEACHER_SCHEMA = "wean-teacher/1"
"""Schema of `teacher.json`: the teacher's answer in each situation."""
EPISODES_SCHEMA = "wean-episodes/1"
"""Schema of `episodes.json`: held-out episodes, step by step."""

_SECTIONS = {
    "curve": ("learning", "Learning curve"),
    "teacher": ("teacher", "Teacher"),
    "episodes": ("episodes", "Episodes"),
    "cost": ("cost", "Cost"),
    "time": ("time", "Time"),
    "config": ("configuration", "Configuration"),
}
"""Sections that are left out where their data is missing: (id, name in the navigation)."""


def write_report(run_folder: Path) -> Path:
    """Writes the report of a finished run beside its other files.

    Reads `summary.json`, and where they exist `config.yaml`, `teacher.json` and `episodes.json`; a section
    whose data is missing is left out.

    Args:
        run_folder: A folder that `wean train` wrote.

    Returns:
        The path of `report.html`, about 50 kB without the episodes' frames.

    Raises:
        UsageError: The folder is no run.
        WeanError: A file of the run is torn or foreign, or the report cannot be written.
    """
    summary = read_summary(run_folder)
    teacher = read_json(run_folder / "teacher.json", TEACHER_SCHEMA)
    config = run_folder / "config.yaml"
    page = {
        "version": wean.__version__,
        "task": summary.get("task", "unknown task"),
        "method": summary.get("method", "unknown method"),
        "seed": summary.get("seed", "unknown"),
        "model": (summary.get("llm") or {}).get("model"),
        "verdict": sections.verdict(summary),
        "scores": sections.scores(summary),
        "score_note": sections.score_note(summary),
        "facts": sections.facts(summary),
        "curve": sections.curve(summary),
        "teacher": sections.teacher(teacher, summary.get("unadvised"), summary.get("advice")),
        "episodes": sections.episodes(read_json(run_folder / "episodes.json", EPISODES_SCHEMA)),
        "cost": sections.cost(summary),
        "time": sections.time(summary),
        "config": config.read_text(encoding="utf-8") if config.exists() else None,
        "folder": str(run_folder),
        "finished": _date(run_folder / "summary.json"),
        **sections.commands(summary, run_folder),
    }
    page["sections"] = [entry for name, entry in _SECTIONS.items() if page[name]]
    return write_page(run_folder / "report.html", "report", page)


def _date(path: Path) -> str:
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    return f"{moment.day} {moment:%B %Y, %H:%M}"
