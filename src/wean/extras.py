"""Packages that only an extra installs: one clear error where one is missing, and transformers kept quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
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
