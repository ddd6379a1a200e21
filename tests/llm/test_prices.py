"""What a token costs, and that nobody invents it."""

from __future__ import annotations

import pytest

from wean.errors import UsageError
from wean.llm.answers import Price, find_price, user_price_file


def test_cost_by_hand():
    price = Price(input=2.0, output=8.0, cached_input=0.5)
    assert price.cost(1000, 100) == pytest.approx(0.002 + 0.0008)
    assert price.cost(1000, 100, cached_tokens=400) == pytest.approx(600 * 2e-6 + 400 * 0.5e-6 + 0.0008)
    assert Price(2.0, 8.0).cost(1000, 0, cached_tokens=400) == pytest.approx(0.002)


def test_snapshots_and_routers_cost_what_the_model_costs():
    price = find_price("gpt-5")
    assert price is not None
    assert price.input > 0
    assert price == find_price("GPT-5") == find_price("openai/gpt-5") == find_price("gpt-5-2025-08-07")
    assert find_price("gpt-5-mini") != price


def test_unknown_is_unknown():
    assert find_price("qwen3-32b") is None
    assert find_price("gpt-5-turbo-nonsense") is None


def test_users_table_wins(monkeypatch, tmp_path):
    assert user_price_file() == tmp_path / "config" / "wean" / "prices.yaml"
    monkeypatch.setenv("WEAN_PRICES", str(tmp_path / "p.yaml"))
    (tmp_path / "p.yaml").write_text("models:\n  gpt-5: {input: 1, output: 2}\n  mine: {input: 0, output: 0}\n")
    assert find_price("gpt-5") == Price(1.0, 2.0)
    assert find_price("mine") == Price(0.0, 0.0)
    assert find_price("gpt-4o") is not None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("nonsense", 'starts with "models:"'),
        ("models: [1]", 'starts with "models:"'),
        ("models: {m: {input: 1}}", "entry of 'm' needs input and output"),
        ("models: {m: {input: 1, output: -2}}", "entry of 'm'"),
        ("models: {m: {input: a, output: 2}}", "entry of 'm'"),
        ("models: {m: 3}", "entry of 'm'"),
        ("models: {m: {input: 1, output: 2, other: 3}}", "entry of 'm'"),
        ("models: {", "cannot read the price table"),
    ],
)
def test_broken_tables_are_named(tmp_path, content, line):
    file = tmp_path / "p.yaml"
    file.write_text(content)
    with pytest.raises(UsageError, match=line) as caught:
        find_price("m", file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
