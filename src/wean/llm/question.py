"""A question in its canonical form, and the digest under which its answers are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from wean.errors import UsageError
from wean.llm.answers import Answer, Message

Kind = Literal["generate", "score"]

_ROLES = ("system", "user", "assistant")


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Question:
    """Everything that decides an answer, except the sample number.

    Two questions are the same exactly when their digests are. The digest is the SHA-256 of the kind of call,
    the model's identity, the messages and the parameters (schema, limits, sampling; for a score the
    candidates and the normalisation). Where the model was reached (path, host, port) is not part of it.

    Attributes:
        kind: "generate" or "score".
        model: Identity of the model: name and revision, or a digest of local weights.
        messages: The chat, as plain role/content pairs.
        parameters: What else was asked for; parameters that were left to the model are absent.
        digest: 32 bytes.
    """

    kind: Kind
    model: str
    messages: tuple[Message, ...] = field(compare=False)
    parameters: Mapping[str, Any] = field(compare=False)
    digest: bytes = b""

    @classmethod
    def build(cls, kind: Kind, model: str, messages: Sequence[Message], parameters: Mapping[str, Any]) -> Question:
        """Brings a question into canonical form.

        Args:
            kind: "generate" or "score".
            model: The model's identity.
            messages: The chat; keys other than role and content are refused, because they would not be sent.
            parameters: Parameters; entries that are None are dropped.

        Raises:
            UsageError: A message is not a role and a text.
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


# What the ledger, the flight control and the backends pass around: a question and which of its answers is
# meant.
Sample = tuple[Question, int]
Key = tuple[bytes, int]


def key_of(sample: Sample) -> Key:
    """The ledger's key of one sample: the question's digest and the sample number."""
    return sample[0].digest, sample[1]


def _plain_message(message: Mapping[str, Any]) -> Message:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise UsageError('a message has exactly the keys "role" and "content"; leave everything else out')
    role, content = message["role"], message["content"]
    if role not in _ROLES or not isinstance(content, str):
        raise UsageError(f"a message's role is one of {', '.join(_ROLES)} and its content a text, not {role!r}")
    return cast(Message, {"role": role, "content": content})


def estimate_tokens(characters: int) -> int:
    """Tokens of a text of so many characters, by the usual four characters a token."""
    return (characters + 3) // 4


def tokens_used(request: Sequence[Message], answer: Answer) -> int:
    """Tokens read and written for one answer, whoever gave it; estimated where the answer carries no counts."""
    read = answer.prompt_tokens or estimate_tokens(sum(len(message["content"]) for message in request))
    return read + (answer.completion_tokens or estimate_tokens(len(answer.text or "")))
