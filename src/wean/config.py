"""What the classes of settings have in common."""

from pydantic import ConfigDict

SETTINGS = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
"""Unknown names, NaN and infinities are refused; the docstring under a field is its help."""
