"""Writes the archive of ALFWorld's games that comes with wean, from the folder of its game files.

python tools/pack_alfworld.py json_2.1.1
"""

from __future__ import annotations

import sys
from pathlib import Path

from wean.tasks.alfworld.archive import ARCHIVE, SPLITS, write_archive
from wean.tasks.alfworld.pddl import read_game


def main(folder: Path) -> None:
    """Reads every game file of the three splits and writes the archive."""
    files = [(split, path) for split in SPLITS for path in sorted(folder.glob(f"{split}/*/*/game.tw-pddl"))]
    write_archive(ARCHIVE, ((split, read_game(path)) for split, path in files))
    print(f"{ARCHIVE}: {len(files):,} games, {ARCHIVE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
