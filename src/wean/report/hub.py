"""The block of metadata with which a card begins, as the Hugging Face Hub reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEASURES = {"success": ("success_rate", "success rate"), "return": ("mean_reward", "mean return")}


def run_metadata(summary: Mapping[str, Any]) -> str:
    """The metadata of a run's student, with its scores in held-out episodes where it has played some."""
    results = [
        {"type": kind, "name": name, "value": round(summary["final"][key]["mean"], 4)}
        for key, (kind, name) in _MEASURES.items()
        if summary.get("final") and summary["final"].get(key) is not None
    ]
    reads = "final" not in summary
    return card_metadata(summary["task"], [summary["method"]], results, reads=reads)


def card_metadata(
    task: str, tags: list[str], results: list[dict[str, Any]] | None = None, *, reads: bool = False
) -> str:
    """The metadata of a student.

    Args:
        task: What it was trained for.
        tags: Besides those of every student.
        results: Metrics of held-out episodes, each with `type`, `name` and `value`.
        reads: Whether it is a language model that reads and writes.
    """
    import yaml

    kind = "text-generation" if reads else "reinforcement-learning"
    about: dict[str, Any] = {
        "library_name": "wean",
        "pipeline_tag": kind,
        "tags": list(dict.fromkeys(["wean", "reinforcement-learning", "distillation", *tags, task])),
    }
    if results:
        data = {"name": task, "type": task}
        result = {"task": {"type": kind, "name": kind.replace("-", " ")}, "dataset": data, "metrics": results}
        about["model-index"] = [{"name": f"a student for {task}", "results": [result]}]
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---\n\n"
