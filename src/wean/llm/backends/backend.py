"""What every way to reach a language model has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wean.llm.prices import Price
from wean.llm.question import Sample


@dataclass(frozen=True)
class Reply:
    """What a live model gave for one sample.

    Attributes:
        text: The answer's text, or for a score the JSON list of log-probabilities.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        tokens_estimated: True where the counts come from the text's length.
        seconds: Wall-clock seconds of the successful attempt.
        cost_usd: Dollars; None where the price is unknown.
        finish_reason: "stop", "length", ...; None where unsaid.
        provenance: Where it came from (host, served model, engine): metadata, never part of the key, never a
            secret.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: bool
    seconds: float
    cost_usd: float | None
    finish_reason: str | None = None
    provenance: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """A live model that answers samples.

    Attributes:
        name: The name that the user gave, without secrets.
        concurrency: How many `ask` calls may run at once.
        batch_size: How many samples one `ask` should get.
        can_score: Whether it answers questions of kind "score".
        price: Price per token; None where unknown.
        extra: Settings of the backend that change its answers; they become part of every question.
    """

    name: str
    concurrency: int
    batch_size: int
    can_score: bool
    price: Price | None
    extra: dict[str, Any]

    @property
    def identity(self) -> str:
        """Name and revision, or a digest of local weights; never a path or port."""
        ...

    def ask(self, samples: Sequence[Sample]) -> list[Reply]:
        """Answers all samples, in order, or raises a `WeanError` for all of them."""
        ...

    def close(self) -> None:
        """Lets go of connections and memory; may be called twice."""
        ...
