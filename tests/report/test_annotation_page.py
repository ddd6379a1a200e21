"""The page of sub-goals: self-contained, complete, and safe whatever actions say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from households import errand, errands, right
from wean.data.annotations import parse_annotation
from wean.data.trajectories import PathStep
from wean.errors import WeanError
from wean.report.pages import write_annotation_page


def test_what_is_on_the_page(tmp_path: Path) -> None:
    ones = errands(4)
    known = {one.key: right(one) for one in ones[:3]}
    known[ones[1].key] = replace(known[ones[1].key], origin="propagated", confidence=0.41)
    html = write_annotation_page(tmp_path / "folder" / "page.html", ones, known, 0.7).read_text(encoding="utf-8")
    assert "Sub-goals of 3 demonstrations" in html
    assert "1 demonstrations have no sub-goals" in html
    facts = re.findall(r"<dt>([^<]*)</dt><dd>(\d+)", html)
    assert facts == [("Asked about", "2"), ("Propagated", "1"), ("Corrected", "0"), ("Unclear", "1")]
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    data = json.loads(re.search(r'id="annotations-data">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    entry = data["demonstrations"][1]
    assert entry["actions"] == list(ones[1].actions)
    assert entry["confidence"] == 0.41
    # What the page saves has these fields, and is what the pipeline reads.
    assert parse_annotation(entry | {"schema": data["schema"], "origin": "corrected", "confidence": None}) == replace(
        known[ones[1].key], origin="corrected", confidence=None, model="", recorded=""
    )


def test_actions_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    one = errand(0)
    evil = replace(one, path=(PathStep("</script><script>alert(1)</script>"), *one.path[1:]))
    html = write_annotation_page(tmp_path / "page.html", [evil], {one.key: right(one)}, 0.7).read_text(encoding="utf-8")
    assert "<script>alert" not in html


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeanError, match="cannot write"):
        write_annotation_page(tmp_path / "file" / "page.html", errands(1), {}, 0.7)
