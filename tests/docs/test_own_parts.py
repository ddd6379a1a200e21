"""The pages on one's own teacher, student, algorithm and method: their code is the example, short, and runs."""

import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wean
from wean.cli import app
from wean.extras import entry_points

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"
FEW = {"total_timesteps": 1_024, "evaluation.episodes": 5, "evaluation.curve_episodes": 5, "evaluation.curve_points": 2}


def _code(name: str) -> str:
    page = (ROOT / "docs" / f"your-own-{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("name", ["teacher", "student", "algorithm", "method"])
def test_the_page_shows_the_example_in_under_forty_lines_of_code(name: str) -> None:
    example = (ROOT / "examples" / f"own_{name}.py").read_text(encoding="utf-8")
    code = [line for line in _code(name).splitlines() if line.strip()]
    shown = [line for line in example.split('"""', 2)[2].splitlines() if line.strip() and "# ruff" not in line]
    assert code == shown
    own = _code(name).partition("\n\n\ndef make(")[0] if name == "algorithm" else _code(name)
    assert sum(bool(line.strip()) for line in own.splitlines()) <= 45


@pytest.mark.parametrize("name", ["teacher", "student", "algorithm", "method"])
def test_the_example_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = wean.train
    runs = []

    def shorter(*arguments: object, **settings: object) -> wean.Run:
        runs.append(train(*arguments, **(settings | FEW)))  # type: ignore[arg-type]
        return runs[-1]

    monkeypatch.setattr(wean, "train", shorter)
    runpy.run_path(str(ROOT / "examples" / f"own_{name}.py"), run_name="__main__")
    (run,) = runs
    assert run.summary["env_steps"] >= 1_024
    assert (run.folder / "report.html").exists()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example package, as if it were installed."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "site" / "wean_plugin-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(PLUGIN))
    entry_points.cache_clear()
    yield
    entry_points.cache_clear()
    sys.modules.pop("wean_plugin", None)


@pytest.mark.usefixtures("installed")
def test_the_example_package_is_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert "quick-kickstarting" in runner.invoke(app, ["list", "methods"]).output
    assert "Crossing" in runner.invoke(app, ["list", "tasks"]).output
    settings = [f"{key}={value}" for key, value in FEW.items()]
    words = ["train", "quick-kickstarting", "student.kind=wide", "--out", "run", *settings]
    done = runner.invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    policy = wean.load("run")
    policy.reset(seed=1)
    assert policy.act(0) in range(4)
