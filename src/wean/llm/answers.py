"""Words of the LLM room: a message, an answer with its cost, and the counts of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict


class Message(TypedDict):
    """One chat message, as OpenAI-compatible endpoints take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Answer:
    """One answer of a language model to one question.

    Attributes:
        text: The answer; None where a recorded model has none ("no advice").
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        tokens_estimated: True where the backend gave no counts and they were estimated from the text's
            length.
        seconds: Wall-clock seconds that the answer took when it was made.
        cost_usd: Price in dollars; None where it is unknown (never 0 for unknown).
        replayed: True where it came from the ledger or a recorded file and nobody was asked.
        finish_reason: Why the model stopped, in the backend's word ("stop", "length"); None where it did not
            say.
    """

    text: str | None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: bool = True
    seconds: float = 0.0
    cost_usd: float | None = None
    replayed: bool = False
    finish_reason: str | None = None


@dataclass
class Counts:
    """What a run asked: told apart everywhere.

    Attributes:
        asked: Answers that a live model gave during this run.
        replayed: Answers that came from the ledger or a recorded file.
        distinct: Distinct questions among both.
        unanswered: Questions that a recorded model lacked.
        tokens: Tokens (read and written) of live answers.
        cost_usd: Dollars of live answers; None as soon as one price is unknown.
    """

    asked: int = 0
    replayed: int = 0
    distinct: int = 0
    unanswered: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, answer: Answer) -> None:
        """Counts one answer as asked, replayed or unanswered; `distinct` is up to the caller."""
        if answer.text is None:
            self.unanswered += 1
        elif answer.replayed:
            self.replayed += 1
        else:
            self.asked += 1
            self.tokens += answer.prompt_tokens + answer.completion_tokens
            known = self.cost_usd is not None and answer.cost_usd is not None
            self.cost_usd = self.cost_usd + answer.cost_usd if known else None  # type: ignore[operator]
