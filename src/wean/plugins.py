"""What other packages add to wean, by entry points: tasks, methods, students and models."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import metadata
from typing import Any

from wean.errors import UsageError


@cache
def entry_points(group: str) -> dict[str, Callable[[], Any]]:
    """Names that installed packages declare in a group, each with a function that imports what it stands for.

    Args:
        group: `wean.tasks`, `wean.methods`, `wean.students` or `wean.models`.

    Raises:
        UsageError: Two packages declare one name. The functions raise it where an import fails.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for entry in metadata.entry_points(group=group):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise UsageError(
                f"{_package(other)} and {_package(entry)} both declare {entry.name!r} in {group}; uninstall one of them"
            )
    return {name: partial(_load, entry) for name, entry in found.items()}


def _load(entry: metadata.EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # the package is somebody else's, and may fail in any way
        raise UsageError(
            f"cannot import {entry.name!r} of the package {_package(entry)} ({type(error).__name__}: {error}); "
            "mend or uninstall it"
        ) from None


def _package(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module
