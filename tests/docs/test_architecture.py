"""docs/architecture.md: the picture is today's, and the walks lead through files that are there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_picture_is_drawn_from_the_imports_of_today() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "draw_house.py"), "--check"], check=False)
    assert done.returncode == 0, "draw it anew: python tools/draw_house.py"


def test_the_walks_are_short_and_lead_through_files_that_are_there() -> None:
    walks = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    for walk, most in zip(walks, (14, 12, 9), strict=True):
        files = re.findall(r"\(\.\./src/wean/([\w/]+\.py)\)", walk.partition("\n## ")[0])
        assert 0 < len(set(files)) <= most
        assert all((ROOT / "src" / "wean" / file).is_file() for file in files)
