"""A served student: actions a second on one core, memory over many sessions, and requests that nobody should send.

    python benchmarks/serve.py [--quick] [--json] [--save]

Speed: a server on one core, 32 clients on another, each with a session and a connection that stays open; a client sends
the next held-out map of SimpleDoorKey when it has the action for the last. Where other work shares the cores, the
actions for a second of the server's processor time say more than those for a second of the clock. Sessions: each
begins, acts once and is left alone, but for every tenth, which is ended; memory is that of the server. Hostile
requests: `hostile_requests.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import hostile_requests
import wean
from harness import MEASURED_ANEW, finish, hardware, options
from runtime import held_out_maps

NAME, TASK, TOKEN = "serve", "SimpleDoorKey", "open-sesame-for-the-benchmark"
WANTED = {"actions/s": 1_500, "p99 ms": 40, "growth": 0.05, "hostile requests": 200}
CLIENTS, SESSION_SECONDS = 32, 10
CONNECTIONS = 256  # of the sessions, where only their number matters


class Server(NamedTuple):
    """A server's process and its port."""

    process: subprocess.Popen[str]
    port: int

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Memory that is its own now, in 10^6 bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) * 1024 / 1e6


def main() -> None:
    """Parses, measures, prints."""
    parser = options(__doc__, MEASURED_ANEW)
    parser.add_argument("--sessions", type=int, help="sessions to begin; 500,000 by default, 5,000 with --quick")
    arguments = parser.parse_args()
    measured_on = hardware("fastapi", "uvicorn", "httptools", "onnxruntime")
    sessions = arguments.sessions or (5_000 if arguments.quick else 500_000)
    with tempfile.TemporaryDirectory() as place:
        folder = student(Path(place))
        maps = [one.tolist() for one in held_out_maps(400)]
        results = {
            "wanted": WANTED,
            "speed": speed(folder, maps, 3 if arguments.quick else 20),
            "hostile": hostile(folder),
            "sessions": many_sessions(folder, maps, sessions),
        }
    finish(NAME, measured_on, results, markdown(results), arguments)


def student(place: Path) -> Path:
    """An exported student, a little trained: how well it acts does not change how long that takes."""
    few = {"episodes": 2, "curve_points": 0, "curve_episodes": 2, "recorded_episodes": 0}
    run = wean.train("ppo", TASK, total_timesteps=4_096, out=place / "run", evaluation=few)
    return wean.export(run.folder, place / "exported", observations=200).folder


@contextmanager
def serving(folder: Path, *limits: str, core: int | None = None) -> Iterator[Server]:
    """A server of its own, on one core where one is named."""
    command = [sys.executable, "-m", "wean.runtime.server", str(folder), "--port=0", "--acting=sampled"]
    command += [word for limit in limits for word in ("--limit", limit)]
    environment = {**os.environ, "WEAN_SERVE_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            yield Server(process, port)
        finally:
            process.terminate()
            process.wait(timeout=30)


class Client:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, server: Server) -> Client:
        """Connects."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def ask(self, request: bytes) -> Any:
        """Sends a request; returns what was answered."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        body = await self._reader.readexactly(int(length[1]))
        if not head.startswith(b"HTTP/1.1 20"):
            raise RuntimeError(f"{head.splitlines()[0]!r}: {body!r}")
        return json.loads(body)

    async def close(self) -> None:
        """Disconnects."""
        self._writer.close()
        await self._writer.wait_closed()


def request(method: str, path: str, told: Any = None) -> bytes:
    """A request as bytes."""
    body = b"" if told is None else json.dumps(told, separators=(",", ":")).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


# --- speed -----------------------------------------------------------------------------------------------------------


def cores() -> tuple[int | None, set[int]]:
    """The server's core, and those of the clients; the same where there is one only."""
    if not hasattr(os, "sched_getaffinity"):
        return None, set()
    there = sorted(os.sched_getaffinity(0))
    return there[-1], set(there[:-1] or there)


def speed(folder: Path, maps: list[Any], rounds: int) -> dict[str, Any]:
    """Actions a second and the time of one, as medians over rounds of two seconds."""
    core, rest = cores()
    before = os.sched_getaffinity(0) if rest else set()
    with serving(folder, core=core) as server:
        if rest:
            os.sched_setaffinity(0, rest)
        try:
            found = asyncio.run(_rounds(server, maps, rounds))
            together = asyncio.run(_batches(server, maps))
        finally:
            if rest:
                os.sched_setaffinity(0, before)
    told = {name: statistics.median(one[name] for one in found) for name in found[0]}
    told |= {"best round": max(one["actions/s"] for one in found), "rounds": rounds}
    return told | {"actions/s, 64 in a request": together}


async def _rounds(server: Server, maps: list[Any], rounds: int) -> list[dict[str, float]]:
    clients = [await Client.to(server) for _ in range(CLIENTS)]
    requests = []
    for place, client in enumerate(clients):
        session = (await client.ask(request("POST", "/sessions", {"seed": place})))["session"]
        shown = [maps[(place * 7 + step) % len(maps)] for step in range(40)]
        requests.append([request("POST", "/act", {"session": session, "observation": one}) for one in shown])
    await _round(server, clients, requests, 0.5)  # the first calls are slower
    found = [await _round(server, clients, requests, 2.0) for _ in range(rounds)]
    for client in clients:
        await client.close()
    return found


