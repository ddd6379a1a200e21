"""Models behind an OpenAI-compatible endpoint: hosted vendors, vLLM, Ollama, llama.cpp, by URL."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from wean.errors import UsageError, WeanError
from wean.llm.address import OPENAI_URL, ModelName, keep_out_of_logs, key_for, read_address
from wean.llm.answers import Answer, Question, Sample, estimate_tokens, find_price
from wean.llm.budget import Refused, Spending
from wean.llm.exchange import Completion, Request, Requests, read_completion, served_something_else, token_counts
from wean.llm.options import ENDPOINT, check_options
from wean.llm.retry import (
    Refusal,
    Retrier,
    TransientError,
    explain_connection,
    explain_environment,
    explain_refusal,
    read_refusal,
    scrub,
)

T = TypeVar("T")

_CLOSING_SECONDS = 5.0
_MOST_BYTES = 64 * 2**20  # of a response


class EndpointBackend:
    """Asks one model of one endpoint; safe to use from several threads.

    The URL usually ends in /v1; None is $OPENAI_BASE_URL, else OpenAI's own.

    Args:
        name: The name that the user gave.
        url: The address, or None.
        model: The model's name.
        api_key: The key; $OPENAI_API_KEY by default. Servers without keys get a placeholder.
        named_in: The file that names the model, where the user did not; its address gets no key.
        refused: Told what refused answers cost.
        **options: Fields of `ModelOptions`.

    Raises:
        UsageError: The model is missing, the URL has no host, an option is unknown, or a file asks for the key.
    """

    batch_size = 1
    can_score = False

    def __init__(
        self,
        name: str,
        url: str | None,
        model: str,
        *,
        api_key: str | None = None,
        named_in: str | None = None,
        refused: Refused | None = None,
        **options: Any,
    ) -> None:
        self._options = chosen = check_options("an endpoint", options, ENDPOINT)
        self._address = address = read_address(url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        if not model:
            raise UsageError(f"the model's name is missing; write {f'{address.url}#MODEL' if url else 'openai:gpt-5'}")
        self.name = str(ModelName(name))
        self.identity = model if chosen.revision is None else f"{model}@{chosen.revision}"
        self.concurrency = chosen.concurrency
        self.price = chosen.price or find_price(model)
        self.extra = dict(chosen.extra_body)
        self._model = model
        self._where = address.where
        self._key = key_for(address, api_key, named_in if url else None)
        self._secrets = (self._key, *address.secrets)
        self._refused = refused or Refused()
        self._retrier = Retrier(
            self._where,
            attempts=chosen.retries + 1,
            base_seconds=chosen.retry_base,
            requests_per_minute=chosen.requests_per_minute,
        )
        # OpenAI's newer models know only the new name of the limit, most other servers only the old one.
        limit = "max_completion_tokens" if address.host == "api.openai.com" else "max_tokens"
        self._requests = Requests(model, limit, self.extra)
        self._connection: _Connection | None = None
        self._lock = threading.Lock()

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Asks each sample, and retries where that may help."""
        answers = []
        for question, number in samples:
            failures: list[Refusal] = []
            answers.append(self._retrier.run(partial(self._attempt, question, number, failures)))
        return answers

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        # A forgotten close loses nothing; this only avoids open connections.
        with suppress(Exception):
            self.close()

    def _attempt(self, question: Question, number: int, failures: list[Refusal]) -> Answer:
        """One attempt; `failures` keeps how the server failed at this sample before."""
        while True:
            sent = self._requests.write(question, number, len(failures))
            start = time.perf_counter()
            completion = self._send(sent)
            if isinstance(completion, Completion):
                answer = self._answer(completion, question, sent, time.perf_counter() - start)
                self._requests.answered(sent)
                return answer
            self._charge(completion.usage)
            if self._requests.learn(completion, sent):
                continue
            if completion.status == 500:
                failures.append(completion)
            raise explain_refusal(completion, self._where, self._model, self._secrets, self._served_models)

    def _send(self, sent: Request) -> Completion | Refusal:
        """Sends a request; returns what the server completed, or its error."""
        connection = self._connected()
        import openai

        try:
            content = connection.run(connection.post(sent.body), self._options.timeout)
            return read_completion(content)
        except (TimeoutError, openai.APITimeoutError):
            raise TransientError(
                f"no answer within the time-out of {self._options.timeout:g} s (option timeout)"
            ) from None
        except openai.APIStatusError as error:
            body: Any = {"error": error.body} if error.body else {"message": error.message}
            with suppress(Exception):  # the SDK hands on the innermost part alone, which lacks the usage
                body = json.loads(error.response.content)
            return read_refusal(body, error.status_code, error.response.headers)
        except TransientError:
            raise
        except Exception as error:  # the SDK's, and the HTTP library's own kinds while the body is read
            raise explain_connection(error, self._secrets) from None

    def _answer(self, completion: Completion, question: Question, sent: Request, seconds: float) -> Answer:
        """The answer of a whole completion.

        Raises:
            TransientError: It is not a whole one; what it cost is counted.
            WeanError: Another model answered.
        """
        served = scrub(completion.served, *self._secrets)
        if not self._options.any_model and served_something_else(self._model, served):
            self._charge(completion.usage)
            raise WeanError(
                f"{self._where} was asked for {self._model!r} and answered with {served!r}; name that model, or add "
                "the option any_model=true if the server ignores names"
            )
        if completion.fault:
            self._charge(completion.usage)
            raise self._incomplete(completion, question)
        text = completion.text
        counts = token_counts(completion.usage)
        read, written, cached = counts or (estimate_tokens(question.characters), estimate_tokens(len(text)), 0)
        provenance = {"host": self._where, "served": served}
        if sent.notes:
            provenance["adapted"] = ", ".join(sent.notes)
        return Answer(
            text,
            read,
            written,
            tokens_estimated=counts is None,
            seconds=seconds,
            cost_usd=None if self.price is None else self.price.cost(read, written, cached),
            finish_reason=completion.finish or None,
            provenance=provenance,
        )

    def _incomplete(self, completion: Completion, question: Question) -> TransientError:
        if completion.fault != "cut":
            return TransientError(f"{self._model} gave no answer: {scrub(completion.fault, *self._secrets)}")
        limit = question.parameters.get("max_tokens")
        thoughts = " (its thoughts count, too)" if completion.thought or not completion.text else ""
        # Another try is as long as the first one, but for chance.
        return TransientError(
            f"the answer of {self._model} was cut off at max_tokens={limit or 'its own limit'}{thoughts}; raise the "
            "option max_tokens",
            most_attempts=2,
        )

    def _charge(self, usage: Any) -> None:
        """Counts what a refused answer cost, as far as the server says."""
        if counts := token_counts(usage):
            read, written, cached = counts
            dollars = None if self.price is None else self.price.cost(read, written, cached)
            self._refused.add(Spending(0, read + written, dollars or 0.0), priced=dollars is not None)

    def _connected(self) -> _Connection:
        with self._lock:
            if self._connection is None or self._connection.pid != os.getpid():
                self._connection = self._connect()
            return self._connection

    def _connect(self) -> _Connection:
        try:
            import openai
        except ImportError:
            raise UsageError(f"{self.name} needs the extra llm: pip install '.[llm]' in wean's folder") from None
        if not self._key and self._address.host == "api.openai.com":
            raise UsageError(f"{self.name} needs a key; set OPENAI_API_KEY")
        if not self._key.isascii() or not self._key.isprintable():
            raise UsageError("the API key has characters that no key has (a line break, an umlaut?); copy it again")
        keep_out_of_logs(self._secrets)
        try:
            # Retries are ours alone: two layers would multiply attempts and not know each other's pauses.
            client = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._address.url,
                timeout=self._options.timeout,
                max_retries=0,
                default_headers=dict(self._address.headers),
                default_query=dict(self._address.query),
            )
        except Exception as error:  # a URL or proxy that the HTTP library cannot parse raises its own kinds
            raise (
                explain_environment(error)
                or UsageError(f"{self._where} cannot be used as an address ({type(error).__name__}); check it")
            ) from None
        return _Connection(client)

    def _served_models(self) -> list[str]:
        """Names of the models that the endpoint has, or none where it does not list them."""
        connection = self._connected()
        try:
            return connection.run(connection.models(), min(self._options.timeout, 10.0))
        except Exception:  # it is only a hint
            return []


class _Connection:
    """The SDK's client in an event loop of its own: there one time limit holds for a whole attempt, whatever drips."""

    def __init__(self, client: Any) -> None:
        self.pid = os.getpid()
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="wean-endpoint", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Waits for a result, at most that long."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: the request ends, too
            raise

    async def post(self, body: dict[str, Any]) -> bytes:
        """The content of the response to a request for a chat completion."""
        content = bytearray()
        async with self._client.chat.completions.with_streaming_response.create(**body) as response:
            async for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise TransientError(f"the server sent more than {_MOST_BYTES >> 20} MiB", most_attempts=2)
        return bytes(content)

    async def models(self) -> list[str]:
        """The names of the models that the endpoint lists."""
        return [str(model.id) for model in (await self._client.models.list()).data]

    def close(self) -> None:
        """Closes the connections and ends the thread."""
        # At the interpreter's end the thread does not run any more; the system closes what is open.
        if self.pid != os.getpid() or self._loop.is_closed() or sys.is_finalizing():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSING_SECONDS)

    async def _end(self) -> None:
        with suppress(Exception):
            await asyncio.wait_for(self._client.close(), _CLOSING_SECONDS)
        self._loop.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
