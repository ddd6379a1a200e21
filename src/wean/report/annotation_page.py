"""Writes the page on which the sub-goals of demonstrations are looked at and corrected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wean
from wean.data.annotations import SCHEMA, Annotation
from wean.data.trajectories import Key, Trajectory
from wean.report.report import template_environment, write_page

_COLOURS = 12  # hues for verbs; the rarer ones share the last


def write_annotation_page(
    path: Path, trajectories: Sequence[Trajectory], annotations: Mapping[Key, Annotation], confidence: float
) -> Path:
    """Writes one self-contained page that needs no network.

    Every demonstration is a line of time, cut into sub-goals. They can be renamed, split and joined there; the page
    saves what was changed as JSONL that `wean annotate --corrections` reads.

    Args:
        path: The file; one that exists is replaced.
        trajectories: The demonstrations.
        annotations: Their sub-goals, as far as there are any.
        confidence: Propagated sub-goals that are less certain are marked as unclear.

    Returns:
        The path.

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
    return write_page(path, template_environment().get_template("annotations.html.j2").render(page))


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