async def _round(
    server: Server, clients: list[Client], requests: list[list[bytes]], seconds: float
) -> dict[str, float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def act(client: Client, own: list[bytes]) -> None:
        step = 0
        while (began := time.perf_counter()) < end:
            await client.ask(own[step % len(own)])
            taken.append(time.perf_counter() - began)
            step += 1

    began, cpu = time.perf_counter(), server.cpu_seconds()
    await asyncio.gather(*(act(*pair) for pair in zip(clients, requests, strict=True)))
    passed, used = time.perf_counter() - began, server.cpu_seconds() - cpu
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "actions/s": len(taken) / passed,
        "p50 ms": 1000 * float(p50),
        "p99 ms": 1000 * float(p99),
        "actions per second of the processor": len(taken) / max(used, 0.01),
        "share of the core": used / passed,
    }


async def _batches(server: Server, maps: list[Any]) -> float:
    """Actions a second of one client that sends 64 observations in a request."""
    client = await Client.to(server)
    asked = request("POST", "/act", {"observations": maps[:64]})
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + 2:
        count += len((await client.ask(asked))["actions"])
    passed = time.perf_counter() - began
    await client.close()
    return count / passed


# --- sessions --------------------------------------------------------------------------------------------------------


def many_sessions(folder: Path, maps: list[Any], count: int) -> dict[str, Any]:
    """Memory of a server over many sessions: after the first tenth of them, and after all."""
    with serving(folder, f"session_seconds={SESSION_SECONDS}") as server:
        seconds = time.perf_counter()
        asyncio.run(_sessions(server, maps, count // 10))
        first = server.megabytes()
        asyncio.run(_sessions(server, maps, count - count // 10))
        last = server.megabytes()
        seconds = time.perf_counter() - seconds
        time.sleep(SESSION_SECONDS + 0.5)
        left = _metric(server, "wean_sessions")
    growth = last / first - 1
    return {"sessions": count, "MB first": first, "MB last": last, "growth": growth, "left": left, "seconds": seconds}


async def _sessions(server: Server, maps: list[Any], count: int) -> None:
    texts = [json.dumps(one, separators=(",", ":")) for one in maps[:50]]
    begin = request("POST", "/sessions", {})

    async def play(number: int) -> None:
        client = await Client.to(server)
        for step in range(number, count, CONNECTIONS):
            session = (await client.ask(begin))["session"]
            told = f'{{"session":"{session}","observation":{texts[step % 50]}}}'.encode()
            head, _, _ = request("POST", "/act").partition(b"Content-Length")
            await client.ask(head + b"Content-Length: %d\r\n\r\n" % len(told) + told)
            if step % 10 == 0:
                await client.ask(request("DELETE", f"/sessions/{session}"))
        await client.close()

    await asyncio.gather(*(play(number) for number in range(CONNECTIONS)))


def _metric(server: Server, name: str) -> float:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics")
    asked.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


# --- hostile requests ------------------------------------------------------------------------------------------------


def hostile(folder: Path) -> dict[str, Any]:
    """What comes of requests that nobody should send, to a server that waits a second only."""
    with serving(folder, "read_seconds=1", "idle_seconds=1") as server:
        attacks = hostile_requests.attacks(
            TOKEN, json.loads((folder / "config.json").read_text())["observation"]["shape"]
        )
        acts = good_request(server, np.load(folder / "example.npy")[0].tolist())
        found = hostile_requests.check("127.0.0.1", server.port, attacks, acts)
        return found | {"crashed": server.process.poll() is not None}


def good_request(server: Server, observation: Any) -> Callable[[], bool]:
    """A function that asks for an action, and says whether there is one."""

    async def ask() -> bool:
        client = await Client.to(server)
        told = await client.ask(request("POST", "/act", {"observation": observation, "seed": 1}))
        await client.close()
        return isinstance(told["action"], int)

    return lambda: asyncio.run(ask())


def markdown(results: dict[str, Any]) -> str:
    """The table for people."""
    wanted, fast, hostile_, kept = (results[name] for name in ("wanted", "speed", "hostile", "sessions"))
    refused = hostile_["answered 4xx"] + hostile_["cut"]
    rows = [
        (
            f"{CLIENTS} clients, one core",
            f"{fast['actions/s']:,.0f} actions/s (best round {fast['best round']:,.0f}), with "
            f"{100 * fast['share of the core']:.0f} % of the core",
            f"at least {wanted['actions/s']:,}",
        ),
        ("for a second of the processor", f"{fast['actions per second of the processor']:,.0f} actions", ""),
        (
            "one action",
            f"p50 {fast['p50 ms']:.1f} ms, p99 {fast['p99 ms']:.1f} ms",
            f"p99 at most {wanted['p99 ms']} ms",
        ),
        ("64 observations in a request", f"{fast['actions/s, 64 in a request']:,.0f} actions/s", ""),
        (
            f"{kept['sessions']:,} sessions in {kept['seconds']:,.0f} s",
            f"{kept['MB first']:.1f} MB after a tenth of them, {kept['MB last']:.1f} MB after all "
            f"({100 * kept['growth']:+.1f} %); {kept['left']:.0f} left after {SESSION_SECONDS} s",
            f"growth at most {100 * wanted['growth']:.0f} %",
        ),
        (
            f"{hostile_['requests']} hostile requests",
            f"{hostile_['answered 4xx']} answered 4xx, {hostile_['cut']} cut, {hostile_['requests'] - refused} other; "
            f"{len(hostile_['leaks'])} tracebacks or files shown; "
            f"{'acts' if hostile_['alive after'] else 'does not act'} afterwards",
            f"at least {wanted['hostile requests']}, all refused",
        ),
    ]
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


if __name__ == "__main__":
    main()
