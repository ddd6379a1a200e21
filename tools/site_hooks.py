"""Pages of the documentation site that nobody writes by hand, and links that lead out of docs/.

mkdocs calls the functions named `on_...`. Made are: the results, from benchmarks/results; the command line, from its
own help; changelog and contributing, from the files of those names; notebooks as pages; and one page for each source
file that some page links to, so that every link works without a code host.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\(|\bsrc=\")([^)\s:#\"]+)(#[^)\s\"]*)?(\)|\")")
LANGUAGES = {".py": "python", ".toml": "toml", ".md": "markdown", ".yml": "yaml", ".txt": "text"}
SECTIONS = {"methods": "Methods", "tasks": "Tasks"}
"""Where pages of these folders go that the navigation does not name."""
WIDE = "---\nhide:\n  - navigation\n---\n\n"
UNLISTED = "---\nsearch:\n  exclude: true\n---\n\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text = notebook_page(ROOT / "docs" / file.src_uri, config["extra"]["run_notebooks"])
        files.append(File.generated(config, notebook_name(file.src_uri), content=text))
    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    present = {file.src_uri for file in files}
    pages = [file for file in files if file.is_documentation_page()]
    linked = {path for file in pages for path in outside(file.content_string, origin(file.src_uri)) if path.exists()}
    for path in sorted(path for path in linked if site_name(path) not in present):
        content = source_page(path)
        files.append(File.generated(config, site_name(path), content=content, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Completes the navigation: notebooks by their pages, and pages of docs/ that it does not name."""
    nav = renamed(config["nav"])
    sections = {name: part for entry in nav for name, part in entry.items()}
    named = set(re.findall(r"[\w./-]+\.md", json.dumps(nav)))
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT / "docs").as_posix()
        if name not in named:
            sections[SECTIONS.get(posixpath.dirname(name), "How to")].append(name)
    config["nav"] = nav
    return config


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page, whose links to files outside docs/ lead to pages of the site."""
    here, source = page.file.src_uri, origin(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups(default="")
        path = Path(os.path.normpath(source.parent / target))
        if not path.exists():
            return match[0]
        return f"{before}{posixpath.relpath(site_name(path), posixpath.dirname(here) or '.')}{anchor}{after}"

    return LINK.sub(link, markdown)


ORIGINS = {
    "readme.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "results/index.md": "docs/index.md",
}
"""Pages that are made of a file, or whose links are written as if they stood there."""


def origin(src_uri: str) -> Path:
    """The file whose folder the links of a page start from."""
    if src_uri.startswith("results/") and src_uri not in ORIGINS:
        return ROOT / "benchmarks" / src_uri
    return ROOT / ORIGINS.get(src_uri, f"docs/{src_uri}")


def outside(markdown: str, source: Path) -> set[Path]:
    """Files of the repository outside docs/ that a page links to."""
    found = {Path(os.path.normpath(source.parent / match[2])) for match in LINK.finditer(markdown)}
    return {path for path in found if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")}


def site_name(path: Path) -> str:
    """The page of the site that shows a file or folder of the repository."""
    name = path.relative_to(ROOT).as_posix()
    made = {value: key for key, value in ORIGINS.items() if key != "results/index.md"}
    if name in made:
        return made[name]
    if name.startswith("docs/"):
        return notebook_name(name.removeprefix("docs/"))
    if re.fullmatch(r"benchmarks/results(/\w+\.md)?", name):
        return name.removeprefix("benchmarks/") if path.is_file() else "results/index.md"
    return f"source/{name}.md"


def notebook_name(src_uri: str) -> str:
    """The page of a notebook; other names stay."""
    return re.sub(r"\.ipynb$", ".md", src_uri)


def renamed(nav: Any) -> Any:
    """The navigation with the pages of notebooks in place of the notebooks."""
    if isinstance(nav, str):
        return notebook_name(nav)
    if isinstance(nav, list):
        return [renamed(part) for part in nav]
    return {name: renamed(part) for name, part in nav.items()}


def source_page(path: Path) -> str:
    """A file as a page, or the files of a folder one below the other."""
    name = path.relative_to(ROOT).as_posix()
    parts = [path] if path.is_file() else sorted(part for part in path.iterdir() if part.suffix in LANGUAGES)
    text = f"{UNLISTED}# {name}\n"
    for part in parts:
        heading = "" if part == path else f"\n## {part.name}\n"
        language = LANGUAGES.get(part.suffix, "text")
        text += f"{heading}\n````{language}\n{part.read_text(encoding='utf-8').rstrip()}\n````\n"
    return text


def notebook_page(path: Path, execute: bool) -> str:
    """A notebook as a page: its words, its code and, where it is executed, what that prints and draws."""
    cells = (executed(path) if execute else nbformat.read(path, as_version=4)).cells
    text = f"The notebook itself: [`{path.name}`]({path.name}){{ download }}\n"
    first = True
    for cell in cells:
        if cell.cell_type == "markdown":
            text = f"{cell.source}\n\n{text}" if first else f"{text}\n{cell.source}\n"
            first = False
        elif cell.cell_type == "code":
            text += f"\n```python\n{cell.source}\n```\n"
            text += "".join(map(shown, cell.outputs))
    return text


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def shown(output: Any) -> str:
    """What a cell printed or drew, on the page."""
    if output.output_type == "stream" and output.name == "stdout":
        return f"\n```text\n{output.text.strip()}\n```\n"
    picture = output.get("data", {}).get("image/png")
    return f"\n![What the cell draws](data:image/png;base64,{picture.strip()})\n" if picture else ""


def made_pages() -> dict[str, str]:
    """The pages that are made from other files and from the program itself, by their names."""
    results = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
    pages = {f"results/{path.name}": result_page(path) for path in results}
    for name in ("readme.md", "changelog.md", "contributing.md"):
        pages[name] = (ROOT / ORIGINS[name]).read_text(encoding="utf-8")
    return pages | {"results/index.md": results_page(results), "commands.md": commands_page()}


def results_page(tables: list[Path]) -> str:
    """What was measured: every benchmark with its table, and the first table itself."""
    text = (
        f"{WIDE}# Results\n\nEvery published number comes from a script in `benchmarks/` whose output is kept with it; "
        "this page and the tables behind it are made from those files. Success is that of held-out episodes, with 95 % "
        "intervals.\n\n| table | what was measured |\n|---|---|\n"
    )
    for path in tables:
        script = ROOT / "benchmarks" / f"{path.stem}.py"
        said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        what = said.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        text += f"| [{path.stem}](../benchmarks/results/{path.name}) | {what} |\n"
    first = (ROOT / "benchmarks" / "results" / "llm4teach.md").read_text(encoding="utf-8").partition("\n\n")[2]
    return f"{text}\n## The first of them: LLM4Teach in three rooms\n\n{first}"


def result_page(path: Path) -> str:
    """One table, with the command that makes it."""
    title, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
    return f"{WIDE}{title}\n\nMade by `python benchmarks/{path.stem}.py --save`.\n\n{rest}"


def commands_page() -> str:
    """Every command with its arguments and options, as `--help` prints them."""
    import typer
    from typer.cli import get_docs_for_click

    from wean.cli import app

    command = typer.main.get_command(app)
    with typer.Context(command, info_name="wean") as context:
        return get_docs_for_click(obj=command, ctx=context, name="wean", title="Command line")
