"""Where models live on disk: the user's cache, its manifests, and folders that appear whole or not at all.

```
$WEAN_CACHE, else $XDG_CACHE_HOME/wean, else ~/.cache/wean
    downloads/               verified wheels that wait to be unpacked (removed afterwards)
    models/<name>/           a model folder as transformers reads it, with manifest.json
    models/.partial-*/       a folder in the making; swept when its process is gone
    digests.json             digests of big weight files, so that they are read once
```
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wean.errors import WeanError

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "wean-model/1"
_PARTIAL = ".partial-"


def cache_root() -> Path:
    """The cache folder of this user; it need not exist.

    Returns:
        `$WEAN_CACHE` where it is set and not empty, else `wean` in the XDG cache folder.
    """
    chosen = os.environ.get("WEAN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wean"


def model_dir(name: str) -> Path:
    """The folder of the model `name` in the cache; it need not exist."""
    return cache_root() / "models" / name


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read what a model folder says about itself.

    Args:
        folder: A model folder; any folder will do.

    Returns:
        The manifest, or None where there is none (a folder that wean did not make).

    Raises:
        WeanError: The manifest is there but unreadable or of another schema.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise WeanError(f"{path} cannot be read ({error}): remove {folder} and get the model again") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
        raise WeanError(f"{path} was written by another version of wean: remove {folder} and get the model again")
    return manifest


def write_manifest(folder: Path, **fields: Any) -> None:
    """Write `manifest.json` into a folder that is still in the making.

    Args:
        folder: The folder that `building` handed out.
        **fields: What to say beside the schema; must be JSON.
    """
    text = json.dumps({"schema": MANIFEST_SCHEMA, **fields}, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Make a folder that is either complete or absent, however the process ends.

    The body fills a scratch folder beside `target`; when it returns without an error, the folder is flushed
    and renamed. A process that is killed leaves a `.partial-` folder that the next one sweeps. Two processes
    that build the same model do the work twice and one of them wins; the other drops its copy.

    Args:
        target: Folder to make.

    Yields:
        The scratch folder, on the same file system.

    Raises:
        WeanError: The cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        scratch = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{os.getpid()}-", dir=target.parent))
    except OSError as error:
        raise WeanError(
            f"cannot write to {target.parent} ({error.strerror}): set WEAN_CACHE to a writable folder"
        ) from error
    try:
        yield scratch
        _flush(scratch)
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:
            # Another process was faster: its folder is complete, since it was renamed too.
            if not (target / MANIFEST).is_file():
                raise
    except OSError as error:
        raise WeanError(f"cannot write {target} ({error.strerror}): free some space or set WEAN_CACHE") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(parent: Path) -> None:
    """Remove the scratch folders of processes that are gone."""
    for scratch in parent.glob(f"{_PARTIAL}*"):
        owner = scratch.name.removeprefix(_PARTIAL).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(scratch, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush(folder: Path) -> None:
    """Push the contents to disk, so that a renamed folder is complete after a power cut too."""
    for path in folder.rglob("*"):
        if path.is_file():
            # Some writers make files that only their owner can read; a cache may be shared.
            path.chmod(path.stat().st_mode | 0o044)
            with path.open("rb") as file:
                os.fsync(file.fileno())
