"""The door to transformers: one clear error where the extra is missing, and silence while it works."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from wean.errors import UsageError

_NAMES = ("transformers", "tokenizers", "accelerate", "gguf", "sentencepiece")


def require(name: str, *, extra: str = "lm") -> Any:
    """Import a package that only an extra of wean installs.

    Args:
        name: Module to import, for example `transformers`.
        extra: The extra that brings it.

    Returns:
        The imported module.

    Raises:
        UsageError: The package is not installed; the message names the pip command.
    """
    try:
        with warnings.catch_warnings():
            # Import-time deprecation notes of third parties say nothing that a user of wean could act on.
            warnings.simplefilter("ignore")
            return import_module(name)
    except ModuleNotFoundError as error:
        # A missing package of `name` itself has the same remedy as `name`: the extra is incomplete.
        missing = error.name or name
        raise UsageError(f"{missing} is not installed: pip install 'wean[{extra}]'") from error


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
