"""Requests that nobody should send to a server of actions: as bytes, and how they are sent."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

WAIT_SECONDS = 8.0


class Hostile(NamedTuple):
    """One attack.

    Attributes:
        name: What it is.
        sent: The bytes, in the pieces in which they are sent.
        pause: Seconds between two pieces.
        reads: Whether the client reads what comes back.
    """

    name: str
    sent: Sequence[bytes]
    pause: float = 0.0
    reads: bool = True


class Outcome(NamedTuple):
    """What came of one.

    Attributes:
        statuses: The statuses that were answered.
        cut: Whether the server closed the connection.
        leaked: Whether the answer held a traceback or the content of a file.
    """

    statuses: tuple[int, ...]
    cut: bool
    leaked: bool

    @property
    def refused(self) -> bool:
        """Whether every answer was a refusal, or the connection was cut without one."""
        return all(400 <= status < 500 for status in self.statuses) and (self.cut or bool(self.statuses))


def send(attack: Hostile, host: str, port: int) -> Outcome:
    """Sends an attack on a connection of its own, and waits for what comes of it."""
    received, cut = b"", False
    with socket.create_connection((host, port), timeout=WAIT_SECONDS) as connection:
        try:
            for piece in attack.sent:
                connection.sendall(piece)
                if attack.pause:
                    time.sleep(attack.pause)
            end = time.monotonic() + WAIT_SECONDS
            while attack.reads and time.monotonic() < end:
                more = connection.recv(1 << 16)
                if not more:
                    cut = True
                    break
                received += more
        except TimeoutError:
            pass
        except OSError:  # reset, or a broken pipe
            cut = True
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]
    final = tuple(status for status in statuses if status != 100)
    leaked = any(sign in received for sign in (b"Traceback", b'File "', b"root:x:", b"site-packages"))
    return Outcome(final, cut or not attack.reads, leaked)


def attacks(token: str, shape: Sequence[int]) -> list[Hostile]:
    """All of them, for a server that wants `token` and whose student sees integers of a shape."""
    good = {"observation": _zeros(shape)}
    found = [Hostile(name, [_post(token, "/act", body)]) for name, body in _bodies(good, shape)]
    found += [Hostile(f"session: {name}", [_post(token, "/sessions", body)]) for name, body in _session_bodies()]
    found += [Hostile(name, [raw]) for name, raw in _lines(token)]
    found += _tokens(token, json.dumps(good).encode())
    found += _paths(token)
    found += _types(token, json.dumps(good).encode())
    found += _lengths(token)
    found += _slow(token)
    found += _random_bytes(token)
    return found


def _zeros(shape: Sequence[int]) -> Any:
    return [_zeros(shape[1:]) for _ in range(shape[0])] if shape else 0


def _post(token: str, path: str, body: bytes, kind: str = "application/json") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _get(token: str, path: str, method: str = "GET") -> bytes:
    text = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    return text.encode("latin-1")


def _bodies(good: dict[str, Any], shape: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """Bodies of `POST /act`."""
    for text in ("", " ", "{", "}", "[", "nul", "NaN", "Infinity", "-", "1e", "'", '"', "\\", "{]", '{"a"}', "{,}"):
        yield f"no JSON {text!r}", text.encode()
    for text in ("null", "true", "0", "-1", "1e400", '""', "[]", "[[]]", "{}", '[{"observation": 0}]', '{"": 0}'):
        yield f"no request {text!r}", text.encode()
    for depth in (100, 5_000, 200_000):
        yield f"lists {depth} deep", b'{"observation": ' + b"[" * depth + b"]" * depth + b"}"
        yield f"objects {depth} deep", b'{"observation": ' + b'{"image":' * depth + b"0" + b"}" * depth + b"}"
    for value in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "null", "true", '"0"', "[]", "{}", "1.5", "-1"):
        yield f"observation {value}", f'{{"observation": {value}}}'.encode()
    for value in ("NaN", "1e999", "null", "true", '"0"', "[]", "{}", "0.5", "-1", "256", "1e30", "9" * 40, "9" * 6000):
        filled = json.dumps(good).replace("0", value)
        yield f"an observation of {value[:20]}", filled.encode()
    for axes in ([*shape, 1], list(shape[1:]), [2] * 40, [1] * 80, [0], [100_000]):
        if len(axes) < 8:
            yield f"shape {axes}", json.dumps({"observation": _zeros(axes)}).encode()
        else:
            yield f"{len(axes)} axes", b'{"observation": ' + b"[" * len(axes) + b"0" + b"]" * len(axes) + b"}"
    many = good["observation"]
    for name, more in (
        ("no observations", {"observations": []}),
        ("300 observations", {"observations": [0] * 300}),
        ("both", {"observation": many, "observations": [many]}),
        ("an unknown session", {"observation": many, "session": "x"}),
        ("a session that is a path", {"observation": many, "session": "../../etc/passwd"}),
        ("a long session", {"observation": many, "session": "x" * 5_000}),
        ("a session of numbers", {"observation": many, "session": 1}),
        ("a session twice", {"observations": [many, many], "sessions": ["a", "a"]}),
        ("too few sessions", {"observations": [many, many], "sessions": ["a"]}),
        ("starts of texts", {"observations": [many], "starts": ["yes"]}),
        ("a seed below 0", {"observation": many, "seed": -1}),
        ("a seed of 200 bits", {"observation": many, "seed": 2**200}),
        ("a fraction as seed", {"observation": many, "seed": 0.5}),
        ("a folder", {"observation": many, "folder": "/etc"}),
        ("a file", {"observation": {"image": "file:///etc/passwd"}}),
        ("a class", {"observation": {"__class__": "os.system", "image": {"$ref": "#"}}}),
        ("100,000 fields", {f"field{number}": 0 for number in range(50_000)}),
    ):
        yield name, json.dumps(more).encode()
    for name, raw in (
        ("UTF-16", json.dumps(good).encode("utf-16")),
        ("not UTF-8", b'{"observation": "\xff\xfe"}'),
        ("a surrogate", b'{"observation": "\\ud800"}'),
        ("NUL", b"\x00" * 64),
        ("NUL within", b'{"observation": 0\x00}'),
        ("gzip", b"\x1f\x8b\x08\x00" + b"\x00" * 60),
        ("pickle", b"\x80\x04cos\nsystem\n(S'true'\ntR."),
        ("XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
        ("YAML", b"!!python/object/apply:os.system ['true']"),
    ):
        yield name, raw


def _session_bodies() -> Iterator[tuple[str, bytes]]:
    """Bodies of `POST /sessions`."""
    for text in ("", "{", "[]", "null", "3", '{"seed": -1}', '{"seed": "1"}', '{"seed": 1e99}', '{"seed": NaN}'):
        yield text, text.encode()
    yield "deep", b"[" * 100_000
    yield "unknown field", b'{"name": "mine"}'
    yield "large", b'{"seed": ' + b"1" * 5_000 + b"}"


def _lines(token: str) -> Iterator[tuple[str, bytes]]:
    """Requests that are no HTTP, or none that is served."""
    yield from (
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200),
        ("SSH", b"SSH-2.0-OpenSSH_9.0\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 20),
        ("no version", b"GET /student\r\n\r\n"),
        ("a strange version", b"GET /student HTTP/9.9\r\nHost: a\r\n\r\n"),
        ("no method", b"/student HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a made up method", b"STEAL /student HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("lower case", b"get /student HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("only line feeds", b"\n" * 2_000 + b"x"),
        ("spaces", b" " * 5_000 + b"\r\n\r\n"),
        ("a colon too few", b"GET /student HTTP/1.1\r\nHost localhost\r\n\r\n"),
        ("NUL in a header", b"GET /student HTTP/1.1\r\nHost: a\x00b\r\n\r\n"),
        ("a space in a header", b"GET /student HTTP/1.1\r\nHo st: a\r\n\r\n"),
        ("a folded header", b"GET /student HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n"),
        ("a long path", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a long header", b"GET /student HTTP/1.1\r\nA: " + b"a" * 200_000 + b"\r\n\r\n"),
        ("20,000 headers", b"GET /student HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"),
        ("CONNECT", b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"),
        ("a proxy's request", _get(token, "http://example.org/etc/passwd")),
        ("a websocket", _get(token, "/act").replace(b"close", b"Upgrade\r\nUpgrade: websocket")),
        ("h2c", _get(token, "/act").replace(b"close", b"Upgrade, HTTP2-Settings\r\nUpgrade: h2c")),
        ("TRACE", _get(token, "/student", "TRACE")),
        ("OPTIONS *", _get(token, "*", "OPTIONS")),
    )
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        yield f"{method} /act", _get(token, "/act", method)
        yield f"{method} /sessions", _get(token, "/sessions", method)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        yield f"{method} /health", _get(token, "/health", method)


def _tokens(token: str, body: bytes) -> list[Hostile]:
    """Wrong tokens, and right ones in wrong places."""
    request = _post(token, f"/act?token={token}", body)
    right = f"Authorization: Bearer {token}\r\n".encode()
    wrong = [
        b"",
        b"Authorization:\r\n",
        b"Authorization: Bearer\r\n",
        b"Authorization: Bearer \r\n",
        f"Authorization: bearer{token}\r\n".encode(),
        f"Authorization: Basic {token}\r\n".encode(),
        f"Authorization: {token}\r\n".encode(),
        f"Authorization: Bearer {token}x\r\n".encode(),
        f"Authorization: Bearer {token[:-1]}\r\n".encode(),
        f"Authorization: Bearer {token.upper()}\r\n".encode(),
        b"Authorization: Bearer \xff\xfe\r\n",
        b"Authorization: Bearer " + b"a" * 20_000 + b"\r\n",
        f"Cookie: token={token}\r\n".encode(),
        f"X-Authorization: Bearer {token}\r\n".encode(),
    ]
    return [Hostile(f"token {place}", [request.replace(right, one)]) for place, one in enumerate(wrong)]


def _paths(token: str) -> list[Hostile]:
    """Paths that lead nowhere, and those that look for files."""
    paths = [
        "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/....//etc/passwd",
        "/static/../../etc/passwd", "/docs/../../../etc/passwd", "//etc/passwd", "/act/../../etc/passwd", "/act%00",
        "/act/", "/act;x", "/ACT", "/%61%63%74x", "/model.onnx", "/config.json", "/.git/config", "/.env",
        "/sessions/../config.json", "/sessions/%2e%2e%2fconfig.json", "/sessions/", "/sessions/a/b", "/metrics/x",
        "/%ff%fe", "/%", "/%zz", "/\\..\\..\\windows", "/cgi-bin/test", "/wp-login.php", "/proc/self/environ",
        "/play.html", "/docs.html", "/openapi.yaml", "/redoc", "/health/..", "/student/%2e%2e",
    ]  # fmt: skip
    found = [Hostile(f"path {path}", [_get(token, path)]) for path in paths]
    found += [Hostile(f"end {path}", [_get(token, path, "DELETE")]) for path in ("/sessions/x", "/sessions/..%2f..")]
    return found


def _types(token: str, body: bytes) -> list[Hostile]:
    """Content types that are not JSON's."""
    kinds = ["", "text/plain", "text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
    kinds += ["application/jsonx", "application/octet-stream", "json", "*/*", "application/xml", "a" * 10_000]
    return [Hostile(f"type {kind[:30]!r}", [_post(token, "/act", body, kind)]) for kind in kinds]


def _lengths(token: str) -> list[Hostile]:
    """Bodies whose length is a lie, or too large."""
    head = _post(token, "/act", b"")[:-2]

    def length(said: str) -> bytes:
        return head.replace(b"Content-Length: 0", f"Content-Length: {said}".encode()) + b"\r\n"

    chunked = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"\r\n"
    both = head.replace(b"Content-Length: 0", b"Content-Length: 5\r\nTransfer-Encoding: chunked") + b"\r\n"
    large, again = b" " * (2 << 20), _get(token, "/act").replace(b"close", b"keep-alive")
    return [
        Hostile("length below 0", [length("-1")]),
        Hostile("length of letters", [length("ten")]),
        Hostile("length of 30 digits", [length("9" * 30)]),
        Hostile("length of 10 GB", [length("10000000000")]),
        Hostile("two lengths", [length("3\r\nContent-Length: 5"), b"{}   "]),
        Hostile("a large body", [length(str(len(large))), large]),
        Hostile("a large body in chunks", [chunked, *[b"10000\r\n" + b" " * 0x10000 + b"\r\n"] * 40]),
        Hostile("a chunk of 2^63", [chunked, b"7fffffffffffffff\r\n" + b" " * 1_000]),
        Hostile("a chunk without a size", [chunked, b"xyz\r\n{}\r\n0\r\n\r\n"]),
        Hostile("length and chunks", [both, b"0\r\n\r\n" + b"GET /health HTTP/1.1\r\n"]),
        Hostile("large trailers", [chunked, b"0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"]),
        Hostile("expects to go on, and does not", [length("100").replace(b"close", b"close\r\nExpect: 100-continue")]),
        Hostile("half a body, then the end", [length("100"), b'{"obs']),
        Hostile("refused requests in a pipeline", [again * 60]),
        Hostile("10,000 requests, unread", [again * 10_000], reads=False),
    ]


def _slow(token: str) -> list[Hostile]:
    """Clients that send a byte now and then, or nothing."""
    head, again = _post(token, "/act", b" " * 50), _get(token, "/act").replace(b"close", b"keep-alive")
    return [
        Hostile("says nothing", [b""]),
        Hostile("one byte", [b"G"]),
        Hostile("a header that does not end", [b"GET /act HTTP/1.1\r\nA: "]),
        Hostile("a header, byte by byte", [bytes([one]) for one in b"GET /act HTTP/1.1\r\nA: b"], pause=0.15),
        Hostile("a header line now and then", [b"GET /act HTTP/1.1\r\n", *[b"A: b\r\n"] * 20], pause=0.15),
        Hostile("a body that does not come", [head[:-50]]),
        Hostile("a body, byte by byte", [head[:-50], *[b" "] * 30], pause=0.1),
        Hostile("a second request that does not end", [again + b"GET /a"]),
    ]


def _random_bytes(token: str) -> list[Hostile]:
    """Bytes by chance, and requests with some of their bytes changed by chance."""
    chance = random.Random(0)
    found = [Hostile(f"chance {place}", [chance.randbytes(400) + b"\r\n\r\n"]) for place in range(15)]
    request = _post(token, "/act", b'{"observation": [[0, 1], [2, 3]]}')
    for place in range(15):
        changed = bytearray(request)
        for _ in range(6):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        found.append(Hostile(f"changed {place}", [bytes(changed)]))
    return found


def check(host: str, port: int, all_of: Sequence[Hostile], alive: Callable[[], bool]) -> dict[str, Any]:
    """Sends all attacks, 16 at a time; says how many were refused, and which were not."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda attack: send(attack, host, port), all_of))
    return {
        "requests": len(all_of),
        "answered 4xx": sum(one.refused and bool(one.statuses) for one in outcomes),
        "cut": sum(one.refused and not one.statuses for one in outcomes),
        "not refused": [
            f"{attack.name}: {one.statuses}" for attack, one in zip(all_of, outcomes, strict=True) if not one.refused
        ],
        "leaks": [attack.name for attack, one in zip(all_of, outcomes, strict=True) if one.leaked],
        "alive after": alive(),
    }
