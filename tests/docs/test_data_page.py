"""The page on demonstrations: its code runs, and its table of columns is the format's."""

import re
from pathlib import Path

import pytest

from wean.cli import main
from wean.data.demonstrations import COLUMNS, read_demonstrations

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_code_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wean", "demos", "KitchenTomato", "--episodes", "10", "--out", "kitchen.parquet"])
    with pytest.raises(SystemExit):
        main()
    reading, writing = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    variables: dict[str, object] = {}
    exec(reading + writing, variables)
    assert len(variables["tenth"].starts) == 1  # type: ignore[attr-defined]
    assert read_demonstrations(Path("own.parquet")).next_choices == [()]


def test_every_column_and_option_is_on_the_page() -> None:
    table = PAGE[PAGE.index("## Format") :]
    for name in COLUMNS:
        assert f"`{name}`" in table
    assert "`key=value`" in PAGE
    import inspect

    from wean.cli.demos import demos

    for option in set(inspect.signature(demos).parameters) - {"task", "model", "settings", "context"}:
        assert f"`--{option.removeprefix('as_').replace('_', '-')}`" in PAGE
