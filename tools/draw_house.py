"""Draws docs/images/house.svg: the rooms of src/wean, one floor for each layer, and the imports between them.

    python tools/draw_house.py          writes the picture
    python tools/draw_house.py --check  exits with 1 if the committed picture is not today's

Rooms and arrows are read from the import graph, floors from the import contract in pyproject.toml. An arrow that
follows from two others (a imports b, b imports c, so a imports c) is left out.
"""

from __future__ import annotations

import ast
import html
import sys
import textwrap
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "house.svg"
WIDTH, FLOOR, ROOM = 1160, 106, (272, 70)
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2933 } .small { font-size: 11px; fill: #52606d }
  rect { fill: #f5f7fa; stroke: #7b8794 } line { stroke: #9aa5b1; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb } .small { fill: #9aa5b1 } rect { fill: #323f4b; stroke: #7b8794 } line { stroke: #616e7c }
  }"""


def floors() -> list[list[str]]:
    """The rooms of each layer, top to bottom, as the import contract lists them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip().removeprefix("wean.") for room in layer.split("|")] for layer in layers]


def imports(rooms: list[str]) -> set[tuple[str, str]]:
    """Pairs of rooms (importer, imported), without those that follow from two others."""
    sys.path.insert(0, str(ROOT / "src"))  # this checkout, whichever is installed
    graph = grimp.build_graph("wean", cache_dir=None)
    found = {
        (a, b)
        for a in rooms
        for b in rooms
        if a != b and graph.direct_import_exists(importer=f"wean.{a}", imported=f"wean.{b}", as_packages=True)
    }
    reach = {a: _reachable(a, found) for a in rooms}
    return {(a, b) for a, b in found if not any(b in reach[c] for x, c in found if x == a and c != b)}


def _reachable(start: str, pairs: set[tuple[str, str]]) -> set[str]:
    found: set[str] = set()
    waiting = {start}
    while waiting:
        waiting = {b for a, b in pairs if a in waiting} - found
        found |= waiting
    return found


def purpose(room: str) -> str:
    """What a room is for: the first sentence of its docstring."""
    path = ROOT / "src" / "wean" / room
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(". ")[0].rstrip(".").partition(": ")[0]


def draw() -> str:
    """The picture as SVG."""
    layers = floors()
    centres = {
        room: (WIDTH * (place + 1) / (len(layer) + 1), FLOOR * (floor + 0.5))
        for floor, layer in enumerate(layers)
        for place, room in enumerate(layer)
    }
    lines = []
    for a, b in sorted(imports(list(centres))):
        (x1, y1), (x2, y2) = centres[a], centres[b]
        lines.append(
            f'<line x1="{x1:.0f}" y1="{y1 + ROOM[1] / 2:.0f}" x2="{x2:.0f}" y2="{y2 - ROOM[1] / 2 - 4:.0f}" '
            'marker-end="url(#head)"/>'
        )
    for room, (x, y) in centres.items():
        lines.append(
            f'<rect x="{x - ROOM[0] / 2:.0f}" y="{y - ROOM[1] / 2:.0f}" width="{ROOM[0]}" height="{ROOM[1]}" rx="6"/>'
            f'<text x="{x:.0f}" y="{y - 13:.0f}" text-anchor="middle">{room}</text>'
        )
        for number, text in enumerate(textwrap.wrap(purpose(room), 46)):
            lines.append(
                f'<text x="{x:.0f}" y="{y + 6 + 15 * number:.0f}" text-anchor="middle" class="small">'
                f"{html.escape(text)}</text>"
            )
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#9aa5b1"/></marker></defs>'
    )
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {FLOOR * len(layers)}"'
    return "\n".join([f"<svg {box}>", f"<style>{STYLE}</style>", head, *lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    picture = draw()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == picture else 1)
    PICTURE.write_text(picture, encoding="utf-8")
