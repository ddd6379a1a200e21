"""Tasks that installed packages add through entry points."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from wean.cli import app
from wean.errors import UsageError
from wean.extras import entry_points
from wean.tasks.registration import make_task, short_name, task_id, task_names

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package: a folder on the path with entry points."""
    before = set(gym.registry)
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(package: str, *points: str) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[wean.tasks]", *points]))
        entry_points.cache_clear()

    (tmp_path / "corridors.py").write_text(
        "from small_tasks import Corridor\n\ndef make(length=5):\n    return Corridor()\n"
    )
    (tmp_path / "falls_over_too.py").write_text("1 / 0\n")
    yield add
    entry_points.cache_clear()
    for name in set(gym.registry) - before:
        gym.registry.pop(name)
    for name in ("corridors", "falls_over_too"):
        sys.modules.pop(name, None)


def test_an_installed_package_adds_tasks_by_name(install: Install) -> None:
    install("long-corridors", "LongCorridor = corridors:make", "CorridorClass = corridors:Corridor")
    assert {"LongCorridor", "CorridorClass", "Kitchen"} <= set(task_names())
    assert task_id("LongCorridor") == short_name("LongCorridor") == "LongCorridor"
    for task in (make_task("LongCorridor", length=7), make_task("CorridorClass")):
        assert task.reset(seed=0) == (0, {})
        assert task.situation().choices == ("left", "right")
    with pytest.raises(UsageError, match="did you mean 'LongCorridor'"):
        make_task("LongCoridor")


def test_an_added_task_is_listed_with_its_package(install: Install) -> None:
    install("long-corridors", "LongCorridor = corridors:make")
    listed = json.loads(CliRunner().invoke(app, ["list", "tasks", "--json"]).output)["tasks"]
    assert {"name": "LongCorridor", "id": "LongCorridor", "what": "from the package long-corridors"} in listed


@pytest.mark.parametrize("value", ["falls_over_too:make", "no_such_module_at_all:make", "corridors:nothing"])
def test_a_package_that_cannot_be_imported_is_named_in_one_line(install: Install, value: str) -> None:
    install("broken", f"Broken = {value}")
    assert task_id("Broken") == "Broken"
    with pytest.raises(UsageError, match=r"cannot import 'Broken' of the package broken.*uninstall") as e:
        make_task("Broken")
    assert "\n" not in str(e.value)


def test_a_name_that_two_claim_is_refused_in_one_line(install: Install) -> None:
    install("one", "Shared = corridors:make")
    install("two", "Shared = corridors:Corridor")
    with pytest.raises(UsageError, match=r"(one and two|two and one) both declare 'Shared'"):
        make_task("Shared")


def test_a_name_of_weans_own_cannot_be_claimed(install: Install) -> None:
    install("kitchens", "Kitchen = corridors:make")
    with pytest.raises(UsageError, match=r"kitchens declares 'Kitchen' in wean.tasks"):
        task_names()
