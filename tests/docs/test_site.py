"""The documentation site: it builds without a warning, names everything public, and its notebooks and tutorial run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from typer.testing import CliRunner

import wean
from wean.cli import app
from wean.experiment.presets import methods
from wean.tasks.registration import listed_tasks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
FEW = "total_timesteps=2048 evaluation.episodes=20 evaluation.curve_points=1 evaluation.curve_episodes=5"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    results = (tmp_path / "results" / "index.html").read_text(encoding="utf-8")
    for table in (ROOT / "benchmarks" / "results").glob("*.md"):
        assert f'href="{table.stem}.html"' in results
    for page in tmp_path.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="(?![a-z]+:)([^"#?]+)', page.read_text(encoding="utf-8")):
            target = tmp_path / link.lstrip("/") if link.startswith("/") else page.parent / link
            assert target.exists(), (page.relative_to(tmp_path).as_posix(), link)


def test_everything_public_is_in_the_reference() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert [name for name in wean.__all__ if f"::: wean.{name}\n" not in page] == []


def test_every_method_and_every_task_is_listed() -> None:
    known = (DOCS / "methods" / "index.md").read_text(encoding="utf-8")
    assert [name for name in methods() if f"`{name}`" not in known] == []
    known = (DOCS / "tasks" / "index.md").read_text(encoding="utf-8")
    assert [name for name in listed_tasks() if f"`{name}`" not in known] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_they_printed(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # of jupyter's own making
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAN_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "runs").is_dir()


@pytest.mark.slow
def test_the_tutorial_leads_to_an_episode_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own commands and its own program; training is shorter, and the server's port a free one."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    commands = re.findall(r"^wean (train|export) (.*)$", page, re.MULTILINE)
    assert [name for name, _ in commands] == ["train", "export"]
    for name, words in commands:
        words = re.sub(r"total_timesteps=\d+", FEW, words)
        done = CliRunner().invoke(app, [name, *shlex.split(words)])
        assert done.exit_code == 0, done.output
    (serve,) = re.findall(r"^wean serve (.*)$", page, re.MULTILINE)
    server = subprocess.Popen(
        [sys.executable, "-m", "wean", "serve", *shlex.split(serve), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        Path("play.py").write_text(program.replace("http://127.0.0.1:8000", address), encoding="utf-8")
        done = subprocess.run([sys.executable, "play.py"], capture_output=True, text=True, check=False)
        assert re.search(r"^\d+ actions: .*\n(the door is open|time is up)$", done.stdout, re.MULTILINE), done.stderr
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_citation_is_of_this_version() -> None:
    """By the fields that the format's version 1.2.0 asks for."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == wean.__version__
    assert citation["license"] == "Apache-2.0"
    assert set(citation) <= {
        *("cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"),
        "references",
    }
    for work in [citation, *citation["references"]]:
        assert work["title"]
        assert all(
            {"name"} <= set(author) or {"family-names", "given-names"} <= set(author) for author in work["authors"]
        )
