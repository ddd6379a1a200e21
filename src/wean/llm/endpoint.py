"""Models behind an OpenAI-compatible endpoint: hosted vendors, vLLM, Ollama, llama.cpp, by URL."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from wean.errors import UsageError, WeanError
from wean.llm.answers import Answer, Price, Question, Sample, estimate_tokens, find_price
from wean.llm.retry import Retrier, TransientError, explain_failure, scrub

_OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class EndpointOptions:
    """Options of `open_model` for an endpoint."""

    api_key: str | None = field(default=None, repr=False)
    """The key; default $OPENAI_API_KEY. Servers without keys get a placeholder."""
    revision: str | None = None
    """Added to the model's identity, for servers whose weights change under one name."""
    concurrency: int = 8
    """Requests under way at once."""
    timeout: float = 120.0
    """Seconds for one attempt."""
    retries: int = 5
    """Attempts after the first."""
    retry_base: float = 0.5
    """Seconds of the first pause; doubles each time."""
    requests_per_minute: float | None = None
    """Limit; None for none."""
    price: Price | None = None
    """Price per token; default the price table's."""
    any_model: bool = False
    """Accept answers of another model than the one asked for (servers that ignore the name)."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as {"reasoning_effort": "low"}; part of the ledger's key."""

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.timeout <= 0 or self.retries < 0 or self.retry_base < 0:
            raise UsageError("concurrency is at least 1, timeout above 0, retries and retry_base not negative")
        if self.requests_per_minute is not None and self.requests_per_minute <= 0:
            raise UsageError("requests_per_minute is above 0; leave it out for no limit")


