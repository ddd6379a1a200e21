"""Lets the documentation site show what stands below `Example:` in a docstring as code.

The sections of Google's style that hold doctests are called `Examples:`; below any other title they would be prose.
"""

from __future__ import annotations

from typing import Any

import griffe


class SingularExamples(griffe.Extension):
    """Reads `Example:` as `Examples:`."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
