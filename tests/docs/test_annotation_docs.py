"""The page on annotation: its code runs, its options are the command's, its tables are the measured ones."""

import inspect
import json
import re
from pathlib import Path

import pytest

from wean.cli import main
from wean.cli.annotate import annotate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "annotation.md").read_text(encoding="utf-8")


def test_the_code_on_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert rows is not None
    Path("demos.jsonl").write_text(rows[1])
    subgoals = [[["take(kettle)", 2], ["use(kettle)", 1]], [["navigate_to(hall)", 1]]]
    lines = [json.dumps({"task": "tea", "variation": i, "subgoals": row}) + "\n" for i, row in enumerate(subgoals)]
    Path("demos.subgoals.jsonl").write_text("".join(lines))
    monkeypatch.setattr("sys.argv", ["wean", "annotate", "demos.jsonl"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    capsys.readouterr()
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    exec(code[1], {})
    assert capsys.readouterr().out == "2 take(kettle)\n1 use(kettle)\n1 navigate_to(hall)\n"


def test_every_option_is_on_the_page() -> None:
    for option in set(inspect.signature(annotate).parameters) - {"data"}:
        assert re.search(rf"`--{option.removeprefix('as_').replace('_', '-')}\b", PAGE), option


def test_the_tables_are_the_measured_ones() -> None:
    measured = (ROOT / "benchmarks/results/propagation.md").read_text().split("## By task")[0]
    rows = [line for line in measured.splitlines() if re.search(r"\| [\d,]+ \|", line)]
    assert len(rows) == 6
    assert [row for row in rows if row not in PAGE] == []
    told = json.loads((ROOT / "benchmarks/results/confidence.json").read_text())["results"]["cross_validated"]
    for key in ("mean_confidence", "right", "log_loss", "log_loss_of_the_share", "auc"):
        assert f"{told[key]:.3f}" in PAGE
