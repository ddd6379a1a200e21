"""The README as a package index shows it: it knows no files beside it, so that links and pictures need an address.

The release builds where the address of the repository stands in the environment. Built elsewhere, a link is its text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")  # to a file beside the README


def for_index(readme: str, address: str, tag: str) -> str:
    """The README with its links to files made absolute.

    Args:
        readme: In Markdown.
        address: Of the repository; without one, links become their texts.
        tag: Of the release whose files are meant.
    """

    def whole(link: re.Match[str]) -> str:
        picture, text, path = link.groups()
        kind = "raw" if picture else "blob"
        return f"{picture}[{text}]({address}/{kind}/{tag}/{path})" if address else text

    return _LINK.sub(whole, readme)


class IndexReadme(MetadataHookInterface):
    """Gives the distribution its README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Sets the long description."""
        server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        address = f"{server}/{repository}" if server and repository else ""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = for_index(readme, address, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
