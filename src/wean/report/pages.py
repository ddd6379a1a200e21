"""Self-contained HTML pages: their templates, and the two on which demonstrations and episodes are stepped through.

A page needs no network: style, scripts and data are inside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wean
from wean.data.annotations import SCHEMA, Annotation
from wean.data.trajectories import Key, Trajectory
from wean.errors import WeanError
from wean.evaluation.scores import interval_text, questions_text
from wean.report.run_files import percent, rate, span

if TYPE_CHECKING:
    from jinja2 import Environment

_COLOURS = 12  # hues for verbs; the rarer ones share the last
_PER_TASK = 10  # episodes of each task on the page of played episodes


def write_page(path: Path, template: str, page: Mapping[str, Any]) -> Path:
    """Renders a template into a file; its folder is made where it is missing.

    Raises:
        WeanError: The file cannot be written.
    """
    html = template_environment().get_template(f"{template}.html.j2").render(page)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise WeanError(f"cannot write {path}: {error.strerror}; free space or check permissions") from error
    return path


def template_environment() -> Environment:
    """The templates of wean's pages: everything is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wean.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["rate"] = rate
    environment.filters["percent0"] = lambda share: percent(share, 0 if share == 0 or share >= 0.0095 else 1)
    environment.filters["span"] = span
    environment.filters["css"] = lambda share: f"{min(max(float(share), 0.0), 1.0):.4f}"
    return environment


def write_annotation_page(
    path: Path, trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], confidence: float
) -> Path:
    """Writes the page on which the sub-goals of demonstrations are viewed and corrected, and returns its path.

    Every demonstration is a timeline, cut into sub-goals. They can be renamed, split and joined there; the page saves
    the changes as JSONL that `wean annotate --corrections` reads.

    Args:
        path: The file; one that exists is replaced.
        trajectories: The demonstrations.
        annotations: Their sub-goals, as far as there are any.
        confidence: Propagated sub-goals that are less certain are marked as unclear.

    Raises:
        WeanError: It cannot be written.
    """
    from jinja2.utils import htmlsafe_json_dumps

    shown = [(one, annotations[one.key]) for one in trajectories if one.key in annotations]
    origins = Counter(annotation.origin for _, annotation in shown)
    verbs = Counter(chunk.subgoal.verb for _, annotation in shown for chunk in annotation.chunks)
    data = {
        "schema": SCHEMA,
        "threshold": confidence,
        "colours": {verb: min(rank, _COLOURS - 1) for rank, (verb, _) in enumerate(verbs.most_common())},
        "demonstrations": [_entry(*pair) for pair in shown],
    }
    unclear = sum(_unclear(annotation, confidence) for _, annotation in shown)
    page = {
        "version": wean.__version__,
        "count": len(shown),
        "missing": len(trajectories) - len(shown),
        "tasks": list(dict.fromkeys(one.task for one, _ in shown)),
        "facts": [
            ("Asked about", origins["asked"], "a model gave them"),
            ("Propagated", origins["propagated"], "carried over from those"),
            ("Corrected", origins["corrected"], "by a person"),
            ("Unclear", unclear, f"propagated, less than {100 * confidence:.0f}\u202f% certain"),
        ],
        "subgoals": sum(len(annotation.chunks) for _, annotation in shown),
        "actions": sum(len(one.actions) for one, _ in shown),
        "json": htmlsafe_json_dumps(data),
    }
    return write_page(path, "annotations", page)


def _unclear(annotation: Annotation, confidence: float) -> bool:
    return annotation.confidence is not None and annotation.confidence < confidence


def _entry(trajectory: Trajectory, annotation: Annotation) -> dict[str, Any]:
    return {
        "task": trajectory.task,
        "variation": trajectory.variation,
        "description": trajectory.description,
        "digest": trajectory.digest,
        "actions": list(trajectory.actions),
        "origin": annotation.origin,
        "confidence": None if annotation.confidence is None else round(annotation.confidence, 3),
        "subgoals": [[str(subgoal), actions] for subgoal, actions in annotation.chunks],
    }


def write_timeline(path: Path, result: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the page on which played episodes in words are stepped through, and returns its path.

    Args:
        path: The file; one that exists is replaced.
        result: The scores (`wean-eval/2`).
        lines: The episodes with their traces; the first ten of each task are shown.

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
    return write_page(path, "timeline", page)
