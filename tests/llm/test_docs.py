"""The examples of the page on models work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example, capsys):
    exec(compile(example, str(PAGE), "exec"), {})


def test_prices_example(tmp_path):
    from wean.llm.answers import Price, read_prices

    [table] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "prices.yaml").write_text(table)
    assert read_prices(tmp_path / "prices.yaml")["qwen3-32b"] == Price(0.0, 0.0)


def test_options_of_models_are_all_on_the_page():
    from wean.llm.options import ModelOptions

    page = PAGE.read_text()
    assert all(f"`{option}`" in page for option in ModelOptions.model_fields)
