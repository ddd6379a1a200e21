"""README.md: its Python example runs, its commands and their options exist, and so do the files that pages link to."""

import re
import runpy
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def test_it_says_what_its_tables_say_of_students_and_teachers() -> None:
    """Better or worse: the intervals are apart, or the other's interval does not reach a student without one."""
    found = {"better": 0, "level": 0, "worse": 0}
    for student, teacher in pairs():
        kind = "better" if student[0] > teacher[1] else "worse" if student[1] < teacher[0] else "level"
        found[kind] += 1
    words = " ".join(README.split())
    assert f"In the {sum(found.values())} lines [below](#results)" in words
    assert (
        f"better in {found['better']} (95 % intervals apart), level in {found['level']} and worse in {found['worse']}"
        in words
    )


def test_its_first_table_repeats_the_tables_below() -> None:
    first, below = README.partition("\n## Results\n")[::2]
    cells = [
        [cell.strip(" *") for cell in line.split("|")[1:-1]] for line in first.splitlines() if line.startswith("| ")
    ]
    shown = {row[0].rpartition(": ")[2]: row[1:] for row in cells[1:]}
    assert len(shown) == 5
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in below.splitlines() if line.startswith("|")]
    three = {row[0].replace("*", "").partition(" (")[0]: row[1:] for row in rows if len(row) == 4}
    for place, task in enumerate(rows[0][1:]):
        told = [
            three[name][place]
            for name in ("student of llm4teach", "its teacher alone", "PPO without teacher, as many steps")
        ]
        assert shown.pop(task) == [number(text) for text in told]
    for task, numbers in shown.items():
        row = next(row for row in rows if row[0].startswith(task) and number(row[1]) == numbers[0])
        assert numbers == [number(text) for text in row[1:4]]


def number(text: str) -> str:
    """The first decimal number of a cell; its method's name, which may hold digits, is left out."""
    return re.findall(r"\d\.\d+", re.sub(r"`[^`]*`", "", text))[0]


def pairs() -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """For each line (a column, in the first table) the interval of the student and that of its teacher alone."""
    cells = [
        [cell.strip(" *") for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("|")
    ]
    first = {row[0]: row[1:] for row in cells if len(row) == 4}
    shipped = next(row for name, row in first.items() if name.startswith("student"))
    alone = first["its teacher alone"]
    others = [row for row in cells if len(row) == 5 and row[0] not in ("task", "---")]
    told = [*zip(shipped, alone, strict=True), *((row[1].split("` ")[1], row[2]) for row in others)]
    return [(interval(student), interval(teacher)) for student, teacher in told]


def interval(text: str) -> tuple[float, float]:
    """The ends of "0.995 (0.991 to 0.997)", or twice a number without an interval."""
    ends = re.search(r"\(([\d.]+) to ([\d.]+)\)", text)
    mean = float(re.findall(r"[\d.]+", text)[0])
    return (float(ends[1]), float(ends[2])) if ends else (mean, mean)


def test_no_page_has_an_unfilled_mark() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert not re.search(r"@[A-Z]{3,}@|\bTODO\b", page.read_text(encoding="utf-8")), page.name


@pytest.fixture
def index_readme(monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/index_readme.py, whose base class only a build has."""

    class Interface:
        def __init__(self, root: str, config: dict[str, Any]) -> None:
            self.root = root

    monkeypatch.setitem(
        sys.modules, "hatchling.metadata.plugin.interface", SimpleNamespace(MetadataHookInterface=Interface)
    )
    return SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "index_readme.py")))


LINES = {
    "[how](docs/how-to.md#start)": "[how](https://host/me/wean/blob/v1/docs/how-to.md#start)",
    "![curves](docs/a.png)": "![curves](https://host/me/wean/raw/v1/docs/a.png)",
    "[here](#install), [there](https://pypi.org)": "[here](#install), [there](https://pypi.org)",
    "no link: a[0](1 2)": "no link: a[0](1 2)",
}


def test_the_package_index_is_given_whole_addresses(index_readme: Any) -> None:
    given, wanted = ("\n".join(part) for part in zip(*LINES.items(), strict=True))
    assert index_readme.for_index(given, "https://host/me/wean", "v1") == wanted
    assert index_readme.for_index("See [how](docs/how-to.md), ![curves](docs/a.png).", "", "v1") == "See how, curves."


def test_a_release_has_a_readme_without_files_beside_it(index_readme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://host")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/wean")
    metadata = {"version": "9.1"}
    index_readme.IndexReadme(str(ROOT), {}).update(metadata)
    assert metadata["readme"]["content-type"] == "text/markdown"
    found = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", metadata["readme"]["text"])
    before = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", README)
    assert len(found) == len(before) > 40
    for (picture, address), (_, path) in zip(found, before, strict=True):
        whole = f"https://host/me/wean/{'raw' if picture else 'blob'}/v9.1/{path}"
        assert address == (path if path.startswith("#") else whole)
