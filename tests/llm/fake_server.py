"""A real HTTP server on loopback that speaks the OpenAI protocol, with faults; also a program of its own."""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

# What may go wrong with one request. "429" and "503" may carry a Retry-After after a colon: "429:1".
FAULTS = (
    *("429:0", "429:0.05", "500", "503", "reset"),
    *("timeout", "broken_json", "cut", "empty_choices", "no_text"),
)


class Reply(NamedTuple):
    """A response in the server's own words; `drip` seconds pass before each of its last bytes."""

    body: Any
    status: int = 200
    drip: float = 0.0


Behaviour = Callable[[dict[str, Any], int], str | Reply | None]


def question_of(body: dict[str, Any]) -> str:
    """What tells questions apart here: the last message."""
    return body["messages"][-1]["content"].rpartition("\n\n")[2]


def completion(content: Any, finish: str | None = "stop", model: str = "fake-1", **message: Any) -> dict[str, Any]:
    """A chat completion; further fields of the message as keywords."""
    written = {"role": "assistant", "content": content, **message}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": written, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


class FakeServer:
    """Answers "echo: QUESTION"; `behave(body, attempt)` names a fault, or None to answer.

    Attributes:
        bodies: Every chat request that came in.
        headers: Their headers.
        answered: How often each question was answered in full.
    """

    def __init__(
        self,
        behave: Behaviour = lambda body, attempt: None,
        *,
        model: str = "fake-1",
        key: str | None = None,
        delay: float = 0.0,
        hang: float = 30.0,
        usage: bool = True,
    ) -> None:
        self.behave, self.model, self.key = behave, model, key
        self.delay, self.hang, self.usage = delay, hang, usage
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.most_at_once = 0
        self._now = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        handler = type("Handler", (_Handler,), {"fake": self})
        self.http = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    @property
    def name(self) -> str:
        return f"{self.url}#{self.model}"

    def __enter__(self) -> FakeServer:
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def enter_request(self, body: dict[str, Any], headers: dict[str, str]) -> int:
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.attempts[question_of(body)] += 1
            return self.attempts[question_of(body)]

    def leave_request(self) -> None:
        with self.lock:
            self._now -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        if self.path == "/counts":
            with self.fake.lock:
                faults = sum(self.fake.attempts.values()) - sum(self.fake.answered.values())
                counts = {"answered": dict(self.fake.answered), "requests": len(self.fake.bodies), "faults": faults}
            self.send(200, json.dumps(counts))
        elif self.path == "/v1/models":
            models = [{"id": self.fake.model, "object": "model", "created": 0, "owned_by": "us"}]
            self.send(200, json.dumps({"object": "list", "data": models}))
        else:
            self.send(404, "<html>nothing here</html>", kind="text/html")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        path, _, query = self.path.partition("?")
        self.headers["x-query"] = query
        if path != "/v1/chat/completions":
            self.send(404, "<html>nothing here</html>", kind="text/html")
            return
        body = json.loads(content)
        attempt = self.fake.enter_request(body, {k.lower(): v for k, v in self.headers.items()})
        try:
            self.answer(body, attempt)
        finally:
            self.fake.leave_request()

    def answer(self, body: dict[str, Any], attempt: int) -> None:
        fake = self.fake
        given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if fake.key is not None and given != fake.key:
            self.error(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
            return
        if body["model"] != fake.model:
            self.error(404, f"The model `{body['model']}` does not exist", code="model_not_found")
            return
        fault = fake.behave(body, attempt)
        if isinstance(fault, Reply):
            text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
            self.send(fault.status, text, drip=fault.drip)
            return
        if fault is not None:
            self.fail(fault, body)
            return
        if fake.delay:
            time.sleep(fake.delay)
        self.send(200, json.dumps(self.completion(body)))
        with fake.lock:
            fake.answered[question_of(body)] += 1

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = completion(f"echo: {question_of(body)}", model=self.fake.model)
        if not self.fake.usage:
            del answer["usage"]
        return answer

    def fail(self, fault: str, body: dict[str, Any]) -> None:
        name, _, wait = fault.partition(":")
        completion = self.completion(body)
        text = json.dumps(completion)
        if name.isdecimal():
            status, _, code = name, None, None
            headers = {"retry-after": wait} if wait else {}
            self.error(int(status), "try again", code=code, headers=headers)
        elif name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif name == "timeout":
            self.fake.stopping.wait(self.fake.hang)
            self.close_connection = True
        elif name == "broken_json":
            self.send(200, text[:-9])
        elif name == "cut":
            self.send(200, text, length=len(text) + 50)
            self.close_connection = True
        elif name == "empty_choices":
            self.send(200, json.dumps(completion | {"choices": []}))
        elif name == "no_text":
            completion["choices"][0]["message"]["content"] = None
            self.send(200, json.dumps(completion))
        elif name == "parts":
            parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "in parts"}]
            completion["choices"][0]["message"]["content"] = parts
            self.send(200, json.dumps(completion))
        elif name == "length":
            empty = {"finish_reason": "length", "message": {"role": "assistant", "content": ""}}
            completion["choices"][0] |= empty
            self.send(200, json.dumps(completion))
        elif name == "wrong_model":
            self.send(200, json.dumps(completion | {"model": "another-thing"}))
        elif name == "html":
            self.send(200, "<html>welcome</html>", kind="text/html")
        elif name == "too_long":
            message = "This model's maximum context length is 4096 tokens, your messages have 9000"
            self.error(400, message, code="context_length_exceeded")
        elif name == "quota":
            self.error(429, "You exceeded your current quota", code="insufficient_quota")
        elif name.startswith("refuse="):
            self.error(400, f"Unrecognized request argument supplied: {name.removeprefix('refuse=')}")
        else:
            raise AssertionError(fault)

    def error(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "type": "some_error", "param": None, "code": code}
        self.send(status, json.dumps({"error": error}), headers=headers)

    def send(
        self,
        status: int,
        text: str,
        *,
        length: int | None = None,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        drip: float = 0.0,
    ) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if drip:
            for i in range(len(content)):
                self.wfile.write(content[i : i + 1])
                if self.fake.stopping.wait(drip):
                    return
        else:
            self.wfile.write(content)


