"""Questions to a language model, its answers, and their cost: messages, prices, and the counts of a run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from wean.errors import UsageError
from wean.files import parse_yaml

Kind = Literal["generate", "score"]

_ROLES = ("system", "user", "assistant")


class Message(TypedDict):
    """One chat message, as OpenAI-compatible endpoints take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Question:
    """Everything that decides an answer, except the sample number.

    Two questions are equal exactly when their digests are. Path, host and port of the model are not part of a question.

    Attributes:
        kind: "generate" or "score".
        model: Identity of the model: name and revision, or a digest of local weights.
        messages: The chat.
        parameters: Schema, limits and sampling; for a score the candidates and the normalisation. Parameters that
            are left to the model are absent.
        digest: SHA-256 of all these in canonical JSON, 32 bytes.
    """

    kind: Kind
    model: str
    messages: tuple[Message, ...] = field(compare=False)
    parameters: Mapping[str, Any] = field(compare=False)
    digest: bytes = b""

    @classmethod
    def build(cls, kind: Kind, model: str, messages: Sequence[Message], parameters: Mapping[str, Any]) -> Question:
        """Brings a question into canonical form; parameters that are None are dropped.

        Raises:
            UsageError: A message is not exactly a role and a text, or something is not plain JSON.
        """
        plain = tuple(_plain_message(message) for message in messages)
        if not plain:
            raise UsageError("a question needs at least one message; give it a user message")
        kept = {name: value for name, value in parameters.items() if value is not None}
        try:
            content = canonical_json([kind, model, plain, kept]).encode()
        except UnicodeEncodeError:
            raise UsageError("a question contains half a character (a lone surrogate); mend its text") from None
        except (TypeError, ValueError) as error:
            raise UsageError(f"a question must be plain JSON ({error}); check its schema and parameters") from None
        return cls(kind, model, plain, kept, hashlib.sha256(content).digest())

    @property
    def characters(self) -> int:
        """Length of the messages in characters; the base of token estimates."""
        return sum(len(message["content"]) for message in self.messages)


Sample = tuple[Question, int]
"""A question and the number of one of its answers."""

Key = tuple[bytes, int]
"""A sample's key in the ledger: the question's digest and the sample number."""


def key_of(sample: Sample) -> Key:
    """The ledger's key of a sample."""
    return sample[0].digest, sample[1]


@dataclass(frozen=True)
class Answer:
    """One answer of a language model to one question.

    Attributes:
        text: The answer's text, or for a score the JSON list of log-probabilities; None where a recorded model has
            no answer.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        tokens_estimated: True where the backend gave no counts and they were estimated from the text's length.
        seconds: Wall-clock seconds of the call that gave it.
        cost_usd: Price in dollars; None where it is unknown (never 0 for unknown).
        finish_reason: Why the model stopped, in the backend's word ("stop", "length"); None if not given.
        replayed: True where it came from the ledger or a recorded file, without a live call.
        provenance: Host, served model, engine: metadata of a live answer, never part of the key, never a secret.
    """

    text: str | None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: bool = True
    seconds: float = 0.0
    cost_usd: float | None = None
    finish_reason: str | None = None
    replayed: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)


CUT = "length"
"""The finish reason of an answer that a limit of tokens ended."""

ANSWER_FIELDS = ("prompt_tokens", "completion_tokens", "tokens_estimated", "seconds", "cost_usd", "finish_reason")
"""Fields of an answer that are stored as columns of the ledger, and fields of its JSONL, under their own names."""


@dataclass
class Counts:
    """Answers of a run, by where they came from.

    Attributes:
        asked: Answers of a live model during this run.
        replayed: Answers from the ledger or a recorded file.
        distinct: Distinct questions among both.
        unanswered: Questions that a recorded model lacked.
        tokens: Tokens (read and written) of live answers, refused ones included.
        cost_usd: Dollars of live answers, refused ones included; None as soon as one price is unknown.
        refused: Live answers that were no whole ones (empty, cut, filtered, failed) and cost tokens.
    """

    asked: int = 0
    replayed: int = 0
    distinct: int = 0
    unanswered: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    refused: int = 0

    def add(self, answer: Answer) -> None:
        """Counts one answer as asked, replayed or unanswered; `distinct` is up to the caller."""
        if answer.text is None:
            self.unanswered += 1
        elif answer.replayed:
            self.replayed += 1
        else:
            self.asked += 1
            self.tokens += answer.prompt_tokens + answer.completion_tokens
            if self.cost_usd is None or answer.cost_usd is None:
                self.cost_usd = None
            else:
                self.cost_usd += answer.cost_usd


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def estimate_tokens(characters: int) -> int:
    """Tokens of a text with this many characters, by the usual four characters a token."""
    return (characters + 3) // 4


def tokens_used(request: Sequence[Message], answer: Answer) -> int:
    """Tokens read and written for one answer, live or replayed; estimated where it carries no counts."""
    read = answer.prompt_tokens or estimate_tokens(sum(len(message["content"]) for message in request))
    return read + (answer.completion_tokens or estimate_tokens(len(answer.text or "")))


def _plain_message(message: Mapping[str, Any]) -> Message:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise UsageError('a message has exactly the keys "role" and "content"; leave everything else out')
    role, content = message["role"], message["content"]
    if role not in _ROLES or not isinstance(content, str):
        raise UsageError(f"a message's role is one of {', '.join(_ROLES)} and its content a text, not {role!r}")
    return cast(Message, {"role": role, "content": content})


# Vendors serve "gpt-5" as "gpt-5-2025-08-07", and routers as "openai/gpt-5": both cost what "gpt-5" costs.
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens read (`input`), written (`output`) and read from the vendor's prompt cache.

    `cached_input` is `input` unless given; reasoning tokens count as written.
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
    try:
        content = parse_yaml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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
