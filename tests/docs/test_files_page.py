"""docs/files.md names every schema that wean writes."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_schema_is_on_the_page() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    written = {
        node.value
        for path in (ROOT / "src" / "wean").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"wean-[a-z-]+/\d", node.value)
    }
    assert len(written) > 20
    assert sorted(schema for schema in written if f"`{schema}`" not in page) == []
