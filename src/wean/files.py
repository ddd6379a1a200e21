"""Checked reading of JSON, YAML and Parquet, atomic writing, and checksums."""

from __future__ import annotations

import errno
import glob
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from wean.errors import UsageError, WeanError

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor


TEXT = "utf-8-sig"
"""How text is read: UTF-8, with or without the byte-order mark that some editors write."""
CANNOT_WRITE = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO"))
"""Errors of a disk that is full, read-only or broken."""
SUMS = "SHA256SUMS"
"""Checksums of a folder's files, as `sha256sum --check` reads them."""
_UNFINISHED = ".{name}.{process}.part"


class Lines(NamedTuple):
    """The objects of a JSONL file.

    Attributes:
        rows: (line number, object).
        cut: Whether the file ends in the middle of a line, which is left out.
    """

    rows: list[tuple[int, dict[str, Any]]]
    cut: bool


def parse_json(text: str) -> Any:
    """The value of a JSON text; halves of characters (lone surrogates) in it become question marks.

    Raises:
        ValueError: It is none, is nested beyond reason, or has a number of thousands of digits; in a few words.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        return value
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        raise ValueError("a number with thousands of digits") from None


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of JSON is a number, finite and below 2**63, that any format can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value of JSON is a whole number as in `is_number`."""
    return isinstance(value, int) and is_number(value)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text without tags and aliases, as wean writes it.

    Raises:
        ValueError: It is none, or beyond reason, as for `parse_json`; in a few words.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        """Refuses aliases: a value that holds itself, or a thousand times another, would never end."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Plain)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        raise ValueError(error.problem or "no YAML") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise ValueError("a value that cannot be read") from None


def read_text(path: Path, remedy: str) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: There is none.
        WeanError: It cannot be read, or is no text; the line ends with the remedy.
    """
    try:
        return path.read_text(encoding=TEXT)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise WeanError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from None
    except UnicodeDecodeError:
        raise WeanError(f"{path} is damaged (it is no UTF-8 text); {remedy}") from None


def read_json(path: Path, remedy: str) -> Any:
    """The value of a JSON file; errors are those of `read_text`, and a `WeanError` where it is no JSON."""
    try:
        return parse_json(read_text(path, remedy))
    except ValueError as error:
        raise WeanError(f"{path} is damaged (no JSON: {error}); {remedy}") from None


def read_yaml(path: Path, remedy: str) -> Any:
    """The value of a YAML file; errors are those of `read_text`, and a `WeanError` where it is no YAML."""
    try:
        return parse_yaml(read_text(path, remedy))
    except ValueError as error:
        raise WeanError(f"{path} is damaged (no YAML: {error}); {remedy}") from None


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
                row = parse_json(line)
            except ValueError as error:
                if not whole and not complete:
                    cut = True
                    break
                raise UsageError(f"{path}:{number}: broken JSON ({error}); mend or remove the line") from None
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


def read_parquet(path: Path, schema: str, remedy: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns of a Parquet file that are there, in the plain types of what they hold.

    Text that is dictionary-encoded or large becomes plain text; a column of nothing but nulls stays one.

    Args:
        path: The file.
        schema: What its metadata must name as its `schema`.
        remedy: Ends the line about a damaged file.
        columns: The wanted ones; all by default.

    Raises:
        WeanError: The file cannot be read, or is damaged.
        UsageError: It has another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = file.schema_arrow.metadata or {}
            if about.get(b"schema") != schema.encode():
                found = about.get(b"schema", b"none").decode(errors="replace")
                raise UsageError(f"{path} holds something else (schema {found}, not {schema}); name another file")
            names = file.schema_arrow.names
            table = file.read(names if columns is None else [name for name in columns if name in names])
        table.validate(full=True)
        plain = [field.with_type(_plain(field.type)) for field in table.schema]
        return table.cast(pa.schema(plain, about))
    except FileNotFoundError:
        raise WeanError(f"{path}: cannot be read (no such file); check the name") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError):
        raise WeanError(f"{path} is damaged or half-written; {remedy}") from None


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves, however a column of them is stored."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def _text_lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(number, text, whether it ends in a line feed) of every line."""
    with gzip.open(path, "rt", encoding=TEXT) if path.suffix == ".gz" else path.open(encoding=TEXT) as lines:
        for number, line in enumerate(lines, 1):
            yield number, line, line.endswith("\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of an unfinished file, renamed to `path` at the end and removed after an error."""
    unfinished = path.with_name(_UNFINISHED.format(name=path.name, process=os.getpid()))
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


def is_unfinished(path: Path) -> bool:
    """Whether a path is one of `replacing`'s unfinished files."""
    return path.name.startswith(".") and path.suffix == ".part"


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Removes what killed processes have left of files, or of one, in a folder that nobody else writes now."""
    for unfinished in folder.glob(_UNFINISHED.format(name=glob.escape(name) if name else "*", process="*")):
        unfinished.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as safetensors, with the mode of any other file."""
    from safetensors.torch import save

    path.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}))


def write_sums(folder: Path, names: Sequence[str]) -> None:
    """Writes the checksums of files of a folder beside them."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def is_whole(folder: Path, names: Sequence[str]) -> bool:
    """Whether files of a folder have their checksums; true where none were written, as by earlier versions.

    Raises:
        OSError: A file is missing or cannot be read.
    """
    sums = folder / SUMS
    if not sums.exists():
        return True
    known = set(sums.read_text(encoding="utf-8", errors="replace").splitlines())
    return all(f"{sha256(folder / name)}  {name}" in known for name in names)


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_exported(folder: Path) -> bool:
    """Whether a folder holds an exported student, of any version."""
    from wean.runtime.folder import SCHEMA  # the room loads numpy, which reading a file must not

    return str(about_exported(folder).get("schema")).startswith(SCHEMA.partition("/")[0] + "/")


def about_exported(folder: Path) -> Mapping[str, Any]:
    """The config of an exported student; empty where there is none that can be read."""
    try:
        found = parse_json((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
