"""Packages beside wean: those that its extras install, and those that add to it by entry points."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module, metadata
from typing import Any

from wean.errors import UsageError


def require(name: str, *, extra: str = "lm") -> Any:
    """Imports a module that only an extra of wean installs, for example `transformers`.

    Raises:
        UsageError: It is not installed; the message names the pip command.
    """
    try:
        with warnings.catch_warnings():
            # A user of wean cannot act on deprecation warnings of third parties.
            warnings.simplefilter("ignore")
            return import_module(name)
    except ModuleNotFoundError as error:
        # A missing package of `name` itself has the same remedy as `name`: the extra is incomplete.
        missing = error.name or name
        raise UsageError(f"{missing} is not installed: pip install '.[{extra}]' in wean's folder") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back progress bars, log lines and warnings of transformers while it loads or converts a model."""
    hf_logging = require("transformers").utils.logging
    level = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


@cache
def entry_points(group: str) -> dict[str, Callable[[], Any]]:
    """Names that installed packages declare in a group (`wean.tasks`), each with a function that imports its object.

    Raises:
        UsageError: Two packages declare one name, or (from the functions) an import fails.
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
