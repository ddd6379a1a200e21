"""README.md: its Python example runs, its commands and their options exist, and so do the files that pages link to."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wean
from wean.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FEW = {"total_timesteps": 2_048, "evaluation.episodes": 5, "evaluation.curve_episodes": 5, "evaluation.curve_points": 2}


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = wean.train
    monkeypatch.setattr(wean, "train", lambda *words, **settings: train(*words, **(settings | FEW)))
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    variables: dict[str, object] = {}
    exec(code, variables)
    assert isinstance(variables["policy"], wean.Policy)
    assert (tmp_path / "runs" / "pole" / "report.html").exists()


def test_every_command_and_option_exists() -> None:
    commands = [part for line in README.splitlines() if line.startswith("wean ") for part in line.split(" && ")]
    assert len(commands) > 10
    for command in commands:
        first, *words = shlex.split(command)[1:]
        name = [first, words.pop(0)] if first in ("models", "ledger") else [first]
        done = CliRunner().invoke(app, [*name, "--help"], catch_exceptions=False, env={"COLUMNS": "200"})
        assert done.exit_code == 0
        for word in words:
            assert not word.startswith("--") or word in done.output, command


def test_every_linked_file_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)