class EndpointBackend:
    """Asks one model of one endpoint; safe to use from several threads.

    The URL usually ends in /v1; None is $OPENAI_BASE_URL, else OpenAI's own. The options are fields of
    `EndpointOptions`.

    Raises:
        UsageError: The model is missing, the URL has no host, or an option is unknown.
    """

    batch_size = 1
    can_score = False

    def __init__(self, name: str, url: str | None, model: str, **options: Any) -> None:
        known = {option.name for option in fields(EndpointOptions)}
        if unknown := sorted(set(options) - known):
            raise UsageError(f"an endpoint takes no option {', '.join(unknown)}; it takes {', '.join(sorted(known))}")
        self._options = chosen = EndpointOptions(**options)
        self._url = url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL
        parts = _parts(self._url)
        if not model:
            example = f"{self._url}#MODEL" if url else "openai:gpt-5"
            raise UsageError(f"the model's name is missing; write {scrub(example, parts.password or '')}")
        # A password in the address must not appear in logs.
        self.name = name.replace(f"{parts.netloc.rpartition('@')[0]}@", "") if "@" in parts.netloc else name
        self.identity = model if chosen.revision is None else f"{model}@{chosen.revision}"
        self.concurrency = chosen.concurrency
        self.price = chosen.price or find_price(model)
        self.extra = dict(chosen.extra_body)
        self._model = model
        self._host = parts.hostname or ""
        self._where = f"{self._host}:{parts.port}" if parts.port else self._host
        self._key = (chosen.api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        self._retrier = Retrier(
            self._where,
            attempts=chosen.retries + 1,
            base_seconds=chosen.retry_base,
            requests_per_minute=chosen.requests_per_minute,
        )
        # OpenAI's newer models know only the new name of the limit, most other servers only the old one.
        self._limit_name = "max_completion_tokens" if self._host == "api.openai.com" else "max_tokens"
        self._not_offered: set[str] = set()  # optional fields that this server refuses
        self._client: Any = None
        self._lock = threading.Lock()

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Asks each sample, and retries where that may help."""
        return [self._retrier.run(partial(self._attempt, *sample)) for sample in samples]

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _attempt(self, question: Question, number: int) -> Answer:
        client = self._connected()
        import openai

        while True:
            body = self._body(question, number)
            start = time.perf_counter()
            try:
                response = client.chat.completions.with_raw_response.create(**body)
            except openai.OpenAIError as error:
                if self._adapt(error, body):
                    continue
                raise explain_failure(error, self._where, self._model, self._key, self._served_models) from None
            seconds = time.perf_counter() - start
            return self._answer(question, response.content, seconds, unenforced="response_format" not in body)

    def _body(self, question: Question, number: int) -> dict[str, Any]:
        wanted = question.parameters
        body: dict[str, Any] = {"model": self._model, "messages": list(question.messages)}
        for name in ("temperature", "top_p"):
            if name in wanted:
                body[name] = wanted[name]
        if "max_tokens" in wanted:
            body[self._limit_name] = wanted["max_tokens"]
        if "seed" in wanted and "seed" not in self._not_offered:
            body["seed"] = wanted["seed"] + number
        if "schema" in wanted and "response_format" not in self._not_offered:
            schema = {"name": "answer", "schema": wanted["schema"], "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.extra:
            body["extra_body"] = self.extra
        return body

    def _adapt(self, error: Exception, body: dict[str, Any]) -> bool:
        """Learns which optional fields this server refuses; True where asking again may help."""
        if getattr(error, "status_code", None) not in (400, 404, 422, 501):
            return False
        complaint = str(error).lower()
        with self._lock:
            if "max_completion_tokens" in complaint and "max_tokens" in body:
                self._limit_name = "max_completion_tokens"
                return True
            if "max_completion_tokens" in complaint and "max_completion_tokens" in body:
                self._limit_name = "max_tokens"
                return True
            # Both are optional: an answer without the schema still goes through the parser, and sampling
            # without the seed is still recorded. Temperature is not: another one would be another experiment.
            for name, words in (
                ("response_format", ("response_format", "json_schema", "schema")),
                ("seed", ("seed",)),
            ):
                if name in body and any(word in complaint for word in words):
                    self._not_offered.add(name)
                    return True
        return False

    def _answer(self, question: Question, content: bytes, seconds: float, *, unenforced: bool) -> Answer:
        """Reads a response; `unenforced` is True where no schema was sent."""
        try:
            response = json.loads(content)
            choice = response["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text, refusal = message.get("content"), message.get("refusal")
        except (ValueError, UnicodeDecodeError):
            raise TransientError("the server sent broken JSON") from None
        except (KeyError, IndexError, TypeError, AttributeError):
            raise TransientError("the server sent an answer without choices") from None
        served = str(response.get("model") or "")
        if not self._options.any_model and served_something_else(self._model, served):
            raise WeanError(
                f"{self._where} was asked for {self._model!r} and answered with "
                f"{scrub(served, self._key)!r}; name that model, or open with any_model=True if the server "
                "ignores names"
            )
        if not text and finish == "length":
            raise WeanError(
                f"{self._where}: {self._model} wrote nothing within "
                f"max_tokens={question.parameters.get('max_tokens')} (it may have used them up for "
                "reasoning); raise max_tokens"
            )
        if text is None:
            text = refusal
        if isinstance(text, list):  # some vendors send parts; reasoning is not the answer
            text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
        if not isinstance(text, str):
            raise TransientError("the server sent an answer without text")
        counts = _token_counts(response.get("usage"))
        read, written, cached = counts or (estimate_tokens(question.characters), estimate_tokens(len(text)), 0)
        provenance = {"host": self._where, "served": scrub(served, self._key)}
        if "schema" in question.parameters and unenforced:
            provenance["schema"] = "not enforced"
        return Answer(
            text,
            read,
            written,
            tokens_estimated=counts is None,
            seconds=seconds,
            cost_usd=None if self.price is None else self.price.cost(read, written, cached),
            finish_reason=finish if isinstance(finish, str) else None,
            provenance=provenance,
        )

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        try:
            import openai
        except ImportError:
            raise UsageError(f"{self.name} needs the extra llm: pip install 'wean[llm]'") from None
        if not self._key and self._host == "api.openai.com":
            raise UsageError(f"{self.name} needs a key; set OPENAI_API_KEY")
        if not self._key.isascii() or not self._key.isprintable():
            raise UsageError("the API key has characters that no key has (a line break, an umlaut?); copy it again")
        try:
            # Retries are ours alone: two layers would multiply attempts and not know each other's pauses.
            return openai.OpenAI(
                api_key=self._key or "none", base_url=self._url, timeout=self._options.timeout, max_retries=0
            )
        except Exception as error:  # a URL that the HTTP library cannot parse raises its own kinds
            raise UsageError(f"{self._where} cannot be used as an address ({type(error).__name__}); check it") from None

    def _served_models(self) -> list[str]:
        """Names of the models that the endpoint has, or none where it does not list them."""
        import openai

        try:
            return [str(model.id) for model in self._connected().models.list().data]
        except (openai.OpenAIError, AttributeError, TypeError, ValueError):
            return []


def served_something_else(asked: str, served: str) -> bool:
    """Whether a server answered with another model than the one asked for.

    Snapshots ("gpt-5" served as "gpt-5-2025-08-07"), router prefixes ("openai/gpt-5"), paths and tags
    ("qwen3" served as "qwen3:latest") are the same model; no name at all is taken on trust.
    """
    if not served:
        return False
    ours, theirs = _bare(asked), _bare(served)
    longer, shorter = (ours, theirs) if len(ours) >= len(theirs) else (theirs, ours)
    if not longer.startswith(shorter):
        return True
    rest = longer[len(shorter) :]
    return not re.fullmatch(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{4,8}|latest|preview)|:.*|\.gguf)?", rest)


def _token_counts(usage: Any) -> tuple[int, int, int] | None:
    """Tokens read, written, and read from the vendor's cache; None where the server did not count."""
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int) or read < 0 or written < 0:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return read, written, cached if isinstance(cached, int) and 0 <= cached <= read else 0


def _bare(name: str) -> str:
    return re.split(r"[/\\]", name.lower())[-1]


def _parts(url: str) -> SplitResult:
    """The parts of an endpoint's address."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.scheme in ("http", "https") and (parts.port is None or parts.port >= 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("an endpoint's address looks like http://localhost:8000/v1; check it (and OPENAI_BASE_URL)")
    return parts
