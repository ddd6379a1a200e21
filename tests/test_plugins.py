"""Entry points of other packages: found by name; what is wrong with a package is one line that names it."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from wean.errors import UsageError
from wean.experiment.presets import find_method, methods
from wean.extras import entry_points


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which packages can be installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    entry_points.cache_clear()
    yield tmp_path  # type: ignore[misc]
    entry_points.cache_clear()
    for name in ("short_ppo", "broken_ppo"):
        sys.modules.pop(name, None)


def _install(site: Path, package: str, entry: str, code: str = "") -> None:
    folder = site / f"{package}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[wean.methods]\n{entry}\n")
    (site / f"{package}.py").write_text(code)
    assert metadata.distribution(package).version == "1.0"


MINE = """
from wean.experiment.presets import METHODS, Method
mine = Method("short", "PPO, and short", "me", METHODS["ppo"].algorithm, {"total_timesteps": 9}, teaches=False)
"""


def test_a_method_of_another_package(site: Path) -> None:
    _install(site, "short_ppo", "short = short_ppo:mine", MINE)
    assert find_method("short").settings == {"total_timesteps": 9}
    assert {"short", "ppo"} <= set(methods())


def test_what_is_wrong_names_the_package(site: Path) -> None:
    _install(site, "broken_ppo", "short = broken_ppo:mine", "import nothing_of_this_name\n")
    with pytest.raises(UsageError, match=r"cannot import 'short' of the package broken_ppo .*mend or uninstall it"):
        find_method("short")
    _install(site, "short_ppo", "short = short_ppo:mine", MINE)
    entry_points.cache_clear()
    with pytest.raises(UsageError, match=r"ppo and .*ppo both declare 'short' in wean.methods; uninstall one of them"):
        find_method("short")
