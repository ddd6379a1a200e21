"""What a token costs: a table that ships with the package and that the user can extend or override."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from wean.errors import UsageError

# Vendors serve "gpt-5" as "gpt-5-2025-08-07", and routers as "openai/gpt-5": both cost what "gpt-5" costs.
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens.

    Attributes:
        input: For a token read.
        output: For a token written (reasoning tokens included).
        cached_input: For a token read from the vendor's prompt cache; None means as `input`.
    """

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Dollars of one answer; `cached_tokens` of its `prompt_tokens` came from the vendor's cache."""
        cached_rate = self.input if self.cached_input is None else self.cached_input
        read = (prompt_tokens - cached_tokens) * self.input + cached_tokens * cached_rate
        return (read + completion_tokens * self.output) / 1e6


FREE = Price(0.0, 0.0)
"""The price of models that run in this process."""


def user_price_file() -> Path:
    """The user's own prices: $WEAN_PRICES, else `wean/prices.yaml` in $XDG_CONFIG_HOME (~/.config)."""
    if named := os.environ.get("WEAN_PRICES"):
        return Path(named).expanduser()
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "wean" / "prices.yaml"


def find_price(model: str, file: Path | None = None) -> Price | None:
    """The price of a model such as "gpt-5" or "openai/gpt-5-2025-08-07"; None for unknown (which is not "free").

    The exact name is looked up first, then the one without router prefix and snapshot date. Entries of the user's table
    (`file`, default `user_price_file()`) win over the package's.

    Raises:
        UsageError: The user's table is not a table of prices.
    """
    own = file or user_price_file()
    table = dict(_shipped())
    if own.is_file():
        table |= read_prices(own)
    bare = model.rsplit("/", 1)[-1]
    for name in (model, bare, _SNAPSHOT.sub("", bare)):
        if name.lower() in table:
            return table[name.lower()]
    return None


def read_prices(file: Path) -> dict[str, Price]:
    """Reads a price table: YAML, one entry per model with `input`, `output` and perhaps `cached_input`.

    Raises:
        UsageError: The file cannot be read, or an entry is not a price; the line names the entry.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{file}: cannot read the price table ({reason}); mend or remove it") from None
    models = content.get("models") if isinstance(content, dict) else None
    if not isinstance(models, dict):
        raise UsageError(f'{file}: a price table starts with "models:"; see docs/models.md')
    prices = {}
    for name, entry in models.items():
        try:
            prices[str(name).lower()] = _price(entry)
        except (AttributeError, TypeError, ValueError):
            raise UsageError(
                f"{file}: the entry of {name!r} needs input and output (perhaps cached_input), "
                "each in dollars per million tokens"
            ) from None
    return prices


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Price]:
    with resources.as_file(resources.files("wean.llm").joinpath("prices.yaml")) as file:
        return read_prices(file)


def _price(entry: Any) -> Price:
    rates = {key: float(value) for key, value in entry.items()}
    if any(not 0 <= rate < float("inf") for rate in rates.values()):
        raise ValueError("a rate is negative or not finite")
    return Price(**rates)
