"""Model folders on disk: the user's cache, conversion from GGUF, and the identity of what a folder holds.

```
$WEAN_CACHE, else $XDG_CACHE_HOME/wean, else ~/.cache/wean
    downloads/               verified wheels that wait to be unpacked (removed afterwards)
    models/<name>/           a model folder as transformers reads it, with manifest.json
    models/.partial-*/       a folder in the making; removed when its process is gone
    digests.json             digests of big weight files, so that they are read once
```
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wean.errors import UsageError, WeanError, shown_error
from wean.extras import quiet, require
from wean.files import parse_json, read_json, replacing, sha256

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "wean-model/1"
_PARTIAL = ".partial-"
_WEIGHTS = (".safetensors", ".bin", ".gguf")
# What changes answers beside the weights. Cards, optimiser states and other files of a run folder do not.
_TEXTS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    *("spiece.model", "vocab.json", "vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "adapter_config.json"),
)


def cache_root() -> Path:
    """The cache folder of this user; it need not exist."""
    if chosen := os.environ.get("WEAN_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wean"


def model_dir(name: str) -> Path:
    """The folder of the model `name` in the cache; it need not exist."""
    return cache_root() / "models" / name


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a model folder; None in a folder that wean did not make.

    Raises:
        WeanError: The manifest is there but unreadable or of another schema.
    """
    path = folder / MANIFEST
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise WeanError(f"{path} cannot be read ({error}): remove {folder} and get the model again") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
        raise WeanError(f"{path} was written by another version of wean: remove {folder} and get the model again")
    return manifest


def write_manifest(folder: Path, **fields: Any) -> None:
    """Writes `manifest.json`, with these JSON fields, into a folder that `building` handed out."""
    text = json.dumps({"schema": MANIFEST_SCHEMA, **fields}, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """Makes a folder that is either complete or absent, however the process ends.

    The body fills a scratch folder beside `target`, which is flushed and renamed when it returns without an error. A
    process that is killed leaves a `.partial-` folder that the next one removes. Of two processes that build the same
    model one wins, and the other drops its copy.

    Yields:
        The scratch folder, on the same file system.

    Raises:
        WeanError: The cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
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


@contextlib.contextmanager
def loading(name: str | Path, kind: str) -> Iterator[None]:
    """Silences transformers while it loads a model, and turns its errors into one line that doubts it is a `kind`."""
    try:
        with quiet():
            yield
    except WeanError:
        raise
    except Exception as error:  # of damaged files transformers, tokenizers, safetensors and Jinja raise anything
        reason = shown_error(error)
        raise WeanError(f"{name} cannot be loaded ({reason}): is it a {kind}?") from error


def gguf_to_folder(source: Path, folder: Path) -> None:
    """Unpacks a GGUF file of a causal language model into safetensors, configuration and tokenizer files.

    The weights become dense float32: the values that the quantised blocks stand for, without a second rounding.

    Raises:
        UsageError: The extra `lm` is not installed.
        WeanError: The file is broken or of an architecture that transformers cannot read.
    """
    transformers, torch = require("transformers"), require("torch")
    require("gguf")
    options: dict[str, Any] = {"gguf_file": source.name, "dtype": torch.float32}
    # Newer releases can keep the blocks packed; only a dense model can be saved, trained and scored exactly.
    gguf_config = getattr(transformers, "GgufConfig", None)
    if gguf_config is not None:
        options["quantization_config"] = gguf_config(dequantize=True)
    try:
        # One progress bar of transformers ignores the switch that `quiet` sets.
        with quiet(), contextlib.redirect_stderr(io.StringIO()), _isolated(source) as place:
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=source.name)
            model = transformers.AutoModelForCausalLM.from_pretrained(place, **options)
            _mend_pre_tokenizer(source, tokenizer)
            model.hf_quantizer = None
            model.config.name_or_path = ""
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except Exception as error:
        # A damaged file fails somewhere inside the reader, as one of many kinds of error with the same remedy.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeanError(
            f"{source.name} cannot be converted: {reason}; get the file again or use a safetensors model"
        ) from error


def identity_of(folder: Path, name: str | None = None) -> str:
    """The identity of a model folder: `name@sha256:` and 16 hexadecimal digits; a path never enters.

    The name is `model_type` of the configuration unless given. For a model that came as a package the digest is that of
    the published weights, independent of the release of transformers that converted them.

    Raises:
        UsageError: The folder holds no weights.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        return str(manifest["identity"])
    weights = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS)
    if not weights:
        raise UsageError(f"{folder} holds no weights (*.safetensors): give a model folder")
    texts = [folder / text for text in _TEXTS if (folder / text).is_file()]
    total = hashlib.sha256()
    for path in [*weights, *texts]:
        total.update(f"{path.name}:{_digest(path)}\n".encode())
    if name is None:
        config = read_json(folder / "config.json", "get the model again")
        name = config.get("model_type", "model") if isinstance(config, dict) else "model"
    return f"{name}@sha256:{total.hexdigest()[:16]}"


def _digest(path: Path) -> str:
    """SHA-256 of a file; big files are read once and remembered by path, size and time of change."""
    stat = path.stat()
    if stat.st_size < 32 << 20:
        return sha256(path)
    book = cache_root() / "digests.json"
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = parse_json(book.read_text(encoding="utf-8"))
        known = loaded if isinstance(loaded, dict) else {}
    if key not in known:
        known[key] = sha256(path)
        # The book only saves time: where the cache cannot be written, the file is read again next time.
        with contextlib.suppress(OSError):
            book.parent.mkdir(parents=True, exist_ok=True)
            with replacing(book) as unfinished:
                unfinished.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return known[key]


def _remove_abandoned(parent: Path) -> None:
    """Removes the scratch folders of processes that are gone."""
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
    """Pushes the contents to disk, so that a renamed folder is complete after a power cut too."""
    for path in folder.rglob("*"):
        if path.is_file():
            # Some writers make files that only their owner can read; a cache may be shared.
            path.chmod(path.stat().st_mode | 0o044)
            with path.open("rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _isolated(source: Path) -> Iterator[Path]:
    """A folder with nothing but the file: transformers would mix in what lies beside it, such as a configuration."""
    with tempfile.TemporaryDirectory(prefix="wean-gguf-") as name:
        place = Path(name)
        try:
            (place / source.name).symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, place / source.name)
        yield place


def _mend_pre_tokenizer(source: Path, tokenizer: Any) -> None:
    """Splits digits one by one before the byte-level rule where the file asks for it.

    transformers builds the plain byte-level rule for the `smollm` family, which tokenises two spaces before a digit
    otherwise than the model was trained on.
    """
    reader = require("gguf").GGUFReader(str(source))
    field = reader.get_field("tokenizer.ggml.pre")
    if field is None or field.contents() != "smollm":
        return
    rules = require("tokenizers").pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = rules.Sequence(
        [rules.Digits(individual_digits=True), rules.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
