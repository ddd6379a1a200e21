"""Finds the code of the distribution: in the clone one folder up, in a source archive beside this file."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CodeHook(BuildHookInterface):
    """Packs `src/wean/runtime` as `wean_runtime`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling."""
        clone, archive = Path(self.root).parent / "src" / "wean" / "runtime", Path(self.root) / "wean_runtime"
        code = archive if archive.is_dir() else clone
        build_data["force_include"][str(code)] = "wean_runtime"
