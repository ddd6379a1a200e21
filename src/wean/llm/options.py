"""Options of language models: declared here once, for Python, settings and the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from wean.config import SETTINGS
from wean.errors import UsageError
from wean.files import parse_yaml
from wean.llm.answers import Price


def _price(price: Price) -> Price:
    rates = (price.input, price.output, price.cached_input or 0.0)
    if not all(0 <= rate < math.inf for rate in rates):
        raise ValueError("a price is a number of dollars per million tokens, from 0")
    return price


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    # Another model would be recorded under this one's name, and a stream is not read.
    if taken := {"model", "messages", "stream", "n"} & set(fields):
        raise ValueError(f"wean sets {', '.join(sorted(taken))} itself")
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("the fields of a request are plain JSON") from None
    return fields


class ModelOptions(BaseModel):
    """Options of a language model; which of them a model takes depends on its kind."""

    model_config = ConfigDict(**SETTINGS, coerce_numbers_to_str=True)

    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    """Longest answer, thoughts included, in place of what the questions say; null leaves it to the model."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature in place of what the questions say; null leaves it to the model."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus in place of what the questions say; null leaves it to the model."""
    revision: str | None = None
    """Of an endpoint: added to the model's identity, for servers whose weights change under one name."""
    concurrency: int = Field(8, ge=1, le=1000)
    """Of an endpoint: requests under way at once."""
    timeout: float = Field(120.0, gt=0, le=86_400)
    """Of an endpoint: seconds for one attempt, from the first byte sent to the last one received."""
    retries: int = Field(5, ge=0, le=1000)
    """Of an endpoint: attempts after the first."""
    retry_base: float = Field(0.5, ge=0, le=3600)
    """Of an endpoint: seconds of the first pause; doubles each time."""
    requests_per_minute: float | None = Field(None, gt=0)
    """Of an endpoint: limit; null for none."""
    price: Annotated[Price, AfterValidator(_price)] | None = None
    """Of an endpoint: dollars per million tokens as input and output; the price table's by default."""
    any_model: bool = False
    """Of an endpoint: accept answers of another model than the one asked for (servers that ignore names)."""
    extra_body: Annotated[dict[str, Any], AfterValidator(_body)] = Field({})
    """Of an endpoint: further fields of the request, such as reasoning_effort; part of the ledger's key."""
    batch_size: int = Field(32, ge=1)
    """Of a local model: questions answered at once."""
    device: str | None = None
    """Of a local model: where it runs, e.g. cuda."""
    dtype: str | None = None
    """Of a local model: the type of its numbers, e.g. bfloat16."""

    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


ALWAYS = ("max_tokens", "temperature", "top_p")
"""Options of every model that is asked live: they hold for all its questions."""
ENDPOINT = (
    *ALWAYS,
    *("revision", "concurrency", "timeout", "retries", "retry_base", "requests_per_minute", "price", "any_model"),
    "extra_body",
)
LOCAL = (*ALWAYS, "batch_size", "device", "dtype")
SCRIPTED = (*ALWAYS, "price", "concurrency")
RECORDED = ()


def check_options(model: str, options: Mapping[str, Any], known: Sequence[str]) -> ModelOptions:
    """Checks options for a model that takes the `known` ones.

    Raises:
        UsageError: One is unknown or its value wrong; the line names the known ones.
    """
    if unknown := sorted(set(options) - set(known)):
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise UsageError(f"{model} takes no option {', '.join(unknown)}; {takes}")
    try:
        return ModelOptions(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"option {where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def read_options(items: Sequence[str]) -> dict[str, Any]:
    """Reads the options of a command line, KEY=VALUE each with a value in YAML; a dot leads into price or extra_body.

    Raises:
        UsageError: One is not KEY=VALUE, is unknown, or its value is wrong.
    """
    options: dict[str, Any] = {}
    for item in items:
        key, sign, text = item.partition("=")
        if not sign:
            raise UsageError(f"--option {item!r} is not KEY=VALUE; write e.g. --option max_tokens=4000")
        if key == "api_key":
            raise UsageError("a key on a command line can be read by everybody on the machine; set OPENAI_API_KEY")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise UsageError(f"the value of --option {key} cannot be read ({error}); quote it for your shell") from None
        first, *path = key.split(".")
        if path and first in ("price", "extra_body"):
            for name in reversed(path):
                value = {name: value}
            value = _merged(options.get(first), value)
        options[first if path and first in ("price", "extra_body") else key] = value
    check_options("a language model", options, tuple(ModelOptions.model_fields))
    return options


def _merged(before: Any, new: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings in one."""
    merged = dict(before) if isinstance(before, Mapping) else {}
    for name, value in new.items():
        merged[name] = _merged(merged.get(name), value) if isinstance(value, Mapping) else value
    return merged
