"""Writes `report.html`: one run on one page that needs no network, to be read, mailed, printed and kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import wean
from wean.errors import WeanError
from wean.report import sections
from wean.report.format import percent, span_percent
from wean.report.run_files import read_json, read_summary

if TYPE_CHECKING:
    from jinja2 import Environment

TEACHER_SCHEMA = "wean-teacher/1"
"""Schema of `teacher.json`: what the teacher said of each situation."""
EPISODES_SCHEMA = "wean-episodes/1"
"""Schema of `episodes.json`: held-out episodes, step by step."""


def write_report(run_folder: Path) -> Path:
    """Write the report of a finished run beside its other files.

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
    episodes = read_json(run_folder / "episodes.json", EPISODES_SCHEMA)
    config = run_folder / "config.yaml"
    final = summary.get("final") or {}
    page = {
        "version": wean.__version__,
        "task": summary.get("task", "unknown task"),
        "method": summary.get("method", "unknown method"),
        "seed": summary.get("seed", "unknown"),
        "model": (summary.get("llm") or {}).get("model"),
        "acting": summary.get("acting") or "trained",
        "verdict": sections.verdict(summary),
        "scores": sections.scores(summary),
        "score_note": sections.score_note(summary),
        "facts": sections.facts(summary),
        "curve": sections.curve(summary),
        "teacher": sections.teacher(teacher, summary.get("unadvised"), summary.get("advice")),
        "episodes": sections.episodes(episodes),
        "cost": sections.cost(summary),
        "time": sections.time(summary),
        "config": config.read_text(encoding="utf-8") if config.exists() else None,
        "folder": str(run_folder),
        "finished": _date(run_folder / "summary.json"),
        "command": summary.get("command") or _command(summary, run_folder),
        "again": f"wean eval {quote(str(run_folder))} --episodes {final.get('episodes', 500)} "
        f"--seed {final.get('seed', 10000)}",
    }
    names = {
        "curve": ("learning", "Learning curve"),
        "teacher": ("teacher", "Teacher"),
        "episodes": ("episodes", "Episodes"),
        "cost": ("cost", "Cost"),
        "time": ("time", "Time"),
        "config": ("configuration", "Configuration"),
    }
    page["sections"] = [entry for name, entry in names.items() if page[name]]
    html = template_environment().get_template("report.html.j2").render(page)
    return write_page(run_folder / "report.html", html)


def write_page(path: Path, html: str) -> Path:
    """Writes a page; its folder is made where it is missing.

    Raises:
        WeanError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise WeanError(f"cannot write {path}: {error.strerror}; free space or check permissions") from error
    return path


def template_environment() -> Environment:
    """The templates of this room: everything is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wean.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = percent
    environment.filters["percent0"] = lambda share: percent(share, 0 if share == 0 or share >= 0.0095 else 1)
    environment.filters["span_percent"] = span_percent
    environment.filters["css"] = lambda share: f"{min(max(float(share), 0.0), 1.0):.4f}"
    return environment


def _command(summary: Mapping[str, Any], folder: Path) -> str:
    return (
        f"wean train {summary.get('method', 'METHOD')} --task {summary.get('task', 'TASK')} "
        f"--seed {summary.get('seed', 0)} --out {quote(str(folder))}"
    )


def _date(path: Path) -> str:
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    return f"{moment.day} {moment:%B %Y, %H:%M}"