_ODD_BRACKETS = "[" * 100_000


def all_faults(rate: float, seed: int, key: str) -> Behaviour:
    """A server that does not take everything, and fails at this rate in every way that is known of real ones."""
    generator, lock = random.Random(seed), threading.Lock()
    usage = {"usage": {"prompt_tokens": 2**63, "completion_tokens": -1}}
    replies = [
        *(
            Reply(completion(content))
            for content in (None, "", [{"type": "text", "text": None}], "<think>cut in thoug")
        ),
        *(Reply(completion("half an ans", finish)) for finish in ("content_filter", "error", "abort")),
        Reply(completion("half an ans", "error") | usage),
        Reply({"error": {"message": f"Provider returned error for {key}", "code": 502}}),
        Reply({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
        Reply({"error": f"key {key} is busy"}, 503),
        Reply({"detail": "nobody at home"}),
        Reply(_ODD_BRACKETS),
        Reply("<html>welcome</html>"),
    ]
    seldom = [
        Reply(completion("late"), drip=0.5),
        Reply(completion("half an ans", "length")),
        Reply({"error": {"message": "Insufficient credits", "code": 402}}),
        "timeout",
    ]

    def behave(body: dict[str, Any], attempt: int) -> str | Reply | None:
        for field in ("max_tokens", "temperature"):
            if field in body:
                return Reply({"error": {"message": f"Unsupported parameter: '{field}' is not supported."}}, 400)
        if body["messages"][0]["role"] == "system":
            return Reply({"error": {"message": "System role not supported"}}, 400)
        if "response_format" in body:
            return Reply({"error": {"message": "failed to parse grammar"}}, 500)
        with lock:
            if generator.random() >= rate:
                return None
            kinds = seldom if generator.random() < 0.03 else [*replies, *(f for f in FAULTS if f != "timeout")]
            return generator.choice(kinds)

    return behave


def main() -> None:
    """Serves until standard input closes; prints the URL first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--hang", type=float, default=1.0)
    options = parser.parse_args()
    key = os.environ.get("OPENAI_API_KEY", "")
    behave = all_faults(options.fault_rate, options.seed, key)
    with FakeServer(behave, key=key or None, delay=options.delay, hang=options.hang) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
