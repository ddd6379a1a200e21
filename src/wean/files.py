"""JSONL files, compressed or cut off, and files that are written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from wean.errors import UsageError, WeanError


class Lines(NamedTuple):
    """The objects of a JSONL file.

    Attributes:
        rows: (line number, object).
        cut: Whether the file ends in the middle of a line, which is left out.
    """

    rows: list[tuple[int, dict[str, Any]]]
    cut: bool


def read_lines(path: Path, *, complete: bool = False) -> Lines:
    """Reads a JSONL file, packed with gzip where its name ends in `.gz`; empty lines are skipped.

    Args:
        path: The file.
        complete: Whether a file that is cut off is an error.

    Raises:
        WeanError: The file cannot be read.
        UsageError: A line other than a half-written last one is not a JSON object; it is named.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    cut = False
    try:
        for number, line, whole in _text_lines(path):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                if not whole and not complete:
                    cut = True
                    break
                raise UsageError(f"{path}:{number}: broken JSON ({error.msg}); mend or remove the line") from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}:{number}: a line must be a JSON object; mend or remove the line")
            rows.append((number, row))
    except EOFError as error:  # a packed file that ends too early
        if complete:
            raise WeanError(f"{path}: cannot be read ({error}); get the file again") from None
        cut = True
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text; convert it first") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise WeanError(f"{path}: cannot be read: it cannot be unpacked ({error}); get the file again") from None
    except OSError as error:
        raise WeanError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    return Lines(rows, cut)


def _text_lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(number, text, whether it ends in a line feed) of every line."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield number, line, line.endswith("\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of an unfinished file, renamed to `path` at the end and removed after an error."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Like `replacing`; makes the folder, too, and the file survives a power failure.

    Raises:
        WeanError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            yield unfinished
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
    except OSError as error:
        raise WeanError(f"cannot write {path} ({error.strerror or error}); free some space or choose another") from None
