"""What a model is, whatever folder it lies in: a name and a digest of its weights and tokenizer."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from wean.errors import UsageError
from wean.lm import cache

_WEIGHTS = (".safetensors", ".bin", ".gguf")
# What changes answers beside the weights. Cards, optimiser states and other files of a run folder do not.
_TEXTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "adapter_config.json",
)


def identity_of(folder: Path, name: str | None = None) -> str:
    """The identity of a model folder: the same weights give the same words, a path never enters.

    Args:
        folder: A model folder in the layout of transformers.
        name: How to call the model; `model_type` of its configuration where None.

    Returns:
        `name@sha256:` and 16 hexadecimal digits. For a model that came as a package the digest is that of the
        published weights, so that it does not depend on the release of transformers that converted them.

    Raises:
        UsageError: The folder holds no weights.
    """
    manifest = cache.read_manifest(folder)
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
        name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", "model")
    return f"{name}@sha256:{total.hexdigest()[:16]}"


def _digest(path: Path) -> str:
    """SHA-256 of a file; big files are read once and remembered by path, size and time of change."""
    stat = path.stat()
    if stat.st_size < 32 << 20:
        return cache.sha256(path)
    book = cache.cache_root() / "digests.json"
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(book.read_text(encoding="utf-8"))
        known = loaded if isinstance(loaded, dict) else {}
    if key not in known:
        known[key] = cache.sha256(path)
        # The book only saves time: where the cache cannot be written, the file is read again next time.
        with contextlib.suppress(OSError):
            book.parent.mkdir(parents=True, exist_ok=True)
            scratch = book.with_name(f"{book.name}.{os.getpid()}")
            scratch.write_text(json.dumps(known, indent=1), encoding="utf-8")
            scratch.replace(book)
    return known[key]
