"""Writes the golden files anew from the code: python tests/golden/regenerate.py [NAME ...]."""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import traces  # noqa: E402

NAMES = ("environments", "questions", "words", "subgoals", "kept", "presets")


def made(name: str, folder: Path) -> object:
    """What the code gives now, as it reads back from JSON."""
    function = getattr(traces, name)
    return json.loads(json.dumps(function(folder) if name == "kept" else function()))


def file_of(name: str) -> Path:
    return HERE / f"{name}.json"


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            text = json.dumps(made(name, Path(folder)), indent=1, ensure_ascii=False)
        file_of(name).write_text(text + "\n", encoding="utf-8")
        print(f"{file_of(name)}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
