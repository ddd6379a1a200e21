"""The 3,827 games that come with wean: found by name, number, type and split, opened one at a time.

They lie in a Parquet file, a row a game, in blocks of games in the same rooms; a block is small enough to be read for
one game within a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from wean.errors import UsageError, WeanError, did_you_mean
from wean.tasks.alfworld.game import KINDS, Game, Kind, from_json, to_json

ALFWorldSplit = Literal["train", "valid_seen", "valid_unseen"]
SPLITS: tuple[ALFWorldSplit, ...] = get_args(ALFWorldSplit)
"""ALFWorld's own splits; `valid_seen` has the rooms of training, `valid_unseen` has four others."""

ARCHIVE = Path(__file__).with_name("games.parquet")
LICENCE = Path(__file__).with_name("LICENSE.txt")
BLOCK = 32
"""Games in a block of the archive."""
_OPEN_AT_ONCE = 256  # games kept in memory


@dataclass(frozen=True)
class Entry:
    """A game of the archive.

    Attributes:
        number: 0 to 3,552 in training, 3,553 to 3,692 in valid_seen, 3,693 to 3,826 in valid_unseen.
        name: See `Game.name`.
        kind: Its type.
        split: Its split.
        row: Its place in the file.
    """

    number: int
    name: str
    kind: Kind
    split: ALFWorldSplit
    row: int


class Archive:
    """An archive's games, in the order of their numbers.

    Within a split the numbers follow a digest of the names, so that the first of them are of all types and rooms.

    Raises:
        WeanError: The file is missing or damaged.
    """

    def __init__(self, path: Path = ARCHIVE) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
            rows = self._file.read(columns=["number", "name", "kind", "split"]).to_pylist()
        except (OSError, pa.ArrowException, KeyError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged"
            raise WeanError(
                f"the archive of ALFWorld's games {reason} ({path}); install wean again, or play a file with game="
            ) from None
        entries = [Entry(row=place, **row) for place, row in enumerate(rows)]
        self.entries: Sequence[Entry] = sorted(entries, key=lambda entry: entry.number)
        self._by_name = {entry.name: entry for entry in self.entries}

    def find(self, name: str) -> Entry:
        """The game of a name, or of a number in digits.

        Raises:
            UsageError: There is none.
        """
        if name.isdecimal():
            if int(name) >= len(self.entries):
                raise UsageError(f"ALFWorld has no game {name}; its numbers are 0 to {len(self.entries) - 1}")
            return self.entries[int(name)]
        if name not in self._by_name:
            within = [one for one in self._by_name if name in one] if name else []
            if len(within) == 1:
                return self._by_name[within[0]]
            several = f"{len(within)} are called like it, such as {within[0]}" if within else ""
            folders = "a name is a folder such as pick_and_place_simple-Book-None-Sofa-229/trial_T..., or a number"
            hint = several or did_you_mean(name, self._by_name, folders)
            raise UsageError(f"ALFWorld has no game {name!r}; {hint}")
        return self._by_name[name]

    def open(self, entry: Entry) -> Game:
        """The game of an entry.

        Raises:
            WeanError: The file is damaged.
        """
        try:
            block = self._file.read_row_group(entry.row // BLOCK, columns=["facts"])
            return from_json(entry.name, block.column(0)[entry.row % BLOCK].as_py())
        except (OSError, pa.ArrowException, ValueError, IndexError) as error:
            raise WeanError(
                f"the archive of ALFWorld's games is damaged ({self._path}: {' '.join(str(error).split())[:200]}); "
                "install wean again"
            ) from None


@lru_cache(maxsize=1)
def archive() -> Archive:
    """The archive that comes with wean, its index read once in a process.

    Raises:
        WeanError: It is missing or damaged.
    """
    return Archive()


@lru_cache(maxsize=_OPEN_AT_ONCE)
def shipped_game(number: int) -> Game:
    """The game of a number."""
    return archive().open(archive().entries[number])


def entries_of(split: ALFWorldSplit, kinds: Sequence[Kind] = ()) -> list[Entry]:
    """The games of a split, of all types or of some."""
    return [one for one in archive().entries if one.split == split and (not kinds or one.kind in kinds)]


def find_kind(name: str) -> Kind:
    """The type of tasks of a name: wean's ("pick-two"), ALFWorld's ("pick_two_obj_and_place") or its number (6).

    Raises:
        UsageError: There is none.
    """
    known: Mapping[str, Kind] = {
        **{kind: kind for kind in KINDS},
        **{long: kind for kind, long in KINDS.items()},
        **{str(number): kind for number, kind in enumerate(KINDS, 1)},
    }
    if name not in known:
        numbered = ", ".join(f"{number} {kind}" for number, kind in enumerate(KINDS, 1))
        raise UsageError(
            f"ALFWorld has no type of tasks {name!r}; {did_you_mean(name, known, f'there are {numbered}')}"
        )
    return known[name]


def write_archive(path: Path, games: Iterable[tuple[ALFWorldSplit, Game]]) -> None:
    """Writes an archive: games in the same rooms side by side, since they are nearly alike."""
    rows = sorted(games, key=lambda one: (SPLITS.index(one[0]), sha256(one[1].name.encode()).digest()))
    numbered = sorted(enumerate(rows), key=lambda one: (_room_of(one[1][1]), one[1][1].name))
    table = pa.table(
        {
            "number": pa.array([number for number, _ in numbered], pa.int32()),
            "split": [split for _, (split, _) in numbered],
            "kind": [game.goal.kind for _, (_, game) in numbered],
            "name": [game.name for _, (_, game) in numbered],
            "facts": [to_json(game) for _, (_, game) in numbered],
        }
    )
    pq.write_table(
        table, path, row_group_size=BLOCK, compression="zstd", compression_level=22, use_dictionary=["split", "kind"],
        write_statistics=False,
    )  # fmt: skip


def _room_of(game: Game) -> int:
    """The number of a game's room, the last part of its folder's name."""
    number = game.name.partition("/")[0].rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
